"""Runs: start, resume, replay, fork, look at. Each of them is the same execution over the same journal.

A run's record holds what it started from and the marks made since (a pause that was passed, an edit of the state). Executing it means
running the graph from the beginning with the journal open: what is recorded is read, what is not is done. So a crash is mended by starting
again, a replay is an execution that may do nothing, and a fork is a new run whose journal looks into its parent's.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from symposia.background import at_work, heeding
from symposia.divergence import first_divergence
from symposia.execution import Execution, Listener, NoSaver, Opened, saver_of, thread_of, unexpected
from symposia.inputs import check_values
from symposia.new_runs import fork_record
from symposia.new_runs import new_record as new_record
from symposia.registry import load
from symposia.result import Result, conclude, result_of
from symposia.state.errors import BadInput, Stopped, SymposiaError, shorten
from symposia.state.journal import Parent, Run, opened
from symposia.state.packing import request_digest, sound_all
from symposia.state.store import Entry, Store, Usage


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

    Raises:
        RunHeld: It is being executed already; only a run alone is held.
    """
    async with store.held(record["run_id"]) if alone else contextlib.nullcontext():
        return await _execute(store, record, on_event, on_open, alone)


async def _execute(store: Store, record: dict[str, Any], on_event: Listener | None, on_open: Opened | None, alone: bool) -> Result:
    run = await reopened(store, record)
    if on_open:
        on_open(run)
    if on_event:
        on_event({"type": "run", "run_id": run.id, "method": record["method"], "row": record["row"]})
    begun = time.monotonic()
    error: SymposiaError | None = None
    watched = heeding(store, run) if alone else contextlib.nullcontext()
    async with opened(run), watched, at_work(run, record["seconds"]), contextlib.AsyncExitStack() as stack:
        saver = await stack.enter_async_context(saver_of(store, record))
        await saver.adelete_thread(thread_of(record["run_id"]))
        execution = Execution(record, run, saver, on_event=on_event)
        try:
            await execution.go()
        except (asyncio.CancelledError, KeyboardInterrupt):
            await stack.aclose()  # a saver that was cancelled between a write and its commit holds the lock until it is closed
            if alone:
                await conclude(store, record, execution, Stopped("interrupted", remedy=f"`symposia resume {run.id}` goes on"), begun)
                await store.flush()
            if on_event:
                on_event({"type": "end", "run_id": run.id, "status": "stopped", "error": None, "cost_usd": record.get("cost_usd")})
            raise
        except SymposiaError as failure:
            error = failure
        except Exception as failure:
            error = unexpected(failure, execution)
    result = await conclude(store, record, execution, error, begun)
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
        RunHeld: It is being executed already.
    """
    found = (await store.run(run_id))["run_id"]
    async with store.held(found):
        record = await store.run(found)  # as whoever held it before has left it
        return await _resume(store, record, values or {}, answer, answered, on_event, on_open)


async def _resume(
    store: Store,
    record: dict[str, Any],
    values: Mapping[str, Any],
    answer: Any,
    answered: bool,
    on_event: Listener | None,
    on_open: Opened | None,
) -> Result:
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
        record["marks"].append({"at": waiting["step"], "values": check_values(load(record["method"]), values)})
    elif values:
        raise BadInput(
            f"run {record['run_id']} is {record['status']}, not paused",
            remedy="`symposia fork RUN --at N --set key=json` changes a past state",
        )
    await store.go_on(record["run_id"])
    return await _execute(store, record, on_event, on_open, alone=True)


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


def person(asked: Mapping[str, Any], answer: Any) -> Entry:
    """A person's answer as a journal entry, at the place that waits for it."""
    question = {k: v for k, v in asked.items() if k != "place"}
    outcome = {"value": sound_all(answer)}
    return Entry(asked["place"], request_digest("person", question, None), "person", question, outcome, Usage(role="person"))
