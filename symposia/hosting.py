"""Runs of a host: what LangGraph's server does with our graphs, recorded in the store as the runs that it comes to.

A host keeps threads of checkpoints and starts a graph anywhere on them; a run of the store begins at the beginning. So an invocation is
placed first: a question begins a run; going on where a run waits or broke off is that run, with a mark where its state was edited; and
anything earlier on a thread is a fork of the run that the checkpoint belongs to, and so is an edit of what a run came to
(`symposia/placing.py`). The journal is written while the host's own execution goes on, its steps counted as the run counts them. When that
has ended, the run is executed once more from its journal, which makes no call and writes what it came to and the digests of its steps. So
whatever is recorded can be replayed.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver

from symposia import registry, runs
from symposia.aside import Keeper, store_aside
from symposia.background import elsewhere
from symposia.config import load_config
from symposia.placing import LEG_KEY, RUN_KEY, Placed, asked, continued, thread_at, tried_again
from symposia.registry import Loaded
from symposia.state.graph import JournaledGraph
from symposia.state.journal import Run
from symposia.state.place import Shift, step_of
from symposia.state.store import Store
from symposia.tools.settings import configure

_LOG = logging.getLogger("symposia")


@asynccontextmanager
async def checkpointer() -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """LangGraph's checkpointer over our store, for a host; as long as it is open, invocations of methods on threads are kept as runs.

    The store is that of `symposia.toml` or `SYMPOSIA_STORE`. `langgraph.json` names this function.
    """
    config = await asyncio.to_thread(load_config)
    configure(**config.process)
    store = store_aside(config.store)
    await elsewhere(store.open())
    hosting = Hosting(store)
    _OPEN.append(hosting)
    _listen()
    try:
        async with store.saver() as saver:
            await saver.setup()
            yield saver
    finally:
        _OPEN.remove(hosting)
        _listen()
        await elsewhere(store.close())


def _listen() -> None:
    """Have the host that came last hear of what is done with our graphs."""
    JournaledGraph.host = _OPEN[-1].begin if _OPEN else None
    JournaledGraph.host_edited = _OPEN[-1].edited if _OPEN else None


def hosted_store() -> Store | None:
    """The store in which a host's runs are kept; it belongs to the background's loop."""
    return _OPEN[-1].store if _OPEN else None


class Hosting:
    """Keeps the runs of a host."""

    def __init__(self, store: Store) -> None:
        """Take an open store of the background's loop."""
        self.store = store

    async def begin(self, graph: JournaledGraph[Any, Any, Any, Any], input: Any, config: Any, options: Mapping[str, Any]) -> "Leg | None":
        """The run that an invocation is, opened; None for what is no run of a method on a thread, which is journaled in memory.

        Raises:
            UnknownName: The artefact it names is not in the store.
        """
        thread = ((config or {}).get("configurable") or {}).get("thread_id")
        loaded = method_of(graph) if thread else None
        if loaded is None:
            return None
        before = await graph.aget_state(config) if isinstance(graph.checkpointer, BaseCheckpointSaver) else None
        if before is None or before.metadata is None:
            placed = asked(loaded, input, None, options)
        elif isinstance(input, Mapping) and not tried_again(before, config):
            placed = asked(loaded, input, before, options, counted=before.metadata["step"] + 3)
        else:
            placed = await continued(self.store, graph, loaded, input, before, options)
        if placed is None:
            return None
        stops = options.get("interrupt_before") or graph.interrupt_before_nodes
        placed.record |= {"thread": str(thread), "checkpoints": "none", "pause_before": ["*"] if stops == "*" else list(stops)}
        placed.record.setdefault("legs", []).append(placed.counted - placed.first)
        return Leg(self.store, graph, placed, await elsewhere(self._open(placed)), config, options)

    async def _open(self, placed: Placed) -> Run:
        """The run in the background's loop, with all that it has done before the invocation in its own journal."""
        record, origin = placed.record, placed.record["parent"]
        if placed.answer is not None:
            await self.store.append(record["run_id"], placed.answer)
        run = await runs.reopened(self.store, record)
        if origin and not run.entries:
            for entry in await self.store.entries(origin["run"]):
                if step_of(entry.place) <= origin["at"] and run.find(entry.place, entry.digest):
                    await run.commit(replace(entry, copied=True))
        done = await self.store.entries(record["run_id"])
        run.went_through(entry for entry in done if step_of(entry.place) < placed.first)
        run.store = Keeper(self.store)  # type: ignore[assignment]
        return run

    async def edited(self, graph: JournaledGraph[Any, Any, Any, Any], config: Any) -> None:
        """Record an edit of what a run came to as a fork of it; any other edit is recorded when somebody goes on from it."""
        loaded = method_of(graph)
        state = await graph.aget_state(config)
        if loaded is None or state.next:
            return
        placed = await continued(self.store, graph, loaded, None, state, {})
        if placed is not None:
            placed.record |= {"thread": thread_at(state), "checkpoints": "none"}
            await elsewhere(settled(self.store, placed.record))


