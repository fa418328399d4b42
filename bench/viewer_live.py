"""What the viewer's live part takes: how soon who follows hears of a call, whether a page grows, what it costs a running batch.

    python bench/viewer.py live [--clients 64] [--minutes 2] [--rows 400] [--pairs 5]

`heard`: so many clients follow one run, then as many a run each; the time from the moment the model server's reply was out to the moment a
client had the line that tells of it. `heap`: a page of Chromium follows a run for some minutes; what it holds after a collection, at a
quarter of the time and at the end. `slowdown`: a batch in a process of its own, alternately with nobody looking and with its page open in a
browser; the median of the pairs' ratios, and the share of a core that the server took for it.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from browser_home import CHROMIUM, QUIET
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


def browser(playwright: Any) -> Any:
    """The system's Chromium."""
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *(f"--{flag}" for flag in QUIET)])


def heap(root: str, upstream: Spawned, minutes: float) -> None:
    """Print what a page holds that follows a run."""
    from playwright.sync_api import sync_playwright

    page(f"{upstream.root}/_set", {"delay_s": 0, "hold": True})
    question = f"Run {time.time()} goes on: 2 + 2?"
    calls = int(minutes * 60 * 8) + 100  # eight a second are let go
    body = {"model": f"self_consistency@test-model?k={calls}", "messages": [{"role": "user", "content": question}]}
    words = ["curl", "-s", f"{root}/v1/chat/completions", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    asking = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while True:
            found = [r["run"] for r in page(f"{root}/api/runs?limit=20")["items"] if r["question"] == question]
            if found:
                break
            time.sleep(0.1)
        with sync_playwright() as playwright:
            opened = browser(playwright).new_page()
            opened.goto(f"{root}/#/runs/{found[0]}")
            opened.locator(".going .facts").wait_for()
            control = opened.context.new_cdp_session(opened)
            marks: list[float] = []
            for quarter in range(4):
                until = time.monotonic() + minutes * 15
                while time.monotonic() < until:
                    opened.wait_for_timeout(250)
                    page(f"{upstream.root}/_release", {"n": 2})
                control.send("HeapProfiler.collectGarbage")
                used = control.send("Runtime.getHeapUsage")["usedSize"] / 1e6
                marks.append(used)
                facts = opened.locator(".going .facts, .outcome").first.inner_text().replace("\n", " ")
                print(
                    f"heap after {(quarter + 1) * minutes / 4:.1f} min: {used:.1f} MB, {opened.locator('*').count()} nodes; {facts}",
                    flush=True,
                )
            print(f"heap at the end over that at a quarter: {marks[-1] / marks[0]:.2f}")
    finally:
        page(f"{upstream.root}/_set", {"hold": False})
        page(f"{upstream.root}/_release", {})
        asking.wait()


def slowdown(folder: Path, root: str, server: "subprocess.Popen[bytes]", upstream: Spawned, rows: int, pairs: int) -> None:
    """Print by how much a batch takes longer while somebody looks at it."""
    from playwright.sync_api import sync_playwright

    page(f"{upstream.root}/_set", {"delay_s": 0.02})
    source = folder / "rows.jsonl"
    source.write_text("".join(f'{{"id": {i}, "question": "What is {i} plus {i}?", "answer": {2 * i}}}\n' for i in range(rows)))
    took: dict[bool, list[float]] = {False: [], True: []}
    share: list[float] = []
    with sync_playwright() as playwright:
        opened = browser(playwright).new_page()
        for pair in range(pairs + 1):
            for looked in (False, True) if pair % 2 else (True, False):
                opened.goto(f"{root}/#/batches" if looked else "about:blank")
                before, busy = time.perf_counter(), sum(psutil.Process(server.pid).cpu_times()[:2])
                command = [
                    sys.executable,
                    "-m",
                    "symposia.cli",
                    "batch",
                    "chain_of_thought",
                    str(source),
                    "--store",
                    str(folder / ".symposia/store.db"),
                ]
                command += ["-o", str(folder / f"out{pair}{looked}.jsonl"), "--model", "test-model", "--api-base", upstream.url, "--json"]
                batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                if looked:
                    known = page(f"{root}/api/batches")["total"]
                    while page(f"{root}/api/batches")["total"] == known and batch.poll() is None:
                        time.sleep(0.1)
                    opened.goto(f"{root}/#/batches/{page(f'{root}/api/batches')['items'][0]['id']}")
                while batch.poll() is None:
                    opened.wait_for_timeout(20)
                told = json.loads(batch.communicate()[0])
                if pair:  # the first warms up
                    took[looked].append(told["seconds"])
                if pair and looked:
                    share.append((sum(psutil.Process(server.pid).cpu_times()[:2]) - busy) / (time.perf_counter() - before))
    ratios = [b / a for a, b in zip(took[False], took[True], strict=True)]
    alone, seen = statistics.median(took[False]), statistics.median(took[True])
    print(f"slowdown: {alone:.2f} s alone, {seen:.2f} s looked at; ratios {', '.join(f'{r:.3f}' for r in ratios)}")
    print(f"median ratio {statistics.median(ratios):.3f}; the server took {100 * statistics.median(share):.1f} % of a core")


def main(arguments: Sequence[str]) -> None:
    """Start both servers and measure."""
    parser = argparse.ArgumentParser(prog="viewer.py live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--parts", nargs="*", default=["heard", "heap", "slowdown"])
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, spawned(record_bodies=True) as upstream:
        process, address = begun(folder, upstream)
        root = address.removesuffix("/v1/chat/completions")
        try:
            if "heard" in options.parts:
                asyncio.run(heard(root, upstream, options.clients))
            if "heap" in options.parts:
                heap(root, upstream, options.minutes)
            if "slowdown" in options.parts:
                slowdown(Path(folder), root, process, upstream, options.rows, options.pairs)
        finally:
            process.terminate()
            process.wait()
