"""What goes on in this process: an event loop in a thread of its own, for whoever cannot wait in theirs, and the runs that are executed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from symposia.state.journal import Run

T = TypeVar("T")


@dataclass(frozen=True)
class AtWork:
    """A run that is executed in this process."""

    run: Run
    before: float
    """Seconds that earlier executions of it took."""
    since: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self.before + time.monotonic() - self.since


_AT_WORK: dict[str, AtWork] = {}


@asynccontextmanager
async def at_work(run: Run, before: float) -> AsyncIterator[None]:
    """Let everybody in this process see that a run is executed."""
    mine = _AT_WORK[run.id] = AtWork(run, before)
    try:
        yield
    finally:
        if _AT_WORK.get(run.id) is mine:
            del _AT_WORK[run.id]


def working(run_id: str) -> AtWork | None:
    """A run that is executed in this process, on whichever loop; None for any other."""
    return _AT_WORK.get(run_id)


@cache
def _started() -> asyncio.AbstractEventLoop:
    """The loop, started on first use; the process ends without waiting for it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="symposia", daemon=True).start()
    return loop


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Do something in the background and block until it is done; what it costs is stopped when the wait is interrupted.

    All callers share one loop, so the limits per model hold for them together.
    """
    doing = asyncio.run_coroutine_threadsafe(work, _started())
    try:
        return doing.result()
    except BaseException:
        doing.cancel()
        raise


async def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Do something in the background while the running loop goes on."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, _started()))
