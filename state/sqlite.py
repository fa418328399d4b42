"""The default store: one SQLite file, written inline by the event loop's own thread.

Committing inline (a transaction per pass of the loop) was measured cheaper than a writer thread, and a limiter's slot is then free only
after the commit. WAL with `synchronous=NORMAL` survives `kill -9`; `flush` makes one FULL commit, for what must survive power loss.
"""

import asyncio
import errno
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from symposia.state import holding
from symposia.state.errors import StoreError, StoreLocked
from symposia.state.store import Store

LOCK_WAIT = 30.0
TOUCH = "UPDATE symposia_format SET version = version"

T = TypeVar("T")


class SqliteStore(Store):
    """A store in a file; `:memory:` keeps it in the process."""

    dialect = {"bytes": "BLOB", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "bytewise": ""}  # noqa: RUF012

    def __init__(self, path: str, lock_wait: float = LOCK_WAIT) -> None:
        """Name the file; `lock_wait` is how long, in seconds, another writer's lock is waited for."""
        super().__init__(path)
        self._holding = f"{Path(path).resolve()}-held"
        self._lock_wait = lock_wait
        self._db: sqlite3.Connection | None = None
        self._scheduled = False
        self._locked_since: float | None = None
        self._flushing = 0

    async def open(self) -> None:
        """Open the file, creating folder and tables."""
        try:
            if self.url != ":memory:":
                Path(self.url).parent.mkdir(parents=True, exist_ok=True)
            self._db = self._connect()
            await self._set_up()
            await self.prepare()
            await self._gather()
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise self._explain(error) from error
        except BaseException:
            self._disconnect()
            raise

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.url, timeout=0, isolation_level=None)

    async def _set_up(self) -> None:
        """Switch to WAL."""

        def switch() -> None:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "wal_autocheckpoint=4000"):
                self._connection.execute(f"PRAGMA {pragma}")

        await self.patiently(switch)

    async def _take(self, key: int) -> bool:
        try:
            return self.url == ":memory:" or holding.take(self._holding, key)
        except OSError as error:
            raise self._explain(error) from error

    async def _let_go(self, key: int) -> None:
        if self.url != ":memory:":
            holding.let_go(self._holding, key)

    async def _gather(self) -> None:
        """Take in what workers of a batch have written beside the file, or left there when they were killed."""
        if self.url == ":memory:":
            return
        from symposia.state.shards import merge_beside

        await merge_beside(self, wait=True)

    async def patiently(self, work: Callable[[], T]) -> T:
        """Do something with the file; while another process holds its lock, try again until `lock_wait` is over."""
        deadline = time.monotonic() + self._lock_wait
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if not _is_lock(error) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.02)

    async def atomically(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction of its own.

        Raises:
            StoreError: It failed, and nothing of it was written.
        """

        def transaction() -> T:
            db = self._connection
            try:
                db.execute("BEGIN IMMEDIATE")
                found = work(db)
                db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            return found

        try:
            return await self.patiently(transaction)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    @property
    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"store {self.url} is not open")
        return self._db

    async def close(self) -> None:
        """Commit what is pending and close the file."""
        if self._db is None:
            return
        while self._pending:
            self._commit()
            if self._pending:
                await asyncio.sleep(0.02)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    async def read(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query; waits while another process writes in a way that blocks readers."""
        try:
            return await self.patiently(lambda: self._connection.execute(sql, args).fetchall())
        except sqlite3.OperationalError as error:
            raise self._explain(error) from error

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        """One transaction over everything pending; a locked file is tried again until `lock_wait` is over."""
        self._scheduled = False
        taken = self._pending
        if not taken:
            return
        try:
            db = self._connection
            db.execute("BEGIN IMMEDIATE")
            for writes, _ in taken:
                for sql, rows in writes:
                    self._execute(db, sql, rows)
            db.execute("COMMIT")
        except Exception as error:  # whatever it is, those who wait for the commit must hear of it
            self._roll_back()
            if _is_lock(error) and self._may_wait():
                self._scheduled = True
                asyncio.get_running_loop().call_later(0.02, self._commit)
                return
            self._pending = []
            self._fail(taken, self._explain(error))
            return
        self._locked_since = None
        self._pending = []
        for _, future in taken:
            if not future.done():
                future.set_result(None)

    def _execute(self, db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if len(rows) == 1:
            db.execute(sql, rows[0])
        elif rows:
            db.executemany(sql, rows)

    def _roll_back(self) -> None:
        if self._db is not None and self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _may_wait(self) -> bool:
        """Whether a lock may be waited for any longer."""
        now = time.monotonic()
        if self._locked_since is None:
            self._locked_since = now
        if now - self._locked_since < self._lock_wait:
            return True
        self._locked_since = None
        return False

    async def flush(self) -> None:
        """One FULL commit: on the disk when it returns."""
        while self._pending:
            await asyncio.sleep(0)
            if self._pending:
                await asyncio.sleep(0.02 if self._locked_since else 0)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._flushing += 1
        try:
            await self.write([(TOUCH, [()])])
        finally:
            self._flushing -= 1
            if not self._flushing:
                self._connection.execute("PRAGMA synchronous=NORMAL")

    @asynccontextmanager
    async def saver(self) -> AsyncIterator[Any]:
        """LangGraph's SQLite checkpointer in the same file."""
        from symposia.state.saver_sqlite import SqliteSaver

        async with SqliteSaver.from_conn_string(self.url) as saver:
            try:
                yield saver
            finally:
                # A write whose commit comes too late would keep the file's lock, even after `close`, as long as its cursor lives.
                async with saver.lock:
                    await saver.conn.rollback()
                    await saver.conn.close()

    def _explain(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        text = str(error) if isinstance(error, sqlite3.Error) else ""  # another error's text may be a path, and say anything
        if _is_lock(error):
            return StoreLocked(
                f"store {self.url} has been locked by another process for {self._lock_wait:g} s",
                remedy="end that process, or give this one a store of its own with --store",
            )
        if "full" in text or getattr(error, "errno", None) == errno.ENOSPC:
            return StoreError(f"store {self.url}: no space left on the disk", remedy="free some space and start the same command again")
        if "readonly" in text or isinstance(error, PermissionError):
            return StoreError(f"store {self.url} cannot be written", remedy="change its permissions, or name another one with --store")
        if "unable to open" in text or isinstance(error, OSError):
            remedy = "see that its folder exists and can be written, or name another one with --store"
            return StoreError(f"store {self.url} cannot be opened for writing", remedy=remedy)
        if "not a database" in text:
            return StoreError(f"{self.url} is no SQLite file", remedy="name another one with --store")
        return StoreError(f"store {self.url}: {error}", remedy="name another one with --store or SYMPOSIA_STORE")


def _is_lock(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))
