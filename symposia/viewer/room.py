"""A thread with an event loop and an open store, for work that must not make anybody else wait."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from symposia.state.store import Store, open_store

T = TypeVar("T")
_LONGEST_GOODBYE = 10.0  # seconds


class Room:
    """A store to read, in a thread of its own, which starts with the first question."""

    def __init__(self, address: str, name: str = "symposia viewer") -> None:
        """Name the store, which is opened when somebody asks, and the thread."""
        self.address = address
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._store: Store | None = None
        self._opening: asyncio.Lock | None = None

    async def ask(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What an async function makes of the open store, there; the caller's loop goes on meanwhile."""

        async def inside() -> T:
            return await work(await self._opened())

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(inside(), self._running()))

    async def close(self) -> None:
        """Close the store and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ended(), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, _LONGEST_GOODBYE)
        if not thread.is_alive():
            loop.close()
        self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return self._loop

    async def _opened(self) -> Store:
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._store is None:
                store = open_store(self.address)
                await store.open()
                self._store = store
        return self._store

    async def _ended(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._store is not None:
            await self._store.close()
            self._store = None
