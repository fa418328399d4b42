"""Two runs side by side, or two batches: what is the same, what differs first, and which rows changed."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from symposia.compare import difference
from symposia.state.errors import SymposiaError, UnknownName
from symposia.state.place import shift, step_of
from symposia.state.store import Entry, Store
from symposia.tools.equality import same_pure
from symposia.viewer.batches import record_of, rows_of, summary, told_of
from symposia.viewer.calls import index_of
from symposia.viewer.heads import Head, Heads
from symposia.viewer.records import Book

_CELLS = ("right_right", "right_wrong", "wrong_right", "wrong_wrong")
_WHICH = ("changed", *_CELLS, "all")
_MOST = 1_000  # rows that are told at once


async def runs_compared(store: Store, a: Book, b: Book) -> dict[str, Any]:
    """What `symposia diff --json` says, with the calls joined by place and the steps side by side.

    Returns:
        That, with `heads` (of both runs), `places` (`{how, a, b}`: the lines of both calls), `steps` (`{a, b, same}` by their numbers), and
        `first`, the first of these that differs.
    """
    ids = [book.seen.record["run_id"] for book in (a, b)]
    found = await difference(store, *ids)
    lines = [{line["place"]: line for line in index_of(book.seen.entries, book.seen.record)} for book in (a, b)]
    steps = _paired(a, b)
    return {
        **found,
        "heads": [book.page["run"] for book in (a, b)],
        "places": [_place(how, place, a, b, lines) for how, places in found["calls"].items() for place in places],
        "steps": steps,
        "first": next((pair for pair in steps if not pair["same"]), None),
        "counts": {how: len(places) for how, places in found["calls"].items()},
    }


async def batches_compared(store: Store, heads: Heads, a: str, b: str, *, which: str = "changed") -> dict[str, Any]:
    """Two batches joined on the rows they share: a table of right and wrong, the paired test of `symposia eval`, and rows side by side.

    Args:
        store: Where both are.
        heads: Their rows' lines.
        a: The one batch.
        b: The other.
        which: The rows that are told: `changed` answers, a cell of the table such as `right_wrong`, or `all`; at most 1,000.

    Raises:
        UnknownName: One of them does not exist, or there are no such rows.
    """
    if which not in _WHICH:
        raise UnknownName.of("rows", which, _WHICH, remedy=f"there are {', '.join(_WHICH)}")
    records = [await record_of(store, batch_id) for batch_id in (a, b)]
    sides, wholes = [], []
    for batch_id in (a, b):
        rows = await rows_of(store, heads, batch_id)
        wholes.append({row["run"]: heads.whole(row["run"]) for row in rows})
        sides.append(rows)

    def as_whole(key: tuple[str, int], name: str) -> bool:
        """Whether nothing differs in what the lines of both rows hold cut."""
        one, two = (whole[side[key]["run"]].get(name) for side, whole in zip((left, right), wholes, strict=True))
        return bool(one == two)

    left, right = ({(str(row.get("row")), row.get("repeat") or 1): row for row in side} for side in sides)
    both = [key for key in left if key in right]
    shared = [key for key in both if as_whole(key, "reference") and left[key].get("reference") == right[key].get("reference")]
    graded = [key for key in shared if left[key].get("correct") is not None and right[key].get("correct") is not None]
    cells = {key: f"{_said(bool(left[key]['correct']))}_{_said(bool(right[key]['correct']))}" for key in graded}
    table = Counter(cells.values())
    changed = [key for key in shared if not (as_whole(key, "answer") and _same_answer(left[key], right[key]))]
    keys = shared if which == "all" else changed if which == "changed" else [key for key in shared if cells.get(key) == which]
    methods = [record["method"] for record in records]
    return {
        "batches": [{**told_of(record), **summary(side)} for record, side in zip(records, sides, strict=True)],
        **{"shared": len(shared), "graded": len(graded), "other_reference": len(both) - len(shared), "changed": len(changed)},
        "only_a": len(left.keys() - right.keys()),
        "only_b": len(right.keys() - left.keys()),
        "table": {cell: table[cell] for cell in _CELLS},
        "test": await asyncio.to_thread(_tested, tuple(graded), *(tuple(side[key]["correct"] for key in graded) for side in (left, right))),
        **{"which": which, "rows": [_side_by_side(key, left[key], right[key]) for key in keys[:_MOST]], "total": len(keys)},
        "same_method": methods[0] == methods[1],
    }


def _same_answer(one: Head, two: Head) -> bool:
    """Whether two answers are the same as far as that can be said without algebra."""
    a, b = one.get("answer"), two.get("answer")
    return bool(a == b or (a is not None and b is not None and same_pure(a, b)))


def _said(right: bool) -> str:
    return "right" if right else "wrong"


@lru_cache(maxsize=16)
def _tested(keys: tuple[tuple[str, int], ...], left: tuple[bool, ...], right: tuple[bool, ...]) -> dict[str, Any]:
    """The paired test of what is right on either side, kept since it resamples; what is `missing` where its packages are."""
    from symposia.statistics import compare

    try:
        found = compare(dict(zip(keys, left, strict=True)), dict(zip(keys, right, strict=True)))
    except SymposiaError as error:
        return {"missing": str(error)}
    sides = {"a_better": found.first_better, "b_better": found.second_better, "problems": found.problems}
    return {"test": found.test, "p": found.p, "difference": found.difference, "low": found.low, "high": found.high, **sides}


def _side_by_side(key: tuple[str, int], one: Head, two: Head) -> dict[str, Any]:
    sides = [{name: side.get(name) for name in ("run", "status", "answer", "correct")} for side in (one, two)]
    told = {name: one.get(name) for name in ("reference", "question")}
    return {"row": key[0], "repeat": key[1], **told, "a": sides[0], "b": sides[1]}


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
