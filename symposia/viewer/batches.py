"""Batches: what they came to, why rows failed, and how the rows fall apart by what can be read from their records and paths."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symposia.records import flat
from symposia.registry import load
from symposia.state.errors import BadInput, UnknownName
from symposia.state.store import Store
from symposia.viewer.heads import Head, Heads

_RUN_ID = 19  # characters of the id of a row's run: the batch's nine, and ten of the row's
_Z = 1.959964  # two-sided 95 %
_FEW = 12
"""Values up to which a field is worth a bar."""
FACETS: dict[str, Callable[[Head], Iterable[Any]]] = {
    "status": lambda row: [row["status"]],
    "stop": lambda row: [row["stop"]] if row.get("stop") else [],
    "visited": lambda row: row.get("visited", {}),
    "round": lambda row: [row.get("rounds", 0)],
    "answer": lambda row: [row.get("answer")],
}
"""By the filter's key: the values of a row."""


async def listed(store: Store) -> dict[str, Any]:
    """All batches, newest first, with their rows counted by status."""
    rows = await store.read("SELECT id FROM batches ORDER BY started DESC")
    items = []
    for (batch_id,) in rows:
        record = (await store.batches(batch_id=batch_id))[0]
        sql = "SELECT status, count(*) FROM runs WHERE id >= ? AND id < ? AND length(id) = ? GROUP BY status"
        counts = dict(await store.read(sql, (*_range(batch_id), _RUN_ID)))
        items.append({**_facts(record), "counts": counts, "rows": sum(counts.values())})
    return {"items": items, "next": None, "total": len(items)}


async def page_of(store: Store, heads: Heads, batch_id: str) -> dict[str, Any]:
    """One batch with its counts, failures and facets.

    Raises:
        UnknownName: There is no such batch.
    """
    record = await _record(store, batch_id)
    rows = await rows_of(store, heads, batch_id, paths=True)
    return {**_facts(record), **summary(rows), "errors": failures(rows), "facets": facets(rows)}


async def rows_of(store: Store, heads: Heads, batch_id: str, *, paths: bool = False) -> list[Head]:
    """The rows of a batch in the order of its input.

    Raises:
        UnknownName: There is no such batch.
    """
    await _record(store, batch_id)
    found = await heads.of(store, "WHERE id >= ? AND id < ? AND length(id) = ?", (*_range(batch_id), _RUN_ID), paths=paths)
    return sorted(found, key=lambda row: (row.get("repeat") or 0, row.get("position") or 0))


def summary(rows: Sequence[Head]) -> dict[str, Any]:
    """Counts, accuracy with its interval, calls, cost and seconds of rows."""
    graded = [row["correct"] for row in rows if row.get("correct") is not None]
    prices = [row["cost"] for row in rows]
    return {
        "rows": len(rows),
        "counts": dict(Counter(row["status"] for row in rows)),
        "graded": len(graded),
        "right": sum(graded),
        "accuracy": wilson(sum(graded), len(graded)),
        "calls": sum(row["calls"] for row in rows),
        "tokens": sum(row["tokens"] for row in rows),
        "cost": None if None in prices else sum(prices),
        "seconds": sum(row["seconds"] for row in rows),
        "toy": any(row["toy"] for row in rows),
    }


def failures(rows: Sequence[Head]) -> list[dict[str, Any]]:
    """Failed rows by the name of the error and the node it came from, the most frequent first, each with its first row."""
    groups: defaultdict[tuple[str, str | None], list[Head]] = defaultdict(list)
    for row in rows:
        if error := row.get("error"):
            groups[error["name"], error["node"]].append(row)
    found = [
        {"name": name, "node": node, "count": len(group), "run": group[0]["run"], "message": group[0]["error"]["message"]}
        for (name, node), group in groups.items()
    ]
    return sorted(found, key=lambda group: (-group["count"], group["name"], group["node"] or ""))


def facets(rows: Sequence[Head]) -> list[dict[str, Any]]:
    """How rows fall apart by the fields that have few values: `{key, values: [{value, n, graded, right}]}`."""
    found: list[dict[str, Any]] = []
    for key, values_of in FACETS.items():
        groups: defaultdict[Any, list[Head]] = defaultdict(list)
        for row in rows:
            for value in values_of(row):
                groups[value].append(row)
        # A value that every row has divides nothing.
        bars: list[dict[str, Any]] = [{"value": value, **_bar(group)} for value, group in groups.items() if len(group) < len(rows)]
        if 0 < len(bars) <= _FEW and not (key == "answer" and len(bars) > len(rows) / 4):
            found.append({"key": key, "values": sorted(bars, key=lambda bar: (-bar["n"], str(bar["value"])))})
    return found


def wilson(right: int, n: int) -> dict[str, float] | None:
    """Wilson's score interval of a proportion at 95 % (Wilson 1927); None without a graded row. `symposia eval` knows more."""
    if not n:
        return None
    mean, z = right / n, _Z
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"estimate": mean, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


async def _record(store: Store, batch_id: str) -> dict[str, Any]:
    found = await store.batches(batch_id=batch_id)
    if not found:
        known = [row[0] for row in await store.read("SELECT id FROM batches")]
        raise UnknownName.of("batch", batch_id, known, remedy="open the list of runs")
    return found[0]


def _facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's record without what is only for its machine."""
    try:
        usual = flat(load(record["method"]).params().model_dump(mode="json"))
    except BadInput:
        usual = {}
    changed = {name: value for name, value in flat(record["params"]).items() if name == "model" or usual.get(name) != value}
    kept = {key: record[key] for key in ("method", "input", "started", "ended", "grader", "origin")}
    output = str(record["output"]).replace("\\", "/").rpartition("/")[2]
    return {"id": record["batch_id"], **kept, "output": output, "changed": changed}


def _bar(rows: Sequence[Head]) -> dict[str, Any]:
    graded = [row["correct"] for row in rows if row.get("correct") is not None]
    return {"n": len(rows), "graded": len(graded), "right": sum(graded)}


def _range(batch_id: str) -> tuple[str, str]:
    """The range of the ids that begin with a batch's."""
    return batch_id, f"{batch_id}~"
