"""By how much a batch takes longer while somebody looks at it; the budget is 2 %.

    python bench/viewer.py slowdown [--rows 400] [--pairs 12]

Two processes execute the same batch at the same time with toy models, so that nothing but their own work takes time, each in a store of
its own with a server over it. The page of one of the two is opened in Chromium as soon as it has begun, and followed to its end; the other
is left alone. Whatever else goes on (neighbours that come and go, a processor that gets warm) falls on both at once. Then the same once
more with the other one looked at: of such a pair, in which both have played both parts, the geometric mean of the two ratios tells what
being looked at costs, whatever tells the processes apart. Told are the ratios' median and the interval between two of the ordered ratios
that holds the true median at least 95 times of 100 (by the binomial distribution; nothing is assumed of how ratios are distributed), of the
CPU time that the batch's process took and of how long it lasted. What the server and the browser took meanwhile stands below, as a share
of a core: where no core is free for them, they take it from both batches alike.
"""

import argparse
import asyncio
import json
import math
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from socket import socket
from typing import Any

import psutil

Round = dict[str, float]
IDLE = 0.4  # seconds
WARM = 1  # pairs before the first that counts
STORE = ".symposia/store.db"


def rows_of(count: int) -> list[dict[str, Any]]:
    """Problems."""
    return [
        {"id": f"r{i}", "question": f"Ann has {i} pens and buys {i + 2} more. How many pens has Ann?", "answer": 2 * i + 2}
        for i in range(count)
    ]


async def executed(folder: Path, count: int) -> None:
    """Execute a batch for each line of the standard input, whose first word is its name, and print what it took."""
    from symposia.api import abatch

    rows = rows_of(count)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        found = await abatch(
            "self_consistency", rows, folder / f"{line.strip()}.jsonl", model="toy/default", params={"k": 5}, store=folder / STORE
        )
        took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "calls": found["calls"]}
        print(json.dumps(took), flush=True)


class Batches:
    """A process that executes one batch after the other."""

    def __init__(self, folder: Path, count: int) -> None:
        """Start it; it waits for names."""
        command = [sys.executable, __file__, str(folder), str(count)]
        self._folder = folder
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, name: str) -> None:
        """Have a batch executed."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()

    def begun(self, name: str) -> str:
        """The id of a batch, as soon as it has begun."""
        while self.process.poll() is None:
            with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{self._folder / STORE}?mode=ro", uri=True)) as store:
                for (batch_id,) in store.execute("SELECT id FROM batches WHERE output LIKE ?", (f"%/{name}.jsonl",)):
                    return str(batch_id)
            time.sleep(0.02)
        raise RuntimeError("the batches' process has ended")

    def leave(self) -> None:
        """Let the process end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def end(self) -> dict[str, float]:
        """What the batch took that is going on."""
        assert self.process.stdout is not None
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def looking(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A server over the store in a process of its own: its address and process."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "symposia.cli", "serve", "--port", str(port)], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        while True:
            with closing(socket()) as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def spent(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds of processes so far."""
    found = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found += sum(process.cpu_times()[:2])
    return found


def chromium() -> list[psutil.Process]:
    """The browser's processes."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended
            if "chrom" in process.name():
                found.append(process)
    return found


def settled(processes: Sequence[psutil.Process]) -> None:
    """Wait until processes have nothing to do: of a batch that has ended the server rebuilds the last states."""
    while True:
        before = spent(processes)
        time.sleep(IDLE)
        if spent(processes) - before < 0.1 * IDLE:
            return


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The two of the ordered values between which their median lies at least 95 times of 100; of fewer than six the least and the most."""
    n, below, k = len(values), 0.0, 0
    while (below := below + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    ordered = sorted(values)
    return ordered[max(0, k - 1)], ordered[n - max(1, k)]


class Home:
    """A folder with a store, a server over it and a process that executes batches in it."""

    def __init__(self, folder: Path, rows: int, stack: ExitStack) -> None:
        """Start both."""
        (folder / STORE).parent.mkdir(parents=True)
        self.root, self.server = stack.enter_context(looking(folder))
        self.batches = Batches(folder, rows)
        stack.callback(self.batches.leave)


def round_of(name: str, seen: Home, other: Home, page: Any) -> Round:
    """What being looked at made of two batches of the same time: the ratios, and what the lookers took of a core."""
    lookers: dict[str, Callable[[], list[psutil.Process]]] = {"server": lambda: [seen.server], "browser": chromium}
    before, begun = {who: spent(processes()) for who, processes in lookers.items()}, time.perf_counter()
    seen.batches.ask(name)
    other.batches.ask(name)
    page.goto(f"{seen.root}/#/batches/{seen.batches.begun(name)}")
    looked = seen.batches.end()
    lasted = time.perf_counter() - begun
    shares = {who: (spent(processes()) - before[who]) / lasted for who, processes in lookers.items()}
    alone = other.batches.end()
    page.locator(".outcome", has_text="graded").wait_for()
    page.locator(".going").wait_for(state="detached")
    page.goto("about:blank")
    settled([seen.server, *chromium()])
    return {**{name: looked[name] / alone[name] for name in ("cpu", "wall")}, **shares, "seconds": looked["cpu"]}


def main(rest: Sequence[str]) -> None:
    """Execute batches in pairs, and look at one of each pair."""
    parser = argparse.ArgumentParser(prog="viewer.py slowdown", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=12)
    given = parser.parse_args(rest)
    from browser_home import CHROMIUM, QUIET
    from playwright.sync_api import sync_playwright

    pairs: list[Round] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver, ExitStack() as stack:
        homes = [Home(Path(folder) / name, given.rows, stack) for name in ("a", "b")]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *(f"--{flag}" for flag in QUIET)])
        page = browser.new_page()
        for n in range(-WARM, given.pairs):
            rounds = [round_of(f"b{n}{i}", homes[i], homes[1 - i], page) for i in (0, 1)]
            if n >= 0:
                pairs.append({key: math.sqrt(rounds[0][key] * rounds[1][key]) for key in rounds[0]})
                print(*(f"{name} {pairs[-1][name]:.3f}" for name in ("cpu", "wall")), flush=True)
        browser.close()
    seconds = statistics.median(pair["seconds"] for pair in pairs)
    print(f"{given.pairs} pairs of batches of {given.rows} rows, {seconds:.1f} s of CPU time each; 95 % intervals of the median")
    for name in ("cpu", "wall"):
        ratios = [pair[name] for pair in pairs]
        more = [f"{100 * (ratio - 1):+.1f}" for ratio in (statistics.median(ratios), *interval(ratios))]
        print(f"{name:>5}: {more[0]} % ({more[1]} to {more[2]})")
    shares = [f"the {who} {100 * statistics.median(pair[who] for pair in pairs):.1f} %" for who in ("server", "browser")]
    print(f"meanwhile, of a core: {', '.join(shares)}")


if __name__ == "__main__":
    asyncio.run(executed(Path(sys.argv[1]), int(sys.argv[2])))
