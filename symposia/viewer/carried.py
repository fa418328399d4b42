"""What an exported page holds: the answers of the endpoints by their paths, with what is to be left out left out, and facts of the file."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from symposia import __version__
from symposia.records import TOYS
from symposia.state.errors import BadInput
from symposia.state.store import Store
from symposia.viewer.batches import changes, facets, page_of, record_of, rows_of, settled
from symposia.viewer.calls import Calls
from symposia.viewer.compared import batches_compared, runs_compared
from symposia.viewer.heads import Head, Heads
from symposia.viewer.methods import method_page
from symposia.viewer.records import Book
from symposia.viewer.states import States

PARTS = ("prompts", "references")
"""What can be left out."""
RUNS = 20
"""Runs of a batch that come whole with its page, unless somebody says how many."""
_GONE = {
    "prompts": ("request", "copy", "prompts", "complaint"),
    "references": ("reference", "correct", "turning", "judged", "grade", "grader"),
}
"""Names of the fields that hold a part."""
_GRADES = ("right", "graded", "accuracy", "table", "test")
"""What follows from references, in a batch's page and where batches are compared."""
_ROWS = ("answer", "answers", "reference", "gold", "gold_answer")
"""Names of the known answers in the rows that a run of `prepare` takes."""
PAIRED = ("of", "heads", "places", "steps", "first", "counts")
"""What the page of two runs says beside `symposia diff --json`."""
_PATIENCE = 20.0
"""Seconds that the states of a batch's rows may take; then the file holds those that are known."""
_BREATH = 0.05  # seconds
_FACTS = 100_000
"""What the last states of all rows may say, in values; of more only those keys are kept that divide the rows."""


Work = Callable[[Store], Awaitable[Any]]
Apart = Callable[[Work], Awaitable[Any]]
"""Does some work with a store in the thread where runs are replayed."""


async def there(apart: Apart | None, store: Store, work: Work) -> Any:
    """What some work gives: done apart, or here where there is no such thread."""
    return await (apart(work) if apart else work(store))


