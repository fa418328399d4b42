"""Run Python code that nobody has checked: no network, no files of the host, no environment, bounded in everything.

`run_code` is for graders and toys, `execute` for nodes: the same as an effect of the run's journal, so that a replay runs nothing.

Code runs as `__main__` in a child of a fork server (`tools/isolation/`) which stands inside of the isolation and is thrown away when a run
leaves a process or a file behind. The isolation is the closest that the machine gives:

- `bubblewrap`: namespaces of its own, in which only the interpreter, its libraries and an empty folder exist; seccomp on top;
- `landlock+seccomp+namespaces`: the host's files are there and cannot be opened; no network, no other processes;
- `landlock+seccomp`: the same where the kernel gives no namespaces; the code can start no process and make no socket. In these two the
  names, sizes and times of the host's files can still be asked for by name;
- `none`: limits of time, memory and files only. Never taken unless `settings().unsafe_exec` allows it (`--unsafe-exec`).

What a run prints and how it ends can be decided by the code: a program that is to be graded may end itself before its tests, in good order
as it seems. An empty `error` leaves out `sys.exit()`, not `os._exit()` with the right number. A checker that trusts neither compares what
the code returned in our process, as `tools/programs.py` does.
"""

import math
import re
import signal
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

from symposia.state.errors import BadInput, SymposiaError
from symposia.state.journal import effect
from symposia.state.packing import sound
from symposia.tools.isolation import pool
from symposia.tools.isolation.client import Job, Unavailable
from symposia.tools.isolation.kernel import FOLDER_BYTES, FOLDER_FILES
from symposia.tools.settings import configure, settings

Status = Literal["ok", "exception", "timeout", "memory", "killed", "output"]
"""Ran to its end or to `sys.exit()`; an exception or another exit status; over its wall or CPU time; over its memory; a signal; printed or
wrote too much."""
Profile = Literal["stdlib", "numeric"]
"""What can be imported: the standard library; numpy too."""

DONE, LEFT, NO_MEMORY = 86, 87, 88  # exit statuses of `isolation/runner.py`, which imports what this system may not have


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run of code may use; all its files together may use 64 MiB, whatever `file_mib` says."""

    wall_seconds: float = 2.0
    """Seconds from its start to its end."""
    cpu_seconds: float = 10.0
    """Seconds of processor time of each process, rounded up to whole ones."""
    memory_mib: int = 1024
    """Address space of each process in MiB; an interpreter has 20 to begin with, numpy 120."""
    processes: int = 1
    """At once, threads included when it is more than one; with one, 64 threads. Always one where there are no namespaces."""
    file_mib: int = 16
    """Size of a file in MiB."""
    output_kib: int = 256
    """What it may print, in KiB, to stdout and to stderr each."""

    def __post_init__(self) -> None:
        """Refuse what is no bound."""
        for name, value in asdict(self).items():
            if not 0 < value < 1 << 30:
                raise BadInput(f"{name} of code is {value}", remedy="give a number above 0")


@dataclass(frozen=True, slots=True)
class Result:
    """How a run of code ended."""

    status: Status
    isolation: str
    """What held it; one of `tools.isolation.paths.ISOLATIONS`."""
    stdout: str
    """Cut off at its bound."""
    stderr: str
    seconds: float
    """From its start to its end."""
    error: str
    """Last line of the traceback, such as `ValueError: x`, or what else ended it; "" for code that ran to its end."""


async def run_code(code: str, stdin: str = "", bounds: Bounds = Bounds(), profile: Profile = "stdlib") -> Result:
    """Run code as `__main__`, in an empty folder of its own that it may write to.

    Args:
        code: the program.
        stdin: what it reads.
        bounds: what it may use.
        profile: what it can import.

    Raises:
        BadInput: Nothing on this machine holds code, and unsafe execution is not allowed; numpy is asked for and missing.
        SymposiaError: The machine ran out of what a fork server needs.
    """
    return await run_in(None, code, stdin, bounds, profile)


async def execute(code: str, stdin: str = "", bounds: Bounds = Bounds(), profile: Profile = "stdlib") -> Result:
    """`run_code` as an effect of the run's journal: a replay reads the result and runs nothing."""

    async def perform() -> dict[str, Any]:
        return asdict(await run_code(code, stdin, bounds, profile))

    request = {"code": code, "stdin": stdin, "bounds": asdict(bounds), "profile": profile}
    return Result(**await effect("execute", request, perform))


async def run_in(isolation: str | None, code: str, stdin: str, bounds: Bounds, profile: Profile) -> Result:
    """`run_code` in a certain isolation, or in the closest when None; for tests and measurements."""
    if profile not in get_args(Profile):
        raise BadInput(f"there is no profile {profile!r} for code", remedy="take stdlib or numeric")
    job = Job(sound(code).encode(), sound(stdin).encode(), asdict(bounds), profile)
    try:
        await pool.run(job, isolation, unsafe=settings().unsafe_exec)
    except Unavailable as failure:
        remedy = "it did before: is memory, or the number of processes, used up?"
        raise SymposiaError(f"no fork server for code came up in {isolation or 'the isolation'}: {failure}", remedy=remedy) from None
    except OSError as failure:
        remedy = "where these are open files, `ulimit -n` tells how many there may be, and --concurrency asks for fewer at a time"
        raise SymposiaError(f"the machine lacks what a run of code needs: {failure.strerror or failure}", remedy=remedy) from None
    stdout, stderr = (bytes(text).decode(errors="replace") for text in (job.stdout, job.stderr))
    status, error = _ending(job, bounds, stderr)
    return Result(status, job.isolation, stdout, stderr, job.reply["seconds"] if job.reply else bounds.wall_seconds, error)


def allow_unsafe(allowed: bool) -> bool:
    """Let code run where nothing holds it, or not; returns what held before."""
    return configure(unsafe_exec=allowed).unsafe_exec


async def aclose() -> None:
    """End the fork servers; a later run starts new ones."""
    pool.close()


def _ending(job: Job, bounds: Bounds, stderr: str) -> tuple[Status, str]:
    """Why it ended, and one line about it."""
    reply = job.reply
    if reply is None:
        return "killed", "its fork server ended with it"
    if job.too_much:
        return "output", f"more than {bounds.output_kib} KiB printed"
    if reply["why"] == "files":
        return "output", f"more than {FOLDER_BYTES >> 20} MiB or {FOLDER_FILES} files written"
    if reply["why"] == "timeout":
        return "timeout", f"no end within {bounds.wall_seconds:g} s"
    number = reply["status"]
    if number < 0:
        cpu = number == -signal.SIGXCPU or (number == -signal.SIGKILL and reply["cpu"] >= math.ceil(bounds.cpu_seconds))
        return ("timeout", f"more than {bounds.cpu_seconds:g} s of CPU") if cpu else ("killed", f"ended by {_signal(-number)}")
    if number in (DONE, LEFT):
        return "ok", "" if number == DONE else "SystemExit: 0"
    line = last_line(stderr) if number in (1, NO_MEMORY) else ""
    return "memory" if number == NO_MEMORY else "exception", line or f"ended with exit status {number}"


_UNINDENTED: Final = re.compile(r"^\S.*$", re.MULTILINE)
_HEAD: Final = "Traceback (most recent call last):\n"


def last_line(stderr: str) -> str:
    """The line that names the exception: the first one after the last stack, for a message may have several; without a stack the last."""
    _, stack, rest = stderr.rpartition(_HEAD)
    lines = _UNINDENTED.findall(rest)
    return lines[0 if stack else -1].strip() if lines else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
