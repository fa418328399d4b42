"""Answers as JSON, and failures as answers: whatever is raised behind the server's routes gets OpenAI's form."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from symposia.output import finite
from symposia.serve.errors import Refused, refused
from symposia.serve.guard import SECURE
from symposia.state.errors import BadInput, shorten
from symposia.state.packing import sound

_LOG = logging.getLogger("symposia.serve")


def answer(value: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer with the headers that every one has."""
    return Response(dumped(value), status, {**SECURE, **(headers or {})}, "application/json")


def dumped(value: Mapping[str, Any]) -> bytes:
    """JSON in ASCII, with infinities by name."""
    return json.dumps(finite(value), allow_nan=False).encode()


def add_errors(app: FastAPI) -> None:
    """Handle everything that a route may raise."""

    @app.exception_handler(Refused)
    async def on_refused(_: Request, error: Refused) -> Response:
        return answer(error.body, error.status, error.headers)

    @app.exception_handler(BadInput)
    async def on_bad_input(_: Request, error: BadInput) -> Response:
        refusal = refused(error)
        return answer(refusal.body, refusal.status)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        faults = error.errors()
        first = faults[0] if faults else {"loc": (), "msg": "the request has another form"}
        param = ".".join(str(part) for part in first["loc"] if part != "body") or None
        refusal = Refused(400, sound("; ".join(dict.fromkeys(_fault(fault) for fault in faults[:5]))), param=param and sound(param[:200]))
        return answer(refusal.body, 400)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        return answer(Refused(error.status_code, str(error.detail)).body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def on_unexpected(_: Request, error: Exception) -> Response:
        _LOG.error("a request failed", exc_info=error)
        body = {
            "error": {"message": "this should not happen; the server's log says more", "type": "server_error", "param": None, "code": None}
        }
        return answer(body, 500)


def _fault(fault: Mapping[str, Any]) -> str:
    """`messages.0.role: input should be 'system', ...`."""
    where = ".".join(str(part)[:60] for part in fault["loc"] if part != "body")
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such field, or no method can honour it"
    return f"{where}: {message}" if where and not message.startswith(where.split(".")[0]) else shorten(message, 400)
