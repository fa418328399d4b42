"""The viewer over HTTP: JSON under `/api`, errors as `{error, message, remedy}`, lists as `{items, next, total}`, and the page at `/`.

`mount` hangs it into the server's application, before the server's own checks, since a browser brings a cookie where programs bring a key.
"""

import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from symposia import __version__
from symposia.output import finite
from symposia.serve.errors import Refused
from symposia.serve.guard import Rules
from symposia.state.errors import BadInput, RunHeld, StoreError, SymposiaError, UnknownName, shorten
from symposia.state.packing import digest
from symposia.state.store import Store
from symposia.viewer import acts, reads
from symposia.viewer.desk import Desk
from symposia.viewer.doors import COOKIE, Door, Gate, Turned, opens, token_of, typed
from symposia.viewer.files import add_files
from symposia.viewer.find import search_all
from symposia.viewer.pages import pages

if TYPE_CHECKING:
    from symposia.serve.app import Serving

_LOG = logging.getLogger("symposia.viewer")
_PACK_FROM = 1_000  # bytes of an answer that are worth packing
_OURS = ("/static/", "/api/")
_STATUSES: tuple[tuple[type[SymposiaError], int], ...] = (
    *((UnknownName, 404), (BadInput, 400), (RunHeld, 409)),
    *((StoreError, 503), (SymposiaError, 500)),
)
Reading = Callable[[Desk, Store], Awaitable[Any]]


def mount(app: FastAPI, serving: "Serving") -> None:
    """Give a server the viewer: its paths are answered by an application of its own, its thread ends with the server's life."""
    desk = Desk(serving.config.store, lambda: app.state.runs.store, serving.models, serving.most_calls)
    before = app.router.lifespan_context

    @asynccontextmanager
    async def living(inside: FastAPI) -> AsyncIterator[Any]:
        async with before(inside) as state:
            try:
                yield state
            finally:
                await desk.close()

    app.router.lifespan_context = living
    app.state.desk = desk
    app.add_middleware(_Fork, viewer=viewer_app(desk, serving.rules))


def viewer_app(desk: Desk, rules: Rules) -> ASGIApp:
    """The viewer as an application, behind its gate and its door."""
    app = FastAPI(title="Symposia viewer", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk, app.state.rules = desk, rules
    app.include_router(router())
    app.include_router(pages())
    _add_errors(app)
    return Gate(Door(app, rules), rules)


class _Fork:
    """Sends the viewer's paths to the viewer, all others on."""

    def __init__(self, app: ASGIApp, viewer: ASGIApp) -> None:
        """Stand where the paths part."""
        self._app, self._viewer = app, viewer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, one way or the other."""
        path = scope.get("path", "")
        ours = scope["type"] == "http" and (path in ("/", "/app.js", "/later.js", "/favicon.ico") or path.startswith(_OURS))
        await (self._viewer if ours else self._app)(scope, receive, send)


def router() -> APIRouter:
    """All of `/api`."""
    api = APIRouter(prefix="/api")
    _add_session(api)
    _add_lists(api)
    _add_run(api)
    add_files(api)
    acts.add_to(api, told)
    return api


async def told(request: Request, work: Callable[[], Awaitable[Any]] | Reading, status: int = 200) -> Response:
    """What some reading gives, as JSON with an ETag, packed where that pays; all of it done in the library's thread."""
    desk: Desk = request.app.state.desk
    packs = "gzip" in request.headers.get("accept-encoding", "")

    async def made(store: Store) -> tuple[bytes, str, bool]:
        value = await work(desk, store)  # type: ignore[call-arg]
        body = _json(value)
        tag = f'"{digest(body).hex()}"'
        packed = packs and len(body) >= _PACK_FROM
        return gzip.compress(body, 5, mtime=0) if packed else body, tag, packed

    body, tag, packed = await desk.library.ask(made)
    headers = {"ETag": tag, "Vary": "Accept-Encoding"}
    if request.method == "GET" and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers | ({"Content-Encoding": "gzip"} if packed else {}), "application/json")


