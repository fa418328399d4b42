"""Who may ask the viewer: the server's own rules for hosts and origins, and what a page of ours may do and a page elsewhere may not.

The page itself is open, since it holds nothing. Under `/api` a key is needed where the server has one: as a cookie that the form sets, or
as `Authorization: Bearer`. The cookie holds a token made from the key, never the key.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from symposia.serve.errors import Refused
from symposia.serve.guard import Names, Rules

COOKIE = "symposia_session"
OPEN = ("/api/session", "/api/login")
"""Paths under `/api` that need no key."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer; the files of the page say themselves how long they are kept."""


class Turned(Refused):
    """A request that is not served, in the form that the viewer's page reads."""

    def __init__(self, status: int, name: str, message: str, remedy: str | None = None) -> None:
        """Name it, and say what would be right."""
        super().__init__(status, message)
        self.body = {"error": name, "message": message, "remedy": remedy}
        self.headers = dict(HEADERS)


class Gate(Names):
    """The outer middleware: host names and origins as the server has them; no other origin may ask, whoever may ask for answers."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Stand before the door."""
        super().__init__(app, Rules(hosts=rules.hosts))

    def _check(self, headers: Headers) -> None:
        """Host and origin.

        Raises:
            Turned: One of them is not known.
        """
        try:
            super()._check(headers)
        except Refused as refusal:
            error = refusal.body["error"]
            name = "".join(part.capitalize() for part in str(error["code"]).split("_"))
            raise Turned(refusal.status, name, error["message"]) from None


class Door:
    """The inner middleware: the key, and that what changes something comes from our own page; gives every answer its headers."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Stand before the viewer."""
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or turn it away."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                own = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in given]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        try:
            self._check(scope, Headers(scope=scope))
        except Turned as turned:
            await _answer(turned, send)
            return
        await self._app(scope, _limited(receive, self._rules.most_bytes), sent)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Method, site, header, content type and key.

        Raises:
            Turned: One of them is wrong.
        """
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            raise Turned(405, "NoSuchMethod", f"{method} does nothing here", "GET or POST")
        if not scope["path"].startswith("/api/"):
            return
        site = headers.get("sec-fetch-site", "same-origin")
        if site != "same-origin" and (site != "none" or method == "POST"):
            raise Turned(403, "WrongSite", "a page elsewhere may not ask this", "open the viewer's own page")
        if method == "POST":
            if not headers.get("x-symposia"):
                raise Turned(403, "NoHeader", "the header X-Symposia is missing", "send X-Symposia: 1")
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise Turned(415, "WrongContentType", "the body is not sent as JSON", "Content-Type: application/json")
        if self._rules.keys and scope["path"] not in OPEN and not opens(headers, self._rules.keys):
            raise Turned(401, "KeyNeeded", "no key, or not the right one", "type it into the form, or send Authorization: Bearer KEY")


def opens(headers: Headers, keys: Sequence[str]) -> bool:
    """Whether a request brings one of the keys, as a bearer or as the cookie; compared in constant time."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    given = bearer.strip().encode() if scheme.lower() == "bearer" else b""
    token = _cookie(headers).encode()
    found = [hmac.compare_digest(given, key.encode()) | hmac.compare_digest(token, token_of(key).encode()) for key in keys]
    return any(found)


def typed(given: str, keys: Sequence[str]) -> str | None:
    """The key that was typed, if it is one."""
    found = [key for key in keys if hmac.compare_digest(given.strip().encode(), key.encode())]
    return found[0] if found else None


def token_of(key: str) -> str:
    """What the cookie holds in place of a key."""
    return hmac.new(key.encode(), b"symposia viewer", hashlib.sha256).hexdigest()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _limited(receive: Receive, most: int) -> Receive:
    """A `receive` that gives up on a body that is too large."""
    size = 0

    async def inner() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise Turned(413, "TooLarge", f"the body is larger than the {most} bytes that are allowed", "send less")
        return message

    return inner


async def _answer(turned: Turned, send: Send) -> None:
    body = json.dumps(turned.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **turned.headers}
    start = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": turned.status, "headers": start})
    await send({"type": "http.response.body", "body": body})
