"""How soon who follows a run hears of a call; the budget is 200 ms for 64 clients.

    python bench/viewer.py live [--clients 64]

So many clients follow one run, then as many a run each, whose replies all come at the same moment; the time from the moment the model
server's reply was out to the moment a client had the line that tells of it.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence

import aiohttp
from serve import begun, page
from server import Spawned, spawned

SINGLE = "chain_of_thought@test-model"


async def ask(session: aiohttp.ClientSession, root: str, model: str, question: str) -> None:
    """One run over the server's own interface."""
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    async with session.post(f"{root}/v1/chat/completions", json=body) as reply:
        reply.raise_for_status()
        await reply.read()


async def run_of(session: aiohttp.ClientSession, root: str, question: str) -> str:
    """The id of the run that was begun for a question."""
    while True:
        async with session.get(f"{root}/api/runs?limit=200") as reply:
            for run in (await reply.json())["items"]:
                if run["question"] == question:
                    return str(run["run"])
        await asyncio.sleep(0.05)


async def hear(session: aiohttp.ClientSession, root: str, run_id: str) -> float:
    """The time, in seconds since 1970, at which a client had the first line about a call."""
    async with session.get(f"{root}/api/runs/{run_id}/events") as reply:
        async for line in reply.content:
            if line == b"event: call\n":
                return time.time()
    raise RuntimeError("the stream ended without a call")


async def heard(root: str, upstream: Spawned, clients: int) -> None:
    """Print how soon clients hear of a reply."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(120)) as session:
        for runs in (1, clients):
            questions = [f"Run {time.time()} {i} asks: 2 + 2?" for i in range(runs)]
            page(f"{upstream.root}/_set", {"delay_s": 6.0})
            page(f"{upstream.root}/_reset", {})
            asked = [asyncio.create_task(ask(session, root, SINGLE, question)) for question in questions]
            ids = [await run_of(session, root, question) for question in questions]
            times = await asyncio.gather(*(hear(session, root, ids[i % runs]) for i in range(clients)))
            await asyncio.gather(*asked)
            log = page(f"{upstream.root}/_log")
            out = {q: e["answered"] for e in log for q in questions if q in e["body"]["messages"][-1]["content"]}
            late = sorted(1000 * (times[i] - out[questions[i % runs]]) for i in range(clients))
            print(
                f"heard, {clients} clients of {runs} runs: {statistics.median(late):.0f} ms after the reply, slowest {late[-1]:.0f} ms",
                flush=True,
            )


def main(arguments: Sequence[str]) -> None:
    """Start both servers and measure."""
    parser = argparse.ArgumentParser(prog="viewer.py live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, spawned(record_bodies=True) as upstream:
        process, address = begun(folder, upstream)
        try:
            asyncio.run(heard(address.removesuffix("/v1/chat/completions"), upstream, options.clients))
        finally:
            process.terminate()
            process.wait()
