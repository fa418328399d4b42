"""The store for several machines: PostgreSQL through psycopg, one connection, one flusher task.

While a transaction is on its way the next group gathers, so the groups grow with the load by themselves.
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql as compose

from symposia.state.errors import StoreError
from symposia.state.store import ADD_BLOB, Store

_INDEXES = (
    'CREATE INDEX IF NOT EXISTS runs_id_bytewise ON runs (id COLLATE "C")',
    'CREATE INDEX IF NOT EXISTS entries_run_bytewise ON entries (run COLLATE "C")',
)
"""An index of another collation does not serve a range in this one."""


class PostgresStore(Store):
    """A store in a PostgreSQL database, named by its URL."""

    dialect = {"bytes": "BYTEA", "serial": "BIGSERIAL PRIMARY KEY", "bytewise": ' COLLATE "C"'}  # noqa: RUF012

    def __init__(self, url: str) -> None:
        """Remember the address; errors show it without its password."""
        super().__init__(_without_password(url))
        self._dsn = self.address = url
        self._db: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._using = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect and create the tables; processes that start together do so one after the other."""
        try:
            self._db = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
            await self._db.execute("SELECT pg_advisory_lock(7093)")
            try:
                await self.prepare()
                for index in _INDEXES:
                    await self._db.execute(index)
            finally:
                await self._db.execute("SELECT pg_advisory_unlock(7093)")
        except psycopg.Error as error:
            await self._disconnect()
            raise self._explain(error) from error
        except BaseException:
            await self._disconnect()
            raise

    @property
    def _connection(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        if self._db is None:
            raise StoreError(f"store {self.url} is not open")
        return self._db

    async def close(self) -> None:
        """Commit what is pending and disconnect."""
        await self._settle()
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._db is not None:
            await self._db.close()
            self._db = None

    async def _take(self, key: int) -> bool:
        try:
            ((taken,),) = await self.read("SELECT pg_try_advisory_lock(?)", (key,))
        except asyncio.CancelledError:  # the server may have granted it
            await asyncio.shield(self._let_go(key))
            raise
        return bool(taken)

    async def _let_go(self, key: int) -> None:
        with contextlib.suppress(StoreError):  # a connection that is gone holds nothing
            await self.read("SELECT pg_advisory_unlock(?)", (key,))

    async def read(self, sql: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        async with self._using:
            try:
                cursor = await self._connection.execute(_query(sql), tuple(args))
                return await cursor.fetchall()
            except psycopg.Error as error:
                raise self._explain(error) from error

    def _schedule(self) -> None:
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.get_running_loop().create_task(self._flush_all())

    async def _flush_all(self) -> None:
        while self._pending:
            taken, self._pending = self._pending, []
            try:
                await self._commit(taken)
            except Exception as error:  # whatever it is, those who wait for the commit must hear of it
                self._fail(taken, self._explain(error))
            except BaseException as error:
                self._fail([*taken, *self._pending], error)
                self._pending = []
                raise
            else:
                for _, future in taken:
                    if not future.done():
                        future.set_result(None)

    async def _commit(self, taken: list[Any]) -> None:
        """One transaction, its statements sent in one pipeline; rows of the same statement go together.

        Blobs go in the order of their digests: two processes that write the same ones in two orders would wait for each other for ever.
        """
        grouped: dict[str, list[Sequence[Any]]] = {}
        for writes, _ in taken:
            for sql, rows in writes:
                grouped.setdefault(sql, []).extend(rows)
        if ADD_BLOB in grouped:
            grouped[ADD_BLOB] = [*sorted({tuple(row) for row in grouped[ADD_BLOB]})]
        async with self._using, self._connection.pipeline(), self._connection.transaction():
            cursor = self._connection.cursor()
            for sql, rows in grouped.items():
                if len(rows) == 1:
                    await cursor.execute(_query(sql), tuple(rows[0]))
                elif rows:
                    await cursor.executemany(_query(sql), [tuple(r) for r in rows])

    async def flush(self) -> None:
        """PostgreSQL's commits are durable already; wait for the pending ones."""
        await self._settle()

    async def _settle(self) -> None:
        while self._flusher is not None and not self._flusher.done():
            await asyncio.wait([self._flusher])

    def saver(self) -> Any:
        """LangGraph's PostgreSQL checkpointer in the same database."""
        from symposia.state.saver_postgres import PostgresSaver

        return PostgresSaver.from_conn_string(self._dsn)

    def _explain(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        for secret in _passwords(self._dsn):
            first = first.replace(secret, "***")
        return StoreError(f"store {self.url}: {first}", remedy="check that the server runs and the URL names user, host and database")


def _query(sql: str) -> compose.SQL:
    """Our statements use `?`; none of them holds a percent sign or a quoted question mark."""
    return compose.SQL(sql.replace("?", "%s"))


def _without_password(url: str) -> str:
    """The address as errors and records show it."""
    head, at, host = url.rpartition("@")
    scheme, sep, user = head.partition("://")
    shown = f"{scheme}{sep}{user.split(':', 1)[0]}{at}{host}" if at else url
    return re.sub(r"([?&]password=)[^&]*", r"\1***", shown)


def _passwords(url: str) -> list[str]:
    """What an error must not repeat: the password, and the parts that a driver sees when its signs are not percent-encoded."""
    found = re.findall(r"://[^:@]*:(.*)@", url) + re.findall(r"[?&]password=([^&]*)", url)
    parts = {part for text in found for part in re.split(r"[@/:]", text) if len(part) > 2}
    return sorted({*filter(None, found), *parts}, key=len, reverse=True)