def _add_session(api: APIRouter) -> None:
    @api.get("/session")
    async def session(request: Request) -> Response:
        keys = request.app.state.rules.keys
        state = "none" if not keys else "given" if opens(request.headers, keys) else "needed"
        return _plain({"version": __version__, "key": state})

    @api.post("/login")
    async def login(request: Request) -> Response:
        given = await acts.body_of(request)
        key = typed(str(given.get("key", "")), request.app.state.rules.keys)
        if key is None:
            raise Turned(401, "KeyNeeded", "that is not the server's key", "it stands where the server was started: SYMPOSIA_SERVE_KEY")
        answer = Response(status_code=204)
        answer.set_cookie(COOKIE, token_of(key), httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")
        return answer

    @api.post("/logout")
    async def logout() -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", path="/")
        return answer


def _add_lists(api: APIRouter) -> None:
    @api.get("/runs")
    async def runs(request: Request, q: str = "", after: str = "", limit: int = 100) -> Response:
        return await told(request, partial(reads.runs, q=q, after=after, limit=limit))

    @api.get("/search")
    async def search(request: Request, q: str, after: str = "") -> Response:
        return await told(request, lambda desk, store: search_all(store, q, after))

    @api.get("/batches")
    async def batches(request: Request) -> Response:
        return await told(request, reads.batches)

    @api.get("/batches/{batch_id}")
    async def batch(request: Request, batch_id: str, quick: bool = False) -> Response:
        return await told(request, partial(reads.batch, batch_id=batch_id, quick=quick))

    @api.get("/batches/{batch_id}/facets")
    async def facets(request: Request, batch_id: str, begin: bool = False) -> Response:
        return await told(request, partial(reads.facets, batch_id=batch_id, begin=begin))

    @api.get("/batches/{batch_id}/rows")
    async def rows(request: Request, batch_id: str, q: str = "", after: int = 0) -> Response:
        return await told(request, partial(reads.rows, batch_id=batch_id, q=q, after=after))

    @api.get("/batches/{batch_id}/rows.csv")
    async def rows_csv(request: Request, batch_id: str, q: str = "") -> Response:
        desk: Desk = request.app.state.desk
        text = await desk.library.ask(lambda store: reads.rows_csv(desk, store, batch_id=batch_id, q=q))
        headers = {"Content-Disposition": f'attachment; filename="{reads.named(batch_id)}.csv"'}
        return Response(text.encode("utf-8", "replace"), headers=headers, media_type="text/csv; charset=utf-8")

    @api.get("/methods")
    async def methods(request: Request) -> Response:
        return await told(request, reads.methods)

    @api.get("/methods/{name}")
    async def method(request: Request, name: str) -> Response:
        return await told(request, partial(reads.method, name=name))

    @api.get("/compare")
    async def compare(request: Request, a: str, b: str, rows: str = "changed") -> Response:
        return await told(request, partial(reads.compare, a=a, b=b, rows=rows))


def _add_run(api: APIRouter) -> None:
    @api.get("/runs/{run_id}")
    async def run(request: Request, run_id: str, quick: bool = False) -> Response:
        return await told(request, partial(reads.run, run_id=run_id, quick=quick))

    @api.get("/runs/{run_id}/steps/{n}")
    async def step(request: Request, run_id: str, n: int, keys: str = "") -> Response:
        return await told(request, partial(reads.step, run_id=run_id, n=n, keys=keys.split(",") if keys else None))

    @api.get("/runs/{run_id}/state/{n}")
    async def state(request: Request, run_id: str, n: int) -> Response:
        return await told(request, partial(reads.state, run_id=run_id, n=n))

    @api.get("/runs/{run_id}/calls")
    async def calls(request: Request, run_id: str, step: int | None = None) -> Response:
        return await told(request, partial(reads.calls, run_id=run_id, step=step))

    @api.get("/runs/{run_id}/calls/{place:path}")
    async def call(request: Request, run_id: str, place: str) -> Response:
        return await told(request, partial(reads.call, run_id=run_id, place=place))

    @api.get("/runs/{run_id}/search")
    async def search(request: Request, run_id: str, q: str) -> Response:
        return await told(request, partial(reads.search, run_id=run_id, q=q))

    @api.get("/runs/{run_id}/text/{sha}")
    async def text(request: Request, run_id: str, sha: str) -> Response:
        desk: Desk = request.app.state.desk
        found = await desk.library.ask(lambda store: reads.text(desk, store, run_id=run_id, sha=sha))
        body = found.encode("utf-8", "replace")
        return Response(body, headers={"ETag": f'"{sha}"'}, media_type="text/plain; charset=utf-8")


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # a number that JSON has no word for
        return json.dumps(finite(value), allow_nan=False, separators=(",", ":")).encode()


def _plain(value: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value).encode(), status, media_type="application/json")


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Turned)
    async def on_turned(_: Request, error: Turned) -> Response:
        return _plain(error.body, error.status)

    @app.exception_handler(Refused)
    async def on_refused(_: Request, error: Refused) -> Response:
        return _plain({"error": error.body["error"]["code"], "message": str(error), "remedy": None}, error.status)

    @app.exception_handler(SymposiaError)
    async def on_ours(_: Request, error: SymposiaError) -> Response:
        status = next(status for kind, status in _STATUSES if isinstance(error, kind))
        return _plain({"error": type(error).__name__, "message": error.message, "remedy": error.remedy}, status)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _plain({"error": "BadInput", "message": shorten(f"{where}: {first['msg']}", 300), "remedy": "see the address"}, 400)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        name = "NotFound" if error.status_code == 404 else "Refused"
        return _plain({"error": name, "message": str(error.detail), "remedy": None}, error.status_code)

    @app.exception_handler(Exception)
    async def on_unexpected(_: Request, error: Exception) -> Response:
        _LOG.error("a request failed", exc_info=error)
        return _plain({"error": "Unexpected", "message": "this should not happen", "remedy": "the server's log says more"}, 500)
