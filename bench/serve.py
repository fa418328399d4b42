"""How soon a client of `symposia serve` hears of a step, and what a request costs more than the same run without a server.

    python bench/serve.py [--clients 64] [--delay 1.0] [--pairs 40]

`heard`: so many clients stream at once, each a run of two model calls (Mixture-of-Agents of one proposer); for each, the time from the
moment the model server's reply was out to the moment the client had the line that tells of it, and then the first token of the answer.
`request`: one client after the other, a streamed run of one call over HTTP, alternated with the same run by `runs.start` in this process,
both against the model server without a delay and with a SQLite store; medians and the median difference.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import aiohttp
from server import Spawned, spawned

from symposia import runs
from symposia.state.store import open_store
from symposia.tools.settings import configure

HEARD = "moa@test-model?k=1&max_rounds=0"
SINGLE = "chain_of_thought@test-model"


def page(address: str, body: dict[str, Any] | None = None) -> Any:
    """A page of the model server's books, or what it says to a change."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})  # noqa: S310 - the address is our own server's
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        return json.load(reply)


def begun(folder: str, upstream: Spawned) -> tuple["subprocess.Popen[bytes]", str]:
    """A server of Symposia in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {**os.environ, "SYMPOSIA_API_BASE": upstream.url}
    process = subprocess.Popen([sys.executable, "-m", "symposia.cli", "serve", "--port", str(port)], cwd=folder, env=own)
    root = f"http://127.0.0.1:{port}"
    while True:
        try:
            page(f"{root}/health")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return process, f"{root}/v1/chat/completions"


async def stream(session: aiohttp.ClientSession, address: str, model: str, question: str) -> dict[str, float]:
    """The times, in seconds since 1970, at which a client had the first line about a call, the first token and the end."""
    times: dict[str, float] = {}
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": question}]}
    async with session.post(address, json=body) as reply:
        async for line in reply.content:
            if not line.startswith(b"data: {"):
                continue
            event = json.loads(line[6:])
            delta = event["choices"][0]["delta"] if event.get("choices") else {}
            if delta.get("reasoning_content", "").startswith("  "):
                times.setdefault("step", time.time())
            if delta.get("content"):
                times.setdefault("token", time.time())
            if "error" in event:
                raise RuntimeError(event["error"]["message"])
    return {**times, "end": time.time()}


async def heard(address: str, upstream: Spawned, clients: int, delay: float) -> None:
    """Print how soon clients hear of the first reply."""
    page(f"{upstream.root}/_set", {"delay_s": delay, "jitter_s": delay})
    page(f"{upstream.root}/_reset", {})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        times = await asyncio.gather(*(stream(session, address, HEARD, f"Client {i} asks: 2 + 2?") for i in range(clients)))
    out: dict[int, list[float]] = {}
    for entry in sorted(page(f"{upstream.root}/_log"), key=lambda e: e["answered"]):
        prompt = entry["body"]["messages"][-1]["content"]
        out.setdefault(int(prompt.split("Client ")[1].split()[0]), []).append(entry["answered"])
    late = sorted(1000 * (times[i]["step"] - out[i][0]) for i in range(clients))
    early = sorted(1000 * (out[i][1] - times[i]["token"]) for i in range(clients))
    print(f"heard, {clients} clients: step {statistics.median(late):.0f} ms after the reply, slowest {late[-1]:.0f} ms")
    print(f"first token {statistics.median(early):.0f} ms before the model's last one (below 0: after it), latest {early[0]:.0f} ms")


async def request(address: str, upstream: Spawned, folder: str, pairs: int) -> None:
    """Print what a request costs beside the run itself."""
    page(f"{upstream.root}/_set", {"delay_s": 0, "jitter_s": 0})
    configure(api_base=upstream.url)
    served, bare = [], []
    async with open_store(f"{folder}/bare.db") as store, aiohttp.ClientSession() as session:
        for i in range(pairs + 5):
            begin = time.perf_counter()
            await stream(session, address, SINGLE, f"{i} + 2?")
            between = time.perf_counter()
            record = runs.new_record("chain_of_thought", {"model": "test-model"}, {"question": f"{i} + 2?"}, checkpoints="none")
            await runs.start(store, record)
            end = time.perf_counter()
            if i >= 5:
                served.append(1000 * (between - begin))
                bare.append(1000 * (end - between))
    more = statistics.median(s - b for s, b in zip(served, bare, strict=True))
    print(f"request: {statistics.median(served):.1f} ms served, {statistics.median(bare):.1f} ms bare; the server adds {more:.1f} ms")


async def measure(address: str, upstream: Spawned, folder: str, options: argparse.Namespace) -> None:
    """Both measurements, after a warm-up."""
    async with aiohttp.ClientSession() as session:
        await stream(session, address, HEARD, "Client 0 asks: 2 + 2?")
    await heard(address, upstream, options.clients, options.delay)
    await request(address, upstream, folder, options.pairs)


def main() -> None:
    """Start both servers and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--delay", type=float, default=1.0, help="of the model server, in seconds; as much again at random")
    parser.add_argument("--pairs", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, spawned(record_bodies=True, chunk_delay_s=0.02) as upstream:
        process, address = begun(folder, upstream)
        try:
            asyncio.run(measure(address, upstream, folder, options))
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
