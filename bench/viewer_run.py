"""How soon the first step of a run of 2,000 calls is on the screen, and what reading on takes; section by section of the viewer's budgets.

    python bench/viewer.py run [--calls 2000] [--times 5]

Times are in headless Chromium, from going to the run in a page that is open: `step` until the first step stands there, `value` until the
first written value does, of a server that has not read the run yet and (`warm`) of one that has; `bytes` is what was moved meanwhile. Then
the time from a key to the frame in which the next step stands there, its data fetched (`fetched`) and known (`known`). `heap_mb` is what a
page has taken more after so many steps. `long` and `short`, a run of about 50 steps, say how long rebuilding their states takes. Budgets:
a step in 400 ms with 150 KB, a key in 150 and 50 ms, 3,000 nodes, 40 MB, 50 steps rebuilt in 300 ms.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from browser_home import CHROMIUM
from serving import served

from symposia import registry, runs
from symposia.rows import toy_item
from symposia.state.store import Store, open_store
from symposia.viewer.records import Book

LONG = {"max_rounds": 11, "calib_mean": 1.99, "confidence_threshold": 0.99, "model": "toy/default?error=0.5"}
PER_CHAIN = 4  # calls of a round for each chain, about: two of scoring, one of review, one of refining
WALKED = 200  # steps
QUICK = ("disable-gpu", "no-first-run", "disable-background-networking", "enable-precise-memory-info", "js-flags=--expose-gc")

SCREEN = """async address => {
    const [before, found] = [performance.now(), {}];
    location.hash = address;
    while (!found.value) {
        await new Promise(requestAnimationFrame);
        if (document.getElementById("step-0")) found.step ??= performance.now() - before;
        if (document.querySelector(".detail .value")) found.value = performance.now() - before;
    }
    return found;
}"""
KEY = """async key => {
    const heading = () => document.querySelector(".detail h2")?.textContent ?? "";
    const [was, before] = [heading(), performance.now()];
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    while (heading() === was || !document.querySelector(".detail .calls")) {
        if (performance.now() - before > 3000) return null;
        await new Promise(requestAnimationFrame);
    }
    await new Promise(requestAnimationFrame);
    return performance.now() - before;
}"""
HEAP = "() => { globalThis.gc?.(); return performance.memory.usedJSHeapSize; }"


async def made(store: Store, method: str, given: dict[str, Any]) -> str:
    """A run of a bundled problem; its id."""
    item = toy_item(registry.load(method))
    record = runs.new_record(method, given, item.inputs, reference=item.reference, row=item.id, checkpoints="none")
    return (await runs.start(store, record)).run_id


async def filled(folder: Path, calls: int) -> dict[str, str]:
    """A store with a run of about so many calls in many rounds, and one of about 50 steps and few calls."""
    k = max(2, calls // (PER_CHAIN * (LONG["max_rounds"] + 1)))  # type: ignore[operator]
    async with open_store(str(folder / "store.db")) as store:
        for seed in range(3, 60):
            long = await made(store, "magicore", {**LONG, "k": k, "seed": seed})
            if len(await store.steps(long)) > 50:  # one that stayed hard
                break
        for seed in range(3, 60):
            short = await made(store, "magicore", {**LONG, "k": 4, "max_rounds": 8, "seed": seed})
            if len(await store.steps(short)) > 48:
                break
    return {"long": long, "short": short}


async def replayed(folder: Path, run_id: str, times: int) -> dict[str, float]:
    """Milliseconds to rebuild a run, and its steps."""
    spent = []
    async with open_store(str(folder / "store.db")) as store:
        for _ in range(times + 1):
            before = time.perf_counter()
            book = await Book.open(store, run_id)
            spent.append(1000 * (time.perf_counter() - before))
    return {"steps": len(book.page["steps"]), "calls": len(book.seen.entries), "ms": statistics.median(spent[1:])}


def shown(folder: Path, run_id: str, browser: Any) -> dict[str, Any]:
    """What a reader waits for, of a server that has just started."""
    found: dict[str, Any] = {}
    with served(folder) as server:
        page = browser.new_page()
        moved = {"bytes": 0, "requests": 0}

        def heard(reply: Any) -> None:
            if "/api/" in reply.url:
                moved["requests"] += 1
                moved["bytes"] += reply.request.sizes()["responseBodySize"]

        page.goto(f"{server.root}/#/runs")
        page.locator("#runs-0").wait_for()
        page.on("requestfinished", lambda asked: heard(asked.response()))
        found |= page.evaluate(SCREEN, f"#/runs/{run_id}")
        page.wait_for_timeout(300)
        found |= {**moved, "nodes": page.locator("*").count()}
        page.goto(f"{server.root}/#/runs")
        page.locator("#runs-0").wait_for()
        found["warm"] = page.evaluate(SCREEN, f"#/runs/{run_id}/2")["value"]
        page.evaluate(HEAP)
        before = page.evaluate(HEAP)
        down = [page.evaluate(KEY, "j") for _ in range(20)]
        up = [page.evaluate(KEY, "k") for _ in range(19)]
        walked = sum(page.evaluate(KEY, key) is not None for _ in range(WALKED // 40) for key in "j" * 20 + "k" * 20)
        found |= {"fetched": statistics.median(filter(None, down)), "known": statistics.median(filter(None, up))}
        found |= {"walked": walked, "heap_mb": (page.evaluate(HEAP) - before) / 1e6, "nodes_after": page.locator("*").count()}
        page.close()
    return found


def main(arguments: Sequence[str]) -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="viewer.py run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        ids = asyncio.run(filled(folder, given.calls))
        report: dict[str, Any] = {name: asyncio.run(replayed(folder, ids[name], given.times)) for name in ids}
        if find_spec("playwright") and CHROMIUM:
            from playwright.sync_api import sync_playwright

            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *(f"--{flag}" for flag in QUICK)])
                seen = [shown(folder, ids["long"], browser) for _ in range(given.times)]
                report["page"] = {name: round(statistics.median(one[name] for one in seen), 2) for name in seen[0]}
                browser.close()
    print(json.dumps(report, indent=2))
