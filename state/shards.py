"""A journal file per worker: several processes write runs of one SQLite store without waiting for each other's lock.

A worker reads the store and writes to a log of its own beside it, `STORE.worker-TOKEN`. The log holds what it would have written to the
store, in order; whoever opens the store, and the parent of the workers every now and then, carries out what is new in each log. How far a
log has been carried out is written in the same transaction, so a kill at any moment loses nothing and doubles nothing. A worker holds a
lock as long as it lives; the log of a dead one is carried out to its end and removed.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import ormsgpack

from symposia.state.errors import StoreError, StoreVersion
from symposia.state.sqlite import LOCK_WAIT, TOUCH, SqliteStore
from symposia.state.store import (
    ADD_BLOB,
    ADD_ENTRY,
    ADD_STEP,
    ADD_UPDATE,
    DROP_ENTRY,
    DROP_STEPS,
    PUT_RUN,
    VERSION,
    Entry,
    Step,
    Store,
    open_store,
)

CHUNK = 500
"""Writes carried out in one transaction: some milliseconds, in which others wait."""
ORPHAN_WAIT = 5.0
"""Seconds that whoever opens a store gives workers to end whose parent was killed."""

_STATEMENTS = {
    "blob": ADD_BLOB,
    "entry": ADD_ENTRY,
    "step": ADD_STEP,
    "run": PUT_RUN,
    "drop_entry": DROP_ENTRY,
    "drop_steps": DROP_STEPS,
    "update": ADD_UPDATE,
}
_KINDS = {sql: kind for kind, sql in _STATEMENTS.items()}
_LOG = (
    "CREATE TABLE IF NOT EXISTS symposia_format (version INTEGER NOT NULL)",
    f"INSERT INTO symposia_format (version) SELECT {VERSION} WHERE NOT EXISTS (SELECT 1 FROM symposia_format)",  # noqa: S608
    "CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, row BLOB NOT NULL)",
)
_MARK = "INSERT INTO merged (file, seq) VALUES (?, ?) ON CONFLICT (file) DO UPDATE SET seq = excluded.seq"


class WorkerStore(SqliteStore):
    """A SQLite store as a worker has it: what it reads is the store's, what it writes goes to its own log.

    What it has written can be read once the log is merged; it sees to that itself before it reads a run again that it wrote to.
    """

    def __init__(self, path: str, token: str, lock_wait: float = LOCK_WAIT) -> None:
        """Name the store's file, and the worker by a token that no other has or had."""
        super().__init__(path, lock_wait)
        self.log = shard_path(path, token)
        self._token = token
        self._lock: IO[str] | None = None
        self._main: sqlite3.Connection | None = None
        self._written: set[str] = set()

    async def open(self) -> None:
        """Create the log and open the store for reading; it must be there."""
        try:
            self._main = _connect(Path(self.url), "ro")
            self._lock = _hold(self.log)
            self._db = sqlite3.connect(self.log, timeout=0, isolation_level=None)
            await self._set_up()
            await self.atomically(lambda db: [db.execute(sql) for sql in _LOG])
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise self._explain(error) from error
        except BaseException:
            self._disconnect()
            raise

    async def read(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query over the store."""
        if self._main is None:
            raise StoreError(f"store {self.url} is not open")
        reader = self._main
        try:
            return await self.patiently(lambda: reader.execute(sql, args).fetchall())
        except sqlite3.OperationalError as error:
            raise self._explain(error) from error

    def append(self, run_id: str, entry: Entry) -> "asyncio.Future[None]":
        """Queue an entry and the blobs it needs; await the future before using its outcome."""
        self._written.add(run_id)
        return super().append(run_id, entry)

    async def put_run(self, record: dict[str, Any]) -> None:
        """Write or replace a run's record, by its `run_id`."""
        self._written.add(record["run_id"])
        await super().put_run(record)

    async def run(self, run_id: str) -> dict[str, Any]:
        """A run's record, by its id or an unambiguous beginning of it; what this worker wrote included."""
        await self._hand_over(run_id)
        return await super().run(run_id)

    async def entries(self, run_id: str) -> list[Entry]:
        """All entries of a run in the order they were committed, this worker's included."""
        await self._hand_over(run_id)
        return await super().entries(run_id)

    async def steps(self, run_id: str) -> list[Step]:
        """The recorded steps of a run, by frame and step, this worker's included."""
        await self._hand_over(run_id)
        return await super().steps(run_id)

    async def drop(self, run_id: str, entries: Iterable[Entry]) -> None:
        """Forget entries of a run, such as the failures of a run that is tried again."""
        self._written.add(run_id)
        await super().drop(run_id, entries)

    async def go_on(self, run_id: str) -> None:
        """Take back the word to stop; at once, since it is looked for in the store itself."""
        if await self.asked_to_stop(run_id):
            async with _Bare(self.url, self._lock_wait) as main:
                await main.go_on(run_id)

    async def _hand_over(self, run_id: str) -> None:
        """Have everything written so far merged, if any of it is this run's."""
        if run_id in self._written:
            await self.write([])
            self._written.clear()
            await self._hand_in()

    async def _hand_in(self) -> None:
        """Have everything committed so far merged."""
        async with _Bare(self.url, self._lock_wait) as main:
            await _merge(main, self.log, self._token)

    def _execute(self, db: sqlite3.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if sql == TOUCH:
            super()._execute(db, sql, rows)
            return
        if sql not in _KINDS:
            raise StoreError(f"a worker does not write this: {sql}", remedy="write it in the process that started the workers")
        packed = [(_KINDS[sql], _packed(row)) for row in rows]
        super()._execute(db, "INSERT INTO log (kind, row) VALUES (?, ?)", packed)

    def _disconnect(self) -> None:
        super()._disconnect()
        if self._main is not None:
            self._main.close()
            self._main = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _Bare(SqliteStore):
    """The store's file, open for a merge and nothing else."""

    async def __aenter__(self) -> "_Bare":
        try:
            self._db = _connect(Path(self.url), "rw")
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return self


def open_worker_store(url: str, token: str) -> Store:
    """The store at an address for a worker, not yet opened: a server's is shared as it is, beside a file it writes to a log."""
    store = open_store(url)
    return WorkerStore(store.url, token) if isinstance(store, SqliteStore) else store


def _packed(row: Sequence[Any]) -> bytes:
    """A row as the log holds it; what the store would refuse is refused here, since a log that cannot be carried out would block it."""
    if any(isinstance(value, int) and value.bit_length() > 63 for value in row):
        raise OverflowError("a number is too large for SQLite")
    return ormsgpack.packb(list(row))


def shard_path(path: str, token: str) -> Path:
    """Where a worker's log is."""
    main = Path(path).resolve()
    return main.with_name(f"{main.name}.worker-{token}")


async def merge_beside(store: SqliteStore, *, wait: bool = False) -> None:
    """Carry out what is new in the logs beside a store; those of dead workers are removed.

    Args:
        store: The open store.
        wait: Whether workers that have lost their parent get a moment to end, since what they still have in flight comes too late later.

    Raises:
        StoreError: The store cannot be written, or a log cannot be read.
    """
    deadline = time.monotonic() + ORPHAN_WAIT
    for token in _tokens(store.url):
        log = shard_path(store.url, token)
        while True:
            with _held_if_dead(log) as dead:
                await _merge(store, log, token)
                if dead:
                    await store.flush()
                    _remove(log)
            if dead or not wait or not _orphaned(log) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)


async def _merge(store: SqliteStore, log: Path, token: str) -> None:
    """Carry out what is new in a log, a chunk at a time."""
    try:
        source = _connect(log, "rw")
    except sqlite3.OperationalError:
        return  # not made yet, or merged to its end and removed by another process
    try:
        source.execute("PRAGMA busy_timeout=2000")
        more = _readable(source, log)
        while more:
            more = await _merge_chunk(store, source, token)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"the journal of a worker, {log}, cannot be read: {error}", remedy="move the file away; what only it holds is lost"
        ) from error
    finally:
        source.close()