class Leg:
    """An invocation of a graph by the host, as a part of a run."""

    def __init__(
        self, store: Store, graph: JournaledGraph[Any, Any, Any, Any], placed: Placed, run: Run, config: Any, options: Mapping[str, Any]
    ) -> None:
        """The run is open, the invocation has not started."""
        self.run, self.shift = run, Shift(placed.counted - placed.first)
        self._store, self._graph, self._record = store, graph, placed.record
        self._thread = {"configurable": {"thread_id": placed.record["thread"]}}
        self._stops_after = bool(options.get("interrupt_after"))
        mine = {RUN_KEY: run.id, LEG_KEY: len(placed.record["legs"]) - 1}
        self.config = merge_configs(config, {"metadata": mine, "callbacks": [_FirstStep(self.shift, placed.first)]})

    async def end(self) -> None:
        """Write down what the run has come to, once the host's own execution is over."""
        self._record["legs"][-1] = self.shift.by
        if self._stops_after:
            self._record["pause_before"] = list((await self._graph.aget_state(self._thread)).next)  # type: ignore[arg-type]
        await asyncio.shield(elsewhere(settled(self._store, self._record)))


class _FirstStep(BaseCallbackHandler):
    """Corrects a shift by the first step that LangGraph takes; going back on a thread may cost it one of its own."""

    run_inline = True

    def __init__(self, shift: Shift, first: int) -> None:
        """Take the run's number of that step."""
        self._shift, self._first, self._seen = shift, first, False

    def on_chain_start(self, serialized: Any, inputs: Any, *, metadata: dict[str, Any] | None = None, **_: Any) -> None:
        """Look at the first node's step."""
        told = metadata or {}
        if not self._seen and "langgraph_step" in told and not told["langgraph_node"].startswith("__"):
            self._seen, self._shift.by = True, told["langgraph_step"] - self._first


def method_of(graph: JournaledGraph[Any, Any, Any, Any]) -> Loaded | None:
    """The method whose graph this is: the one of its file, or what `symposia.graph` gives, or a copy of either."""
    imported = [name for name in registry.names() if f"symposia.graphs.{name}" in sys.modules]
    files = (name for name in imported if getattr(registry.load(name).module.graph, "builder", None) is graph.builder)
    given = (name for name in imported if registry.load(name).compile().builder is graph.builder)
    name = next(chain(files, given), None)
    return registry.load(name) if name is not None else None


async def settled(store: Store, record: dict[str, Any]) -> None:
    """Execute a run from its journal, and write down what it came to; whatever the journal does not hold was not done."""
    try:
        await runs.execute(store, record, on_open=lambda run: run.stop("its host ended it"), alone=False)
        await store.flush()
    except Exception:
        _LOG.exception("run %s is recorded, but not what it came to; `symposia resume` goes on with it", record["run_id"])


_OPEN: list[Hosting] = []
