"""What LangGraph's server asks of a checkpointer besides the usual: threads are copied and pruned, and runs are taken back.

Most channels of our graphs are `DeltaChannel`s: a checkpoint holds what was written to them, and is read together with those before it,
back to one that holds them whole. So nothing is deleted that a checkpoint which stays is read with.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from symposia.state.errors import BadInput

Key = tuple[str, str]
"""A checkpoint of a thread: its namespace and its id."""
Statement = tuple[str, Sequence[Sequence[Any]]]
STRATEGIES = ("keep_latest", "delete")


class Tidy(BaseCheckpointSaver[str]):
    """Which checkpoints of a thread may go; each kind of saver says in SQL how rows are copied and deleted."""

    @abstractmethod
    async def atomically(self, statements: Sequence[Statement]) -> None:
        """Execute all of them, or none."""

    @abstractmethod
    def copying(self, source: str, target: str) -> list[Statement]:
        """What copies all rows of a thread to another, whose own rows stay."""

    @abstractmethod
    def dropping(self, thread: str, keys: Sequence[Key]) -> list[Statement]:
        """What deletes checkpoints of a thread with all that was written on them."""

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints of a thread, and what was written on them, to another one."""
        await self.atomically(self.copying(str(source_thread_id), str(target_thread_id)))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete what the server's runs of these ids wrote, but for checkpoints that a later run's are read with."""
        gone = {str(run_id) for run_id in run_ids}
        threads = {_thread(each) for run_id in sorted(gone) for each in [e async for e in self.alist(None, filter={"run_id": run_id})]}
        for thread in sorted(threads):
            found = await self._checkpoints(thread)
            await self._keep(thread, found, [key for key, each in found.items() if each.metadata.get("run_id") not in gone])

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete the past of threads: all but the latest checkpoint of each namespace and what that is read with, or everything.

        Raises:
            BadInput: The strategy is neither `keep_latest` nor `delete`, or the threads are one text.
        """
        if isinstance(thread_ids, str) or strategy not in STRATEGIES:
            raise BadInput(f"cannot prune {thread_ids!r} by {strategy!r}", remedy=f"give a list of ids, and {' or '.join(STRATEGIES)}")
        for thread in map(str, thread_ids):
            if strategy == "delete":
                await self.adelete_thread(thread)
            else:
                found = await self._checkpoints(thread)
                await self._keep(thread, found, list({namespace: (namespace, name) for namespace, name in sorted(found)}.values()))

    async def _checkpoints(self, thread: str) -> dict[Key, CheckpointTuple]:
        """All checkpoints of a thread."""
        return {_key(each.config): each async for each in self.alist({"configurable": {"thread_id": thread}})}

    async def _keep(self, thread: str, found: Mapping[Key, CheckpointTuple], kept: Sequence[Key]) -> None:
        """Delete the checkpoints of a thread but for these and what they are read with."""
        stay = {*kept, *(key for head in kept for key in _read_with(found, head))}
        if gone := sorted(found.keys() - stay):
            await self.atomically(self.dropping(thread, gone))


def _read_with(found: Mapping[Key, CheckpointTuple], head: Key) -> Iterator[Key]:
    """The checkpoints before one that its channels are read from."""
    each = found[head]
    wanted = {*(each.metadata.get("counters_since_delta_snapshot") or {})}
    while wanted and each.parent_config and (key := _key(each.parent_config)) in found:
        yield key
        each = found[key]
        wanted -= each.checkpoint["channel_values"].keys()


def _key(config: Any) -> Key:
    return str(config["configurable"].get("checkpoint_ns", "")), str(config["configurable"]["checkpoint_id"])


def _thread(each: CheckpointTuple) -> str:
    return str(each.config["configurable"]["thread_id"])
