"""Programs under test: a function called on arguments in the sandbox, its value compared outside, whole sets of tests run.

What a call returned is compared out here, and the program never sees what is expected: it wins nothing by printing, by leaving early, by
an object that calls itself equal to everything, or by what it finds on the stack.

Tests whose expected values cannot be read from their text run beside the program, as they are, with builtins of their own; a value that
equals anything fails them. What remains there: tests in the same process hold only against a program that was not written for this very
runner. One that reads its caller's frames can learn what is expected, and the mark that says that all tests passed; one that replaces
functions of modules the tests use changes what they say. Tests that compare calls with literals have none of this.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from typing_extensions import TypedDict

from symposia.state.errors import ReplyError, shorten
from symposia.state.journal import effect
from symposia.tools.checkers import Cases, Near, Tests, cases_of, entry_of, tuple_text
from symposia.tools.literals import equal, read_value
from symposia.tools.program_runner import LONG, Called, run_calls, run_tests
from symposia.tools.sandbox import Bounds

__all__ = [
    "CALL",
    "TESTS",
    "Called",
    "Checked",
    "Tests",
    "call",
    "call_recorded",
    "check",
    "check_recorded",
    "fence",
    "passed_all",
    "passes",
    "read_code",
]

CALL = Bounds(wall_seconds=2.0, cpu_seconds=2.0, memory_mib=1024, output_kib=1024)
"""What one call may use: 2 s as in UTGen's code, whose 256 MiB are too few for numpy."""

TESTS = Bounds(wall_seconds=60.0, cpu_seconds=60.0, memory_mib=1024, output_kib=8192)
"""What a whole set of tests may use."""


class Checked(TypedDict):
    """How a program did on tests: how many it passed, and the first one that it did not."""

    passed: int
    total: int
    first_failure: str | None


async def call(code: str, entry_point: str, arguments: Sequence[str], bounds: Bounds = CALL) -> Called:
    """Call a function of a program once.

    Args:
        code: The program.
        entry_point: The function's name.
        arguments: Texts of literals, as `value_text` writes them.
        bounds: What loading and calling may use.
    """
    return (await run_calls(code, entry_point, [tuple_text(arguments)], bounds, seconds=bounds.cpu_seconds))[0]


async def call_recorded(code: str, entry_point: str, arguments: Sequence[str], bounds: Bounds = CALL) -> Called:
    """`call` as an effect of the run's journal."""

    async def perform() -> Called:
        return await call(code, entry_point, arguments, bounds)

    request = {"code": code, "entry_point": entry_point, "arguments": list(arguments), "bounds": asdict(bounds)}
    found: Called = await effect("execute", request, perform)
    return found


def passes(called: Called, expected: str, absolute: float = 0.0) -> bool:
    """Whether a call gave the expected value, which is the text of a literal."""
    try:
        return called["status"] == "ok" and equal(read_value(called["text"], LONG), read_value(expected), absolute)
    except ReplyError:
        return False


async def check(code: str, tests: Tests, bounds: Bounds = TESTS) -> Checked:
    """Run a program on all tests it has; a checker that cannot be taken apart counts as one test."""
    found = Checked(passed=0, total=0, first_failure=None)
    for part in cases_of(tests):
        one = await (_check_cases(code, part, bounds) if isinstance(part, Cases) else _check_text(code, part, tests, bounds))
        found["passed"] += one["passed"]
        found["total"] += one["total"]
        found["first_failure"] = found["first_failure"] or one["first_failure"]
    return found


async def check_recorded(code: str, tests: Tests, bounds: Bounds = TESTS) -> Checked:
    """`check` as an effect of the run's journal."""

    async def perform() -> Checked:
        return await check(code, tests, bounds)

    found: Checked = await effect("execute", {"code": code, "tests": dict(tests), "bounds": asdict(bounds)}, perform)
    return found


def passed_all(found: Checked) -> bool:
    """Whether a program passed every test, and there was one."""
    return found["passed"] == found["total"] > 0


def read_code(text: str) -> str:
    """The program in a reply: the first fence that is tagged python, else the first one untagged, else the text before the first fence."""
    fences = list(re.finditer(r"^[ \t]*(`{3,})[ \t]*([\w+-]*)[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", text, re.MULTILINE | re.DOTALL))
    for tags in (("python", "py", "python3"), ("",)):
        for fence in fences:
            if fence[2].lower() in tags:
                return fence[3].strip("\n")
    return text[: fences[0].start()].strip() if fences else text.strip()


def fence(code: str) -> str:
    """A program in a fence that nothing in it can close."""
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", code))])
    return f"{ticks}python\n{code.strip(chr(10))}\n{ticks}"


async def _check_cases(code: str, cases: Cases, bounds: Bounds) -> Checked:
    """Call a program on all inputs in one run, and compare out here."""
    done = await run_calls(code, cases.entry_point, cases.calls, bounds, cases.through)
    right = [_right(one, expected, cases) for one, expected in zip(done, cases.expected, strict=True)]
    wrong = next((i for i, good in enumerate(right) if not good), None)
    told = None
    if wrong is not None:
        asked = f"{cases.entry_point}{cases.calls[wrong].replace(', )', ')')}"
        told = shorten(f"{asked} gives {done[wrong]['text']}, expected {cases.expected[wrong]!r}", 300)
    return Checked(passed=sum(right), total=len(right), first_failure=told)


def _right(called: Called, expected: Any, cases: Cases) -> bool:
    """Whether a call gave what is expected of it."""
    if called["status"] != "ok":
        return False
    try:
        value = read_value(called["text"], LONG)
        if isinstance(expected, Near):
            return math.isclose(value, expected.number, rel_tol=expected.relative, abs_tol=expected.absolute)
        return equal(value, expected, cases.absolute)
    except (ReplyError, TypeError, ValueError, OverflowError):
        return False


async def _check_text(code: str, text: str, tests: Tests, bounds: Bounds) -> Checked:
    """Run tests beside a program, in one run; they pass as a whole."""
    why = await run_tests(code, text, tests.get("test_imports", []), entry_of(tests), bounds)
    return Checked(passed=int(why is None), total=1, first_failure=why)
