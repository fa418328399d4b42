"""Batches: what they came to, why rows failed, and how the rows fall apart by what their records, paths and last states say."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from symposia.records import flat
from symposia.registry import load
from symposia.state.errors import BadInput, UnknownName
from symposia.state.store import Store
from symposia.viewer.heads import Head, Heads
from symposia.viewer.persuasion import MOVES
from symposia.viewer.states import States

_RUN_ID = 19  # characters of the id of a row's run: the batch's nine, and ten of the row's
_Z = 1.959964  # two-sided 95 %
_FEW = 12
"""Values up to which a field is worth a bar."""
_MOST_FACETS = 24
_NAMED = ("status", "stop", "visited", "round")
"""Fields that are worth a bar however few the rows are."""
_UNASKED = 1_000
"""Rows up to which states are rebuilt without being asked for, a matter of seconds."""
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
        where, args = store.beginning_with("id", batch_id)
        sql = f"SELECT status, count(*) FROM runs WHERE {where} AND length(id) = ? GROUP BY status"  # noqa: S608
        counts = dict(await store.read(sql, (*args, _RUN_ID)))
        items.append({**told_of(record), "counts": counts, "rows": sum(counts.values())})
    return {"items": items, "next": None, "total": len(items)}


async def page_of(store: Store, heads: Heads, batch_id: str, *, quick: bool = False) -> dict[str, Any]:
    """One batch with its counts, failures and facets; `quick` leaves out facets, for which the rows' paths must be read.

    Raises:
        UnknownName: There is no such batch.
    """
    record = await record_of(store, batch_id)
    rows = await rows_of(store, heads, batch_id, paths=not quick)
    found = {**told_of(record), **summary(rows), "errors": failures(rows)}
    return found if quick else {**found, "facets": facets(rows)}


def settled(record: Mapping[str, Any], rows: Sequence[Head]) -> bool:
    """Whether a batch's states are rebuilt without being asked for: it is small, and nothing runs that would be slowed by it."""
    return record["ended"] is not None and len(rows) <= _UNASKED


async def divided(store: Store, heads: Heads, states: States, batch_id: str, *, begin: bool = False) -> dict[str, Any]:
    """How the rows of a batch fall apart, by their last states too: as far as these are known, and how far that is.

    Args:
        store: Where the batch is.
        heads: Its rows' lines.
        states: What is known of their states.
        batch_id: The batch.
        begin: Rebuild the states, even those of a batch that is large or still going.

    Returns:
        `{facets, changes, states}`: `changes` counts the changes of answer in dialogues, by move `{answers, rows}`, None where there is no
        dialogue; `states` is the progress.

    Raises:
        UnknownName: There is no such batch.
    """
    record = await record_of(store, batch_id)
    rows = await rows_of(store, heads, batch_id, paths=True)
    progress = await states.progress(heads, batch_id, rows, begin=begin or settled(record, rows))
    rows = states.with_states(heads, rows)
    return {"facets": facets(rows), "changes": changes(rows), "states": progress}


def changes(rows: Iterable[Head]) -> dict[str, Any] | None:
    """How many answers of the rows' dialogues moved which way, in how many rows; None without a dialogue."""
    answers: Counter[str] = Counter()
    among: Counter[str] = Counter()
    dialogues = 0
    for row in rows:
        if (moves := row.get("moves")) is not None:
            dialogues += 1
            answers.update(moves)
            among.update(moves.keys())
    if not dialogues:
        return None
    return {"rows": dialogues, "moves": {move: {"answers": answers[move], "rows": among[move]} for move in MOVES if answers[move]}}


async def rows_of(store: Store, heads: Heads, batch_id: str, *, paths: bool = False) -> list[Head]:
    """The rows of a batch in the order of its input. Not to be changed.

    Raises:
        UnknownName: There is no such batch.
    """
    record = await record_of(store, batch_id)
    where, args = store.beginning_with("id", batch_id)
    found = await heads.of(store, f"WHERE {where} AND length(id) = ?", (*args, _RUN_ID), paths=paths, rests=record["ended"] is not None)
    return sorted(found, key=_order)


def _order(row: Head) -> tuple[int, int]:
    return row.get("repeat") or 0, row.get("position") or 0


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
    """How rows fall apart by fields that have few values, their last states' as far as these are known: `{key, values}`.

    A value is `{value, n, graded, right}`. Of fields that divide the rows alike the first is told.
    """
    known = [row for row in rows if row.get("state")]
    keys = dict.fromkeys(key for row in known for key in row["state"])
    groups = {key: _grouped(rows, values_of) for key, values_of in FACETS.items()}
    groups |= {f"state.{key}": _grouped(known, partial(_fact, key)) for key in keys}
    found: dict[Any, dict[str, Any]] = {}
    for key, grouped in groups.items():
        if bars := _bars(key, grouped, len(known) if key.startswith("state.") else len(rows)):
            split = frozenset(frozenset(row["run"] for row in group) for group in grouped.values())
            found.setdefault(split, {"key": key, "values": bars})
    return list(found.values())[:_MOST_FACETS]


def _fact(key: str, row: Head) -> list[Any]:
    return [row["state"][key]] if key in row["state"] else []


def _grouped(rows: Iterable[Head], values_of: Callable[[Head], Iterable[Any]]) -> dict[Any, list[Head]]:
    groups: defaultdict[Any, list[Head]] = defaultdict(list)
    for row in rows:
        for value in values_of(row):
            groups[value].append(row)
    return groups


def _bars(key: str, groups: Mapping[Any, Sequence[Head]], rows: int) -> list[dict[str, Any]]:
    """A bar for each value; none where there are too many, or where the values are nearly as many as the rows."""
    # A value that every row has divides nothing.
    bars: list[dict[str, Any]] = [{"value": value, **_bar(group)} for value, group in groups.items() if len(group) < rows]
    few = 0 < len(bars) <= _FEW and not (key not in _NAMED and len(bars) > max(3, rows / 4))
    return sorted(bars, key=lambda bar: (-bar["n"], str(bar["value"]))) if few else []


def wilson(right: int, n: int) -> dict[str, float] | None:
    """Wilson's score interval of a proportion at 95 % (Wilson 1927); None without a graded row. `symposia eval` knows more."""
    if not n:
        return None
    mean, z = right / n, _Z
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return {"estimate": mean, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


async def record_of(store: Store, batch_id: str) -> dict[str, Any]:
    """A batch's own record.

    Raises:
        UnknownName: There is no such batch.
    """
    found = await store.batches(batch_id=batch_id)
    if not found:
        known = [row[0] for row in await store.read("SELECT id FROM batches")]
        raise UnknownName.of("batch", batch_id, known, remedy="open the list of runs")
    return found[0]


def told_of(record: Mapping[str, Any]) -> dict[str, Any]:
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
