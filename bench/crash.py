"""Kill a run again and again, and count what it cost: MAgICoRe over rows of a data set against a local server, `kill -9`, start again.

    python bench/crash.py --data gsm8k.jsonl --rows 50 --kills 10

Prints a JSON object: the requests the server received, those the final journal needed, what was lost at each kill, how many runs replay to
the same states without a request, and whether each reply stands at exactly one place. Half of the kills hit the worker between the server's
reply and its commit. Without `--data` the bundled toy problems are asked.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
import urllib.request
from importlib.resources import files
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from server import spawned

from symposia import runs
from symposia.state.store import open_store
from symposia.tools.settings import configure

CONCURRENCY = 64
ROUNDS = 2


def given(root: str, k: int) -> dict[str, Any]:
    """Parameters that make every problem hard, so that every round is run; scores come from the server's reward endpoints."""
    reward = f"reward/{root}?model="
    roles = {"outcome": f"{reward}orm", "process": f"{reward}prm"}
    return {"model": "test-model", "k": k, "max_rounds": ROUNDS, "calib_mean": 2.0, "confidence_threshold": 1.0, "roles": roles}


async def work(store_url: str, url: str, root: str, rows: list[dict[str, Any]], k: int) -> None:
    """What is killed: go through the rows, four at a time, starting or going on with the run of each."""
    configure(api_base=url, concurrency=CONCURRENCY)
    async with open_store(store_url) as store:
        known = {r["row"]: r for r in await store.runs(limit=10_000)}

        async def row(number: int) -> None:
            record = known.get(number)
            if record is None:
                inputs = {"question": rows[number]["question"], "task": "auto"}
                record = runs.new_record("magicore", given(root, k), inputs, row=number, checkpoints="none")
                await runs.start(store, record)
            elif record["status"] not in ("ok", "no_answer"):
                await runs.execute(store, record)

        for start in range(0, len(rows), 4):
            await asyncio.gather(*(row(i) for i in range(start, min(start + 4, len(rows)))))


def count(root: str, path: str = "_count") -> dict[str, Any]:
    """The server's books."""
    with urllib.request.urlopen(f"{root}/{path}", timeout=120) as reply:  # noqa: S310 - the address is our own server's
        found: dict[str, Any] = json.load(reply)
    return found


def post(root: str, path: str, **body: Any) -> None:
    """Change the server's behaviour."""
    request = urllib.request.Request(f"{root}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def drive(store_url: str, rows: list[dict[str, Any]], k: int, kills: int, seed: int, delay: float) -> dict[str, Any]:
    """Start the worker, kill it at random counts of answers, start it again, until it ends by itself."""
    rng = random.Random(seed)
    each = k * (1 + 2 * ROUNDS) + 2 * k * (1 + ROUNDS)
    total = each * len(rows)
    moments = sorted(rng.sample(range(total // 50, total - total // 50), kills))
    lost: list[dict[str, Any]] = []
    with spawned(seed=seed, delay_s=delay, jitter_s=delay) as server:
        command = [sys.executable, __file__, "--worker", json.dumps([store_url, server.url, server.root, k])]
        for i, moment in enumerate([*moments, None]):
            worker = subprocess.Popen(command, stdin=subprocess.PIPE)
            assert worker.stdin is not None
            worker.stdin.write(json.dumps(rows).encode())
            worker.stdin.close()
            if moment is None:
                if worker.wait():
                    raise SystemExit(f"the worker ended with {worker.returncode}")
                break
            after_reply = i % 2 == 1
            if after_reply:
                post(server.root, "_set", kill={"pid": worker.pid, "answered": moment})
            else:
                wait_for(server.root, moment, worker)
                worker.kill()
            worker.wait()
            time.sleep(0.05)
            books = count(server.root)
            lost.append({"at": moment, "after_reply": after_reply, "max_in_flight": books["max_in_flight"]})
        books = count(server.root)
        report = asyncio.run(audit(store_url, server.url, len(rows), k))
        silent = count(server.root)["received"] == books["received"]
    needed = report["requests"]
    return {
        **{"rows": len(rows), "k": k, "rounds": ROUNDS, "kills": lost, "received": books["received"], "needed": needed},
        **{"lost": books["received"] - needed, "allowed": sum(kill["max_in_flight"] for kill in lost), "replay_silent": silent, **report},
    }


def wait_for(root: str, answered: int, worker: "subprocess.Popen[bytes]") -> None:
    """Return when the server has answered so often, or the worker is done."""
    while worker.poll() is None and count(root)["answered"] < answered:
        time.sleep(0.003)


async def audit(store_url: str, url: str, n: int, k: int) -> dict[str, Any]:
    """Replay every run, and look whether each reply stands at one place."""
    configure(api_base=url)
    async with open_store(store_url) as store:
        records = await store.runs(limit=10_000)
        reports = [(await runs.replay(store, r["run_id"]))[0] for r in records]
        stored = [(r["run_id"], e) for r in records for e in await store.entries(r["run_id"])]
    entries = [e for _, e in stored]
    places = [(run, e.place) for run, e in stored]
    texts = [c["text"] for e in entries if e.kind == "llm" for c in e.outcome["value"]["choices"]]
    return {
        "finished": sum(r["status"] in ("ok", "no_answer") for r in records) == n == len(records),
        "as_formula": sum(_as_formula(r, k) for r in records),
        "requests": sum(e.usage.requests for e in entries),
        "identical": sum(r["identical"] for r in reports),
        "replayed_live": sum(r["calls"]["live"] for r in reports),
        "replies": len(texts),
        "distinct_replies": len(set(texts)),
        "places": len(set(places)),
        "entries": len(entries),
    }


def _as_formula(record: dict[str, Any], k: int) -> bool:
    """Whether the samples of a run are `k * (1 + 2 * rounds)`, with all rounds unless it ended easy."""
    reviewed, refined = (record["by_role"].get(role, 0) for role in ("reviewer", "refiner"))
    rounds = reviewed // k
    enough = rounds == ROUNDS or record["stop_reason"] == "easy"
    return bool(record["by_role"]["solver"] == k and reviewed == refined == k * rounds and enough)


def main() -> None:
    """Read the options; as a worker, read the rows from standard input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="JSONL with a question a line")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds the server takes, and as much more at random")
    parser.add_argument("--store", default="")
    parser.add_argument("--worker", type=json.loads)
    options = parser.parse_args()
    if options.worker:
        store_url, url, root, k = options.worker
        asyncio.run(work(store_url, url, root, json.load(sys.stdin), k))
        return
    text = options.data.read_text() if options.data else (files("symposia.items") / "arithmetic.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()[: options.rows]]
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store_url = options.store or f"{folder}/store.db"
        print(json.dumps(drive(store_url, rows, options.k, options.kills, options.seed, options.delay), indent=1))


if __name__ == "__main__":
    main()
