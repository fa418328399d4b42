"""A method inside somebody's graph, each of its invocations recorded as a run: `symposia.graph(NAME, store=...)`.

To LangGraph the method is a subgraph; to the store it is a run like any other, whose steps are counted from the method's own beginning. The
journal is written while the host goes on, and when the invocation has ended, paused or failed, the run is executed once more from it, which
makes no call (`symposia.hosting`). A run that waits for a person goes on when the host does: the checkpoints that the host keeps of the
subgraph name it.

What nobody can replay from the question is left to memory, as without a store: the rest of a run whose state the host has edited within the
subgraph, and a subgraph that keeps its state from one call to the next (`checkpointer=True`).
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from symposia import runs
from symposia.aside import Keeper, store_aside
from symposia.background import elsewhere
from symposia.hosting import Hosting, method_of, settled
from symposia.placing import RUN_KEY
from symposia.placing import asked as asked_of
from symposia.state.errors import UnknownName
from symposia.state.graph import Hosted, JournaledGraph
from symposia.state.journal import Run
from symposia.state.place import CALLS, Shift, depth, step_of
from symposia.state.store import Store

Graph = JournaledGraph[Any, Any, Any, Any]


def recorded(graph: Graph, address: str) -> Graph:
    """The graph of a method, whose invocations are runs in the store at an address."""

    async def begin(graph: Graph, input: Any, config: Any, options: Mapping[str, Any]) -> Hosted | None:
        store = store_aside(address)
        await elsewhere(store.open())
        try:
            found = await _begun(store, graph, input, config, options)
        except BaseException:
            await elsewhere(store.close())
            raise
        if found is None:
            await elsewhere(store.close())
        return None if found is None else _Closing(store, found)

    class Recorded(JournaledGraph[Any, Any, Any, Any]):
        host = staticmethod(begin)
        embeds = True

    graph.__class__ = Recorded
    return graph


async def _begun(store: Store, graph: Graph, input: Any, config: Any, options: Mapping[str, Any]) -> Hosted | None:
    """The run that an invocation is; None for one that is journaled in memory."""
    around: Any = merge_configs(*(each for each in (var_child_runnable_config.get(), config) if each))
    within = depth(around)
    if not within and isinstance(graph.checkpointer, BaseCheckpointSaver):
        return await Hosting(store).begin(graph, input, config, options)  # by itself, on a thread of its own
    loaded = method_of(graph)
    if loaded is None or graph.checkpointer:
        return None
    configured = around.get("configurable") or {}
    before = await _checkpoint(configured) if configured.get("__pregel_resuming") else None
    if before is not None:
        return await _resumed(store, before, around, within)
    inherited = getattr(configured.get("__pregel_runtime"), "context", None)
    context = options.get("context") or (inherited if isinstance(inherited, loaded.params) else None)
    placed = asked_of(loaded, input, None, {"context": context})
    if placed is None:
        return None
    stops = options.get("interrupt_before") or graph.interrupt_before_nodes
    thread = configured.get("thread_id")
    placed.record |= {"pause_before": ["*"] if stops == "*" else list(stops), **({"thread": str(thread)} if thread else {})}
    return await _opened(store, placed.record, around, within, 1)


async def _resumed(store: Store, before: CheckpointTuple, config: Any, within: int) -> Hosted | None:
    """The run that goes on from a checkpoint of the subgraph."""
    meta: Mapping[str, Any] = before.metadata
    if RUN_KEY not in meta or meta.get("source") == "update":
        return None
    try:
        record = await elsewhere(store.run(meta[RUN_KEY]))
    except UnknownName:
        return None
    waiting = record.get("waiting") or {}
    if waiting and "ask" not in waiting:
        record["marks"].append({"at": waiting["step"], "values": {}})
    return await _opened(store, record, config, within, meta["step"] + 1)


async def _opened(store: Store, record: dict[str, Any], config: Any, within: int, first: int) -> Hosted:
    """An open run whose step `first` comes next."""

    async def opened() -> Run:
        run = await runs.reopened(store, record)
        run.went_through(entry for entry in run.entries if step_of(entry.place) < first)
        run.store = cast("Store", Keeper(store))
        return run

    named = merge_configs(config, {"metadata": {RUN_KEY: record["run_id"]}})
    return _Part(store, record, await elsewhere(opened()), Shift(around=within), named)


async def _checkpoint(configured: Mapping[str, Any]) -> CheckpointTuple | None:
    """The checkpoint of a subgraph that LangGraph is about to go on from."""
    saver: BaseCheckpointSaver[Any] | None = configured.get("__pregel_checkpointer")
    if saver is None:
        return None
    n = CALLS.get()[1]  # LangGraph numbers the calls of one task likewise, from the second on
    space = str(configured.get("checkpoint_ns") or "") + (f"|{n}" if n else "")
    named = (configured.get("checkpoint_map") or {}).get(space)
    asked = {"thread_id": configured["thread_id"], "checkpoint_ns": space, **({"checkpoint_id": named} if named else {})}
    return await saver.aget_tuple({"configurable": asked})


class _Part:
    """An invocation within another graph, as a run or a part of one."""

    def __init__(self, store: Store, record: dict[str, Any], run: Run, shift: Shift, config: Any) -> None:
        """The run is open, the invocation has not started."""
        self._store, self._record = store, record
        self.run, self.shift, self.config = run, shift, config

    async def end(self) -> None:
        """Write down what the run has come to."""
        await asyncio.shield(elsewhere(settled(self._store, self._record)))


class _Closing:
    """The same, whose store is closed at its end."""

    def __init__(self, store: Store, part: Hosted) -> None:
        """Take both."""
        self._store, self._part = store, part
        self.run, self.shift, self.config = part.run, part.shift, part.config

    async def end(self) -> None:
        """End it, and close the store, also when the host is cancelled meanwhile."""
        await asyncio.shield(asyncio.ensure_future(self._ended()))

    async def _ended(self) -> None:
        try:
            await self._part.end()
        finally:
            await elsewhere(self._store.close())
