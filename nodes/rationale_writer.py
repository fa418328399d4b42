"""The rationale writer: says how a tester would have come to a test whose output is known, as if it were not.

The last stage of UTGen's training-data recipe (arXiv 2502.01619). Our own wording; the layout is the one that the test writer is asked for,
so that hypothesis, input, reasoning and output are what it is trained to write. A rationale that names no hypothesis, another call, or
another output than the right program's, is asked for again and then dropped.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from symposia.nodes.input_proposer import Attack, Attacked
from symposia.nodes.perturber import counted
from symposia.nodes.test_writer import read_arguments, read_output, same_arguments
from symposia.state.base import Sample
from symposia.state.channels import grow
from symposia.state.errors import ReplyError
from symposia.state.place import fan
from symposia.tools.literals import call_text, equal, read_value
from symposia.tools.llm import ask, prompt, quorum
from symposia.tools.programs import fence

EXPLAIN_TEST = """\
The code below was written for the task below and is wrong. You know a call that shows it and what a correct program returns for that call.
Write how a tester finds this test. The tester does not know the value beforehand: it has to come out of the reasoning.

Task: {prompt}
Signature: {signature}

{code}

Call: `{call}`
Expected: `{expected}`

Answer in these parts, each under its heading.

### Hypothesis
Compare the code with the task, step by step. End with a hypothesis about which inputs break the code.

### Input
Say why this call is valid and why it breaks the code. End this part with the line: Arguments: `{call}`

### Output
Work out step by step what a correct program returns for this call. End with a line "Output:" and then that value, as a Python literal, in a
fence of three backticks."""

_HYPOTHESIS = re.compile(r"^#{1,6}[ \t]*hypothesis\b[^\n]*\n(.*?)^#{1,6}[ \t]*input\b", re.IGNORECASE | re.MULTILINE | re.DOTALL)


class Record(TypedDict):
    """A test that was found and explained: the attack's index, and the rationale in the test writer's layout."""

    attack: int
    rationale: str


class Explained(Attacked):
    """Attacks with their rationales."""

    unexplained: NotRequired[list[int]]
    """Indices of the attacks that wait for another rationale."""
    tries: int
    """How often rationales were asked for."""
    records: Annotated[list[Record], grow]


async def write_rationale(state: Explained) -> dict[str, Any]:
    """Ask for the rationale of each attack that has none; after the last try those without one are dropped.

    Raises:
        SymposiaError: Fewer than `quorum` replies came back.
    """
    params, tries = state["params"], state["tries"] + 1
    waiting = state["unexplained"] if tries > 1 else list(range(len(state["attacks"])))
    replies = await fan([partial(_ask, state, state["attacks"][i]) for i in waiting])
    quorum(replies, params["quorum"])
    reasons = [unfit(reply, state["attacks"][i], state["entry_point"]) for i, reply in zip(waiting, replies, strict=True)]
    records = [Record(attack=i, rationale=reply["text"]) for i, reply, reason in zip(waiting, replies, reasons, strict=True) if not reason]
    over = tries > params["max_retries"]
    dropped = [reason for reason in reasons if reason] if over else []
    return {
        "records": records,
        "tries": tries,
        "unexplained": [] if over else [i for i, reason in zip(waiting, reasons, strict=True) if reason],
        "rejects": counted(state["rejects"], "rationale", dropped),
    }


async def _ask(state: Explained, attack: Attack) -> Sample:
    code = next(faulty["code"] for faulty in state["faulty"] if faulty["program"] == attack["program"])
    fields: Mapping[str, Any] = {
        "prompt": state["prompt"],
        "signature": state["signature"],
        "code": fence(code),
        "call": call_text(state["entry_point"], attack["arguments"]),
        "expected": attack["expected"],
    }
    return await ask(state["params"], "rationale_writer", prompt(state["params"], "rationale_writer", **fields))


def unfit(reply: Sample, attack: Attack, entry_point: str) -> str:
    """Why a rationale cannot be trained on; empty when it can."""
    if reply["status"] != "ok":
        return "no_reply"
    hypothesis = _HYPOTHESIS.search(reply["text"])
    if hypothesis is None or not hypothesis[1].strip():
        return "no_hypothesis"
    try:
        if not same_arguments(read_arguments(reply["text"], entry_point), attack["arguments"]):
            return "other_input"
        same = equal(read_value(read_output(reply["text"])), read_value(attack["expected"]))
    except ReplyError:
        return "unreadable"
    return "" if same else "other_output"
