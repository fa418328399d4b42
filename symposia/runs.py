"""Runs: start, resume, replay, fork, look at. Each of them is the same execution over the same journal.

A run's record holds what it started from and the marks made since (a pause that was passed, an edit of the state). Executing it means
running the graph from the beginning with the journal open: what is recorded is read, what is not is done. So a crash is mended by starting
again, a replay is an execution that may do nothing, and a fork is a new run whose journal looks into its parent's.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, get_args, get_type_hints

from langchain_core.messages import BaseMessage, message_to_dict
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from symposia.background import at_work
from symposia.divergence import first_divergence
from symposia.execution import Execution, Listener, NoSaver, Opened, thread_of, unexpected
from symposia.params import make_params, merged
from symposia.registry import Loaded, load
from symposia.state.errors import BadInput, Stopped, SymposiaError, UnknownName, shorten
from symposia.state.images import check_images
from symposia.state.journal import Parent, Run, opened
from symposia.state.packing import digest_of, request_digest, sound, sound_all
from symposia.state.store import Entry, Store, Usage
from symposia.tools.answers import task_of
from symposia.tools.checkers import row_tests
from symposia.tools.completion import check_form
from symposia.tools.forms import reply_form
from symposia.tools.llm import model_of
from symposia.tools.rewards import check_images_read

REFERENCES = ("answer", "reference", "gold", "gold_answer")
GRADED = ("batch", "correct", "grader", "grade")
"""What a batch adds to the record of a row."""
HOSTED = ("thread", "legs")
"""What a host adds: its thread, and how far each of its invocations counts steps ahead of the run (`symposia/hosting.py`)."""
_CANCEL_POLL = 0.5


@dataclass
class Result:
    """What a run came to: the object that `symposia run --json` prints."""

    run_id: str
    method: str
    status: str
    """`ok`, `no_answer`, `failed`, `paused` or `stopped`."""
    answer: Any = None
    stop_reason: str | None = None
    error: dict[str, Any] | None = None
    calls: dict[str, Any] = field(default_factory=dict)
    """Completions now made (`live`) and read from the journal (`replayed`), and `by_role` over the whole run."""
    requests: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    parent: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None
    """What a paused run waits for: the step, the next nodes, and the question to a person if there is one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `parent` and `waiting` only where they say something."""
        plain = asdict(self)
        return {k: v for k, v in plain.items() if v is not None or k not in ("parent", "waiting")}


def new_record(
    method: str,
    given: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    reference: Any = None,
    row: Any = None,
    pause_before: Sequence[str] = (),
    checkpoints: str = "each",
) -> dict[str, Any]:
    """The record of a run that has not started: everything it depends on, checked.

    Raises:
        BadInput: A parameter, the input, a node to pause before, or the checkpoint mode is not what the method takes, or a model cannot
            take the input.
    """
    loaded = load(method)
    params = make_params(loaded, given).model_dump(mode="json")
    nodes = [name for name in loaded.module.graph.nodes if not name.startswith("__")]
    for node in pause_before:
        if node not in nodes:
            raise UnknownName.of("node", node, nodes, remedy=f"{method} has {', '.join(nodes)}")
    if checkpoints not in ("each", "none"):
        raise BadInput(f"checkpoints is {checkpoints!r}", remedy="say each or none")
    checked = check_input(loaded, inputs)
    check_models(loaded, params, checked)
    return {
        "run_id": secrets.token_hex(5),
        "method": method,
        "graph": "build",
        "status": "started",
        "params": params,
        "input": checked,
        "reference": reference,
        "row": row,
        "pause_before": list(pause_before),
        "checkpoints": checkpoints,
        "marks": [],
        "parent": None,
        "started": time.time(),
        "seconds": 0.0,
        "version": version("symposia"),
    }


def check_input(loaded: Loaded, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The input with only known keys, its texts fit to be stored; a `response_format` that asks for nothing is left out.

    Raises:
        BadInput: A key the method does not take, a question that is no text or is empty, images or a form of the answer that are none.
    """
    known = list(get_type_hints(loaded.method.input))
    for key in inputs:
        if key not in known:
            raise UnknownName.of("input", key, known, remedy=f"{loaded.method.name} takes {', '.join(known)}")
    if "question" in known and not inputs.get("messages"):
        question = inputs.get("question")
        if not isinstance(question, str) or not question.strip():
            found = (
                "the question is empty" if question in (None, "") or isinstance(question, str) else f"the question is {question!r}, no text"
            )
            raise BadInput(found, remedy='give one: symposia run METHOD "QUESTION"')
    if inputs.get("images"):
        check_images(inputs.get("question") or "", inputs["images"])
    try:
        task_of(inputs.get("task") or "auto")
    except ValueError as error:
        raise BadInput(str(error)) from None
    if own := getattr(loaded.module, "check_input", None):
        own(inputs)
    form = reply_form(inputs.get("response_format"))
    others = {k: sound_all(v) for k, v in inputs.items() if k != "response_format"}
    return {**others, "response_format": sound_all(form)} if form else others


