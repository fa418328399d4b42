"""Who may ask: host names, origins, keys, content types and sizes, checked before the application sees a request.

A page elsewhere on the web must not reach a server on this machine: its name can be rebound to 127.0.0.1, so `Host` has to be an address
or a name that is known, and a browser's request from another origin is refused unless that origin is allowed.
"""

import hmac
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from symposia.serve.errors import Refused

OPEN = ("/health",)
"""Paths that need no key."""
_DRAIN = 8  # times the limit that is still read of a body that is too large, so that its sender comes to read the answer


@dataclass(frozen=True)
class Rules:
    """What a request has to meet.

    Attributes:
        keys: Any of these opens; none is needed when there is none.
        hosts: Names under which the server is known, besides addresses and `localhost`.
        origins: Origins of pages that may ask; `*` for any.
        most_bytes: Of a body.
    """

    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    most_bytes: int = 10 * 2**20


class Names:
    """The outer middleware: answers whoever asks under another host name, or from a page elsewhere."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Stand before an application."""
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        try:
            if scope["type"] == "http":
                self._check(Headers(scope=scope))
        except Refused as refusal:
            await _answer(refusal, send)
            return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        """Host and origin.

        Raises:
            Refused: One of them is not known.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _known(host, self._rules.hosts):
            raise Refused(403, "the server is not known by this host name; add it with --allow-host", code="wrong_host")
        if origin is not None and not _of_host(origin, host) and not {"*", origin} & set(self._rules.origins):
            raise Refused(403, "pages of this origin may not ask; allow it with --cors", code="wrong_origin")


class Door:
    """The inner middleware: answers whoever has no key, sends no JSON or too much of it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Stand before an application."""
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope, Headers(scope=scope))
            has_body = scope["method"] in ("POST", "PUT", "PATCH")
            passed = _again(await _body(receive, self._rules.most_bytes), receive) if has_body else receive
        except Refused as refusal:
            await _answer(refusal, send)
            return
        await self._app(scope, passed, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Key and content type.

        Raises:
            Refused: One of them is wrong.
        """
        if self._rules.keys and scope["path"] not in OPEN and not _opens(headers.get("authorization", ""), self._rules.keys):
            raise Refused(
                401,
                "no key, or not the right one; send Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        sends = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if sends and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send JSON, as Content-Type: application/json", code="wrong_content_type")


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _known(host: str, hosts: Sequence[str]) -> bool:
    """Whether a `Host` is an address, which no name can be rebound to, `localhost`, or one of our names; with a port or without."""
    name = _name(host)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name in {each.lower() for each in hosts}
    return True


def _of_host(origin: str, host: str) -> bool:
    """Whether an origin is that of the server's own pages."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def _name(host: str) -> str:
    """The name in a `Host`; empty when it has another form."""
    try:
        parts = urlsplit(f"//{host}")
        plain = parts.port is None or parts.port >= 0
        plain = plain and not (parts.path or parts.query or parts.fragment or parts.username is not None)
        return (parts.hostname or "").rstrip(".") if plain else ""
    except ValueError:
        return ""


def _opens(authorization: str, keys: Sequence[str]) -> bool:
    """Whether a header brings one of the keys; compared in constant time."""
    scheme, _, given = authorization.partition(" ")
    bearer = scheme.lower() == "bearer"
    found = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in keys]
    return bearer and any(found)


async def _body(receive: Receive, most: int) -> bytes:
    """The whole body of a request.

    Raises:
        Refused: It is too large; it has been read, but not kept.
    """
    kept, size, more = [], 0, True
    while more and size <= most * _DRAIN:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size <= most:
            kept.append(chunk)
    if size > most:
        raise Refused(413, f"the body is larger than the {most} bytes that are allowed", code="request_too_large")
    return b"".join(kept)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what comes."""
    given = False

    async def inner() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return inner


async def _answer(refusal: Refused, send: Send) -> None:
    body = json.dumps(refusal.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **SECURE, **refusal.headers}
    start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": start})
    await send({"type": "http.response.body", "body": body})


SECURE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""Headers of every answer."""
