"""An engine for the pool's tests: the shapes of `vllm serve` that the pool uses, over sockets, in a process of its own.

It answers `/health` once it has loaded, `/v1/chat/completions` with its name, `/v1/embeddings` with unit vectors, `/pooling` with a logit
of 0, and vLLM's `/sleep`, `/wake_up` and `/is_sleeping`; a key is asked for as vLLM does, under `/v1` alone. Each event is a line `EVENT
NAME PID` of the journal file.

Source of the shapes: vLLM's documentation, `docs/features/sleep_mode.md`, `docs/serving/openai_compatible_server.md` and
`docs/usage/security.md`.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from aiohttp import web


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--books", type=Path, required=True, help="file that gets a line per event")
    parser.add_argument("--load", type=float, default=0.0, help="seconds until it is ready")
    parser.add_argument("--fail", help="end at once with these words")
    parser.add_argument("--beside", help="hold the first replies back until this one has been asked as well, 10 s at most")
    parser.add_argument("--crash-after", type=int, default=0, help="calls after which it dies, the first time it is started")
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--child", action="store_true", help="start another process, as engines do")
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--quantization")
    parser.add_argument("--enable-sleep-mode", action="store_true")
    given = parser.parse_args()

    def note(event: str) -> None:
        with given.books.open("a") as books:
            books.write(f"{event} {given.name} {os.getpid()}\n")

    first = not given.books.exists() or f"start {given.name} " not in given.books.read_text()
    note("start")
    if given.fail:
        sys.exit(given.fail)
    if given.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if given.child:
        with given.books.open("a") as books:
            books.write(f"child {given.name} {subprocess.Popen(['sleep', '60']).pid}\n")
    time.sleep(given.load)
    serve(given, note, first)


def serve(given: argparse.Namespace, note: object, first: bool) -> None:
    """The HTTP part."""
    asleep = False
    calls = 0
    key = os.environ.get("VLLM_API_KEY")

    @web.middleware
    async def keyed(request: web.Request, handler: object) -> web.StreamResponse:
        if request.path.startswith("/v1") and key and request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        return await handler(request)

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    async def chat(request: web.Request) -> web.Response:
        nonlocal calls
        body = await request.json()
        calls += 1
        if given.crash_after and first and calls >= given.crash_after:
            note("crash")
            os._exit(3)
        if asleep or body["model"] != given.name:
            return web.json_response({"error": {"message": "asleep, or another's model"}}, status=500)
        note("asked")
        for _ in range(1000 if given.beside else 1):
            await asyncio.sleep(0.01)
            if f"asked {given.beside} " in given.books.read_text():
                break
        note("call")
        message = {"role": "assistant", "content": f"I am {given.name}. The answer is \\boxed{{4}}."}
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"} for _ in range(body.get("n") or 1)]
        return web.json_response({"id": "x", "object": "chat.completion", "model": given.name, "choices": choices, "usage": usage})

    async def embeddings(request: web.Request) -> web.Response:
        body = await request.json()
        note("embed")
        data = [{"object": "embedding", "index": i, "embedding": [1.0, 0.0]} for i in range(len(body["input"]))]
        return web.json_response({"object": "list", "data": data, "model": given.name, "usage": {"prompt_tokens": 1, "total_tokens": 1}})

    async def pooling(request: web.Request) -> web.Response:
        body = await request.json()
        if body["model"] != given.name:
            raise web.HTTPNotFound
        note("pooling")
        return web.json_response({"object": "list", "data": [{"index": 0, "object": "pooling", "data": [0.0]}], "model": given.name})

    async def sleep(request: web.Request) -> web.Response:
        nonlocal asleep
        if os.environ.get("VLLM_SERVER_DEV_MODE") != "1" or not given.enable_sleep_mode:
            raise web.HTTPNotFound
        assert request.query["level"] == "1"
        asleep = True
        note("sleep")
        return web.Response()

    async def wake(_: web.Request) -> web.Response:
        nonlocal asleep
        asleep = False
        note("wake")
        return web.Response()

    async def is_sleeping(_: web.Request) -> web.Response:
        return web.json_response({"is_sleeping": asleep})

    async def ended(_: web.Application) -> None:
        note("end")

    app = web.Application(middlewares=[keyed])
    app.on_shutdown.append(ended)
    app.router.add_get("/health", health)
    app.router.add_get("/is_sleeping", is_sleeping)
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_post("/pooling", pooling)
    app.router.add_post("/sleep", sleep)
    app.router.add_post("/wake_up", wake)
    web.run_app(app, host="127.0.0.1", port=given.port, print=None, handle_signals=not given.stubborn)


if __name__ == "__main__":
    main()
