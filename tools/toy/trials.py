"""Many small programs tried on a few calls, all in one run of the sandbox: how a toy sees what its edits do."""

import json
from collections.abc import Sequence
from typing import Any, Final

from symposia.tools.sandbox import Bounds, run_code

BOUNDS: Final = Bounds(wall_seconds=30.0, cpu_seconds=20.0)
"""Of a whole trial; a single program is stopped much earlier, by `STEPS`."""

STEPS: Final = 4_000
"""Lines a program may execute per call: a count, unlike a time, is the same on every machine."""

_DRIVER: Final = """\
import ast, collections, copy, functools, heapq, io, itertools, json, math, re, string, sys
given = json.loads(sys.stdin.read())
out, sys.stdout, sys.stderr, sys.stdin = sys.stdout, io.StringIO(), io.StringIO(), io.StringIO()
modules = {one.__name__: one for one in (collections, functools, heapq, itertools, math, re, string)}
left = 0

class Endless(BaseException):
    pass

def count(frame, event, arg):
    global left
    left -= 1
    if left < 0:
        raise Endless
    return count

def guarded(function, *args):
    global left
    left = given["steps"]
    sys.settrace(count)
    try:
        return function(*args)
    finally:
        sys.settrace(None)

def call(space, args):
    try:
        return repr(guarded(space[given["entry"]], *ast.literal_eval(args)))[:2000]
    except BaseException as error:
        return "!" + type(error).__name__

for code in given["codes"]:
    space = {"__name__": "program", **modules}
    try:
        guarded(exec, compile(code, "program", "exec"), space)
        found = [call(space, args) for args in given["inputs"]]
    except BaseException as error:
        found = ["!" + type(error).__name__ for _ in given["inputs"]]
    out.write(json.dumps(found) + "\\n")
    out.flush()
"""


async def try_all(codes: Sequence[str], entry: str, inputs: Sequence[Sequence[Any]]) -> list[list[str]]:
    """What each program gives for each list of arguments: the value's `repr`, or `!` and the error's name.

    A program at which the sandbox had to end the trial, and those after it, count as ended by it.
    """
    asked = {"codes": list(codes), "entry": entry, "inputs": [repr(list(args)) for args in inputs], "steps": STEPS}
    result = await run_code(_DRIVER, json.dumps(asked), BOUNDS)
    found = [_line(line, len(inputs)) for line in result.stdout.splitlines()]
    return [*found, *([["!Ended"] * len(inputs)] * len(codes))][: len(codes)]


def _line(text: str, n: int) -> list[str]:
    """One program's outcomes; the programs write to the same place, so what is no such line is read as a failure."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return [str(one) for one in value] if isinstance(value, list) and len(value) == n else ["!Unreadable"] * n
