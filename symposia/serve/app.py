"""The application: routes, errors in OpenAI's form, and a description of itself at `/openapi.json`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware

from symposia import __version__
from symposia.config import Config
from symposia.serve import chat, responses
from symposia.serve.asked import Wanted, records_of
from symposia.serve.chat import ChatRequest
from symposia.serve.errors import Refused
from symposia.serve.guard import SECURE, Door, Names, Rules
from symposia.serve.handlers import add_errors, answer, dumped, unexpected
from symposia.serve.models import Catalogue, NoSuchModel
from symposia.serve.responses import ResponseRequest
from symposia.serve.work import Runs, Work
from symposia.state.store import open_store
from symposia.tools.providers import loaded
from symposia.viewer.api import mount

RUN_HEADER = "X-Symposia-Run"
_QUIET = 15.0  # seconds without an event after which a stream sends a comment, so that nothing between takes it for dead


@dataclass(frozen=True)
class Serving:
    """How to serve.

    Attributes:
        config: Settings, defaults, presets, and the address of the store.
        rules: Who may ask.
        most_runs: That go at once; more are refused with 429.
        most_calls: That a run may need by its method's formula; more is refused with 400.
        models: Patterns of models that a client may choose; any, when there is none.
    """

    config: Config
    rules: Rules = field(default_factory=Rules)
    most_runs: int = 256
    most_calls: int | None = 2000
    models: tuple[str, ...] = ()


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(BaseModel):
    """An error, in OpenAI's form."""

    error: ErrorDetail


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Error, "description": why}
    for status, why in (
        (400, "the request asks for something that cannot be"),
        (401, "no key, or not the right one"),
        (403, "a host name or an origin that is not known"),
        (404, "no such model"),
        (413, "the body is too large"),
        (415, "the body is not sent as JSON"),
        (429, "too many runs at once, here or at the model's provider"),
        (502, "a model's server answered what cannot be used"),
        (503, "a model's server cannot be reached, or the run was stopped"),
    )
}


def create_app(serving: Serving) -> FastAPI:
    """The application.

    Raises:
        BadInput: A preset cannot run.
    """
    catalogue = Catalogue(serving.config, serving.models, serving.most_calls)

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        async with open_store(serving.config.store) as store:
            app.state.runs = Runs(store, serving.most_runs)
            await loaded()
            yield
            await app.state.runs.close()

    app = FastAPI(title="Symposia", version=__version__, lifespan=living, docs_url=None, redoc_url=None)
    app.state.catalogue = catalogue
    _add_routes(app, catalogue)
    add_errors(app)
    app.add_middleware(Door, rules=serving.rules)
    if serving.rules.origins:
        allowed: dict[str, Any] = {"allow_methods": ["GET", "POST"], "allow_headers": ["*"], "expose_headers": [RUN_HEADER]}
        app.add_middleware(CORSMiddleware, allow_origins=list(serving.rules.origins), **allowed)
    app.add_middleware(Names, rules=serving.rules)  # the last one added is asked first
    mount(app, serving)
    app.openapi = lambda: _description(app, bool(serving.rules.keys))  # type: ignore[method-assign]
    return app


