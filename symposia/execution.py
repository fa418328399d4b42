"""One pass over a run's graph with its journal open: what running, resuming, replaying and forking have in common."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langchain_core.messages import BaseMessage, convert_to_messages, message_to_dict, messages_from_dict
from langchain_core.runnables import RunnableConfig
from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END
from langgraph.types import Command, Overwrite, Send, StateUpdate

from symposia.registry import load
from symposia.state.ask import question_of
from symposia.state.errors import BadInput, StoreLocked, SymposiaError, shorten
from symposia.state.journal import Run
from symposia.state.store import Entry, Store

Event = dict[str, Any]
"""`run`: method, row; `step`: step, ran, next, values; `node`: node; `effect`: kind, role, entry, live; `end`: status, error, cost_usd.
Each has `run_id` and `type`."""
Listener = Callable[[Event], None]
Opened = Callable[[Run], None]
"""Is given the open run before its first effect, for whoever may have to stop it."""


@dataclass
class Moment:
    """The state after a step, as an execution met it."""

    frame: tuple[str, ...]
    step: int
    source: str
    next: list[str]
    values: dict[str, Any]
    ran: list[str] = field(default_factory=list)


class NoSaver(BaseCheckpointSaver[str]):
    """Keeps nothing: LangGraph streams its checkpoints only when there is a saver to give them to."""

    async def aget_tuple(self, config: Any) -> None:
        """There is never a checkpoint."""

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Say that it is saved."""
        return config

    async def aput_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Forget them."""

    async def adelete_thread(self, thread_id: str) -> None:
        """There is nothing to delete."""


@contextlib.asynccontextmanager
async def saver_of(store: Store, record: Mapping[str, Any]) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """LangGraph's saver over the store, or none; an execution that stops or is edited on its way needs at least one in memory."""
    if record["checkpoints"] == "each":
        async with store.saver() as saver:
            await saver.setup()
            yield saver
    elif record["marks"] or record["pause_before"]:
        yield InMemorySaver()
    else:
        yield NoSaver()


def thread_of(run_id: str) -> str:
    """The id of the LangGraph thread that holds a run's checkpoints: a UUID, since LangGraph's server takes no other."""
    return str(uuid5(NAMESPACE_OID, f"symposia:{run_id}"))


