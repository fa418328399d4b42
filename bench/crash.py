"""Kill a batch again and again, and count what it cost: MAgICoRe over rows of a data set against a local server, `kill -9`, start again.

    python bench/crash.py --data gsm8k.jsonl --rows 50 --kills 10

Prints a JSON object: the requests the server received, those the final journal needed, what was lost at each kill, how many runs replay to
the same states without a request, whether each reply stands at exactly one place, and whether each row has one line in the output file.
The kills take turns: at a random moment, between the server's reply and its commit, and between a row's end and its line. Without `--data`
the bundled toy problems are asked.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
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
KINDS = ("at any time", "after the reply", "before the line")


def given(root: str, k: int) -> dict[str, Any]:
    """Parameters that make every problem hard, so that every round is run; scores come from the server's reward endpoints."""
    reward = f"reward/{root}?model="
    roles = {"outcome": f"{reward}orm", "process": f"{reward}prm"}
    return {"model": "test-model", "k": k, "max_rounds": ROUNDS, "calib_mean": 2.0, "confidence_threshold": 1.0, "roles": roles}


def count(root: str, path: str = "_count") -> dict[str, Any]:
    """The server's books."""
    with urllib.request.urlopen(f"{root}/{path}", timeout=120) as reply:  # noqa: S310 - the address is our own server's
        found: dict[str, Any] = json.load(reply)
    return found


def post(root: str, path: str, **body: Any) -> None:
    """Change the server's behaviour."""
    request = urllib.request.Request(f"{root}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def command(folder: Path, url: str, root: str, k: int, engine: str) -> list[str]:
    """What is killed and started again: a batch over the rows."""
    options = given(root, k)
    roles = [word for role, model in options.pop("roles").items() for word in ("--role", f"{role}={model}")]
    params = [word for name, value in options.items() if name != "model" for word in ("-p", f"{name}={value}")]
    return [
        *(sys.executable, "-m", "symposia.cli", "batch", "magicore", str(folder / "rows.jsonl"), "-o", str(folder / "out.jsonl")),
        *("--store", str(folder / "store.db"), "--model", options["model"], "--api-base", url, "--concurrency", str(CONCURRENCY)),
        *("--engine", engine, *roles, *params),
    ]


def drive(folder: Path, rows: list[dict[str, Any]], k: int, kills: int, seed: int, delay: float, engine: str = "local") -> dict[str, Any]:
    """Start the batch, kill it at random moments, start it again, until it ends by itself.

    The kills take turns: at a random count of answers; between the server's reply and its commit; and, when rows have ended, between the
    commit of a row's end and its line in the output file.
    """
    rng = random.Random(seed)
    each = k * (1 + 2 * ROUNDS) + 2 * k * (1 + ROUNDS)
    total = each * len(rows)
    moments = sorted(rng.sample(range(total // 50, total - total // 50), kills))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lost: list[dict[str, Any]] = []
    with spawned(seed=seed, delay_s=delay, jitter_s=delay) as server, open(folder / "log.txt", "ab") as log:
        for i, moment in enumerate([*moments, None]):
            batch = subprocess.Popen(command(folder, server.url, server.root, k, engine), stdout=log, stderr=log)
            if moment is None:
                if batch.wait():
                    raise SystemExit(f"the batch ended with {batch.returncode}: {(folder / 'log.txt').read_text()[-2000:]}")
                break
            kind = KINDS[i % 3]
            if kind == "after the reply":
                post(server.root, "_set", kill={"pid": batch.pid, "answered": moment})
            else:
                wait_for(server.root, moment, batch)
                if kind == "before the line":
                    wait_for_unwritten(folder, batch)
                batch.kill()
            batch.wait()
            # What a killed client has sent may still be on its way to the server.
            time.sleep(0.05 if engine == "local" else 0.5)
            lost.append({"at": moment, "kind": kind, "max_in_flight": count(server.root)["max_in_flight"], **unwritten(folder)})
        books = count(server.root)
        report = asyncio.run(audit(folder / "store.db", server.url, len(rows), k))
        silent = count(server.root)["received"] == books["received"]
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    needed = report["requests"]
    return {
        **{"rows": len(rows), "k": k, "rounds": ROUNDS, "engine": engine, "kills": lost, "received": books["received"], "needed": needed},
        **{"lost": books["received"] - needed, "allowed": sum(kill["max_in_flight"] for kill in lost)},
        **{"lines": len(lines), "rows_with_a_line": len({line["id"] for line in lines}), "replay_silent": silent, **report},
    }


def wait_for(root: str, answered: int, batch: "subprocess.Popen[bytes]") -> None:
    """Return when the server has answered so often, or the batch is done."""
    while batch.poll() is None and count(root)["answered"] < answered:
        time.sleep(0.003)


def wait_for_unwritten(folder: Path, batch: "subprocess.Popen[bytes]", most: float = 3.0) -> None:
    """Return when a row has ended in the store and has no line yet, or the batch is done, or none was met for `most` seconds."""
    until = time.monotonic() + most
    while batch.poll() is None and not unwritten(folder)["unwritten"] and time.monotonic() < until:
        time.sleep(0.001)


def unwritten(folder: Path) -> dict[str, int]:
    """Rows that have ended in the store, and those of them without a line."""
    path = folder / "out.jsonl"
    lines = path.read_bytes().count(b"\n") if path.exists() else 0
    with contextlib.closing(sqlite3.connect(folder / "store.db", timeout=10)) as store:
        try:
            ended = store.execute("SELECT count(*) FROM runs WHERE status IN ('ok', 'no_answer')").fetchone()[0]
        except sqlite3.OperationalError:
            ended = 0
    return {"ended": ended, "unwritten": max(0, ended - lines)}


async def audit(path: Path, url: str, n: int, k: int) -> dict[str, Any]:
    """Replay every run, and look whether each reply stands at one place."""
    configure(api_base=url)
    async with open_store(str(path)) as store:
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
    """Read the options, do it, print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="JSONL with a question a line")
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds the server takes, and as much more at random")
    parser.add_argument("--engine", default="local", help="local or processes")
    parser.add_argument("--folder", type=Path, help="keep what is written here")
    options = parser.parse_args()
    text = options.data.read_text() if options.data else (files("symposia.items") / "arithmetic.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()[: options.rows]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(drive(folder, rows, options.k, options.kills, options.seed, options.delay, options.engine), indent=1))


if __name__ == "__main__":
    main()