def _add_routes(app: FastAPI, catalogue: Catalogue) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Whether the server is there")
    async def health() -> Response:
        return answer({"status": "ok", "version": __version__})

    @app.head("/v1/models", include_in_schema=False)
    @app.get("/v1/models", summary="List the methods and presets", responses={401: _ERRORS[401]})
    async def models() -> Response:
        return answer({"object": "list", "data": [catalogue.card(name) for name in catalogue.names]})

    @app.get("/v1/models/{name:path}", summary="Tell about one", responses={status: _ERRORS[status] for status in (400, 401, 404)})
    async def model(name: Annotated[str, Path(examples=["self_consistency"])]) -> Response:
        try:
            return answer(catalogue.card(name))
        except NoSuchModel as error:
            raise Refused(404, str(error), code="model_not_found", param="model") from None

    @app.post("/v1/chat/completions", summary="Answer a chat", responses=_ERRORS)
    async def complete(body: ChatRequest, request: Request) -> Response:
        work = _begun(request, body.wanted(), tells=bool(body.stream))
        usage = bool(body.stream_options and body.stream_options.include_usage)
        if body.stream:
            return _stream(request, work, chat.chunks(work, body.model, with_usage=usage), _chunk, end=b"data: [DONE]\n\n")
        return await _whole(request, work, lambda: chat.completion(work, body.model))

    @app.post("/v1/responses", summary="Answer a text or a chat", responses=_ERRORS)
    async def respond(body: ResponseRequest, request: Request) -> Response:
        work = _begun(request, body.wanted(), tells=bool(body.stream))
        if body.stream:
            return _stream(request, work, responses.events(work, body), _event)
        return await _whole(request, work, lambda: responses.response(work, body))


def _begun(request: Request, wanted: Wanted, *, tells: bool) -> Work:
    """The runs of a request, started."""
    asked, records = records_of(request.app.state.catalogue, wanted)
    home: Runs = request.app.state.runs
    return home.work(asked.loaded, records, wanted.stops, tells=tells)


async def _whole(request: Request, work: Work, made: Callable[[], Mapping[str, Any]]) -> Response:
    """An answer in one piece."""
    watcher = _watched(request, work)
    try:
        await work.whole()
    except Refused as refusal:
        refusal.headers |= _head(work)
        raise
    finally:
        watcher.cancel()
    return answer(made(), headers=_head(work))


def _stream(
    request: Request, work: Work, events: AsyncIterator[Mapping[str, Any]], form: Callable[[Mapping[str, Any]], bytes], end: bytes = b""
) -> Response:
    """An answer as server-sent events."""
    watcher = _watched(request, work)

    async def sent() -> AsyncIterator[bytes]:
        try:
            async for event in _patient(events):
                yield form(event) if event is not None else b": waiting\n\n"
            yield end
        except Refused as refusal:
            yield _chunk(refusal.body)
        except Exception as error:  # the status is sent already, so it cannot say it
            yield _chunk(unexpected(error))
        finally:
            watcher.cancel()
            work.cancel()

    headers = {**_head(work), **SECURE, "X-Accel-Buffering": "no"}
    return StreamingResponse(sent(), media_type="text/event-stream", headers=headers)


async def _patient(events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any] | None]:
    """Events as they come, and None where none has come for a while."""
    following: asyncio.Future[Mapping[str, Any]] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait([following], timeout=_QUIET)
            if not done:
                yield None
                continue
            event, following = following, None
            with suppress(StopAsyncIteration):
                yield event.result()
                continue
            return
    finally:
        if following is not None:
            following.cancel()


def _watched(request: Request, work: Work) -> asyncio.Task[None]:
    """Cancels the runs when the client has gone."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        work.cancel()

    return asyncio.create_task(watch())


def _head(work: Work) -> dict[str, str]:
    return {RUN_HEADER: ",".join(work.run_ids)}


def _chunk(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + dumped(chunk) + b"\n\n"


def _event(event: Mapping[str, Any]) -> bytes:
    return f"event: {event['type']}\n".encode() + _chunk(event)


def _description(app: FastAPI, keyed: bool) -> dict[str, Any]:
    """The OpenAPI description: without the status 422, which is never sent, and with the key where one is needed."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes, description=_TOLD)
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                if keyed and operation["operationId"] != "health_health_get":
                    operation["security"] = [{"key": []}]
        if keyed:
            made.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = made
    return app.openapi_schema


_TOLD = """\
Published ways of getting a better answer out of language models, each of them a model of this server. A model's name is
`METHOD[@MODEL][?PARAM=VALUE&...]`, such as `magicore@gpt-4o-mini?k=8`. A stream tells the steps of the run as `reasoning_content`, then the
answer. Every run is in the store: its id stands in the header `X-Symposia-Run` and in the field `symposia`."""
