"""The page and its files. They hold nothing of any run, so they need no key."""

import gzip
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from symposia.viewer.doors import Turned
from symposia.viewer.join import STATIC, joined, joined_later

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".txt": "text/plain",
    ".svg": "image/svg+xml",
}
_KEPT = {"Cache-Control": "no-cache"}  # kept, and asked for by its ETag every time


def pages() -> APIRouter:
    """`/`, `/app.js`, `/later.js` and `/static/...`."""
    router = APIRouter()

    @router.get("/")
    async def page(request: Request) -> Response:
        return _file(request, "index.html")

    @router.get("/app.js")
    async def script(request: Request) -> Response:
        return _answer(request, joined().encode(), ".js")

    @router.get("/later.js")
    async def later(request: Request) -> Response:
        return _answer(request, joined_later().encode(), ".js")

    @router.get("/favicon.ico")
    async def icon() -> Response:
        return Response(status_code=204)

    @router.get("/static/{path:path}")
    async def static(request: Request, path: str) -> Response:
        return _file(request, path)

    return router


def _file(request: Request, path: str) -> Response:
    found = _files().get(path)
    if found is None:
        raise Turned(404, "NotFound", "there is no such file", "open /")
    return _answer(request, found.read_bytes(), found.suffix)


@cache
def _files() -> dict[str, Path]:
    """The files by their path; a request is looked up here and never joined into one."""
    return {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file() and path.suffix in _TYPES}


def _answer(request: Request, body: bytes, suffix: str) -> Response:
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {**_KEPT, "ETag": tag, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = _packed(body), "gzip"
    return Response(body, headers=headers, media_type=f"{_TYPES[suffix]}; charset=utf-8")


@lru_cache(maxsize=64)
def _packed(body: bytes) -> bytes:
    """A file as it is sent; packed once, since it is the same for everybody."""
    return gzip.compress(body, 9, mtime=0)
