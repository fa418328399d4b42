"""Runs of a host: what LangGraph's server does with our graphs, recorded in the store as the runs that it comes to.

A host keeps threads of checkpoints and starts a graph anywhere on them; a run of the store begins at the beginning. So an invocation is
placed first: a question begins a run; going on where a run waits or broke off is that run, with a mark where its state was edited; and
anything earlier on a thread is a fork of the run that the checkpoint belongs to. The journal is written while the host's own execution
goes on, its steps counted as the run counts them. When that has ended, the run is executed once more from its journal, which makes no call
and writes what it came to and the digests of its steps. So whatever is recorded can be replayed.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command, StateSnapshot
from pydantic import BaseModel
from typing_extensions import get_type_hints

from symposia import registry, runs
from symposia.aside import Keeper, store_aside
from symposia.background import elsewhere
from symposia.config import load_config
from symposia.registry import Loaded
from symposia.state.channels import chat
from symposia.state.errors import BadInput, UnknownName
from symposia.state.graph import JournaledGraph
from symposia.state.journal import Run
from symposia.state.place import Shift, step_of
from symposia.state.store import Entry, Store
from symposia.tools.settings import configure

RUN_KEY, LEG_KEY, NODE_KEY = "symposia_run", "symposia_leg", "symposia_as_node"
"""In a checkpoint's metadata: the run it belongs to, which of the run's invocations wrote it, and the node that an edit stands for."""
_LOG = logging.getLogger("symposia")
_OVER = ("ok", "no_answer")


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
    JournaledGraph.host = hosting.begin
    _OPEN.append(hosting)
    try:
        async with store.saver() as saver:
            await saver.setup()
            yield saver
    finally:
        _OPEN.remove(hosting)
        JournaledGraph.host = _OPEN[-1].begin if _OPEN else None
        await elsewhere(store.close())


def hosted_store() -> Store | None:
    """The store in which a host's runs are kept; it belongs to the background's loop."""
    return _OPEN[-1].store if _OPEN else None


@dataclass
class Placed:
    """Which run an invocation is: its record, the step that comes first as the run counts and as LangGraph will, a person's answer."""

    record: dict[str, Any]
    first: int
    counted: int
    answer: Entry | None = None


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
            placed = _asked(loaded, input, None, options)
        elif isinstance(input, Mapping) and not _tried_again(before, config):
            placed = _asked(loaded, input, before, options, counted=before.metadata["step"] + 3)
        else:
            placed = await self._continued(graph, loaded, input, before, options)
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

    async def _continued(
        self, graph: JournaledGraph[Any, Any, Any, Any], loaded: Loaded, input: Any, before: StateSnapshot, options: Mapping[str, Any]
    ) -> Placed | None:
        """The run that goes on from a state of a thread, or a fork of it."""
        origin, node = await _origin(graph, before)
        if origin is None or not before.next or (isinstance(input, Command) and input.resume is None):
            return None
        meta: Mapping[str, Any] = origin.metadata or {}
        try:
            record = await elsewhere(self.store.run(meta[RUN_KEY]))
        except UnknownName:
            return None
        at = meta["step"] - (record["legs"][meta[LEG_KEY]] if LEG_KEY in meta else 0)
        counted = (before.metadata or {})["step"] + 1
        values = {k: v for k, v in runs.plain(before.values).items() if v != runs.plain(origin.values.get(k))}
        tip = max((step.step for step in await elsewhere(self.store.steps(record["run_id"])) if not step.frame), default=at)
        goes_on = record["status"] not in _OVER and at >= tip
        if not goes_on and at < 1:
            return _asked(loaded, {}, before, options, counted=counted)  # nothing had been done: the question is asked anew
        if not goes_on:
            record = {**await elsewhere(runs.fork_record(self.store, record, at)), "legs": []}
        waiting = (goes_on and record.get("waiting")) or {}
        edited = bool(values or node)
        if edited or (waiting and "ask" not in waiting):
            mark = {"at": at, "values": runs.check_values(loaded, values), **({"as_node": node} if node else {})}
            record["marks"].append(mark)
        if edited and not goes_on:
            record["parent"]["shifted"] = True
        answers = isinstance(input, Command) and "ask" in waiting
        return Placed(record, at + 1 + edited, counted, runs.person(waiting["ask"], _answer(input, before)) if answers else None)


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
        await asyncio.shield(elsewhere(self._settle()))

    async def _settle(self) -> None:
        """Execute the run from its journal; whatever that does not hold was not done."""
        try:
            await runs.execute(self._store, self._record, on_open=lambda run: run.stop("its host ended it"), alone=False)
            await self._store.flush()
        except Exception:
            _LOG.exception("run %s is recorded, but not what it came to; `symposia resume` goes on with it", self._record["run_id"])


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


def _asked(loaded: Loaded, input: Any, before: StateSnapshot | None, options: Mapping[str, Any], *, counted: int = 1) -> Placed | None:
    """A new run. What the thread's state holds of an input and is not given anew still counts, and a chat goes on."""
    if not isinstance(input, Mapping):
        return None
    context, old = options.get("context"), before.values if before is not None else {}
    known = get_type_hints(loaded.method.input)
    inputs = {k: v for k, v in {**old, **input}.items() if k in known and v is not None}
    if "messages" in known and (said := chat(old.get("messages") or [], input.get("messages") or [])):
        inputs["messages"] = [{"role": m.type, "content": m.content, "id": m.id} for m in said]
    given = context.model_dump(mode="json", exclude_unset=True) if isinstance(context, BaseModel) else dict(context or {})
    try:
        return Placed(runs.new_record(loaded.method.name, given, inputs, checkpoints="none"), 1, counted)
    except BadInput:
        return None  # the graph says what is wrong, and there is nothing to keep


async def _origin(graph: JournaledGraph[Any, Any, Any, Any], state: StateSnapshot) -> tuple[StateSnapshot | None, str | None]:
    """The state that a run wrote before somebody edited it, and the node that the edit stands for, if one was named."""
    node = None
    while True:
        meta: Mapping[str, Any] = state.metadata or {}
        if meta.get("source") != "update" and RUN_KEY in meta:
            return state, node
        node = node or meta.get(NODE_KEY)
        if not state.parent_config:
            return None, None
        state = await graph.aget_state(state.parent_config)


def _tried_again(before: StateSnapshot, config: Any) -> bool:
    """Whether the host starts what broke off once more, as LangGraph sees it: under the same id of its own."""
    own = (config.get("metadata") or {}).get("run_id")
    return own is not None and (before.metadata or {}).get("run_id") == own


def _answer(command: Command[Any], state: StateSnapshot) -> Any:
    """A person's answer, which may be given by the id of the question."""
    given = command.resume
    ids = [asked.id for asked in state.interrupts]
    return given[ids[0]] if isinstance(given, Mapping) and len(ids) == 1 and list(given) == ids else given


_OPEN: list[Hosting] = []
