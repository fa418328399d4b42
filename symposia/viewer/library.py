"""The viewer's own view of a store: a thread with an event loop and a connection, and what was rebuilt there, kept for a while.

Whoever runs graphs must not wait for somebody who looks at them, so nothing of the viewer's is read, replayed or searched in the server's
loop; and who asks for what the journal has must not wait for a replay, so runs are rebuilt in a second thread. Saved files are packed in
threads of asyncio's.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from symposia.state.store import Entry, Store
from symposia.viewer.heads import Heads
from symposia.viewer.records import Book
from symposia.viewer.room import Room
from symposia.viewer.states import States

T = TypeVar("T")
_MOST_BOOKS = 8  # rebuilt runs that are kept
_REST = 50  # a run is rebuilt again within a step after so many times as long as that took, which is 2 % of a core


class Library(Room):
    """A store to read, and what was rebuilt of it."""

    def __init__(self, address: str) -> None:
        """Name the store; it is opened when somebody asks."""
        super().__init__(address)
        self._turns: dict[str, asyncio.Lock] = {}
        self._books: OrderedDict[str, tuple[Any, Book]] = OrderedDict()
        self._due: dict[str, float] = {}
        self._entries: OrderedDict[str, tuple[Any, list[Entry]]] = OrderedDict()
        self._replays = Room(address, "symposia viewer replays")
        self._both = False
        self.heads = Heads()
        self.states = States(address)

    async def _opened(self) -> Store:
        """The store; both threads open it at once, since who holds its lock keeps others from opening it, and not from reading."""
        store = await super()._opened()
        if not self._both:
            await self._replays.ask(_known)
            self._both = True
        return store

    async def close(self) -> None:
        """Close the store and end the threads."""
        await self.states.close()
        await self._replays.close()
        await super().close()

    async def apart(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What an async function makes of the store in the thread of the replays, where it may replay runs; nothing is kept of it."""
        return await self._replays.ask(work)

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

        What is called within a step is told with rests between, since for each of its calls all steps before it would be rebuilt.

        Raises:
            UnknownName: There is no such run.
        """
        record = await store.run(run_id)
        run_id = record["run_id"]
        async with self._turns.setdefault(run_id, asyncio.Lock()):
            stamp = await _stamp(store, record)
            known = self._books.get(run_id)
            if known is None or known[0] != stamp or await self._behind(store, record, known[1]):
                begun = time.monotonic()
                known = (stamp, await self.apart(lambda store: Book.open(store, run_id)))
                now = time.monotonic()
                self._due = {name: due for name, due in self._due.items() if due > now} | {run_id: now + _REST * (now - begun)}
            _keep(self._books, run_id, known)
            return known[1]

    async def _behind(self, store: Store, record: dict[str, Any], book: Book) -> bool:
        """Whether a run that goes on has made calls since it was rebuilt, and may be rebuilt again."""
        if record["status"] != "started" or time.monotonic() < self._due.get(record["run_id"], 0.0):
            return False
        last = await store.read("SELECT max(seq) FROM entries WHERE run = ?", (record["run_id"],))
        return bool((last[0][0] or 0) > book.page["seq"])

    async def kept(self, store: Store, record: dict[str, Any]) -> Book | None:
        """A run as it was rebuilt, if that still is there and still holds. Called from within `ask`."""
        known = self._books.get(record["run_id"])
        return known[1] if known and known[0] == await _stamp(store, record) else None


async def _known(store: Store) -> str:
    """Which store is open."""
    return store.url


async def _stamp(store: Store, record: dict[str, Any]) -> Any:
    """What changes when a run goes on, or when its record does."""
    steps = await store.read("SELECT count(*), max(step) FROM steps WHERE run = ?", (record["run_id"],))
    return (json.dumps(record, sort_keys=True, default=str), *steps[0])


def _keep(shelf: OrderedDict[str, T], name: str, value: T) -> None:
    """Put something on a shelf as the newest, and drop the oldest of too many."""
    shelf[name] = value
    shelf.move_to_end(name)
    while len(shelf) > _MOST_BOOKS:
        shelf.popitem(last=False)
