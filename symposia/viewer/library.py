"""The viewer's own view of a store: a thread with an event loop and a connection, and what was rebuilt there, kept for a while.

Whoever runs graphs must not wait for somebody who looks at them, so nothing of the viewer's is read, replayed or searched in the server's
loop.
"""

import asyncio
import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from symposia.records import look
from symposia.state.store import Entry, Store, open_store
from symposia.viewer.heads import Heads
from symposia.viewer.records import Book

T = TypeVar("T")
_MOST_BOOKS = 8  # rebuilt runs that are kept
_LONGEST_GOODBYE = 10.0  # seconds


class Library:
    """A store to read, in a thread of its own, which starts with the first question."""

    def __init__(self, address: str) -> None:
        """Name the store; it is opened when somebody asks."""
        self.address = address
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._store: Store | None = None
        self._opening: asyncio.Lock | None = None
        self._turns: dict[str, asyncio.Lock] = {}
        self._books: OrderedDict[str, tuple[Any, Book]] = OrderedDict()
        self._entries: OrderedDict[str, tuple[Any, list[Entry]]] = OrderedDict()
        self.heads = Heads()

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

    async def entries(self, store: Store, run_id: str) -> list[Entry]:
        """The journal of a run; read again when something was added. Called from within `ask`."""
        stamp = (await store.read("SELECT count(*), max(seq) FROM entries WHERE run = ?", (run_id,)))[0]
        known = self._entries.get(run_id)
        if known is None or known[0] != tuple(stamp):
            known = (tuple(stamp), await store.entries(run_id))
        _keep(self._entries, run_id, known)
        return known[1]

    async def book(self, store: Store, run_id: str) -> Book:
        """A run with its states rebuilt; again when it has gone on or its record has changed. Called from within `ask`.

        Raises:
            UnknownName: There is no such run.
        """
        record = await store.run(run_id)
        run_id = record["run_id"]
        async with self._turns.setdefault(run_id, asyncio.Lock()):
            steps = await store.read("SELECT count(*), max(step) FROM steps WHERE run = ?", (run_id,))
            stamp = (json.dumps(record, sort_keys=True, default=str), *steps[0])
            known = self._books.get(run_id)
            if known is None or known[0] != stamp:
                known = (stamp, await Book.of(await look(store, run_id)))
            _keep(self._books, run_id, known)
            return known[1]

    def kept(self, run_id: str) -> Book | None:
        """The run as it was rebuilt last, if it still is there."""
        known = self._books.get(run_id)
        return known[1] if known else None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="symposia viewer", daemon=True)
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


def _keep(shelf: OrderedDict[str, T], name: str, value: T) -> None:
    """Put something on a shelf as the newest, and drop the oldest of too many."""
    shelf[name] = value
    shelf.move_to_end(name)
    while len(shelf) > _MOST_BOOKS:
        shelf.popitem(last=False)
