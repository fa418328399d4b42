"""How soon a batch of ten thousand rows is on the screen, and what it moves; the budgets are 600 ms and 450 KB.

    python bench/viewer.py batch [--rows 10000] [--times 5]

A batch of toy problems is run, and its rows are copied under other ids and with other words in their questions. `cold` is what a server
that has just started answers, one request after the other; `screen` is the time in headless Chromium from going to the address, in a page
that is open, to the first row, of a server that has read no row yet. It is left out where playwright or a browser is missing.
"""

import argparse
import asyncio
import gzip
import json
import random
import sqlite3
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from browser_home import CHROMIUM
from serving import served

from symposia.api import abatch
from symposia.state.store import open_store

HARD = {"k": 4, "max_rounds": 2, "calib_mean": 1.9, "confidence_threshold": 0.9, "seed": 4}
SEEDS = 25
WORDS = 18  # of a question, drawn from all problems: as long as those of school mathematics, and harder to pack


async def filled(folder: Path, rows: int) -> str:
    """A store with a batch of so many rows; its id."""
    lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    words = [word for item in items for word in item["question"].split()]
    given = [{**item, "id": f"q{n}"} for n, item in enumerate(items[:SEEDS])]
    async with open_store(str(folder / "store.db")) as store:
        made = await abatch("magicore", given, folder / "out.jsonl", model="toy/default?error=0.4", params=HARD, store=store)
    batch_id = str(made["batch_id"])
    copy_rows(folder / "store.db", batch_id, rows, words)
    return batch_id


def copy_rows(path: Path, batch_id: str, rows: int, words: Sequence[str]) -> None:
    """Fill a batch up with copies of its rows, their steps included, and questions of these words."""
    dice = random.Random(1)
    with sqlite3.connect(path) as db:
        sql = "SELECT id, started, method, status, record FROM runs WHERE id LIKE ? AND length(id) = 19"
        known = db.execute(sql, (f"{batch_id}%",)).fetchall()
        for n in range(len(known), rows):
            old, started, method, status, text = known[n % len(known)]
            record = json.loads(text)
            new = f"{batch_id}{dice.randrange(16**10):010x}"
            record |= {"run_id": new, "row": f"q{n}", "batch": {**record["batch"], "row": n}, "seconds": round(dice.random() * 9, 3)}
            record["input"]["question"] = " ".join(dice.choices(words, k=WORDS))
            db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", (new, started, method, status, json.dumps(record)))
            db.execute("INSERT INTO steps SELECT ?, frame, step, digest, next FROM steps WHERE run = ?", (new, old))
    db.close()


def asked(root: str, path: str) -> tuple[float, int, Any]:
    """Milliseconds of a request, the bytes that were moved, and the answer."""
    request = urllib.request.Request(f"{root}/api{path}", headers={"Accept-Encoding": "gzip"})  # noqa: S310 - the address is our own server's
    before = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
        body, packed = reply.read(), reply.headers.get("Content-Encoding") == "gzip"
    spent = 1000 * (time.perf_counter() - before)
    return spent, len(body), json.loads(gzip.decompress(body) if packed else body)


def answered(folder: Path, batch_id: str) -> dict[str, Any]:
    """What a server that has just started takes for each request of the page."""
    paths = {"head": f"/batches/{batch_id}?quick=1", "rows": f"/batches/{batch_id}/rows?q=", "facets": f"/batches/{batch_id}/facets"}
    with served(folder) as server:
        asked(server.root, "/batches")  # opens the store
        cold = {name: asked(server.root, path)[:2] for name, path in paths.items()}
        warm = {name: asked(server.root, path)[0] for name, path in paths.items()}
    return {
        "cold": {name: spent for name, (spent, _) in cold.items()},
        "bytes": {name: size for name, (_, size) in cold.items()},
        "warm": warm,
    }


def shown(folder: Path, batch_id: str, browser: Any) -> dict[str, float]:
    """Milliseconds from going to the batch to its first row on the screen, of a server that has just started, and then once more."""
    found = {}
    with served(folder) as server:
        page = browser.new_page()
        page.goto(f"{server.root}/#/batches")
        page.locator("#batches-0").wait_for()
        for name in ("cold", "warm"):
            found[name] = page.evaluate(
                """async batch => {
                    const before = performance.now();
                    location.hash = `#/batches/${batch}`;
                    while (!document.getElementById("rows-0")) await new Promise(requestAnimationFrame);
                    await new Promise(requestAnimationFrame);
                    return performance.now() - before;
                }""",
                batch_id,
            )
            found["nodes"] = page.locator("*").count()
            page.goto(f"{server.root}/#/runs")
            page.locator("#runs-0").wait_for()
        page.close()
    return found


def medians(measure: Callable[[], dict[str, Any]], times: int) -> dict[str, Any]:
    """The median of each figure over several measurements."""
    found: dict[str, Any] = middle([measure() for _ in range(times)])
    return found


def middle(found: Sequence[Any]) -> Any:
    """Numbers by their median, mappings by their values."""
    if isinstance(found[0], dict):
        return {key: middle([one[key] for one in found]) for key in found[0]}
    return round(statistics.median(found), 1)


def main(rest: Sequence[str]) -> None:
    """Fill a store, ask, look."""
    parser = argparse.ArgumentParser(prog="viewer.py batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args(rest)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        batch_id = asyncio.run(filled(folder, given.rows))
        found = medians(lambda: answered(folder, batch_id), given.times)
        print(f"{given.rows} rows; milliseconds, medians of {given.times}")
        for name, spent in found["cold"].items():
            print(f"{name:>8}  cold {spent:8.1f}  warm {found['warm'][name]:8.1f}  {found['bytes'][name] / 1000:8.1f} KB")
        if CHROMIUM is None or find_spec("playwright") is None:
            print("  screen  not measured: playwright and chromium are needed")
            return
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            seen = medians(lambda: shown(folder, batch_id, browser), given.times)
            browser.close()
        print(f"{'screen':>8}  cold {seen['cold']:8.1f}  warm {seen['warm']:8.1f}  {seen['nodes']:.0f} nodes")
