"""A store that is used in the background only, since the loop of a server must not wait for a disk."""

import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from symposia.background import elsewhere
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Store, open_store


def store_aside(url: str) -> Store:
    """The store at an address, not yet opened, for the background's loop."""
    store = open_store(url)
    return _StoreAside(store.url) if isinstance(store, SqliteStore) else store


class Keeper:
    """Such a store, as code in another loop uses it."""

    def __init__(self, store: Store) -> None:
        """Take an open store of the background's loop."""
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """A coroutine of the store, done in the background."""
        method = getattr(self._store, name)

        async def done(*args: Any, **options: Any) -> Any:
            return await method(*args, **options)

        return lambda *args, **options: elsewhere(done(*args, **options))


class _Aside:
    """A connection used in a thread without an event loop: LangGraph's server refuses one that is used in any thread with a loop."""

    def __init__(self, path: str) -> None:
        """Open the file."""
        self._thread = ThreadPoolExecutor(1, "symposia-store")
        self._db = self._done(sqlite3.connect, path, timeout=0, isolation_level=None)

    def execute(self, sql: str, args: Sequence[Any] = ()) -> "_Rows":
        """The rows of a statement."""
        rows: _Rows = self._done(lambda: _Rows(self._db.execute(sql, args).fetchall()))
        return rows

    def executemany(self, sql: str, args: Sequence[Sequence[Any]]) -> None:
        """A statement for each of several."""
        self._done(self._db.executemany, sql, args)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return bool(self._db.in_transaction)

    def close(self) -> None:
        """Close the file, and end the thread."""
        self._done(self._db.close)
        self._thread.shutdown()

    def _done(self, what: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return self._thread.submit(what, *args, **options).result()


class _Rows(list[tuple[Any, ...]]):
    """Rows as a cursor gives them."""

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All of them."""
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first."""
        return self[0] if self else None


class _StoreAside(SqliteStore):
    """The file, by such a connection."""

    def _connect(self) -> sqlite3.Connection:
        return _Aside(self.url)  # type: ignore[return-value]
