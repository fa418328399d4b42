"""LangGraph's PostgreSQL checkpointer, with the rest of what its server asks for."""

from collections.abc import Sequence

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import sql as compose

from symposia.state.saver import Key, Statement, Tidy

_COLUMNS = {
    "checkpoints": "checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata",
    "checkpoint_blobs": "checkpoint_ns, channel, version, type, blob",
    "checkpoint_writes": "checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob",
}
_UNUSED = (
    "DELETE FROM checkpoint_blobs b WHERE b.thread_id = %s AND NOT EXISTS (SELECT 1 FROM checkpoints c WHERE c.thread_id = b.thread_id"
    " AND c.checkpoint_ns = b.checkpoint_ns AND c.checkpoint -> 'channel_versions' ->> b.channel = b.version)"
)
"""Values of channels that no checkpoint of the thread holds any more."""


class PostgresSaver(Tidy, AsyncPostgresSaver):
    """LangGraph's, over a server."""

    async def atomically(self, statements: Sequence[Statement]) -> None:
        """One transaction."""
        async with self._cursor() as cursor, cursor.connection.transaction():
            for sql, rows in statements:
                await cursor.executemany(compose.SQL(sql), rows)

    def copying(self, source: str, target: str) -> list[Statement]:
        """A statement for each table."""
        return [
            (
                f"INSERT INTO {table} (thread_id, {kept}) SELECT %s, {kept} FROM {table} WHERE thread_id = %s ON CONFLICT DO NOTHING",  # noqa: S608
                [(target, source)],
            )
            for table, kept in _COLUMNS.items()
        ]

    def dropping(self, thread: str, keys: Sequence[Key]) -> list[Statement]:
        """A statement for each table; a channel's value goes with the last checkpoint that holds it."""
        rows = [(thread, *key) for key in keys]
        where = "thread_id = %s AND checkpoint_ns = %s AND checkpoint_id = %s"
        tables = ("checkpoints", "checkpoint_writes")
        return [*((f"DELETE FROM {table} WHERE {where}", rows) for table in tables), (_UNUSED, [(thread,)])]  # noqa: S608
