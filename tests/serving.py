"""A Symposia server on a port of its own, in a thread, for tests with real clients."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from symposia.config import Config
from symposia.serve.app import Serving, create_app
from symposia.serve.guard import Rules


@dataclass
class Served:
    """Where it is, and what it stores."""

    root: str
    store: str

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"{self.root}/v1"

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        """A request of one's own."""
        return httpx.post(f"{self.root}{path}", json=body, timeout=30, **options)


@contextmanager
def served(
    folder: Path, *, rules: Rules | None = None, presets: dict[str, Any] | None = None, model: str | None = None, **limits: Any
) -> Iterator[Served]:
    """Serve for the length of a `with`."""
    config = Config(store=str(folder / "store.db"), presets=presets or {}, model=model)
    app = create_app(Serving(config, rules or Rules(), **limits))
    server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:  # without the protocol's name asyncio leaves Nagle's delay on
        listening.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            assert server.started, "the server did not start"
            yield Served(root, config.store)
        finally:
            app.state.desk.lookout.ended = True  # as Ctrl-C does
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive(), "the server did not end"
