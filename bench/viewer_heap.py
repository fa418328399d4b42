"""What a page holds that follows a run for long; the budget is flat over 30 minutes.

    python bench/viewer.py heap [--minutes 30] [--k 40]

MAgICoRe over a scripted model whose replies trickle in, so that its rounds (about 50 steps, 2,000 calls) fill the time; a page of Chromium
follows it. Once a minute, after a forced collection: the heap, the DOM nodes and event listeners that the page holds, living ones and not,
and the calls so far. What a page learns it has to hold, so at the end the same address is opened in a fresh page, which holds the same
content and no past: what the first holds more than that is what has leaked. The slope is the median of the slopes between any two marks
(Theil and Sen), without the first two minutes, in which code is compiled.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser_home import CHROMIUM, QUIET
from scripted import SCRIPT, Script
from serving import served

from symposia import runs
from symposia.state.store import open_store

ROUNDS = 11
STEPS = 3 * ROUNDS + 3  # of such a run that wait for replies, about
WARM = 2.0  # minutes that do not count for the slope
SHOWN = """() => {
    const walker = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
    let n = 1;
    while (walker.nextNode()) n += 1;
    return n;
}"""
WORDS = "a step that says what it does and why, at some length, as models do; "


def reply(node: str, messages: Sequence[Any]) -> str:
    """Every problem stays hard, so that every round is made."""
    if node == "review":
        return f"Step 2 is wrong. {WORDS * 6}"
    if node == "score":
        return "SCORES: 0.9, 0.0" if "SCORES" in messages[-1]["content"] else "SCORE: 0.4"
    return f"Step 1: {WORDS * 4}\nStep 2: {WORDS * 4} \\boxed{{{len(messages[-1]['content']) % 7}}}"


@contextmanager
def going(folder: Path, minutes: float, k: int) -> Iterator[str]:
    """The id of a run that takes about so many minutes, executed on a loop of its own."""
    dice, script = random.Random(1), Script()
    script.answer = reply
    script.delay = lambda: dice.uniform(0, 60 * minutes / STEPS)
    SCRIPT["now"] = script
    given = {"model": "script/any", "k": k, "max_rounds": ROUNDS, "calib_mean": 2.0, "confidence_threshold": 1.0}
    record = runs.new_record("magicore", given, {"question": "How many?", "task": "number"}, checkpoints="none")
    begun = threading.Event()

    async def executed() -> None:
        async with open_store(str(folder / "store.db")) as store:
            await runs.start(store, record, on_open=lambda _: begun.set())

    thread = threading.Thread(target=lambda: asyncio.run(executed()), daemon=True)
    thread.start()
    begun.wait(60)
    try:
        yield record["run_id"]
    finally:
        script.delay = lambda: 0.0
        thread.join(60 * minutes / STEPS + 60)


class Gauge:
    """What a page holds."""

    def __init__(self, page: Any) -> None:
        """Ask Chromium for its figures."""
        self._page = page
        self._control = page.context.new_cdp_session(page)
        self._control.send("Performance.enable")

    def read(self) -> dict[str, float]:
        """Megabytes of heap, nodes and listeners, after two collections: what the first finalizes the second frees."""
        for _ in range(2):
            self._control.send("HeapProfiler.collectGarbage")
        found = {one["name"]: one["value"] for one in self._control.send("Performance.getMetrics")["metrics"]}
        shown = self._page.evaluate(SHOWN)
        return {"mb": found["JSHeapUsedSize"] / 1e6, "nodes": found["Nodes"], "shown": shown, "listeners": found["JSEventListeners"]}


def told(held: dict[str, float]) -> str:
    """What a page holds, in a line."""
    return f"{held['mb']:6.2f} MB {held['nodes']:6.0f} nodes, {held['shown']:.0f} of them shown, {held['listeners']:4.0f} listeners"


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between any two points."""
    return statistics.median((b - a) / (t - s) for (s, a), (t, b) in itertools.combinations(zip(times, values, strict=True), 2))


def measured(root: str, run_id: str, minutes: float, browser: Any) -> None:
    """Print what a page holds minute by minute, and what a fresh one does."""
    page = browser.new_page()
    address = f"{root}/#/runs/{run_id}"
    page.goto(address)
    page.locator(".going .facts").wait_for()
    gauge, begun = Gauge(page), time.monotonic()
    marks: list[tuple[float, float]] = []
    apart = min(60.0, 60 * minutes / 12)
    while (passed := time.monotonic() - begun) < 60 * minutes and page.locator(".going .facts").count():
        held = gauge.read()
        marks.append((passed / 60, held["mb"]))
        facts = page.locator(".going .facts").first.inner_text().replace("\n", " ")
        print(
            f"{passed / 60:6.1f} min {told(held)}; {facts}",
            flush=True,
        )
        page.wait_for_timeout(1000 * apart)
    fresh = browser.new_page()
    fresh.goto(address)
    fresh.locator(".detail h2").wait_for()
    fresh.wait_for_timeout(5000)
    old, new = gauge.read(), Gauge(fresh).read()
    late = [mark for mark in marks if mark[0] >= min(WARM, minutes / 6)]
    rate = slope([at for at, _ in late], [mb for _, mb in late])
    print(f"slope {1000 * rate:+.1f} KB a minute, {30 * rate:+.2f} MB in 30 minutes; {len(late)} marks")
    print(f"at the end {told(old)}; a fresh page {told(new)}")


def main(rest: Sequence[str]) -> None:
    """Let a run go on, and look at it."""
    parser = argparse.ArgumentParser(prog="viewer.py heap", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--k", type=int, default=40)
    given = parser.parse_args(rest)
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        with served(folder) as server, going(folder, given.minutes, given.k) as run_id, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *(f"--{flag}" for flag in QUIET)])
            measured(server.root, run_id, given.minutes, browser)
            browser.close()