async def _merge_chunk(store: SqliteStore, source: sqlite3.Connection, token: str) -> bool:
    """One transaction; returns whether there was anything to do."""
    done = await _done(store, token)
    rows = source.execute("SELECT seq, kind, row FROM log WHERE seq > ? ORDER BY seq LIMIT ?", (done, CHUNK)).fetchall()

    def carry_out(db: sqlite3.Connection) -> None:
        now = db.execute("SELECT seq FROM merged WHERE file = ?", (token,)).fetchall()
        if (now[0][0] if now else 0) != done:
            return  # another process has merged the same log meanwhile
        for kind, group in groupby(rows, key=lambda row: row[1]):
            db.executemany(_STATEMENTS[kind], [ormsgpack.unpackb(row[2]) for row in group])
        db.execute(_MARK, (token, rows[-1][0]))

    if rows:
        await store.atomically(carry_out)
        await asyncio.sleep(0)
    return bool(rows)


async def _done(store: SqliteStore, token: str) -> int:
    rows = await store.read("SELECT seq FROM merged WHERE file = ?", (token,))
    return int(rows[0][0]) if rows else 0


def _readable(source: sqlite3.Connection, log: Path) -> bool:
    """Whether a log has been set up; its worker may be doing so now, or have died before."""
    tables = {row[0] for row in source.execute("SELECT name FROM sqlite_master")}
    if "log" not in tables:
        return False
    [(version,)] = source.execute("SELECT version FROM symposia_format").fetchall()
    if version != VERSION:
        raise StoreVersion(
            f"the journal of a worker, {log}, has format {version}, this version of Symposia reads format {VERSION}",
            remedy="open the store once with the version that wrote it",
        )
    return True


# -- files ------------------------------------------------------------------------------------------------------------------------------


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """A file that is there already."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, timeout=0, isolation_level=None)


def _tokens(path: str) -> list[str]:
    """The workers whose files stand beside a store."""
    first = shard_path(path, "")
    names = [entry.name for entry in first.parent.iterdir() if entry.name.startswith(first.name)]
    return sorted({name.removeprefix(first.name).partition("-")[0] for name in names})


def _lock_path(log: Path) -> Path:
    return log.with_name(f"{log.name}-lock")


def _hold(log: Path) -> IO[str]:
    """Take a new worker's lock, and note whose child it is."""
    while True:
        file = open(_lock_path(log), "a")  # noqa: SIM115 - held as long as the worker lives
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), _lock_path(log).stat()):
                file.write(f"{os.getppid()}\n")
                file.flush()
                return file
        file.close()  # taken for a dead worker's and removed between the two lines


@contextlib.contextmanager
def _held_if_dead(log: Path) -> Iterator[bool]:
    """The lock of a dead worker, or False when its worker lives or somebody else is removing its files."""
    with open(_lock_path(log), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True


def _orphaned(log: Path) -> bool:
    """Whether a worker's parent is gone."""
    try:
        parent = int(_lock_path(log).read_text())
        os.kill(parent, 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _remove(log: Path) -> None:
    """Remove what a dead worker left, the lock last: as long as it is there, nobody takes its name for free."""
    for suffix in ("", "-wal", "-shm", "-lock"):
        log.with_name(log.name + suffix).unlink(missing_ok=True)
