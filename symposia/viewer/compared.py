"""Two runs side by side, or two batches: what is the same, what differs first, and which rows changed."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from symposia.compare import difference
from symposia.state.errors import SymposiaError
from symposia.state.place import shift, step_of
from symposia.state.store import Entry, Store
from symposia.viewer.batches import rows_of, summary
from symposia.viewer.calls import index_of
from symposia.viewer.heads import Head, Heads
from symposia.viewer.records import Book


async def runs_compared(store: Store, a: Book, b: Book) -> dict[str, Any]:
    """What `symposia diff --json` says, with the calls joined by place and the steps side by side.

    Returns:
        That, with `heads` (of both runs), `places` (`{how, a, b}`: the lines of both calls), `steps` (`{a, b, same}` by their numbers), and
        `first`, the first of these that differs.
    """
    ids = [book.seen.record["run_id"] for book in (a, b)]
    found = await difference(store, *ids)
    lines = [{line["place"]: line for line in index_of(book.seen.entries)} for book in (a, b)]
    steps = _paired(a, b)
    return {
        **found,
        "heads": [book.page["run"] for book in (a, b)],
        "places": [_place(how, place, a, b, lines) for how, places in found["calls"].items() for place in places],
        "steps": steps,
        "first": next((pair for pair in steps if not pair["same"]), None),
        "counts": {how: len(places) for how, places in found["calls"].items()},
    }


async def batches_compared(store: Store, heads: Heads, a: str, b: str) -> dict[str, Any]:
    """Two batches joined on the rows they share: a table of right and wrong, the paired test of `symposia eval`, and the rows that changed.

    Raises:
        UnknownName: One of them does not exist.
    """
    sides = [await rows_of(store, heads, batch_id) for batch_id in (a, b)]
    left, right = ({(str(row.get("row")), row.get("repeat") or 1): row for row in side} for side in sides)
    shared = [key for key in left if key in right and left[key].get("reference") == right[key].get("reference")]
    graded = [key for key in shared if left[key].get("correct") is not None and right[key].get("correct") is not None]
    table = Counter((bool(left[key]["correct"]), bool(right[key]["correct"])) for key in graded)
    methods = sorted({row["method"] for side in sides for row in side})
    return {
        "batches": [{"id": name, **summary(side)} for name, side in zip((a, b), sides, strict=True)],
        "shared": len(shared),
        "only_a": len(left.keys() - right.keys()),
        "only_b": len(right.keys() - left.keys()),
        "table": {f"{_said(one)}_{_said(two)}": table[one, two] for one in (True, False) for two in (True, False)},
        "test": await asyncio.to_thread(_tested, left, right, graded),
        "rows": [_changed(key, left[key], right[key]) for key in shared if left[key].get("answer") != right[key].get("answer")],
        "same_method": len(methods) == 1,
    }


def _said(right: bool) -> str:
    return "right" if right else "wrong"


def _tested(left: Mapping[Any, Head], right: Mapping[Any, Head], keys: Sequence[Any]) -> dict[str, Any] | None:
    """The paired test; None where its packages are missing."""
    from symposia.statistics import compare

    try:
        found = compare({key: bool(left[key]["correct"]) for key in keys}, {key: bool(right[key]["correct"]) for key in keys})
    except SymposiaError:
        return None
    return {"test": found.test, "p": found.p, "difference": found.difference, "low": found.low, "high": found.high}


def _changed(key: tuple[str, int], one: Head, two: Head) -> dict[str, Any]:
    sides = [{name: side.get(name) for name in ("run", "status", "answer", "correct")} for side in (one, two)]
    return {"row": key[0], "repeat": key[1], "reference": one.get("reference"), "a": sides[0], "b": sides[1]}


def _edits_before(step: int, record: Mapping[str, Any]) -> int:
    """How many edits of the state were made before a step, each of which LangGraph counts as one."""
    return sum(1 for mark in record["marks"] if mark["values"] and mark["at"] < step)


def _here(place: str, book: Book) -> str:
    """A place without edits as it stands in a run."""
    aligned = step_of(place)
    step = aligned
    while step - _edits_before(step, book.seen.record) < aligned:
        step += 1
    return shift(place, step - aligned)


def _place(how: str, place: str, a: Book, b: Book, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sides = {name: known.get(_here(place, book)) for name, book, known in (("a", a, lines[0]), ("b", b, lines[1]))}
    return {"how": how, "place": place, **sides}


def _paired(a: Book, b: Book) -> list[dict[str, Any]]:
    """The steps of two runs side by side, counted without edits."""
    rows: dict[int, dict[str, Any]] = {}
    for name, book in (("a", a), ("b", b)):
        for step, full in zip(book.page["steps"], book.full, strict=True):
            if step["source"] != "update":
                n = step["n"] - _edits_before(step["n"], book.seen.record)
                rows.setdefault(n, {"a": None, "b": None})[name] = (step, full, _asked(book.seen.entries, step["n"]))
    found = []
    for n in sorted(rows):
        one, two = rows[n]["a"], rows[n]["b"]
        same = bool(one and two and one[0]["nodes"] == two[0]["nodes"] and _values(one[1]) == _values(two[1]) and one[2] == two[2])
        found.append({"n": n, "a": one and one[0]["n"], "b": two and two[0]["n"], "nodes": (one or two)[0]["nodes"], "same": same})
    return found


def _values(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: change["value"] for key, change in step["wrote"].items() if key not in ("params", "messages", "artefact")}


def _asked(entries: Sequence[Entry], step: int) -> list[bytes]:
    return sorted(entry.digest for entry in entries if step_of(entry.place) == step)
