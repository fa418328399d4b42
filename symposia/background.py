"""An event loop in a thread of its own, for whoever cannot wait in theirs: code without one, and servers that must not block."""

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


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