def check_models(loaded: Loaded, params: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Refuse models that cannot take what an input asks of them, before any of them is called.

    Raises:
        BadInput: The provider of the model that writes the answer takes no form of a reply, or a model of a role reads no images.
    """
    if inputs.get("response_format"):
        check_form(model_of(params, loaded.module.ANSWER_ROLE))
    if inputs.get("images"):
        check_images_read(params)


def row_input(loaded: Loaded, row: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The input and the reference of a row of a data set: fields the method takes, and the first field that names a known answer.

    The tests of a row stand for the known answer of a task of programming.
    """
    known = get_type_hints(loaded.method.input)
    reference = next((row[name] for name in REFERENCES if name in row), row_tests(row))
    return {k: v for k, v in row.items() if k in known and k not in REFERENCES}, reference


async def prepare(
    store: Store,
    method: str,
    rows: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any],
    *,
    on_event: Listener | None = None,
    on_open: Opened | None = None,
) -> dict[str, Any]:
    """Make what a method needs once for a data set, and keep it under the digest of its content.

    The same rows and parameters are the same run: it is made once, and goes on where it was killed.

    Returns:
        `{artefact_id, method, content, run_id, status, error, calls, cost_usd}`; `artefact_id` is None when the run did not end well.

    Raises:
        BadInput: The method has nothing to prepare, a parameter or a row is not what it takes.
    """
    loaded = load(method)
    loaded.compile(None, "prepare")
    params = make_params(loaded, given).model_dump(mode="json")
    inputs = {"rows": _rows_to_prepare(loaded, rows, params)}
    if not rows:
        raise BadInput("there are no rows to prepare from", remedy="give a JSONL file with a question a line")
    run_id = "p" + digest_of([method, params, inputs]).hex()[:9]
    try:
        record = await store.run(run_id)
    except UnknownName:
        record = {
            **{"run_id": run_id, "method": method, "graph": "prepare", "status": "started", "params": params, "input": inputs},
            **{"reference": None, "row": None, "pause_before": [], "checkpoints": "none", "marks": [], "parent": None},
            **{"started": time.time(), "seconds": 0.0, "version": version("symposia")},
        }
        await store.put_run(record)
    result = await execute(store, record, on_event=on_event, on_open=on_open)
    artefact_id = None
    if result.status == "ok":
        kept = {"content": result.answer, "method": method, "params": params, "run": run_id, "made": record["started"]}
        artefact_id = "a" + digest_of([method, result.answer, params]).hex()[:15]
        await store.put_artefact(artefact_id, method, kept)
    return {
        **{"artefact_id": artefact_id, "method": method, "content": result.answer, "run_id": run_id, "status": result.status},
        **{"error": result.error, "calls": result.calls, "cost_usd": result.cost_usd},
    }


