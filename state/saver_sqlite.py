"""LangGraph's SQLite checkpointer, with the rest of what its server asks for."""

from collections.abc import Sequence

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from symposia.state.saver import Key, Statement, Tidy

_COLUMNS = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "writes": "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value",
}


class SqliteSaver(Tidy, AsyncSqliteSaver):
    """LangGraph's, over a file."""

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
