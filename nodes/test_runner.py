"""The test runner: it runs a program on a suite, says whether an edit stands, and measures what came out; no model is asked.

The rule of UTDebug (arXiv 2502.01619, section on validation and backtracking; authors' code): an edit stands when it passes no smaller
share of the suite that produced the feedback than the code it was made from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from typing_extensions import TypedDict

from symposia.nodes.program_intake import Received
from symposia.nodes.test_writer import UnitTest, same_arguments
from symposia.state.channels import grow
from symposia.state.place import fan
from symposia.tools.programs import CALL, Checked, Tests, call_recorded, check_recorded, passes


class UnitTestResult(TypedDict):
    """What a program did on a unit test; `timeout` is any way of giving no value, as in UTDebug's code."""

    status: Literal["pass", "fail", "timeout"]
    got: str
    """The value, or why there is none."""


class Feedback(TypedDict):
    """What the debugger is told: about a test of the suite, by index, or the verdict of a model."""

    index: int | None
    text: str


class RejectedAnswer(TypedDict):
    """A feedback and the reply to it that was thrown away."""

    feedback: str
    reply: str


class Compared(TypedDict):
    """Shares, in 0..1, of the same tests that the current code and the candidate pass."""

    before: float
    after: float


class Round(TypedDict):
    """A debug attempt: the shares of tests passed before and after it, and whether the edit stands."""

    round: int
    feedback: int | None
    before: float | None
    after: float | None
    accepted: bool
    code: str
    """What the debugger wrote; empty where there was no code in its reply."""


class Debugging(Received):
    """A program under repair."""

    current_code: NotRequired[str]
    """What would be returned now."""
    suite: NotRequired[list[UnitTest]]
    seen: Annotated[list[UnitTest], grow]
    """The tests of all suites."""
    empty_suites: NotRequired[int]
    results: NotRequired[list[UnitTestResult]]
    pass_rate: NotRequired[float | None]
    """Of the current code on the suite, in 0..1; None without a suite."""
    feedback: NotRequired[Feedback]
    used_feedback: NotRequired[list[int]]
    """Tests of the suite that were shown for the current code."""
    verdict: NotRequired[Literal["right", "wrong"] | None]
    """The model's own, where there are no tests."""
    reply: NotRequired[str]
    candidate_code: NotRequired[str]
    """The edit that was made last; empty where the reply held no code."""
    compared: NotRequired[Compared | None]
    """The current code and the candidate; None without tests."""
    rejected: NotRequired[list[RejectedAnswer]]
    """Since an edit was accepted last; kept where the chat keeps them."""
    round: NotRequired[int]
    history: Annotated[list[Round], grow]
    visible: NotRequired[list[Checked]]
    hidden: NotRequired[list[Checked]]
    """The current code of round 0, 1, ... on the hidden tests, where the input has some; nothing is decided by it."""


async def results_of(state: Debugging, code: str, suite: Sequence[UnitTest]) -> list[UnitTestResult]:
    """Run a program on a suite, each test by itself."""
    params = state["params"]
    seconds = min(params["call_seconds"], params["suite_seconds"] / max(1, len(suite)))
    bounds = replace(CALL, wall_seconds=seconds, cpu_seconds=seconds, memory_mib=params["memory_mib"])

    async def one(test: UnitTest) -> UnitTestResult:
        called = await call_recorded(code, state["entry_point"], test["arguments"], bounds)
        if called["status"] in ("error", "timeout"):
            return UnitTestResult(status="timeout", got=f"no value: {called['text']}")
        return UnitTestResult(status="pass" if passes(called, test["expected"]) else "fail", got=called["text"])

    return await fan([partial(one, test) for test in suite])


def rate(results: Sequence[UnitTestResult]) -> float:
    """The share of tests passed, in 0..1; 0 without a test."""
    return sum(r["status"] == "pass" for r in results) / max(1, len(results))


async def run_suite(state: Debugging) -> dict[str, Any]:
    """Run the current code on its suite."""
    results = await results_of(state, state["current_code"], state["suite"])
    return {"results": results, "pass_rate": rate(results)}


async def validate(state: Debugging) -> dict[str, Any]:
    """Run the candidate on the tests that the current code was run on; with `validate=all` both on the tests of all suites so far.

    Where two suites disagree on a call, the newer one counts.
    """
    suite, candidate, current = state["suite"], state["candidate_code"], state["results"]
    if not suite:
        return {"compared": None}
    if state["params"]["validate_on"] == "all":
        older = _older(state)
        current = current + await results_of(state, state["current_code"], older)
        suite = suite + older
    after = rate(await results_of(state, candidate, suite) if candidate else [])
    return {"compared": Compared(before=rate(current), after=after)}


def _older(state: Debugging) -> list[UnitTest]:
    """The tests of former suites, the newest of those with equal arguments."""
    kept = list(state["suite"])
    for test in reversed(state["seen"]):
        if not any(same_arguments(test["arguments"], other["arguments"]) for other in kept):
            kept.append(test)
    return kept[len(state["suite"]) :]


def decide(state: Debugging) -> dict[str, Any]:
    """Accept the candidate unless it passes a smaller share of the tests than the current code, or is no code; else go back.

    An accepted edit meets a fresh suite. After a rejected one code, suite and results are what they were.
    """
    params, candidate, number = state["params"], state["candidate_code"], state["round"] + 1
    rates, index = state["compared"], state["feedback"]["index"]
    worse = rates is not None and rates["after"] < rates["before"]
    accepted = bool(candidate) and not (worse and params["backtracking"])
    before, after = (rates["before"], rates["after"]) if rates else (None, None)
    done = Round(round=number, feedback=index, before=before, after=after, accepted=accepted, code=candidate)
    if accepted:
        empty: dict[str, Any] = {key: [] for key in ("suite", "results", "used_feedback", "rejected")}
        return {"current_code": candidate, "pass_rate": None, "round": number, "history": [done], **empty}
    answer = RejectedAnswer(feedback=state["feedback"]["text"], reply=state["reply"])
    return {"round": number, "history": [done], "rejected": state["rejected"] if params["drop_rejected"] else [*state["rejected"], answer]}


def codes_by_round(code: str, history: Sequence[Round]) -> list[str]:
    """The current code at the start and after each round."""
    codes = [code]
    for done in history:
        codes.append(done["code"] if done["accepted"] else codes[-1])
    return codes


async def evaluate(state: Debugging) -> dict[str, Any]:
    """Run the current code of every round on the visible and on the hidden tests, for reports."""
    codes = codes_by_round(state["code"], state["history"])
    return {
        "visible": await _measured(codes, {key: state.get(key) for key in ("entry_point", "test_imports", "test_list")}),
        "hidden": await _measured(codes, {key: state.get(key) for key in ("entry_point", "test_imports", "test")}),
    }


async def _measured(codes: Sequence[str], given: Mapping[str, Any]) -> list[Checked]:
    tests = Tests(**{key: value for key, value in given.items() if value})  # type: ignore[typeddict-item]
    if not tests.get("test") and not tests.get("test_list"):
        return []
    distinct = list(dict.fromkeys(codes))
    found = dict(zip(distinct, await fan([partial(check_recorded, code, tests) for code in distinct]), strict=True))
    return [found[code] for code in codes]
