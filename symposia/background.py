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
from symposia.state.store import Store

T = TypeVar("T")

_CANCEL_POLL = 0.5


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


@asynccontextmanager
async def heeding(store: Store, run: Run) -> AsyncIterator[None]:
    """Stop new work when somebody asks for it with `symposia cancel`."""

    async def watch() -> None:
        while not run.stop_reason:
            await asyncio.sleep(_CANCEL_POLL)
            if await store.asked_to_stop(run.id):
                run.stop("cancelled")

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


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
