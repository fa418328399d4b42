"""Batches and comparisons as files to save, over HTTP."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from symposia.output import finite
from symposia.state.errors import BadInput
from symposia.state.store import Store
from symposia.viewer import export
from symposia.viewer.carried import RUNS, Apart, batch_answers
from symposia.viewer.desk import Desk
from symposia.viewer.heads import Heads
from symposia.viewer.reads import named
from symposia.viewer.states import States

_MOST = 500  # runs that one file may hold whole
_FORMS = ("html", "json")


def add_files(api: APIRouter) -> None:
    """Add the routes."""

    @api.get("/batches/{batch_id}/export")
    async def batch(request: Request, batch_id: str, without: str = "", runs: int = RUNS) -> Response:
        (heads, states, apart), parts = _known(request), export.parts_of(without)
        name = named(batch_id)
        if not 0 <= runs <= _MOST:
            raise BadInput(f"{runs} runs in one file", remedy=f"ask for 0 to {_MOST}")

        async def page(store: Store) -> str:
            return await export.as_page(await batch_answers(store, heads, states, name, parts, runs, apart))

        return await _attached(request, f"batch-{name}", page, lambda store: export.batch_json(store, heads, states, name, parts))

    @api.get("/compare/export")
    async def compare(request: Request, a: str, b: str, without: str = "") -> Response:
        (heads, states, apart), parts = _known(request), export.parts_of(without)
        one, two = named(a), named(b)

        async def page(store: Store) -> str:
            return await export.as_page(await export.compared_answers(store, heads, states, one, two, parts, apart))

        async def value(store: Store) -> dict[str, Any]:
            return await export.compared_json(store, heads, states, one, two, parts, apart)

        return await _attached(request, f"compare-{one}-{two}", page, value)


def _known(request: Request) -> tuple[Heads, States, Apart]:
    """What the server knows of runs: their lines, and their last states; and where it replays them."""
    desk: Desk = request.app.state.desk
    return desk.library.heads, desk.library.states, desk.library.apart


async def _attached(
    request: Request, name: str, page: Callable[[Store], Awaitable[str]], value: Callable[[Store], Awaitable[dict[str, Any]]]
) -> Response:
    """A file of the form that the request names."""
    desk: Desk = request.app.state.desk
    form = request.query_params.get("as", "html")
    if form not in _FORMS:
        raise BadInput(f"no export as {form[:40]!r}", remedy=f"as={'|'.join(_FORMS)}")

    async def made(store: Store) -> bytes:
        if form == "json":
            return json.dumps(finite(await value(store)), allow_nan=False, default=str).encode()
        return (await page(store)).encode("utf-8", "replace")

    body = await desk.library.ask(made)
    attached = {"Content-Disposition": f'attachment; filename="{re.sub(r"[^a-zA-Z0-9_-]", "_", name)}.{form}"'}
    return Response(body, headers=attached, media_type=f"{export.FORMS[form]}; charset=utf-8")
