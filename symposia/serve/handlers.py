"""Answers as JSON, and failures as answers: whatever is raised behind the server's routes gets OpenAI's form."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
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
_FORM = re.compile(r"str|constrained-str|(list|function-before|tagged-union)\[.*", re.DOTALL)
"""Pydantic's names of what a value might have been."""


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
        faults = _telling(error.errors())
        told = "; ".join(dict.fromkeys(_fault(fault) for fault in faults[:5])) or "the request has another form"
        param = _where(faults[0])[:200] if faults else None
        refusal = Refused(400, sound(told), param=sound(param) if param else None)
        return answer(refusal.body, 400)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        return answer(Refused(error.status_code, str(error.detail)).body, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def on_unexpected(_: Request, error: Exception) -> Response:
        return answer(unexpected(error), 500)


def unexpected(error: Exception) -> dict[str, Any]:
    """What is told of a fault of the server's own, which its log has."""
    _LOG.error("a request failed", exc_info=error)
    return Refused(500, "this should not happen; the server's log says more").body


def _fault(fault: Mapping[str, Any]) -> str:
    """`messages.0.role: input should be 'system', ...`."""
    where = ".".join(part[:60] for part in _path(fault))
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        message = "there is no such field, or no method can honour it"
    return f"{where}: {message}" if where and not message.startswith(where.split(".")[0]) else shorten(message, 400)


def _where(fault: Mapping[str, Any]) -> str:
    """The field that is wrong; of several that a request names at once, the one that is refused."""
    refused_field = re.match(r"Value error, (\w+) cannot be honoured", str(fault["msg"]))
    return ".".join([*_path(fault), *([refused_field[1]] if refused_field else [])])


def _path(fault: Mapping[str, Any]) -> list[str]:
    """Where a fault is, without the names of the forms that a value might have had."""
    return [str(part) for part in fault["loc"] if part != "body" and not (isinstance(part, str) and _FORM.fullmatch(part))]


def _telling(faults: Sequence[Any]) -> list[Any]:
    """The faults, without those that only say that a value has not the other form it might have had."""
    kinds = {"string_type", "list_type"}
    paths = [(_path(fault), fault["type"]) for fault in faults]

    def told(path: list[str], kind: str) -> bool:
        inner = (len(other) > len(path) or of not in kinds for other, of in paths if other[: len(path)] == path)
        return kind not in kinds or not any(inner)

    return [fault for fault, (path, kind) in zip(faults, paths, strict=True) if told(path, kind)]
