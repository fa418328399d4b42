"""The child of the fork server in which one piece of code runs, as `__main__`. Standard library only; nothing here is secret or trusted.

How the code ended is told by the exit status. Code that runs in this process could tell the same lie itself, so it gains nothing by it:
what may not be forged (limits, signals, time) is said by the server and by the process that listens.
"""

import atexit
import io
import linecache
import os
import resource
import signal
import sys
import threading
import traceback
import types
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from symposia.tools.isolation.kernel import die_with_parent, refuse

DONE: Final = 86
"""Exit status of code that ran to its end."""
LEFT: Final = 87
"""Exit status of code that ended itself by `sys.exit()`, in good order."""
NO_MEMORY: Final = 88
"""Exit status after an uncaught MemoryError."""
NAME: Final = "main.py"
"""What the code's file is called in tracebacks."""

_SPARE: Final = 64  # threads that code has which may start no process
_FILES: Final = 128  # open at once
_DEPTH: Final = 10  # calls of ours below the code's own


def become(bounds: Mapping[str, Any], files: list[int], filters: list[bytes]) -> NoReturn:
    """Turn this process into a run of the code in the first file; the others are its stdin, stdout and stderr."""
    status = 1
    try:
        os.setsid()
        with suppress(OSError, AttributeError):
            die_with_parent()
        for number, one in enumerate(files[1:]):
            os.dup2(one, number)
        with os.fdopen(os.dup(files[0]), "rb") as source:
            code = source.read().decode()
        os.closerange(3, 1 << 16)
        _standard_streams()
        _limit(bounds)
        for compiled in filters:
            refuse(compiled)
        status = _run(code)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _standard_streams() -> None:
    """Like those of a fresh interpreter, over the files of this run."""
    text: dict[str, Any] = {"encoding": "utf-8", "closefd": False}
    streams: dict[str, Any] = {
        "stdin": open(0, errors="surrogateescape", **text),  # noqa: SIM115
        "stdout": open(1, "w", errors="surrogateescape", **text),  # noqa: SIM115
        "stderr": io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True),
    }
    for name, stream in streams.items():
        sys.__dict__[name] = sys.__dict__[f"__{name}__"] = stream


def _limit(bounds: Mapping[str, Any]) -> None:
    """Set what the kernel counts; where it cannot (other systems than Linux) the server's clock remains."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tasks = bounds["tasks"] + (1 + bounds["processes"] if bounds["processes"] > 1 else _SPARE)
    cpu = max(1, -(-bounds["cpu_seconds"] // 1))
    limits = [
        (resource.RLIMIT_CPU, int(cpu), int(cpu) + 1),
        (resource.RLIMIT_FSIZE, bounds["file_mib"] << 20, bounds["file_mib"] << 20),
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_NPROC, tasks, tasks),
        (resource.RLIMIT_AS, bounds["memory_mib"] << 20, bounds["memory_mib"] << 20),
    ]
    for what, soft, hard in limits:
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (soft, hard))


def _run(code: str) -> int:
    """Run it as the interpreter would, to the end of its threads and exit handlers."""
    status = _body(code)
    with suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter calls at its end: waits for threads
        atexit._run_exitfuncs()
    with suppress(BaseException):
        sys.stdout.flush()
    return status


def _body(code: str) -> int:
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __file__=NAME)
    sys.modules["__main__"] = main
    sys.argv = [NAME]
    sys.setrecursionlimit(sys.getrecursionlimit() + _DEPTH)
    linecache.cache[NAME] = (len(code), None, code.splitlines(keepends=True), NAME)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()  # or all runs of a server would share its state
    try:
        exec(compile(code, NAME, "exec"), main.__dict__)  # noqa: S102
    except SystemExit as left:
        return _exit_status(left)
    except MemoryError as error:
        return _report(error, NO_MEMORY)
    except BaseException as error:
        return _report(error, 1)
    return DONE


def _exit_status(left: SystemExit) -> int:
    if left.code in (None, 0):
        return LEFT
    with suppress(BaseException):
        print(f"SystemExit: {left.code}", file=sys.stderr)
    return 1


def _report(error: BaseException, status: int) -> int:
    """Print the traceback from the code's own first line on."""
    trace = error.__traceback__.tb_next if error.__traceback__ else None
    try:
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(type(error), error, trace)
        else:
            sys.excepthook(type(error), error, trace)
    except MemoryError:
        return NO_MEMORY
    except BaseException:
        return status
    return status
