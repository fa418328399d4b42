"""How a run that goes on stands: what it has cost of what it may, which calls are open at which node, and what it waits for."""

import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from symposia.background import AtWork, working
from symposia.params import make_params
from symposia.records import params_of
from symposia.registry import load
from symposia.state.errors import BadInput, UnknownName
from symposia.state.place import step_of
from symposia.state.store import Store
from symposia.viewer.desk import calls_at_most

_SPENT = (
    "SELECT sum(calls), sum(CASE WHEN copied = 0 THEN requests ELSE 0 END), sum(CASE WHEN copied = 0 THEN prompt_tokens ELSE 0 END),"
    " sum(CASE WHEN copied = 0 THEN completion_tokens ELSE 0 END), sum(CASE WHEN copied = 0 THEN usd ELSE 0 END),"
    " sum(CASE WHEN copied = 0 AND usd IS NULL THEN calls ELSE 0 END) FROM entries WHERE run = ?"
)


async def standing_of(store: Store, run_id: str) -> dict[str, Any]:
    """What a run has come to so far.

    Returns:
        `{status, calls, most, requests, tokens, cost, started, stopping, step, nodes, open, paused}`: calls so far and at most, by
        the method's formulas (None where it has none), USD (None where a price is not known), whether it was asked to stop, the step that
        goes on, and its nodes with how many effects are done of how many. What is open, in flight or waits is only known of a run that this
        process executes; `here` says whether it does, and `seconds` how long that has taken.
    """
    record = await store.run(run_id)
    calls, requests, sent, back, usd, unpriced = (value or 0 for value in (await store.read(_SPENT, (run_id,)))[0])
    stopping = (await store.read("SELECT count(*) FROM cancels WHERE run = ?", (run_id,)))[0][0]
    at = working(run_id)
    step, nodes = await _progress(store, run_id, at)
    return {
        **{"status": record["status"], "started": record["started"], "stopping": bool(stopping), "step": step, "nodes": nodes},
        **{"calls": int(calls), "most": most_of(record), "requests": int(requests), "tokens": int(sent) + int(back)},
        "cost": None if unpriced else float(usd),
        **here(at),
    }


def here(at: AtWork | None) -> dict[str, Any]:
    """What only the process that executes a run knows: `{here, seconds, in_flight, queued, pauses}`.

    `queued` wait for a slot of their model; `pauses` are calls that wait before another attempt: `[{why, n, seconds}]`.
    """
    if at is None:
        return {"here": False, "seconds": None, "in_flight": None, "queued": None, "pauses": []}
    run, now = at.run, time.monotonic()
    pauses: dict[str, list[float]] = {}
    for until, why in list(run.pauses.values()):
        pauses.setdefault(why, []).append(until - now)
    found = [
        {"why": why, "n": len(left), "seconds": round(max(0.0, min(left)), 1) if min(left) < 3600 else None} for why, left in pauses.items()
    ]
    paused = sum(len(left) for left in pauses.values())
    return {
        **{"here": True, "seconds": round(at.seconds, 1), "pauses": found},
        **{"in_flight": max(0, run.in_flight - paused), "queued": max(0, run.asked - run.in_flight)},
    }


def most_of(record: Mapping[str, Any]) -> int | None:
    """Calls that a run may need by its method's formulas, scorings among them, as the journal counts both; None where there is none."""
    if record["graph"] != "build":
        return None
    try:
        loaded = load(record["method"])
        return calls_at_most(loaded, make_params(loaded, params_of(record)))
    except BadInput:
        return None


async def _progress(store: Store, run_id: str, at: AtWork | None) -> tuple[int | None, list[dict[str, Any]]]:
    """The step that goes on, and its nodes: `[{node, done, of}]`, `of` None where nobody knows."""
    last = await store.read("SELECT step, next FROM steps WHERE run = ? AND frame = '' ORDER BY step DESC LIMIT 1", (run_id,))
    if not last:
        return None, []
    step = int(last[0][0]) + 1
    tasks = Counter(json.loads(last[0][1]))
    made = await store.read("SELECT place FROM entries WHERE run = ? AND place LIKE ?", (run_id, f"{step}.%"))
    done = Counter(_outer(place) for (place,) in made)
    waits = Counter(_outer(place) for place in list(at.run.open) if step_of(place) == step) if at else Counter[str]()
    nodes = []
    for node in dict.fromkeys((*tasks, *done, *waits)):
        asked = done[node] + waits[node]
        of = max(asked, tasks[node]) if at or tasks[node] > 1 else None
        nodes.append({"node": node, "done": done[node], "of": of})
    return step, nodes


def _outer(place: str) -> str:
    """The node of the run's own graph that a place belongs to."""
    return place.partition("/")[0].split(".")[1].partition("~")[0]


async def batch_standing(store: Store, batch_id: str) -> dict[str, Any]:
    """How a batch stands: `{counts, rows, calls, cost, budget, tokens, tokens_budget, ended}`; `rows` are those that were asked for.

    Raises:
        UnknownName: There is no such batch.
    """
    found = await store.batches(batch_id=batch_id)
    if not found:
        raise UnknownName(f"unknown batch {batch_id[:80]!r}", remedy="open the list of batches")
    record = found[0]
    where, args = store.beginning_with("id", batch_id)
    sql = f"SELECT status, count(*) FROM runs WHERE {where} AND length(id) > ? GROUP BY status"  # noqa: S608
    counts = dict(await store.read(sql, (*args, len(batch_id))))
    allowed, lost = record.get("allowed") or {}, record["lost"]
    spent = await store.spent(batch_id)
    unpriced = bool(spent.notes["unpriced"])
    return {
        **{"counts": counts, "rows": allowed.get("rows"), "ended": bool(record["ended"]), "calls": spent.calls + lost["calls"]},
        **{"cost": None if unpriced else (spent.usd or 0.0) + lost["usd"], "budget": allowed.get("usd")},
        **{"tokens": spent.prompt_tokens + spent.completion_tokens + lost["tokens"], "tokens_budget": allowed.get("tokens")},
    }
