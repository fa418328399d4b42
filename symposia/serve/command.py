"""`symposia serve`: check who may ask, say where it listens, and serve until Ctrl-C."""

import os
from collections.abc import Sequence
from typing import Any

from symposia.config import Config
from symposia.output import say
from symposia.state.errors import BadInput

KEY_VARIABLE = "SYMPOSIA_SERVE_KEY"
_LONGEST_GOODBYE = 2  # seconds that answers still have when the server ends


def serve(
    config: Config,
    *,
    host: str,
    port: int,
    keys: Sequence[str] = (),
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    models: Sequence[str] = (),
    most_runs: int = 256,
    most_calls: int | None = None,
    most_megabytes: float = 10,
) -> int:
    """Serve until it is told to end.

    Raises:
        BadInput: The packages for it are missing, or the address can be reached from elsewhere and there is no key.
    """
    try:
        import uvicorn

        from symposia.serve.app import Serving, create_app
        from symposia.serve.guard import Rules, is_loopback
    except ImportError as error:
        raise BadInput(f"serving needs a package that is not installed: {error}", remedy="pip install 'symposia[serve]'") from None
    known = tuple(keys) or tuple(filter(None, [os.environ.get(KEY_VARIABLE)]))
    if any(len(key.strip()) < 8 for key in known):
        raise BadInput("a key of the server has fewer than 8 characters", remedy="take a long random one, as `openssl rand -hex 24` makes")
    if not known and not is_loopback(host):
        raise BadInput(f"{host} can be reached from elsewhere, and there is no key", remedy=f"set {KEY_VARIABLE}, or give --key")
    names = (*hosts, *([host] if not host.replace(".", "").isdigit() and ":" not in host else []))
    rules = Rules(known, names, tuple(origins), int(most_megabytes * 2**20))
    app = create_app(Serving(config, rules, most_runs, most_calls, tuple(models)))
    _greet(app, host, port, keyed=bool(known))
    # The loop is asyncio's own: uvloop makes nothing faster here, and does not close while a client library keeps a connection open.
    settings: dict[str, Any] = {"loop": "asyncio", "log_level": "warning", "access_log": False}

    class Server(uvicorn.Server):
        """Ends the viewer's streams first, which would hold it up."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            """Hear Ctrl-C, or that it is to end."""
            app.state.desk.lookout.ended = True
            super().handle_exit(sig, frame)

    server = Server(uvicorn.Config(app, host=host, port=port, timeout_graceful_shutdown=_LONGEST_GOODBYE, **settings))
    server.run()  # `uvicorn.run` would hide Ctrl-C
    return 0


def _greet(app: Any, host: str, port: int, *, keyed: bool) -> None:
    """Say on stderr what is offered and where."""
    catalogue = app.state.catalogue
    shown = f"[{host}]" if ":" in host else host
    say(f"{len(catalogue.names)} models at http://{shown}:{port}/v1 {'with a key' if keyed else 'without a key'}; Ctrl-C ends")
    if catalogue.left_out:
        say(f"left out, since their input is no chat: {', '.join(catalogue.left_out)}")
