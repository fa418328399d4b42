"""What every measured form shares: read the job, warm up, measure, report. Standard library only, since peers bring their own environments.

A form is a script beside this file. It reads its job from stdin, a JSON object (fields below), and prints one: `wall_s` and `cpu_s` of the
work alone (CPU: user and system, children included), `imports_s` until the job was read, and `answered`, the rows with an answer.

- `url`, `root`, `model`: the server's OpenAI base, its root, and the model's name
- `in_flight`: requests at once; `k`: samples of a row
- `prompts`: a rendered prompt per row
- `levels`: the calls of one row; a level's lists of messages go out at once, the next level when all are back; `mark` numbers the row
- `profile`: a file for the stacks of a sampling profiler, a line each with its count, or null
"""

import json
import resource
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

BEGAN = time.perf_counter()
MARK = "Problem 00000"
"""Stands in the prompts of `levels` where a row puts its number."""


def read_job() -> dict[str, Any]:
    """The job; call it after all imports."""
    job: dict[str, Any] = json.load(sys.stdin)
    job["imports_s"] = time.perf_counter() - BEGAN
    return job


def marked(messages: list[dict[str, Any]], row: int) -> list[dict[str, Any]]:
    """The messages with a row's number in them, the same in size."""
    return [{**message, "content": message["content"].replace(MARK, f"Problem {row:05}")} for message in messages]


def cpu_s() -> float:
    """Seconds of CPU, user and system, of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextmanager
def sampled(path: str) -> Iterator[None]:
    """Note the main thread's stack at every tick of the process's CPU time (4 ms on most kernels), and write the counts of all stacks."""
    stacks: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None:
            names.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
            frame = frame.f_back
        stacks[";".join(reversed(names))] += 1

    signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(path).write_text("".join(f"{stack} {count}\n" for stack, count in stacks.items()), encoding="utf-8")


def report(job: dict[str, Any], work: Callable[[int], int], rows: int, before: Callable[[], object] = lambda: None) -> None:
    """Do one row to warm up, empty the server's books, do all rows and print what that took.

    Args:
        job: The job.
        work: Does so many rows, and returns how many have an answer.
        rows: How many to do.
        before: Called after the warm-up.
    """
    work(1)
    before()
    urllib.request.urlopen(urllib.request.Request(f"{job['root']}/_reset", b"{}"), timeout=60).close()  # noqa: S310
    with sampled(job["profile"]) if job.get("profile") else nullcontext():
        cpu, wall = cpu_s(), time.perf_counter()
        answered = work(rows)
        wall, cpu = time.perf_counter() - wall, cpu_s() - cpu
    sys.stdout.flush()
    found = {"wall_s": wall, "cpu_s": cpu, "imports_s": job["imports_s"], "answered": answered}
    print("\n" + json.dumps(found), flush=True)
