"""A toy model as an engine of the pool: chat completions over HTTP, ready after as many seconds as loading weights would take.

    python bench/toy_engine.py 'default?error=0.3&money=0.03' --name money --port 9000 [--load 5] [--books FILE]

Each start is a line `start NAME PID` of the file of books, and each call `call NAME PID`.
"""

import argparse
import os
import time
from pathlib import Path

from aiohttp import web

from symposia.tools.toy import reply, skill_of


def main() -> None:
    """Load, then serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("toy", help="what follows toy/ in the name of a toy model")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--load", type=float, default=0.0, help="seconds until it is ready")
    parser.add_argument("--books", type=Path, default=None)
    given = parser.parse_args()
    skill_of(given.toy)
    note(given, "start")
    time.sleep(given.load)
    web.run_app(served(given), host="127.0.0.1", port=given.port, print=None)


def note(given: argparse.Namespace, event: str) -> None:
    """Write an event down."""
    if given.books:
        with given.books.open("a") as books:
            books.write(f"{event} {given.name} {os.getpid()}\n")


def served(given: argparse.Namespace) -> web.Application:
    """The two addresses that the pool asks."""

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def chat(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {os.environ.get('VLLM_API_KEY', '')}":
            raise web.HTTPUnauthorized
        body = await request.json()
        note(given, "call")
        said = reply(given.toy, body["messages"], body.get("seed"))
        used = {"prompt_tokens": sum(len(m["content"].split()) for m in body["messages"]), "completion_tokens": len(said.split())}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {**used, "total_tokens": sum(used.values())}
        return web.json_response({"id": "toy", "object": "chat.completion", "model": given.name, "choices": [choice], "usage": usage})

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_post("/v1/chat/completions", chat)
    return app


if __name__ == "__main__":
    main()
