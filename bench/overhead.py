"""What a call costs beyond the model: client CPU per call, side by side in one process against a local server.

    python bench/overhead.py [--calls 1024] [--in-flight 256] [--delay 0.05] [--pairs 5]

Forms, alternated, each printed as the median CPU in ms per call over the pairs, and as a ratio to bare LiteLLM of the same pair:

- `aiohttp`: the request alone, on a pooled session;
- `litellm`: bare `litellm.acompletion` of `hosted_vllm/`;
- `effect`: our `complete` with journal and ledger in SQLite, outside of a graph's nodes, gathered;
- `magicore`: whole MAgICoRe runs, so many in flight (k = 8, two rounds; scores by a rule of the server), per model call;
- both again through the provider of `tools/compatible.py`, as a bare name at `--api-base` goes.

All forms send the prompts that a MAgICoRe run sends, since what a call costs depends on its length;
then `symposia --help` and `import symposia` as processes, and one self-consistency run of one sample against one bare call, warm.
"""

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import aiohttp
from server import spawned

from symposia import runs
from symposia.state.journal import Run, opened
from symposia.state.packing import text_of
from symposia.state.place import fan
from symposia.state.store import Store, open_store
from symposia.tools.completion import complete
from symposia.tools.providers import litellm, price
from symposia.tools.settings import configure

QUESTION = "A baker fills 4 trays with 6 rolls each and sells 9 rolls. How many rolls are left? "
MODEL, OWN = "hosted_vllm/test-model", "test-model"
PROMPTS: list[list[dict[str, Any]]] = []
"""The messages of one MAgICoRe run, call by call."""


async def bare_http(url: str, calls: int, in_flight: int) -> int:
    """The request alone."""
    gate = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(i: int) -> None:
            body = {"model": "test-model", "messages": PROMPTS[i % len(PROMPTS)], "temperature": 0.8}
            async with gate, session.post(f"{url}/chat/completions", json=body) as reply:
                await reply.json()

        await asyncio.gather(*(one(i) for i in range(calls)))
    return calls


async def bare_litellm(url: str, calls: int, in_flight: int) -> int:
    """LiteLLM alone."""
    gate = asyncio.Semaphore(in_flight)

    async def one(i: int) -> None:
        async with gate:
            await litellm().acompletion(MODEL, PROMPTS[i % len(PROMPTS)], api_base=url, num_retries=0, temperature=0.8)

    await asyncio.gather(*(one(i) for i in range(calls)))
    return calls


async def journaled(store: Store, model: str, calls: int) -> int:
    """Our call, journal and ledger included."""
    async with opened(Run(f"bench{time.monotonic_ns()}", store)):
        asked = [PROMPTS[i % len(PROMPTS)] for i in range(calls)]
        await fan([partial(complete, "solver", model, messages, sampling={"temperature": 0.8}) for messages in asked])
    return calls


async def magicore(store: Store, model: str, n: int) -> int:
    """`n` whole MAgICoRe runs at once."""
    given = {"model": model, "k": 8, "max_rounds": 2, "calib_mean": 2.0, "confidence_threshold": 1.0, "max_reasks": 0}
    records = [runs.new_record("magicore", given, {"question": QUESTION + str(i)}, checkpoints="none") for i in range(n)]
    results = await asyncio.gather(*(runs.start(store, record) for record in records))
    if not PROMPTS:
        sent = [entry.request["messages"] for entry in await store.entries(results[0].run_id)]
        PROMPTS.extend([{**m, "content": text_of(m["content"])} for m in messages] for messages in sent)
    return sum(r.requests for r in results)


async def measure(form: Callable[[], Awaitable[int]]) -> tuple[float, float]:
    """CPU and wall milliseconds per call."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    calls = await form()
    return (time.process_time() - cpu) * 1000 / calls, (time.perf_counter() - wall) * 1000 / calls


async def side_by_side(options: argparse.Namespace, url: str, folder: str) -> dict[str, Any]:
    """All forms in turn, so many times."""
    configure(api_base=url, concurrency=options.in_flight)
    price(MODEL)
    async with open_store(f"{folder}/store.db") as store:
        forms: dict[str, Callable[[], Awaitable[int]]] = {
            "aiohttp": partial(bare_http, url, options.calls, options.in_flight),
            "litellm": partial(bare_litellm, url, options.calls, options.in_flight),
            "effect": partial(journaled, store, MODEL, options.calls),
            "magicore": partial(magicore, store, MODEL, options.in_flight // 8),
            "effect, own provider": partial(journaled, store, OWN, options.calls),
            "magicore, own provider": partial(magicore, store, OWN, options.in_flight // 8),
        }
        await magicore(store, MODEL, 1)
        for form in forms.values():
            await form()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        rows = [{name: await measure(form) for name, form in forms.items()} for _ in range(options.pairs)]
        found: dict[str, Any] = {}
        for name in forms:
            ratios = sorted(row[name][0] / row["litellm"][0] for row in rows)
            found[name] = {
                "cpu_ms": round(statistics.median(row[name][0] for row in rows), 3),
                "wall_ms": round(statistics.median(row[name][1] for row in rows), 3),
                "to_litellm": round(statistics.median(ratios), 2),
                "spread": [round(ratios[0], 2), round(ratios[-1], 2)],
                "over_aiohttp_ms": round(statistics.median(row[name][0] - row["aiohttp"][0] for row in rows), 3),
            }
        found["one_run"] = await one_run(store, url)
    return found


async def one_run(store: Store, url: str) -> dict[str, float]:
    """A self-consistency run of one sample against one bare call, median of 9, in ms of wall time."""
    single: list[float] = []
    bare: list[float] = []
    for i in range(9):
        record = runs.new_record("self_consistency", {"model": MODEL, "k": 1}, {"question": QUESTION + f"once {i}"})
        start = time.perf_counter()
        await runs.start(store, record)
        single.append((time.perf_counter() - start) * 1000)
        start = time.perf_counter()
        await bare_litellm(url, 1, 1)
        bare.append((time.perf_counter() - start) * 1000)
    return {"self_consistency_ms": round(statistics.median(single), 1), "bare_call_ms": round(statistics.median(bare), 1)}


def startup(*command: str) -> float:
    """Median seconds of a process, of seven."""
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times), 3)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1024)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    rules = [["SCORES:", "SCORES: 0.5"], ["SCORE:", "SCORE: 0.4"]]
    with spawned(delay_s=options.delay, rules=rules) as server, tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(side_by_side(options, server.url, folder))
    found["startup_s"] = {
        "python": startup(sys.executable, "-c", "pass"),
        "import symposia": startup(sys.executable, "-c", "import symposia"),
        "symposia --help": startup(sys.executable, "-m", "symposia.cli", "--help"),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
