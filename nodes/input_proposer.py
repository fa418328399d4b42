"""Inputs that should break a faulty program, proposed by the test writer and kept where the right program disagrees with the faulty one.

The third stage of UTGen's training-data recipe (arXiv 2502.01619). The prompt is the test writer's; of its reply the input counts and
nothing else. An input attacks when the right program takes it within a second and the faulty one fails on it or returns something else; the
expected output is what the right program returned, never what a model wrote.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final

from typing_extensions import TypedDict

from symposia.nodes.perturber import FaultyProgram, Spoilt, counted
from symposia.nodes.test_writer import read_arguments, same_arguments, writing
from symposia.state.base import Sample
from symposia.state.channels import grow
from symposia.state.errors import ReplyError
from symposia.state.place import fan
from symposia.tools.completion import Message
from symposia.tools.llm import quorum, sample
from symposia.tools.program_runner import Called
from symposia.tools.programs import CALL, call_recorded, passes

GOLD: Final = replace(CALL, wall_seconds=1.0, cpu_seconds=1.0)
"""What one call of the right program may use: 1 s, as in the authors' measure of attacks."""


class Proposal(TypedDict):
    """An input proposed for a faulty program: texts of literals."""

    program: int
    arguments: list[str]


class Attack(TypedDict):
    """An input on which a faulty program goes wrong, with what the right one and the faulty one give."""

    program: int
    arguments: list[str]
    expected: str
    got: str


class Attacked(Spoilt):
    """Faulty programs with the inputs that break them."""

    proposals: Annotated[list[Proposal], grow]
    """Those that could be read."""
    attacks: Annotated[list[Attack], grow]


def asking(state: Mapping[str, Any], code: str) -> list[Message]:
    """The test writer's prompt on a faulty program: what it is asked here, and what it is trained on."""
    return writing({**state["params"], "mode": "utgen"}, {**state, "code": code})


async def propose_inputs(state: Attacked) -> dict[str, Any]:
    """Ask for inputs that break each faulty program.

    Raises:
        SymposiaError: Fewer than `quorum` replies came back.
    """
    params = state["params"]
    replies = await fan([partial(_ask, params, state, faulty) for faulty in state["faulty"]])
    quorum([reply for row in replies for reply in row], params["quorum"])
    found: list[Proposal] = []
    reasons = []
    for faulty, row in zip(state["faulty"], replies, strict=True):
        for reply in row:
            try:
                found.append(Proposal(program=faulty["program"], arguments=_arguments(reply, state["entry_point"])))
            except ReplyError:
                reasons.append("no_reply" if reply["status"] != "ok" else "no_input")
    return {"proposals": found, "rejects": counted(state["rejects"], "input", reasons)}


async def _ask(params: Mapping[str, Any], state: Mapping[str, Any], faulty: FaultyProgram) -> list[Sample]:
    return await sample(params, "test_writer", asking(state, faulty["code"]), params["inputs"])


def _arguments(reply: Sample, entry_point: str) -> list[str]:
    if reply["status"] != "ok":
        raise ReplyError(f"the reply is {reply['status']}")
    return read_arguments(reply["text"], entry_point)


async def label(state: Attacked) -> dict[str, Any]:
    """Run both programs on each input; keep an input on which they differ, the first of equal ones, with the right program's value."""
    codes = {faulty["program"]: faulty["code"] for faulty in state["faulty"]}
    entry, proposals = state["entry_point"], state["proposals"]
    right = await fan([partial(call_recorded, state["gold"], entry, one["arguments"], GOLD) for one in proposals])
    wrong = await fan([partial(call_recorded, codes[one["program"]], entry, one["arguments"]) for one in proposals])
    kept: list[Attack] = []
    reasons = []
    for proposal, gold, faulty in zip(proposals, right, wrong, strict=True):
        reason = _harmless(gold, faulty)
        if not reason and any(same_arguments(proposal["arguments"], one["arguments"]) for one in kept):
            reason = "same_input"
        if reason:
            reasons.append(reason)
        else:
            kept.append(Attack(**proposal, expected=gold["text"], got=faulty["text"]))
    return {"attacks": kept, "rejects": counted(state["rejects"], "input", reasons)}


def _harmless(gold: Called, faulty: Called) -> str:
    """Why an input is no test: the right program does not take it, returns what has no literal, or the faulty one returns the same."""
    if gold["status"] != "ok":
        return "no_literal" if gold["status"] == "odd" else "gold_fails"
    return "same_output" if passes(faulty, gold["text"]) else ""