async def run_answers(book: Book, parts: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the endpoints answer about a run, by their paths without `/api`, with what is to be left out left out."""
    run_id = book.seen.record["run_id"]
    command = f"symposia show {run_id} --html {run_id}.html"
    return {**_run_part(book, parts), "/export": facts(command, [book], start=f"#/runs/{run_id}", parts=parts)}


async def compare_answers(store: Store, a: Book, b: Book, parts: tuple[str, ...] = (), apart: Apart | None = None) -> dict[str, Any]:
    """The same of two runs side by side, both of them whole."""
    one, two = (book.seen.record["run_id"] for book in (a, b))
    found = {"of": "runs", **await there(apart, store, partial(runs_compared, a=a, b=b))}
    command = f"symposia diff {one} {two} --html {one}-{two}.html"
    return {
        **_run_part(a, parts),
        **_run_part(b, parts),
        f"/compare?a={one}&b={two}": without_rows(without(found, parts), [a, b], parts),
        "/export": facts(command, [a, b], start=f"#/compare/{one}/{two}", parts=parts),
    }


async def batch_answers(
    store: Store,
    heads: Heads,
    states: States,
    batch_id: str,
    parts: tuple[str, ...] = (),
    most: int = RUNS,
    apart: Apart | None = None,
    patience: float | None = None,
) -> dict[str, Any]:
    """The same of a batch: its page, all of its rows with what their last states say, and `most` of its runs whole.

    Those runs are failed ones first, then wrong ones, unless references are left out: the order would tell who was wrong. `apart` is where
    runs are replayed, here by default. States are rebuilt for `patience` seconds at most, by default for 20 and only where the page
    rebuilds them unasked; the file says of how many rows they are known.

    Raises:
        UnknownName: There is no such batch.
    """
    about = await page_of(store, heads, batch_id, quick=True)
    rows, divided = await _divided(store, heads, states, batch_id, parts, patience)
    keys = _keys_kept(rows, divided["facets"])
    graded = "references" not in parts
    telling = sorted(rows, key=lambda row: (row.get("error") is None, graded and row.get("correct") is not False))
    made = [await there(apart, store, partial(_opened, row["run"], parts)) for row in telling[: max(0, most)]]
    books: list[Book] = [book for book, _ in made]
    found: dict[str, Any] = {
        f"/batches/{batch_id}": {**without(about, parts, _GRADES), "facets": divided["facets"]},
        f"/batches/{batch_id}/facets": divided,
        f"/batches/{batch_id}/rows": {**_list([_sent(row, parts, keys) for row in rows]), "of": len(rows), "keys": keys},
    }
    for _, part in made:
        found |= part
    about_file = facts(f"symposia show {batch_id} --html {batch_id}.html", books, start=f"#/batches/{batch_id}", parts=parts)
    held = [book.seen.record["run_id"] for book in books]
    changed = about["changed"]
    named = sorted({str(value) for key, value in changed.items() if key == "model" or key.startswith("roles.")})
    about_file["models"] = sorted({*about_file["models"], *named})
    about_file["toys"] = sorted({*about_file["toys"], *(name for name in named if name.startswith(TOYS))})
    return {**found, "/export": {**about_file, "runs": held, "left": len(rows) - len(held)}}


async def batches_answers(store: Store, heads: Heads, states: States, a: str, b: str, parts: tuple[str, ...] = ()) -> dict[str, Any]:
    """The same of two batches side by side, with the rows of both and none of their runs."""
    found = {"of": "batches", **await batches_compared(store, heads, a, b)}
    sides = [await batch_answers(store, heads, states, one, parts, 0) for one in (a, b)]
    both = [side.pop("/export") for side in sides]
    about_file = facts(f"symposia diff {a} {b} --html {a}-{b}.html", [], start=f"#/compare/{a}/{b}", parts=parts)
    told = {name: sorted({*both[0][name], *both[1][name]}) for name in ("models", "toys")}
    return {**sides[0], **sides[1], f"/compare?a={a}&b={b}": without(found, parts, _GRADES), "/export": {**about_file, **told}}


def without(value: Any, parts: tuple[str, ...], also: tuple[str, ...] = ()) -> Any:
    """A value without prompts or references, wherever they stand in it; `also` names further fields that follow from references."""
    names = _names(parts, also)
    if not names:
        return value
    if isinstance(value, Mapping):
        return {key: None if _is_gone(key, names) else without(item, parts, also) for key, item in value.items()}
    return [without(item, parts, also) for item in value] if isinstance(value, list | tuple) else value


def without_rows(value: dict[str, Any], books: Sequence[Book], parts: tuple[str, ...]) -> dict[str, Any]:
    """A value about runs without the known answers in the rows that a run of `prepare` was given, if references are left out."""
    if "references" not in parts or all(book.seen.record["graph"] != "prepare" for book in books):
        return value
    found: dict[str, Any] = _unanswered(value)
    return found


def _unanswered(value: Any, inside: bool = False) -> Any:
    """A value whose rows have no known answers; what stands for a run's question shows its rows too."""
    if isinstance(value, Mapping):
        rows = inside or value.get("key") == "rows"
        found = {key: None if rows and key in _ROWS else _unanswered(item, rows or key == "rows") for key, item in value.items()}
        return {**found, "question": ""} if value.get("part") == "prepare" else found
    return [_unanswered(item, inside) for item in value] if isinstance(value, list | tuple) else value


def facts(command: str, books: Sequence[Book], start: str, parts: tuple[str, ...]) -> dict[str, Any]:
    """What is said of a file: version, date, models, toys, what made it, where it opens, and what was left out."""
    models = {entry.usage.model for book in books for entry in book.seen.entries if entry.usage.model}
    toys = sorted({toy for book in books for toy in book.page["toys"]})
    said = " ".join([command, f"--without {','.join(parts)}"] if parts else [command])
    return {
        **{"version": __version__, "made": time.time(), "command": said, "models": sorted(models), "toys": toys},
        **{"start": start, "without": list(parts)},
    }


async def _divided(
    store: Store, heads: Heads, states: States, batch_id: str, parts: tuple[str, ...], patience: float | None
) -> tuple[list[Head], dict[str, Any]]:
    """A batch's rows with what their last states say, and what `/batches/B/facets` answers of them."""
    record = await record_of(store, batch_id)
    rows = await rows_of(store, heads, batch_id, paths=True)
    begin = settled(record, rows) if patience is None else record["ended"] is not None
    until = time.monotonic() + (_PATIENCE if patience is None else patience)
    progress = await states.progress(heads, batch_id, rows, begin=begin)
    while begin and progress["going"] and time.monotonic() < until:
        await asyncio.sleep(_BREATH)
        progress = await states.progress(heads, batch_id, rows, begin=begin)
    rows = [_shorn(row, parts) for row in states.with_states(heads, rows)]
    known = {**progress, "done": sum("state" in row for row in rows), "going": False, "seconds": None}
    told = {"facets": facets(rows), "changes": changes(rows), "states": known}
    return rows, without(told, parts, _GRADES)


def _shorn(row: Head, parts: tuple[str, ...]) -> Head:
    """A row whose last state says nothing of what is left out; which way an answer moved follows from the reference."""
    names = _names(parts, _GRADES)
    if not names or "state" not in row:
        return row
    state = {key: value for key, value in row["state"].items() if names.isdisjoint(key.split("."))}
    return {**{key: value for key, value in row.items() if key != "moves" or "references" not in parts}, "state": state}


def _keys_kept(rows: Sequence[Head], divided: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The keys of the states that a file has room for; None where it has room for all."""
    if sum(len(row.get("state", ())) for row in rows) <= _FACTS:
        return None
    return [facet["key"].removeprefix("state.") for facet in divided if facet["key"].startswith("state.")]


def _sent(row: Head, parts: tuple[str, ...], keys: Sequence[str] | None) -> Head:
    """A row as the file has it."""
    found: Head = without({key: value for key, value in row.items() if key != "state"}, parts, _GRADES)
    if "state" in row:
        found["state"] = {key: value for key, value in row["state"].items() if keys is None or key in keys}
    return found


async def _opened(run_id: str, parts: tuple[str, ...], store: Store) -> tuple[Book, dict[str, Any]]:
    """A run rebuilt, and the answers about it."""
    book = await Book.open(store, run_id)
    return book, _run_part(book, parts)


def _run_part(book: Book, parts: tuple[str, ...]) -> dict[str, Any]:
    """The answers about one run."""
    base = f"/runs/{book.seen.record['run_id']}"
    steps = book.page["steps"]
    calls = Calls(book.seen.entries, steps, book.took, book.seen.record)
    found: dict[str, Any] = {base: book.page, f"{base}/calls": _list(calls.lines())}
    found |= {f"{base}/steps/{step['n']}": book.step(step["n"]) for step in steps}
    found |= {f"{base}/calls/{place}": calls.call(place, book.texts) for place in calls.places}
    with suppress(BadInput):  # a run that cannot be replayed has no states
        found[f"{base}/state/0"] = book.state(0)  # upon which the page builds what the steps wrote
    with suppress(BadInput):  # a method that is gone has no graph to show
        found[f"/methods/{book.seen.record['method']}"] = method_page(book.seen.record["method"])
    shorn: dict[str, Any] = without_rows(without(found, parts), [book], parts)
    wanted = set(_folded(shorn))
    return shorn | {f"{base}/text/{sha}": text for sha, text in book.texts.items() if sha in wanted}


def _names(parts: tuple[str, ...], also: tuple[str, ...] = ()) -> set[str]:
    """Names of the fields that are left out."""
    return {name for part in parts for name in _GONE[part]} | set(also if "references" in parts else ())


def _is_gone(key: Any, names: set[str]) -> bool:
    """Whether a field is left out: by its name, or by the first part of a path such as `prompts.solver`."""
    return isinstance(key, str) and (key in names or ("prompts" in names and key.startswith("prompts.")))


def _folded(value: Any) -> Iterator[str]:
    """The digests of the folded texts in a value."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$text"), str):
            yield value["$text"]
        for item in value.values():
            yield from _folded(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _folded(item)


def _list(items: list[Any]) -> dict[str, Any]:
    return {"items": items, "next": None, "total": len(items)}
