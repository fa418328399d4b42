"""What a run of generated code costs: runs per second and median time of one, for each isolation and profile.

    python bench/sandbox.py [--runs 400]

A run is a small function and a few asserts, as a grader makes them. Beside the sandbox stands what holds nothing: a bare interpreter
started for each run, as many at a time. Isolations that this machine does not give are left out, with the reason. On a machine with other
work the processor time tells more than the clock: that of this process, and that of the servers and their runs, start included.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from symposia.state.errors import SymposiaError
from symposia.tools import sandbox
from symposia.tools.isolation import pool
from symposia.tools.isolation.paths import ISOLATIONS

CODE = """
from collections import Counter
def most_common(words):
    return Counter(words).most_common(1)[0][0]
for i in range(20):
    assert most_common(["a", "b", "a"] * i + ["b"]) == ("a" if i > 1 else "b" if i < 1 else "a") or i == 1
print("passed")
"""
NUMERIC = "import numpy as np\n" + CODE + "assert np.ones((8, 8)).sum() == 64\n"


async def bare(code: str) -> None:
    """One interpreter for one run."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out == b"passed\n", out


def held(isolation: str, profile: sandbox.Profile) -> Callable[[str], Awaitable[None]]:
    """One run in the sandbox."""

    async def one(code: str) -> None:
        result = await sandbox.run_in(isolation, code, "", sandbox.Bounds(), profile)
        assert result.status == "ok" and result.stdout == "passed\n", result

    return one


async def measure(name: str, one: Callable[[str], Awaitable[None]], code: str, runs: int) -> None:
    """Print how fast they are side by side, how long a single one takes, and this process's share of the work."""
    await asyncio.gather(*(one(code) for _ in range(2 * pool.processors())))
    alone = []
    for _ in range(min(runs, 50)):
        began = time.perf_counter()
        await one(code)
        alone.append(time.perf_counter() - began)
    gate = asyncio.Semaphore(2 * pool.processors())

    async def gated() -> None:
        async with gate:
            await one(code)

    used, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(gated() for _ in range(runs)))
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    print(f"{name:<40} {runs / seconds:7.0f} runs/s {statistics.median(alone) * 1000:8.2f} ms alone {own / runs * 1000:6.2f} ms of ours")


async def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="runs per row")
    runs = parser.parse_args().runs
    await measure("bare interpreter", bare, CODE, runs)
    profiles: dict[sandbox.Profile, str] = {"stdlib": CODE, "numeric": NUMERIC}
    for isolation in ISOLATIONS:
        for profile, code in profiles.items():
            try:
                await measure(f"{isolation} {profile}", held(isolation, profile), code, runs)
            except SymposiaError as error:
                print(f"{isolation} {profile}: not here: {error}")
    pool.close()


if __name__ == "__main__":
    asyncio.run(main())
