"""What runs in the sandbox beside a program under test, and how what it said is read.

A program is a text of Python with some imports before it. Arguments are made anew for each call; what a call returned comes back as the
text of a literal, behind a mark that is drawn for the run, so that nothing a program writes is taken for it. What it prints is thrown away.
"""

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any, Literal

from typing_extensions import TypedDict

from symposia.state.errors import ReplyError, shorten
from symposia.state.packing import sound_all
from symposia.tools.literals import read_value, value_text
from symposia.tools.sandbox import Bounds, Profile, Result, run_code

LONG = 1 << 23
"""Characters of a value that a program returned or that a test expects."""

IMPORTS = """\
import collections, copy, datetime, functools, hashlib, heapq, itertools, math, re, string, sys, typing
from typing import *
from collections import *
"""
"""Imports that stand before every program, since models leave them out: the modules of UTGen's code; numpy only where it is named."""

CALL_SECONDS = 2.0
"""CPU time of one call, as in UTGen's code, where no more is said."""

MOST_OVERTIMES = 3
"""Calls of a series that may take longer before the rest is not run."""

NOT_RUN = "not run: calls before it took too long"
"""What is told of the rest."""

_NUMPY = re.compile(r"\b(?:numpy|np)\b")

_RUNNER = """\
import builtins as _builtins, functools as _functools, json as _json, os as _os, signal as _signal, sys as _sys, types as _types
_write, _dumps, _repr = _os.write, _json.dumps, repr
_told = _os.dup(1)
try:
    _os.dup2(_os.open("/dev/null", 1), 1)
except OSError:
    pass  # a machine that shows no device; what is printed counts then
_untouched = dict(vars(_builtins))

class _Overtime(BaseException):
    pass

def _plain(value):
    kind = type(value)
    if kind in (int, float, complex, bool, str, bytes, type(None)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        base = next(one for one in (list, tuple, set, frozenset) if isinstance(value, one))
        return base(map(_plain, base.__iter__(value)))
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in dict.items(value)}
    for base in (int, float, complex, str, bytes):
        if isinstance(value, base):
            return base.__new__(base, value)
    if isinstance(value, (type({}.keys()), type({}.items()))):
        return {_plain(item) for item in value}
    if kind.__module__ == "numpy":
        return _plain(value.tolist())
    if kind.__module__ in ("decimal", "fractions") and float(value) == value:
        return float(value)
    raise TypeError(kind.__name__)

def _tell(mark, **said):
    data = ("\\n" + mark + _dumps(said) + "\\n").encode()
    while data:
        data = data[_write(_told, data):]

def _said(error):
    if isinstance(error, _Overtime):
        return "no result within the time of a call"
    try:
        return type(error).__name__ + ": " + str(error)[:500]
    except BaseException:
        return type(error).__name__

def _load(imports, code):
    module = _types.ModuleType("program")
    _sys.modules["program"] = _sys.modules["__main__"] = module
    exec(imports, module.__dict__)
    exec(compile(code, "program.py", "exec"), module.__dict__)
    return module.__dict__

def _overtime(number, frame):
    raise _Overtime

def _calls(mark, imports, code, name, calls, through, seconds, most, not_run):
    _signal.signal(_signal.SIGPROF, _overtime)
    try:
        function = _load(imports, code).get(name)
        if function is None:
            raise NameError("there is no function " + name)
    except BaseException as error:
        return _tell(mark, error="the code does not load: " + _said(error))
    names = {"inf": float("inf"), "nan": float("nan"), "__builtins__": {"set": set, "frozenset": frozenset}}
    overtimes = 0
    for arguments in calls:
        if overtimes == most:
            _tell(mark, error=not_run)
            continue
        try:
            _signal.setitimer(_signal.ITIMER_PROF, seconds)
            value = function(*eval(arguments, names))
            value = _untouched[through](value) if through else value
            _signal.setitimer(_signal.ITIMER_PROF, 0)
        except BaseException as error:
            _signal.setitimer(_signal.ITIMER_PROF, 0)
            overtimes += isinstance(error, _Overtime)
            _tell(mark, error=_said(error))
            continue
        try:
            _tell(mark, value=_repr(_plain(value)))
        except BaseException:
            try:
                _tell(mark, odd=str(_repr(value))[:200])
            except BaseException as error:
                _tell(mark, error="the value has no text: " + _said(error))

def _equals_anything(value):
    try:
        if type(value) in (list, tuple, dict):
            return any(map(_equals_anything, value.values() if type(value) is dict else value))
        if type(value) in (int, float, complex, bool, str, bytes, type(None)):
            return False
        unseen = _os.urandom(9)
        return any(value == one for one in (object(), unseen, unseen.hex(), int.from_bytes(unseen, "big"), [unseen]))
    except BaseException:
        return False

def _held(function):
    def held(*given, **named):
        value = function(*given, **named)
        if _equals_anything(value):
            raise TypeError("a value that equals anything")
        return value
    return _functools.update_wrapper(held, function)

def _tests(mark, imports, code, tests, entry_point, tell=_tell, said=_said):
    try:
        names = {}
        for name, value in _load(imports, code).items():
            if not entry_point or name == entry_point or name not in _untouched:
                names[name] = _held(value) if isinstance(value, _types.FunctionType) or hasattr(value, "__wrapped__") else value
        names["__builtins__"] = _untouched
        exec(compile(tests, "tests.py", "exec"), names)
    except BaseException as error:
        return tell(mark, error=said(error))
    tell(mark, value="True")
"""


