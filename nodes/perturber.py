"""The perturber: spoils a right program with one subtle bug, so that there is something for tests to find.

The second stage of UTGen's training-data recipe (arXiv 2502.01619; neither its code nor its prompts are released). Our own wording and our
own gates: a variant has to load, define the function, differ from the right program as a syntax tree, and fail a test where there are any.
"""

import ast
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from symposia.nodes.program_intake import Received
from symposia.state.base import Sample
from symposia.state.channels import grow, settled
from symposia.state.place import fan
from symposia.tools.llm import prompt, quorum, sample
from symposia.tools.programs import Checked, Tests, check_recorded, fence, read_code

PERTURB = """\
Below are a task and a program that solves it. Write a variant of the program with one subtle bug, such as a careful programmer might make:
it looks plausible, keeps the name and the signature, runs, and gives a wrong result for some valid inputs only. Nothing in it may hint at
the bug. Reply with the whole variant in one fence that is tagged python.

Task: {prompt}
Signature: {signature}

{code}"""

LOADS = "pass\n"
"""The test that stands in where there is none: the program has to load."""


class FaultyProgram(TypedDict):
    """A spoilt program that passed the gates, and how it did on the tests."""

    program: int
    """Which of the perturber's variants it is, from 0."""
    code: str
    passed: int
    total: int


class Spoilt(Received):
    """A problem and the spoilt programs made of its right one."""

    gold: NotRequired[str]
    """The right program."""
    faulty: Annotated[list[FaultyProgram], grow]
    rejects: Annotated[dict[str, int], settled]
    """How many proposals were dropped, by `stage.reason`."""


def tests_of(state: Mapping[str, Any]) -> Tests:
    """The tests of a problem; where it has none, that the program loads."""
    tests = Tests(entry_point=state["entry_point"], test_imports=state.get("test_imports") or [])
    if state.get("test_list"):
        tests["test_list"] = state["test_list"]
    if state.get("test") or not state.get("test_list"):
        tests["test"] = state.get("test") or LOADS
    return tests


def counted(rejects: Mapping[str, int], stage: str, reasons: Sequence[str]) -> dict[str, int]:
    """The counts with the reasons of a stage added."""
    found = dict(rejects)
    for reason in reasons:
        found[f"{stage}.{reason}"] = found.get(f"{stage}.{reason}", 0) + 1
    return dict(sorted(found.items()))


async def perturb_gold(state: Spoilt) -> dict[str, Any]:
    """Ask for spoilt variants of the right program, and keep those that pass the gates.

    Raises:
        SymposiaError: Fewer than `quorum` replies came back.
    """
    params, gold = state["params"], state["gold"]
    asked = prompt(params, "perturber", prompt=state["prompt"], signature=state["signature"], code=fence(gold))
    replies = await sample(params, "perturber", asked, params["perturbations"])
    quorum(replies, params["quorum"])
    trees = [tree_text(gold)]
    reasons: list[str] = []
    written: list[tuple[int, str]] = []
    for i, reply in enumerate(replies):
        code, reason = _written(reply, state["entry_point"], trees)
        if reason:
            reasons.append(reason)
        else:
            written.append((i, code))
            trees.append(tree_text(code))
    found = await fan([partial(check_recorded, code, tests_of(state)) for _, code in written])
    tested = any(state.get(key) for key in ("test", "test_list"))
    kept = []
    for (i, code), checked in zip(written, found, strict=True):
        reason = _wrong_result(checked, tested, params["hard"])
        reasons += [reason] if reason else []
        kept += [] if reason else [FaultyProgram(program=i, code=code, passed=checked["passed"], total=checked["total"])]
    return {"faulty": kept, "rejects": counted(state["rejects"], "program", reasons)}


def tree_text(code: str) -> str:
    """A program's syntax tree as text, equal for programs that differ in layout and comments only; empty when it is no Python."""
    try:
        return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ""


def _written(reply: Sample, entry_point: str, trees: Sequence[str]) -> tuple[str, str]:
    """The program in a reply, and why it is dropped before it is run: no reply, no Python, no such function, nothing new."""
    if reply["status"] != "ok":
        return "", "no_reply"
    code = read_code(reply["text"])
    tree = tree_text(code)
    if not tree:
        return code, "no_python"
    if not any(isinstance(node, ast.FunctionDef) and node.name == entry_point for node in ast.parse(code).body):
        return code, "no_function"
    if tree in trees:
        return code, "same_code" if tree == trees[0] else "same_as_another"
    return code, ""


def _wrong_result(checked: Checked, tested: bool, hard: bool) -> str:
    """Why a program is dropped by what the tests say of it."""
    if "does not load" in (checked["first_failure"] or "") or (not tested and not checked["passed"]):
        return "does_not_load"
    if not tested:
        return ""
    if checked["passed"] == checked["total"]:
        return "passes_all_tests"
    return "fails_most_tests" if hard and 2 * checked["passed"] < checked["total"] else ""
