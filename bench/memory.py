"""Memory and speed of a long batch, row by row: both should be the same at the end as at the beginning.

    python bench/memory.py [--rows 10000] [--method self_consistency -p k=2] [--concurrency 64] [--folder DIR]

Prints a line per thousand rows with the resident memory of the batch's process and the rows per second since the line before, and at the
end the ratio of the memory at the last row to that at row 1,000. The journal is on, the server a local one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from server import spawned


def main() -> None:
    """Write the rows, run the batch, look at it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--method", default="chain_of_thought")
    parser.add_argument("-p", dest="params", action="append", default=[])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="keep what is written here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, spawned(delay_s=0.02, length=(200, 400)) as server:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        row = '{{"id": {0}, "question": "What is {0} plus {0}?", "answer": {1}}}\n'
        (folder / "rows.jsonl").write_text("".join(row.format(i, 2 * i) for i in range(options.rows)))
        command = [
            *(sys.executable, "-m", "symposia.cli", "batch", options.method, str(folder / "rows.jsonl"), "-o", str(folder / "out.jsonl")),
            *("--store", str(folder / "store.db"), "--model", "test-model", "--api-base", server.url, "--json"),
            *("--concurrency", str(options.concurrency), *(word for pair in options.params for word in ("-p", pair))),
        ]
        with open(folder / "log.txt", "ab") as log:
            batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        marks = follow(batch, folder / "out.jsonl")
        summary = json.loads(batch.communicate()[0])
    print(f"rows {summary['rows']}, {summary['seconds']:.0f} s, requests {summary['requests']}")
    print(f"memory at the last row over that at row 1,000: {marks[-1] / marks[0]:.3f}")


def follow(batch: "subprocess.Popen[bytes]", out: Path) -> list[float]:
    """Megabytes at each thousand rows, printed as they come."""
    process, marks = psutil.Process(batch.pid), list[float]()
    before, since, done, read = 0, time.monotonic(), 0, 0
    print(f"{'rows':>6} {'MB':>6} {'rows/s':>7}")
    while batch.poll() is None:
        time.sleep(0.1)
        memory = process.memory_info().rss / 1e6 if process.status() != psutil.STATUS_ZOMBIE else 0.0
        if out.exists():
            with out.open("rb") as file:
                file.seek(read)
                fresh = file.read()
            done, read = done + fresh.count(b"\n"), read + len(fresh)
        if memory and done - before >= 1000:
            now = time.monotonic()
            print(f"{done:>6} {memory:>6.0f} {(done - before) / (now - since):>7.1f}", flush=True)
            before, since = done, now
            marks.append(memory)
    return marks


if __name__ == "__main__":
    main()
