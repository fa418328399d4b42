"""LangGraph's SQLite checkpointer, with the rest of what its server asks for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from symposia.state.saver import Key, Statement, Tidy

_COLUMNS = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "writes": "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value",
}


class SqliteSaver(Tidy, AsyncSqliteSaver):
    """LangGraph's, over a file; a write that is cancelled before its commit is taken back, else it would keep the file's lock."""

    async def aput(self, *args: Any, **options: Any) -> RunnableConfig:
        """As LangGraph's."""
        async with self._whole():
            return await super().aput(*args, **options)

    async def aput_writes(self, *args: Any, **options: Any) -> None:
        """As LangGraph's."""
        async with self._whole():
            await super().aput_writes(*args, **options)

    async def adelete_thread(self, thread_id: str) -> None:
        """As LangGraph's."""
        async with self._whole():
            await super().adelete_thread(thread_id)

    @asynccontextmanager
    async def _whole(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            async with self.lock:
                await self.conn.rollback()
            raise

    async def atomically(self, statements: Sequence[Statement]) -> None:
        """One transaction."""
        await self.setup()
        async with self.lock:
            try:
                for sql, rows in statements:
                    await self.conn.executemany(sql, rows)
                await self.conn.commit()
            except BaseException:
                await self.conn.rollback()
                raise

    def copying(self, source: str, target: str) -> list[Statement]:
        """A statement for each table."""
        return [
            (f"INSERT OR IGNORE INTO {table} (thread_id, {kept}) SELECT ?, {kept} FROM {table} WHERE thread_id = ?", [(target, source)])  # noqa: S608
            for table, kept in _COLUMNS.items()
        ]

    def dropping(self, thread: str, keys: Sequence[Key]) -> list[Statement]:
        """A statement for each table."""
        rows = [(thread, *key) for key in keys]
        where = "thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?"
        return [(f"DELETE FROM {table} WHERE {where}", rows) for table in _COLUMNS]  # noqa: S608
