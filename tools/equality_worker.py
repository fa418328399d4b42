r"""The process in which symbolic algebra runs: JSON lines in, JSON lines out, started by `equality.py`.

A model's text reaches math-verify and sympy only here. What holds it:

- Text is read by the LaTeX grammar alone, wrapped in dollars. math-verify's reader of plain expressions is sympy's
  `parse_expr`, which evaluates its text as Python, and is not used. Sympy also comes to `parse_expr` by itself, for
  each number token the grammar found and wherever it is handed a string; here it gets a reader of numerals instead, and
  the evaluation behind it refuses.
- Memory is limited, no file can be written, no process or socket can be opened once sympy is loaded.
- A comparison has a wall-clock limit (SIGALRM, in this process's main thread) and a processor limit (SIGPROF, which
  ends the process even inside a C function, and also when the parent is gone).

Run as a file, so that it imports nothing of ours: `python -P equality_worker.py`.
"""

import json
import logging
import math
import re
import resource
import signal
import sys
from functools import lru_cache
from types import FrameType
from typing import Any, Final

MEMORY: Final = 2 * 1024**3
"""Address space of the process in bytes."""

_REFUSED: Final = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.",
    "pty.",
    "ctypes.",
)


class Overtime(BaseException):
    """The limit of one comparison has passed; no `Exception`, so that sympy does not swallow it."""


def numeral(text: Any, *args: Any, **kwargs: Any) -> Any:
    """What sympy makes of a string here: a number if it is a plain numeral, else an error; nothing is evaluated."""
    import sympy

    if re.fullmatch(r"[+-]?[0-9]{1,1000}", str(text).strip()):
        return sympy.Integer(int(text))
    if re.fullmatch(r"[+-]?(?:[0-9]{1,500}\.?[0-9]{0,500}|\.[0-9]{1,500})(?:[eE][+-]?[0-9]{1,4})?", str(text).strip()):
        return sympy.Float(str(text).strip())
    raise sympy.SympifyError("not a numeral")


def harden() -> None:
    """Load sympy, then close what it does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    logging.disable()
    import sympy.parsing.sympy_parser as sympy_parser
    from math_verify import parse, verify

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise SyntaxError("text is not evaluated here")

    sympy_parser.parse_expr = numeral
    sympy_parser.eval_expr = refuse
    verify(parse("$x+1$", parsing_timeout=None), parse("$1+x$", parsing_timeout=None), timeout_seconds=None)  # warm up
    sys.addaudithook(guard)


def guard(event: str, args: tuple[Any, ...]) -> None:
    """Second line of defence: an audit hook cannot be removed again."""
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if writes or event.startswith(_REFUSED):
        raise PermissionError(f"{event} is refused while untrusted text is compared")


@lru_cache(maxsize=512)
def read(text: str) -> Any:
    """The sympy object behind LaTeX, None if the grammar cannot read the whole of it."""
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=-1)
    found = parse(f"${text}$", [config], fallback_mode="no_fallback", extraction_mode="first_match", parsing_timeout=None)
    return found[0] if len(found) == 1 else None


def value(expression: Any) -> float | None:
    """The real number a closed expression stands for, None for anything else (a set, a variable, an infinity)."""
    from sympy import Expr

    if not isinstance(expression, Expr) or expression.free_symbols:
        return None
    try:
        number = float(expression.doit().evalf(20))
    except (TypeError, ValueError, OverflowError, ArithmeticError, AttributeError):
        return None
    return number if math.isfinite(number) else None


def answer(texts: list[str]) -> dict[str, Any]:
    """One text: can it be read, and what is its value? Two: are they equal, whichever is taken as the reference?"""
    from math_verify import verify

    first = read(texts[0])
    if len(texts) == 1:
        return {"readable": first is not None, "value": value(first)}
    second = read(texts[1])
    if first is None or second is None:
        return {"equal": False}
    return {"equal": verify(first, second, timeout_seconds=None) or verify(second, first, timeout_seconds=None)}


def alarm(signum: int, frame: FrameType | None) -> None:
    """End the comparison that is running."""
    raise Overtime


def respond(request: dict[str, Any]) -> dict[str, Any]:
    """Answer within the request's limit in seconds."""
    signal.setitimer(signal.ITIMER_PROF, request["limit"] + 1)  # no handler: the system ends the process
    try:
        signal.setitimer(signal.ITIMER_REAL, request["limit"])
        try:
            return answer(request["texts"])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Overtime:
        return {"overtime": True}
    except Exception:  # sympy raises whatever it likes on hostile input: unreadable, so not equal
        return {"readable": False, "value": None, "equal": False}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """Say that sympy is loaded, then answer line by line until the parent closes the pipe."""
    signal.signal(signal.SIGALRM, alarm)
    harden()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
