"""A server behind a path, as nginx serves it with a trailing slash."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

PREFIX = "/tools/symposia"
PASSED = ("content-type", "content-security-policy", "etag", "cache-control", "content-disposition")


@contextmanager
def behind(root: str) -> Iterator[str]:
    """The address of a proxy to a server, for reading."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{PREFIX}/"):
                self.send_error(404)
                return
            reply = httpx.get(root + self.path.removeprefix(PREFIX), timeout=60)
            self.send_response(reply.status_code)
            for name in PASSED:
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}{PREFIX}"
        server.shutdown()
        thread.join(10)
