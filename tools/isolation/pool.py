"""The fork servers of this process: started on first use, one per processor and profile, each lent to one run at a time.

All waiting is done on threads of a pool of its own, so that any event loop may ask, and so that the threads which start servers live as
long as the process: a server is told to end with the thread that started it.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from symposia.state.errors import BadInput
from symposia.tools.isolation.client import LIVE, Job, Server, Unavailable
from symposia.tools.isolation.kernel import landlock_version
from symposia.tools.isolation.paths import ISOLATIONS

_idle: dict[tuple[str, str], list[Server]] = {}
_chosen: str | None = None
_choosing = threading.Lock()
_executor: ThreadPoolExecutor | None = None
_making = threading.Lock()  # a second pool of threads would take its servers with it when it is collected


async def run(job: Job, isolation: str | None = None, *, unsafe: bool = False) -> None:
    """Run a job on a free server; when cancelled, the code is ended.

    Args:
        job: what to run; holds the outcome afterwards.
        isolation: one of `ISOLATIONS`; the closest that this machine gives when None.
        unsafe: whether `none` may be taken where there is nothing else.

    Raises:
        BadInput: There is no isolation here.
        Unavailable: The one that was asked for is not given here.
    """
    try:
        await asyncio.get_running_loop().run_in_executor(_threads(), _run, job, isolation, unsafe)
    except asyncio.CancelledError:
        job.stop()
        raise


def processors() -> int:
    """How many this process may use; as many runs go on at a time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(job: Job, isolation: str | None, unsafe: bool) -> None:
    while job.given_to(None):
        server = _free(isolation or _best(unsafe), job.profile)
        try:
            begun = server.run(job)
        except BaseException:
            server.close()
            raise
        if job.reply and job.reply["clean"]:
            _idle.setdefault((server.isolation, server.profile), []).append(server)
        else:
            server.close()
        if begun:
            return


def _free(isolation: str, profile: str) -> Server:
    """A server that is idle, or a new one."""
    while server := _taken(_idle.setdefault((isolation, profile), [])):
        if server.usable():
            return server
        server.close()
    return start(isolation, profile)


def _taken(idle: list[Server]) -> Server | None:
    """An idle server; None when there is none, or another thread was quicker."""
    try:
        return idle.pop()
    except IndexError:
        return None


def start(isolation: str, profile: str) -> Server:
    """A new server.

    Raises:
        Unavailable: This machine does not give that isolation.
    """
    if isolation.startswith("landlock") and not landlock_version():
        raise Unavailable("this kernel has no Landlock")
    return Server(isolation, profile)


def _best(unsafe: bool) -> str:
    """The closest isolation that this machine gives, found out once."""
    global _chosen
    with _choosing:
        if _chosen is None or (_chosen == "none" and not unsafe):
            _chosen = _first(ISOLATIONS if unsafe else ISOLATIONS[:-1])
        return _chosen


def _first(isolations: Sequence[str]) -> str:
    failures = []
    for one in isolations:
        try:
            _idle.setdefault((one, "stdlib"), []).append(start(one, "stdlib"))
        except Unavailable as error:
            failures.append(f"{one}: {error}")
        else:
            return one
    raise BadInput(
        f"nothing here holds code that was not checked ({'; '.join(failures)})",
        remedy="`apt install bubblewrap`; or --unsafe-exec, which lets the code do all that you may do",
    )


def _threads() -> ThreadPoolExecutor:
    global _executor
    if not hasattr(os, "fork"):
        raise BadInput("code cannot be run on this system", remedy="use Linux, where it can be held; WSL is one")
    with _making:
        if _executor is None:
            _executor = ThreadPoolExecutor(processors(), thread_name_prefix="sandbox")
        return _executor


def close() -> None:
    """End the servers that are idle; a later run starts new ones."""
    for idle in list(_idle.values()):
        while server := _taken(idle):
            server.close()


def _close_all() -> None:
    """When the interpreter exits, after the threads that lend servers."""
    for server in list(LIVE):
        server.close()


def _forget() -> None:
    """After a fork: the servers are the parent's, and must see the end of its sockets when it ends."""
    global _executor, _choosing, _making
    for server in LIVE:
        server.control.close()
        if server.process.stderr:
            server.process.stderr.close()
        server.process.returncode = 0
    LIVE.clear()
    _idle.clear()
    _executor, _choosing, _making = None, threading.Lock(), threading.Lock()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
