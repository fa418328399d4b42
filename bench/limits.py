"""A server that halves its limit in the middle of a batch and doubles it later: do the permits follow, and how much is refused?

    python bench/limits.py [--rows 600] [--limit 64] [--engine local]

Prints the log of the permits with the moments of the two changes in it, and the share of 429s among the requests from each change to the
next, or to the end. The server takes 0.2 to 0.4 s a request, and answers 429 with `Retry-After: 1` above its limit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from server import spawned


def page(root: str, path: str) -> Any:
    """A page of the server's books."""
    with urllib.request.urlopen(f"{root}/{path}", timeout=60) as reply:  # noqa: S310 - the address is our own server's
        return json.load(reply)


def allow(root: str, limit: int) -> None:
    """Change the server's limit."""
    body = json.dumps({"concurrency": limit}).encode()
    request = urllib.request.Request(f"{root}/_set", body, {"Content-Type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def main() -> None:
    """Run a batch of self-consistency, five samples a row, and change the limit after each third of its requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--engine", default="local")
    options = parser.parse_args()
    total = 5 * options.rows
    with tempfile.TemporaryDirectory() as temporary, spawned(delay_s=0.2, jitter_s=0.2, concurrency=options.limit) as server:
        folder = Path(temporary)
        rows = "".join(json.dumps({"id": i, "question": f"What is {i} plus {i}?"}) + "\n" for i in range(options.rows))
        (folder / "rows.jsonl").write_text(rows)
        command = [
            *(sys.executable, "-m", "symposia.cli", "batch", "self_consistency", str(folder / "rows.jsonl"), "-o", str(folder / "o.jsonl")),
            *("--store", str(folder / "s.db"), "--model", "test-model", "--api-base", server.url, "-p", "k=5", "--json"),
            *("--concurrency", str(options.limit), "--engine", options.engine),
        ]
        batch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=tell, args=(batch, time.monotonic()), daemon=True).start()
        marks = []
        for part, limit in ((1, options.limit // 2), (2, options.limit)):
            while batch.poll() is None and page(server.root, "_count")["by_status"].get("200", 0) < total * part // 3:
                time.sleep(0.02)
            allow(server.root, limit)
            marks.append(page(server.root, "_count"))
            print(f"-- the server takes {limit} at once")
        assert batch.stdout is not None
        summary = json.loads(batch.stdout.read())
        marks.append(page(server.root, "_count"))
    print(f"rows {summary['rows']}, {summary['seconds']:.1f} s")
    for what, before, after in zip(("halving", "doubling"), marks, marks[1:], strict=False):
        requests = after["received"] - before["received"]
        refused = after["by_status"].get("429", 0) - before["by_status"].get("429", 0)
        print(f"after the {what}: {refused} of {requests} requests refused, {refused / requests:.1%}")


def tell(batch: "subprocess.Popen[str]", begun: float) -> None:
    """Pass on what the batch says of its permits."""
    assert batch.stderr is not None
    for line in batch.stderr:
        if line.startswith("permits"):
            print(f"{time.monotonic() - begun:6.1f} s  {line.strip()}", flush=True)


if __name__ == "__main__":
    main()
