"""Where on a host's thread an invocation goes on, as a run: which run it is, or a fork of which, from which step, with which edits.

A thread's checkpoints say which run wrote them. Edits (`update_state`) and copies of checkpoints are looked through, back to the state that
a run wrote; they, and what LangGraph is told to write and where to go (`Command`), become a mark of the run or of a fork.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.graph import END
from langgraph.types import Command, Overwrite, Send, StateSnapshot
from pydantic import BaseModel
from typing_extensions import get_type_hints

from symposia import runs
from symposia.background import elsewhere
from symposia.execution import plain, thread_of
from symposia.inputs import check_values
from symposia.new_runs import fork_record
from symposia.registry import Loaded
from symposia.state.ask import answer_of
from symposia.state.channels import chat
from symposia.state.chats import kept_message
from symposia.state.errors import BadInput, UnknownName
from symposia.state.graph import JournaledGraph
from symposia.state.store import Entry, Store

RUN_KEY, LEG_KEY, NODE_KEY = "symposia_run", "symposia_leg", "symposia_as_node"
"""In a checkpoint's metadata: the run it belongs to, which of the run's invocations wrote it, and the nodes that an edit stands for."""
_OVER = ("ok", "no_answer")


@dataclass
class Placed:
    """Which run an invocation is: its record, the step that comes first as the run counts and as LangGraph will, a person's answer."""

    record: dict[str, Any]
    first: int
    counted: int
    answer: Entry | None = None


def asked(loaded: Loaded, input: Any, before: StateSnapshot | None, options: Mapping[str, Any], *, counted: int = 1) -> Placed | None:
    """A new run. What the thread's state holds of an input and is not given anew still counts, and a chat goes on."""
    if not isinstance(input, Mapping):
        return None
    context, old = options.get("context"), before.values if before is not None else {}
    known = get_type_hints(loaded.method.input)
    inputs = {k: v for k, v in {**old, **input}.items() if k in known and v is not None}
    if "messages" in known and (said := chat(old.get("messages") or [], input.get("messages") or [])):
        inputs["messages"] = [kept_message(m) for m in said]
    given = context.model_dump(mode="json", exclude_unset=True) if isinstance(context, BaseModel) else dict(context or {})
    try:
        return Placed(runs.new_record(loaded.method.name, given, inputs, checkpoints="none"), 1, counted)
    except BadInput:
        return None  # the graph says what is wrong, and there is nothing to keep


async def continued(
    store: Store, graph: JournaledGraph[Any, Any, Any, Any], loaded: Loaded, input: Any, before: StateSnapshot, options: Mapping[str, Any]
) -> Placed | None:
    """The run that goes on from a state of a thread, or a fork of it.

    Raises:
        UnknownName: A command writes to a key, or goes to a node, that the method does not have.
    """
    counted = (before.metadata or {})["step"] + 1
    if before.next == ("__start__",) and RUN_KEY not in (before.metadata or {}):
        return asked(loaded, await _given(graph, before), before, options, counted=counted + 1)
    origin, nodes = await _origin(graph, before)
    command = _command(loaded, input)
    if origin is None or (input is not None and not before.next and not command):
        return None
    meta: Mapping[str, Any] = origin.metadata or {}
    try:
        record = await elsewhere(store.run(meta[RUN_KEY]))
    except UnknownName:
        return None
    at = meta["step"] - (record["legs"][meta[LEG_KEY]] if LEG_KEY in meta else 0)
    values = {k: v for k, v in plain(before.values).items() if v != plain(origin.values.get(k))}
    tip = max((step.step for step in await elsewhere(store.steps(record["run_id"])) if not step.frame), default=at)
    goes_on = record["status"] not in _OVER and at >= tip and (record.get("thread") or thread_of(record["run_id"])) == thread_at(before)
    if not goes_on and at < 1:
        return None if command else asked(loaded, {}, before, options, counted=counted)  # nothing had been done: it is asked anew
    edits = bool(values or nodes) + bool(values and nodes == [END])
    if not before.next and not edits and not command:
        return None  # the end, as the run left it
    if not goes_on:
        record = {**await elsewhere(fork_record(store, record, at)), "legs": []}
    waiting = (goes_on and record.get("waiting")) or {}
    if edits or command or (waiting and "ask" not in waiting):
        mark = {"at": at, "values": check_values(loaded, values)}
        record["marks"].append(mark | ({"as_node": nodes} if nodes else {}) | ({"command": command} if command else {}))
    if edits and not goes_on:
        record["parent"]["shifted"] = True
    answers = isinstance(input, Command) and input.resume is not None and "ask" in waiting
    return Placed(record, at + 1 + edits, counted, runs.person(waiting["ask"], _answer(input, before)) if answers else None)