class Called(TypedDict):
    """What one call of a program gave: `ok` with the text of a literal, `odd` with the text of another object, else why there is none."""

    status: Literal["ok", "odd", "error", "timeout"]
    text: str


async def run_calls(code: str, name: str, calls: Sequence[str], bounds: Bounds, through: str = "", seconds: float = 0.0) -> list[Called]:
    """One run of a program with a series of calls, their values put through a builtin; what a dead run did not get to is told why.

    A call has so many seconds of CPU time, and never less than `CALL_SECONDS`; the whole series has those of its bounds.
    """
    rest = (name, list(calls), through, max(seconds, CALL_SECONDS), MOST_OVERTIMES, NOT_RUN)
    told, result = await _run("_calls", code, rest, bounds)
    done = [_called(one) for one in told[: len(calls)]]
    if len(told) == 1 and "does not load" in str(told[0].get("error")):
        done *= len(calls)
    lost = Called(status="timeout", text=_ended(result, bounds))
    return done + [lost] * (len(calls) - len(done))


async def _run(function: str, code: str, rest: tuple[Any, ...], bounds: Bounds, imports: str = "") -> tuple[list[dict[str, Any]], Result]:
    """What a function of the runner told, in order, and how its run ended."""
    mark = secrets.token_hex(16)
    numeric = bool(_NUMPY.search(f"{code}{imports}{rest}"))
    profile: Profile = "numeric" if numeric else "stdlib"
    before = (IMPORTS + "import numpy, numpy as np\n" if numeric else IMPORTS) + imports
    arguments = ", ".join(map(repr, (mark, before, code, *rest)))
    result = await run_code(f"{_RUNNER}\n{function}({arguments})\n", "", bounds, profile)
    lines = [line[len(mark) :] for line in result.stdout.split("\n") if line.startswith(mark)]
    return [told for line in lines if (told := _json(line)) is not None], result


def _json(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return sound_all(found) if isinstance(found, dict) else None


def _called(told: dict[str, Any]) -> Called:
    if "value" in told:
        try:
            return Called(status="ok", text=value_text(read_value(str(told["value"]), LONG)))
        except ReplyError:
            return Called(status="odd", text=shorten(str(told["value"]), 200))
    kind: Literal["odd", "error"] = "odd" if "odd" in told else "error"
    return Called(status=kind, text=shorten(str(told.get(kind)), 200))


def _ended(result: Result, bounds: Bounds) -> str:
    """Why a run told nothing."""
    why = {
        "timeout": f"no result within {bounds.wall_seconds:g} s",
        "memory": f"more than {bounds.memory_mib} MiB of memory",
        "output": f"more than {bounds.output_kib} KiB of output",
    }
    return why.get(result.status, f"the run ended without a result{f': {shorten(result.error, 120)}' if result.error else ''}")


async def run_tests(code: str, tests: str, imports: Sequence[str], entry_point: str | None, bounds: Bounds) -> str | None:
    """Run tests beside a program: why they did not come to their end, None when they did."""
    told, result = await _run("_tests", code, (tests, entry_point), bounds, "\n".join([*imports, ""]))
    if told and told[0].get("value") == "True":
        return None
    return shorten(str(told[0].get("error")) if told else _ended(result, bounds), 300)
