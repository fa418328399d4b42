"""What changes something, or takes its time: forks with their bill, replays, cancelling, answers of people, live events, exports."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from symposia import runs
from symposia.inputs import check_values
from symposia.new_runs import fork_record
from symposia.output import finite
from symposia.params import make_params
from symposia.records import params_of
from symposia.registry import load
from symposia.state.errors import BadInput, shorten
from symposia.state.store import Store
from symposia.viewer import export
from symposia.viewer.bill import asked_of, bill_of, models_named
from symposia.viewer.desk import Desk
from symposia.viewer.live import batch_events, events
from symposia.viewer.reads import named
from symposia.viewer.standing import batch_standing

Told = Callable[..., Awaitable[Response]]


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        BadInput: It is none.
    """
    raw = await request.body()
    try:
        value = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise BadInput("the body is no JSON", remedy="send a JSON object") from None
    if not isinstance(value, dict):
        raise BadInput("the body is no JSON object", remedy='such as {"at": 6}')
    return value


def add_to(api: APIRouter, told: Told) -> None:
    """Add the routes."""
    _add_forks(api, told)
    _add_ends(api)

    @api.get("/runs/{run_id}/events")
    async def stream(request: Request, run_id: str, after: int = 0, once: bool = False) -> Response:
        desk: Desk = request.app.state.desk
        record = await desk.library.ask(lambda store: store.run(named(run_id)))
        return _streamed(events(desk, record["run_id"], max(0, after), once=once))

    @api.get("/batches/{batch_id}/events")
    async def batch_stream(request: Request, batch_id: str, once: bool = False) -> Response:
        desk: Desk = request.app.state.desk
        await desk.library.ask(lambda store: batch_standing(store, named(batch_id)))  # or it is not there, which a stream cannot say
        return _streamed(batch_events(desk, batch_id, once=once))

    @api.get("/runs/{run_id}/export")
    async def exported(request: Request, run_id: str, form: str = "html", without: str = "") -> Response:
        desk: Desk = request.app.state.desk
        form = request.query_params.get("as", form)
        if form not in export.FORMS:
            raise BadInput(f"no export as {form[:40]!r}", remedy=f"as={'|'.join(export.FORMS)}")
        parts = export.parts_of(without)
        name, body = await desk.library.ask(partial(_exported, desk, run_id, form, parts))
        attached = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
        return Response(body, headers=attached, media_type=f"{export.FORMS[form]}; charset=utf-8")


def _add_forks(api: APIRouter, told: Told) -> None:
    @api.post("/runs/{run_id}/fork")
    async def fork(request: Request, run_id: str, dry: bool = False) -> Response:
        desk: Desk = request.app.state.desk
        asked = asked_of(await body_of(request))

        async def bill(_: Desk, store: Store) -> dict[str, Any]:
            parent = await store.run(named(run_id))
            _check(desk, await fork_record(store, parent, asked.at, values=asked.values, params=asked.changes))
            return await desk.library.apart(lambda apart: bill_of(apart, parent, asked))

        if dry:
            return await told(request, bill)
        store = desk.store
        record = await fork_record(store, await store.run(named(run_id)), asked.at, values=asked.values, params=asked.changes)
        _check(desk, record)
        await desk.opened(partial(runs.start, store, record, desk.listener))
        return _json({"run_id": record["run_id"], "parent": record["parent"]}, 201)

    @api.post("/runs/{run_id}/replay")
    async def replay(request: Request, run_id: str) -> Response:
        async def report(desk: Desk, _: Store) -> dict[str, Any]:
            return (await desk.library.apart(lambda apart: runs.replay(apart, named(run_id))))[0]

        return await told(request, report)


def _add_ends(api: APIRouter) -> None:
    @api.post("/runs/{run_id}/cancel")
    async def cancel(request: Request, run_id: str) -> Response:
        store = request.app.state.desk.store
        record = await store.run(named(run_id))
        if record["status"] != "started":
            raise BadInput(f"run {record['run_id']} is not running: it is {record['status']}", remedy="look at the list of runs")
        await store.ask_to_stop(record["run_id"])
        return _json({"run_id": record["run_id"], "asked_to_stop": True}, 202)

    @api.post("/runs/{run_id}/answer")
    async def answer(request: Request, run_id: str) -> Response:
        desk: Desk = request.app.state.desk
        body = await body_of(request)
        record = await desk.store.run(named(run_id))
        given = _given(record, body)
        await desk.go_on(record["run_id"], given)
        return _json({"run_id": record["run_id"]}, 202)


def _given(record: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What a paused run is to go on with: an `answer`, or values to `set`; `at` is the place of the question, or the step it paused after.

    Raises:
        BadInput: It does not wait, or for something else, or it waits somewhere else by now.
    """
    unknown = body.keys() - {"answer", "set", "at"}
    if unknown:
        raise BadInput(f"unknown field {min(unknown)[:60]!r}", remedy="there are answer, set and at")
    if record["status"] != "paused":
        raise BadInput(f"run {record['run_id']} waits for nobody: it is {record['status']}", remedy="fork it to change something")
    if body.keys() >= {"answer", "set"}:
        raise BadInput("an answer and values to set are both given", remedy="a run waits for one of them")
    waiting = record.get("waiting") or {}
    asks = "ask" in waiting
    here = _where(waiting)
    if body.get("at", here) != here:
        raise BadInput(
            f"run {record['run_id']} waits at {here} by now, not at {shorten(str(body['at']), 60)}: somebody else has answered",
            remedy="look at what it waits for now",
        )
    if asks and "answer" not in body:
        raise BadInput(f"run {record['run_id']} waits for an answer", remedy='{"answer": ...}')
    if not asks and "answer" in body:
        raise BadInput(f"run {record['run_id']} asks nobody anything", remedy='{"set": {...}}, or nothing to go on as it is')
    if asks:
        return {"answer": body["answer"], "answered": True}
    values = body.get("set", {})
    if not isinstance(values, dict):
        raise BadInput("set is no object", remedy='such as {"set": {"key": 1}}')
    return {"values": check_values(load(record["method"]), values)}


def _where(waiting: Mapping[str, Any]) -> Any:
    """The place of the question that a run waits with, or the step that it paused after."""
    ask = waiting.get("ask")
    return ask["place"] if isinstance(ask, Mapping) and "place" in ask else waiting.get("step")


def _check(desk: Desk, record: Mapping[str, Any]) -> None:
    """Whether the server may run a fork."""
    loaded = load(record["method"])
    params = make_params(loaded, params_of(record))
    desk.check(loaded, params, models_named(params.model_dump(mode="json"), loaded.method.roles))


async def _exported(desk: Desk, run_id: str, form: str, parts: tuple[str, ...], store: Store) -> tuple[str, bytes]:
    """The name and the content of a file."""
    book = await desk.library.book(store, named(run_id))
    record = book.seen.record
    name = re.sub(r"[^\w-]", "_", f"{record['method']}-{record['run_id']}")
    if form == "svg":
        return name, (await asyncio.to_thread(export.as_svg, record["method"])).encode()
    if form == "json":
        found = finite(await export.as_json(book, parts))
        return name, json.dumps(found, allow_nan=False, default=str).encode()
    return name, (await export.as_html(book, parts)).encode("utf-8", "replace")


def _streamed(found: AsyncIterator[bytes]) -> Response:
    """Events as they come, past proxies that would gather them."""
    return StreamingResponse(found, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _json(value: Mapping[str, Any], status: int) -> Response:
    return Response(json.dumps(value).encode(), status, media_type="application/json")