async def _origin(graph: JournaledGraph[Any, Any, Any, Any], state: StateSnapshot) -> tuple[StateSnapshot | None, list[str]]:
    """The state that a run wrote before somebody edited or copied it, and the nodes that the last edit stands for, if any were named."""
    named: str | None = None
    while True:
        meta: Mapping[str, Any] = state.metadata or {}
        if meta.get("source") != "update" and RUN_KEY in meta:
            return state, named.split("|") if named else []
        if meta.get("source") == "update":
            named = meta.get(NODE_KEY, "") if named is None else named
            config = state.parent_config
        else:
            config = await _copied(graph, state) if meta.get("source") == "fork" else None
        if not config:
            return None, []
        state = await graph.aget_state(config)


async def _copied(graph: JournaledGraph[Any, Any, Any, Any], copy: StateSnapshot) -> Any:
    """The config of the checkpoint that LangGraph made a copy of: it has the same parent and the same values."""
    saver: Any = graph.checkpointer
    made = await saver.aget_tuple(copy.config)
    async for each in saver.alist({"configurable": {"thread_id": thread_at(copy), "checkpoint_ns": ""}}):
        same = each.checkpoint["channel_versions"] == made.checkpoint["channel_versions"] and each.parent_config == made.parent_config
        if same and each.metadata.get("source") != "fork":
            return each.config
    return None


async def _given(graph: JournaledGraph[Any, Any, Any, Any], state: StateSnapshot) -> Mapping[str, Any]:
    """The input that somebody has put on a thread and nobody has gone on with."""
    saver: Any = graph.checkpointer
    found = (await saver.aget_tuple(state.config)).checkpoint["channel_values"].get("__start__")
    return found if isinstance(found, Mapping) else {}


def _command(loaded: Loaded, input: Any) -> dict[str, Any] | None:
    """What a command writes and where it goes, in the form of a mark; None where it does neither.

    Raises:
        UnknownName: There is no such key, or no such node.
    """
    if not isinstance(input, Command) or not (input.update or input.goto):
        return None
    update = [[key, _written(value)] for key, value in input._update_as_tuples()]
    kept = check_values(loaded, {key: value for key, value in update})
    nodes = [*(name for name in loaded.module.graph.nodes if not name.startswith("__")), END]
    goto = []
    for each in input.goto if isinstance(input.goto, (list, tuple)) else [input.goto] if input.goto else []:
        name = each.node if isinstance(each, Send) else each
        if name not in nodes:
            raise UnknownName.of("node", str(name), nodes, remedy=f"{loaded.method.name} has {', '.join(nodes)}")
        goto.append({"node": name, "input": plain(each.arg)} if isinstance(each, Send) else name)
    return {"update": list(map(list, kept.items())), "goto": goto}


def _written(value: Any) -> Any:
    """A value as JSON, also one that replaces what a reducer would add to."""
    return {"__overwrite__": plain(value.value)} if isinstance(value, Overwrite) else plain(value)


def tried_again(before: StateSnapshot, config: Any) -> bool:
    """Whether the host starts what broke off once more, as LangGraph sees it: under the same id of its own."""
    own = (config.get("metadata") or {}).get("run_id")
    return own is not None and (before.metadata or {}).get("run_id") == own


def _answer(command: Command[Any], state: StateSnapshot) -> Any:
    """A person's answer, which may be given by the id of the question."""
    given = command.resume
    ids = [asked.id for asked in state.interrupts]
    return answer_of(given[ids[0]] if isinstance(given, Mapping) and len(ids) == 1 and list(given) == ids else given)


def thread_at(state: StateSnapshot) -> str:
    """The id of the thread that a state is on."""
    return str(state.config["configurable"]["thread_id"])