def _rows_to_prepare(loaded: Loaded, rows: Sequence[Mapping[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with the fields that a method's `prepare` graph takes, its known answer as `answer` if the graph takes one.

    A method's file may make them itself (`prepare_rows`). Where it names the `PREPARE_PARAMS` that count here, the others get their
    defaults, so that another search over the same repository is not another index.
    """
    kept = getattr(loaded.module, "PREPARE_PARAMS", None)
    if kept is not None:
        params.update({name: value for name, value in loaded.params().model_dump(mode="json").items() if name not in kept})
    own = getattr(loaded.module, "prepare_rows", None)
    if own is not None:
        return [sound_all(dict(row)) for row in own(rows, params)]
    (kind,) = get_args(get_type_hints(loaded.compile(None, "prepare").builder.input_schema)["rows"])
    known = set(get_type_hints(kind)) - {"messages", *REFERENCES}
    found = []
    for row in rows:
        fields = {k: sound(v) for k, v in row.items() if k in known and isinstance(v, str)}
        reference = row_input(loaded, row)[1] if "answer" in get_type_hints(kind) else None
        found.append(fields if reference is None else {**fields, "answer": sound_all(reference)})
    return found


async def start(store: Store, record: dict[str, Any], on_event: Listener | None = None, on_open: Opened | None = None) -> Result:
    """Execute a new run: its record is in the store before the first call.

    Raises:
        UnknownName: The artefact it names is not in the store.
    """
    await _artefact(store, record)
    await store.put_run(record)
    return await execute(store, record, on_event=on_event, on_open=on_open)


async def execute(
    store: Store,
    record: dict[str, Any],
    *,
    on_event: Listener | None = None,
    on_open: Opened | None = None,
    alone: bool = True,
) -> Result:
    """Execute a run as far as it goes, reading what is recorded and doing the rest, and write down what it came to.

    Args:
        store: Where the journal is.
        record: The run's record; what it comes to is written into it.
        on_event: Hears of steps and effects.
        on_open: Is given the open run.
        alone: The run itself listens for `symposia cancel` and is on the disk at its end. A batch sets it off and does both for all of
            its runs; one that is cancelled then keeps its status, since it is only put aside.
    """
    run = await reopened(store, record)
    if on_open:
        on_open(run)
    if on_event:
        on_event({"type": "run", "run_id": run.id, "method": record["method"], "row": record["row"]})
    begun = time.monotonic()
    error: SymposiaError | None = None
    watched = _watched(store, run) if alone else contextlib.nullcontext()
    async with opened(run), watched, at_work(run, record["seconds"]), contextlib.AsyncExitStack() as stack:
        saver = await stack.enter_async_context(_saver(store, record))
        await saver.adelete_thread(thread_of(record["run_id"]))
        execution = Execution(record, run, saver, on_event=on_event)
        try:
            await execution.go()
        except (asyncio.CancelledError, KeyboardInterrupt):
            await stack.aclose()  # a saver that was cancelled between a write and its commit holds the lock until it is closed
            if alone:
                await _conclude(store, record, execution, Stopped("interrupted", remedy=f"`symposia resume {run.id}` goes on"), begun)
                await store.flush()
            if on_event:
                on_event({"type": "end", "run_id": run.id, "status": "stopped", "error": None, "cost_usd": record.get("cost_usd")})
            raise
        except SymposiaError as failure:
            error = failure
        except Exception as failure:
            error = unexpected(failure, execution)
    result = await _conclude(store, record, execution, error, begun)
    if alone:
        await store.flush()
    if on_event:
        on_event({"type": "end", "run_id": run.id, **{key: record[key] for key in ("status", "error", "cost_usd")}})
    return result


async def reopened(store: Store, record: dict[str, Any]) -> Run:
    """A run that is about to be executed, with what it has done already."""
    artefact = await _artefact(store, record)
    entries = await _forget(store, record, await store.entries(record["run_id"]))
    run = Run(record["run_id"], store, entries, parent=await _parent(store, record, entries))
    run.artefact = artefact
    run.reference = record["reference"]
    return run


async def _forget(store: Store, record: dict[str, Any], entries: list[Entry]) -> list[Entry]:
    """Mark a run as started; the entries it keeps from an earlier execution, without the failures of one that is to be tried again."""
    failures = [e for e in entries if "error" in e.outcome] if record["status"] in ("failed", "stopped") else []
    record["status"] = "started"
    if entries or record.get("calls") is not None:
        await store.drop(record["run_id"], failures)
        await store.go_on(record["run_id"])
        await store.drop_steps(record["run_id"])
    await store.put_run(record)
    return [e for e in entries if e not in failures]


async def resume(
    store: Store,
    run_id: str,
    *,
    values: Mapping[str, Any] | None = None,
    answer: Any = None,
    answered: bool = False,
    on_event: Listener | None = None,
    on_open: Opened | None = None,
) -> Result:
    """Go on with a run that crashed, failed, was stopped, or is paused.

    Args:
        store: Where the run is.
        run_id: Its id, or the beginning of it.
        values: State to set before a paused run goes on.
        answer: A person's answer to the question that the run waits with.
        answered: Whether `answer` is given.
        on_event: Hears of steps and effects.
        on_open: Is given the open run.

    Raises:
        BadInput: The run does not wait for what is given.
    """
    record = await store.run(run_id)
    if record["status"] in ("ok", "no_answer") and not values and not answered:
        return result_of(record, live=0)
    waiting = record.get("waiting")
    if answered:
        if not waiting or "ask" not in waiting:
            raise BadInput(f"run {record['run_id']} asks nobody anything", remedy="resume it without --answer")
        await store.append(record["run_id"], person(waiting["ask"], answer))
        record["waiting"] = None
    elif waiting and "ask" in waiting:
        question = {k: v for k, v in waiting["ask"].items() if k != "place"}
        raise BadInput(f"run {record['run_id']} waits for an answer to {shorten(str(question))}", remedy="give it: --answer JSON")
    elif record["status"] == "paused" and waiting:
        record["marks"].append({"at": waiting["step"], "values": check_values(load(record["method"]), values or {})})
    elif values:
        raise BadInput(
            f"run {record['run_id']} is {record['status']}, not paused",
            remedy="`symposia fork RUN --at N --set key=json` changes a past state",
        )
    return await execute(store, record, on_event=on_event, on_open=on_open)


async def fork(
    store: Store,
    run_id: str,
    at: int,
    *,
    values: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
    on_open: Opened | None = None,
) -> Result:
    """A new run that equals another up to the state after step `at`, then goes on from a changed state.

    What does not depend on the change is taken from the parent's journal; only the rest is called.

    Raises:
        BadInput: The parent has no such step, or a key, parameter or role does not exist.
    """
    record = await fork_record(store, await store.run(run_id), at, values=values, params=params)
    return await start(store, record, on_event, on_open)


async def fork_record(
    store: Store,
    parent: Mapping[str, Any],
    at: int,
    *,
    values: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a fork that has not started.

    Raises:
        BadInput: The parent has no such step, or a key, parameter or role does not exist.
    """
    loaded = load(parent["method"])
    steps = [s.step for s in await store.steps(parent["run_id"]) if not s.frame]
    if steps and not 1 <= at <= max(steps):
        raise BadInput(f"run {parent['run_id']} has the steps 1 to {max(steps)}, not {at}", remedy="`symposia show RUN` lists them")
    edit = check_values(loaded, values or {})
    before = _params_at(parent, at)
    if params:
        edit["params"] = make_params(loaded, merged(before, params)).model_dump(mode="json")
        check_models(loaded, edit["params"], parent["input"])
    marks = [m for m in parent["marks"] if m["at"] < at]
    record = {
        **parent,
        "run_id": secrets.token_hex(5),
        "status": "started",
        "started": time.time(),
        "seconds": 0.0,
        "pause_before": [],
        "waiting": None,
        "marks": [*marks, *([{"at": at, "values": edit}] if edit else [])],
        "parent": {"run": parent["run_id"], "at": at, "shifted": bool(edit)},
    }
    for key in ("answer", "stop_reason", "error", "calls", "by_role", "requests", "usage", "cost_usd", "inherited", *GRADED, *HOSTED):
        record.pop(key, None)
    return record


async def replay(
    store: Store, run_id: str, *, keep: bool = False, saver: BaseCheckpointSaver[Any] | None = None
) -> tuple[dict[str, Any], Execution]:
    """Execute a run from its journal alone: no call is possible, and the state after every step is compared with the record.

    With a `saver` of LangGraph's the run's checkpoints are written there.

    Returns:
        The object that `symposia replay --json` prints, and the execution, with all states when `keep` is set.
    """
    record = await store.run(run_id)
    run = Run(record["run_id"], None, await store.entries(record["run_id"]), await store.steps(record["run_id"]), strict=True)
    run.artefact = await _artefact(store, record)
    own: BaseCheckpointSaver[Any] = InMemorySaver() if record["marks"] else NoSaver()
    async with opened(run):
        execution = Execution({**record}, run, saver or own, keep=keep)
        error = None
        try:
            await execution.go()
        except SymposiaError as failure:
            error = failure
        except Exception as failure:
            error = unexpected(failure, execution)
    first = first_divergence(record, run, execution, error)
    report = {
        "run_id": record["run_id"],
        "identical": first is None,
        "checkpoints": len(run.steps),
        "calls": {"live": 0, "replayed": sum(e.usage.calls for e in run.entries)},
        "first_divergence": first,
    }
    return report, execution


def check_values(loaded: Loaded, values: Mapping[str, Any]) -> dict[str, Any]:
    """State keys that may be set.

    Raises:
        UnknownName: A key the state does not have.
    """
    keys = [k for k in loaded.module.graph.channels if not k.startswith(("__", "branch:"))]
    for key in values:
        if key not in keys:
            raise UnknownName.of("state key", key, keys, remedy=f"{loaded.method.name} has {', '.join(keys)}")
    return {k: sound_all(v) for k, v in values.items()}


def plain(values: Any) -> Any:
    """A state as JSON: messages become records."""
    if isinstance(values, BaseMessage):
        return message_to_dict(values)
    if isinstance(values, Mapping):
        return {k: plain(v) for k, v in values.items()}
    return [plain(v) for v in values] if isinstance(values, (list, tuple)) else values


def _params_at(record: Mapping[str, Any], at: int) -> dict[str, Any]:
    """The parameters in force at a step: the run's, or those of the last edit before it."""
    edits = [m["values"]["params"] for m in record["marks"] if m["at"] < at and "params" in m["values"]]
    found: dict[str, Any] = edits[-1] if edits else record["params"]
    return found


async def _parent(store: Store, record: Mapping[str, Any], own: Sequence[Entry]) -> Parent | None:
    """What a fork may take from its parent: the entries it has not taken already, before it was interrupted."""
    origin = record["parent"]
    if not origin:
        return None
    parent = Parent(await store.entries(origin["run"]), origin["at"], origin["shifted"])
    for entry in own:
        if entry.copied:
            parent.take(entry.place, entry.digest)
    return parent


async def _artefact(store: Store, record: Mapping[str, Any]) -> dict[str, Any] | None:
    name = record["params"].get("artefact")
    return (await store.artefact(name))["content"] if name else None


@contextlib.asynccontextmanager
async def _saver(store: Store, record: Mapping[str, Any]) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """LangGraph's saver over the store, or none; an execution that stops or is edited on its way needs at least one in memory."""
    if record["checkpoints"] == "each":
        async with store.saver() as saver:
            await saver.setup()
            yield saver
    elif record["marks"] or record["pause_before"]:
        yield InMemorySaver()
    else:
        yield NoSaver()


@contextlib.asynccontextmanager
async def _watched(store: Store, run: Run) -> AsyncIterator[None]:
    """Stop new work when somebody asks for it with `symposia cancel`."""

    async def watch() -> None:
        while not run.stop_reason:
            await asyncio.sleep(_CANCEL_POLL)
            if await store.asked_to_stop(run.id):
                run.stop("cancelled")

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


def person(asked: Mapping[str, Any], answer: Any) -> Entry:
    """A person's answer as a journal entry, at the place that waits for it."""
    question = {k: v for k, v in asked.items() if k != "place"}
    return Entry(asked["place"], request_digest("person", question, None), "person", question, {"value": answer}, Usage(role="person"))


async def _conclude(store: Store, record: dict[str, Any], execution: Execution, error: SymposiaError | None, begun: float) -> Result:
    """Write the end of an execution into the record."""
    run = execution.run
    values = execution.values
    if isinstance(error, Stopped):
        status = "stopped"
    elif error is not None:
        status = "failed"
    elif execution.waiting:
        status = "paused"
    else:
        status = "ok" if values.get("answer") is not None else "no_answer"
    record |= {
        "status": status,
        "answer": plain(values.get("answer")) if status in ("ok", "paused") else None,
        "stop_reason": values.get("stop_reason") if status in ("ok", "no_answer") else None,
        "error": error.to_record() if error else None,
        "waiting": execution.waiting if status == "paused" else None,
        "seconds": round(record["seconds"] + time.monotonic() - begun, 3),
    }
    found = [e for e in run._found.values() if e.usage.calls or e.usage.requests]
    record |= ledger(found)
    await run.settle()
    await store.put_run(record)
    return result_of(record, live=sum(e.usage.calls for e in run.live))


def result_of(record: Mapping[str, Any], live: int) -> Result:
    """A finished record as what it came to, `live` completions of it made just now."""
    return Result(
        run_id=record["run_id"],
        method=record["method"],
        status=record["status"],
        answer=record["answer"],
        stop_reason=record["stop_reason"],
        error=record["error"],
        calls={"live": live, "replayed": record["calls"] - live, "by_role": record["by_role"]},
        requests=record["requests"],
        usage=record["usage"],
        cost_usd=record["cost_usd"],
        seconds=record["seconds"],
        parent=record["parent"],
        waiting=record.get("waiting"),
    )


def ledger(entries: Sequence[Entry]) -> dict[str, Any]:
    """Completions by role of all entries; requests, tokens and USD of those the run paid for itself, which a fork's inherited ones are not.

    The cost is None when a model's price is not known.
    """
    by_role: dict[str, int] = {}
    for entry in entries:
        if entry.usage.calls:
            by_role[entry.usage.role] = by_role.get(entry.usage.role, 0) + entry.usage.calls
    own = [e.usage for e in entries if not e.copied]
    prices = [u.usd for u in own if u.calls]
    return {
        "calls": sum(by_role.values()),
        "inherited": sum(e.usage.calls for e in entries if e.copied),
        "by_role": by_role,
        "requests": sum(u.requests for u in own),
        "usage": {"prompt_tokens": sum(u.prompt_tokens for u in own), "completion_tokens": sum(u.completion_tokens for u in own)},
        "cost_usd": None if any(p is None for p in prices) else round(sum(p for p in prices if p is not None), 6),
    }