class Execution:
    """One pass over a run's graph with its journal open."""

    def __init__(
        self,
        record: dict[str, Any],
        run: Run,
        saver: BaseCheckpointSaver[Any],
        *,
        on_event: Listener | None = None,
        keep: bool = False,
    ) -> None:
        """`keep` collects every state, for `show`; `on_event` hears of steps and effects as they happen."""
        self.record = record
        self.run = run
        self.loaded = load(record["method"])
        self.graph = self.loaded.compile(saver, record["graph"])
        self.moments: list[Moment] = []
        self.waiting: dict[str, Any] | None = None
        self.values: dict[str, Any] = {}
        self.last: Moment | None = None
        self._keep = keep
        self._listen = on_event
        self._config: RunnableConfig = {
            "configurable": {"thread_id": thread_of(record["run_id"])},
            "metadata": {"symposia_run": record["run_id"]},
            "recursion_limit": 10_000,
        }
        self._durability = "exit" if isinstance(saver, NoSaver) else "async"

    async def go(self) -> None:
        """Execute to the end, a pause or an error."""
        if self._listen:
            self.run.on_effect = self._effect
        pending: Any = self.record["input"]
        for mark in self.record["marks"]:
            while self.last is None or self.last.step < mark["at"]:
                before = self.last
                await self._stream(pending, ["*"])
                pending = None
                if self.last is before or self.last is None or (not self.last.next and self.last.step < mark["at"]):
                    raise BadInput(f"the run ends before step {mark['at']}", remedy="`symposia show RUN` lists its steps")
            if mark["values"] or mark.get("as_node"):
                await self._edit(mark["values"], mark.get("as_node"))
            if mark.get("command"):
                pending = _command(mark["command"])
        await self._stream(pending, self.record["pause_before"])
        if self.last is not None and self.last.next and self.waiting is None:
            self.waiting = {"step": self.last.step, "next": self.last.next}

    async def _stream(self, pending: Any, pause_before: Sequence[str]) -> None:
        self.run.begin()
        stop: Any = "*" if list(pause_before) == ["*"] else list(pause_before)
        stream = self.graph.astream(
            pending,
            self._config,
            stream_mode=["checkpoints", "updates"],
            subgraphs=True,
            interrupt_before=stop,
            durability=self._durability,
            context=self.record["params"],
        )
        async for namespace, mode, chunk in stream:
            if mode == "updates":
                self._heard(namespace, chunk)
            else:
                self._met(namespace, chunk)

    def _heard(self, namespace: tuple[str, ...], chunk: dict[str, Any]) -> None:
        """A node ended, or the graph waits for a person."""
        interrupts = chunk.get("__interrupt__")
        if interrupts:
            asked = question_of(interrupts[0].value)
            step = self.last.step if self.last else 0
            self.waiting = {"step": step, "next": self.last.next if self.last else [], "ask": asked}
        elif not namespace and "__interrupt__" not in chunk:
            self._emit({"type": "node", "node": next(iter(chunk))})

    def _met(self, namespace: tuple[str, ...], chunk: dict[str, Any]) -> None:
        """A state after a step."""
        frames = self.run.frames.get("|".join(namespace), ()) if namespace else ()
        if namespace and not frames:
            return  # a subgraph of LangGraph's own class, which has no place and so no effects
        meta = chunk["metadata"]
        names = sorted(chunk["next"])
        if not namespace and self.last is not None and self.last.step == meta["step"]:
            self.last = replace(self.last, next=names)  # told again where it goes on, with what a command wrote and where that goes
            return
        ran = self.last.next if self.last and not namespace else []
        if not self.run.note_step(frames, meta["step"], meta["source"], names, chunk["values"]) and not namespace:
            self._differs(meta["step"], ran, names)
        moment = Moment(frames, meta["step"], meta["source"], names, chunk["values"], ran)
        if not namespace:
            self.last = moment
            self.values = chunk["values"]
            self._emit({"type": "step", "step": moment.step, "ran": ran, "next": names, "values": chunk["values"]})
        if self._keep:
            self.moments.append(moment)

    def _differs(self, step: int, ran: list[str], names: list[str]) -> None:
        """Note that a replayed state is not the recorded one."""
        before = self.run.recorded.get(("", step))
        expected = {"next": before.next, "digest": before.digest.hex()} if before else None
        now = self.run.steps["", step]
        self.run.diverge(step, f"{step}.{ran[0] if ran else '__start__'}", expected, {"next": names, "digest": now.digest.hex()})

    async def _edit(self, values: Mapping[str, Any], as_node: str | Sequence[str] | None = None) -> None:
        """Set state as if the nodes of the last step had written it, or those that are named; as the end, nothing comes next."""
        named = [as_node] if isinstance(as_node, str) else list(as_node or [])
        if named == [END]:
            if values:
                await self._edit(values)
            await self.graph.aupdate_state(self._config, None, as_node=END)
            return
        nodes = named or (sorted(set(self.last.ran)) if self.last else [])
        if len(nodes) < 2:  # LangGraph calls several ambiguous, and knows the one that ran
            await self.graph.aupdate_state(self._config, self._writes(values), as_node=named[0] if named else None)
            return
        updates = [StateUpdate(self._writes(values) if i == 0 else {}, node) for i, node in enumerate(nodes)]
        await self.graph.abulk_update_state(self._config, [updates])

    def _writes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """An edit sets keys, also those whose reducer would append."""
        channels = self.graph.channels
        values = {k: _messages(v) if k == "messages" else v for k, v in values.items()}
        return {k: Overwrite(v) if isinstance(channels.get(k), (DeltaChannel, BinaryOperatorAggregate)) else v for k, v in values.items()}

    def _effect(self, entry: Entry, live: bool) -> None:
        self._emit({"type": "effect", "kind": entry.kind, "role": entry.usage.role, "entry": entry, "live": live})

    def _emit(self, event: Event) -> None:
        if self._listen:
            self._listen({"run_id": self.record["run_id"], **event})


def _messages(records: Sequence[dict[str, Any]]) -> list[BaseMessage]:
    """Chat messages from the form in which records hold them, or from `{"role", "content"}`."""
    kept = all("data" in record for record in records)
    return messages_from_dict(records) if kept else convert_to_messages(list(records))


def _command(kept: Mapping[str, Any]) -> Command[Any]:
    """What somebody had LangGraph do on a thread: writes, and nodes to go to, or to send an input to."""
    update = [(key, _as_messages(value) if key == "messages" else value) for key, value in kept["update"]]
    goto = [each if isinstance(each, str) else Send(each["node"], each["input"]) for each in kept["goto"]]
    return Command(update=update, goto=goto)


def _as_messages(value: Any) -> Any:
    """Messages as LangGraph takes them, from the form in which records hold them."""
    records = value if isinstance(value, list) else [value]
    return _messages(records) if all(isinstance(each, Mapping) and "data" in each for each in records) else value


def plain(values: Any) -> Any:
    """A state as JSON: messages become records."""
    if isinstance(values, BaseMessage):
        return message_to_dict(values)
    if isinstance(values, Mapping):
        return {k: plain(v) for k, v in values.items()}
    return [plain(v) for v in values] if isinstance(values, (list, tuple)) else values


def unexpected(failure: Exception, execution: Execution) -> SymposiaError:
    """An error that is none of ours, with the node it came from."""
    last = execution.last
    place = f"{last.step + 1}.{last.next[0]}" if last and last.next else None
    if isinstance(failure, sqlite3.OperationalError) and "locked" in str(failure):
        return StoreLocked(f"the checkpointer found the store locked: {failure}", remedy="end the other process, then resume the run")
    error = SymposiaError(
        f"{type(failure).__name__}: {shorten(str(failure))}", place=place, remedy="this is a fault of the node; see the log"
    )
    error.__cause__ = failure
    return error
