"""What each reading endpoint answers, as plain JSON. All of it runs in the library's thread."""

import re
from typing import Any

from symposia import registry
from symposia.command import method_card
from symposia.execution import plain, thread_of
from symposia.records import Look
from symposia.state.errors import BadInput, StoreError, SymposiaError, UnknownName
from symposia.state.store import Store
from symposia.viewer import batches as tables
from symposia.viewer.calls import Calls, in_order, index_of
from symposia.viewer.compared import batches_compared, runs_compared
from symposia.viewer.desk import Desk
from symposia.viewer.heads import Head, head_of, verdict_of
from symposia.viewer.methods import method_page
from symposia.viewer.query import read_query
from symposia.viewer.records import Book
from symposia.viewer.steps import run_page, thin_steps
from symposia.viewer.table import as_csv, sent
from symposia.viewer.texts import folded

_ID = re.compile(r"[\w-]{1,80}")
_MOST = 500  # runs in one answer
_WHOLE = 10_000  # rows of a batch that come in one answer
_WINDOW = 1_000  # rows in one answer of a larger one


async def runs(desk: Desk, store: Store, *, q: str, after: str, limit: int) -> dict[str, Any]:
    """The newest runs; with `q` those that the filter keeps."""
    limit = max(1, min(limit, _MOST))
    if q.strip():
        query = read_query(q)
        found = [row for row in await desk.library.heads.of(store, paths=query.needs_paths) if query.keeps(row)]
        start = next((i + 1 for i, row in enumerate(found) if row["run"] == after), 0)
        items, total = found[start : start + limit], len(found)
        more = start + limit < total
    else:
        total = (await store.read("SELECT count(*) FROM runs"))[0][0]
        items = await _page(desk, store, after, limit)
        more = len(items) == limit and total > limit
    return {"items": items, "next": items[-1]["run"] if more else None, "total": total}


async def run(desk: Desk, store: Store, *, run_id: str, quick: bool = False) -> dict[str, Any]:
    """A run with its thin steps; `quick` does not wait for states that have to be rebuilt."""
    record = await store.run(named(run_id))
    run_id = record["run_id"]
    if quick and await desk.library.kept(store, record) is None:
        return await _quick(desk, store, record)
    page = (await desk.library.book(store, run_id)).page
    return page if page["run"]["status"] != "started" else {**page, "run": await _now(desk, store, run_id)}


async def step(desk: Desk, store: Store, *, run_id: str, n: int, keys: list[str] | None) -> dict[str, Any]:
    """One step with what it wrote."""
    return (await desk.library.book(store, named(run_id))).step(n, keys)


async def state(desk: Desk, store: Store, *, run_id: str, n: int) -> dict[str, Any]:
    """The whole state after a step: rebuilt, or from LangGraph's checkpoint where the code has changed since."""
    book = await desk.library.book(store, named(run_id))
    if book.seen.trusted:
        return book.state(n)
    found = await _checkpoint(store, book.seen, n)
    if found is None:
        return book.state(n)  # which says why there is none
    return {"n": n, "from": "checkpoint", "diverged": True, "state": folded(plain(found), book.texts)}


async def calls(desk: Desk, store: Store, *, run_id: str, step: int | None = None) -> dict[str, Any]:
    """A line per call, of the whole run or of one step."""
    record = await store.run(named(run_id))
    lines = index_of(await desk.library.entries(store, record["run_id"]), record)
    items = [line for line in lines if step is None or line["step"] == step]
    return {"items": items, "next": None, "total": len(items)}


async def call(desk: Desk, store: Store, *, run_id: str, place: str) -> dict[str, Any]:
    """One call whole."""
    book = await desk.library.book(store, named(run_id))
    made = Calls(await desk.library.entries(store, book.seen.record["run_id"]), book.page["steps"], book.took, book.seen.record)
    found = made.call(place, book.texts)
    if found is None:
        raise UnknownName.of("call", place[:200], made.places, remedy="the run's list of calls has the places")
    return found


async def search(desk: Desk, store: Store, *, run_id: str, q: str) -> dict[str, Any]:
    """Where a text stands in a run."""
    if not q.strip():
        raise BadInput("there is nothing to look for", remedy="type at least one character")
    return (await desk.library.book(store, named(run_id))).search(q)


async def text(desk: Desk, store: Store, *, run_id: str, sha: str) -> str:
    """A long text of a run."""
    found = (await desk.library.book(store, named(run_id))).text(sha)
    if found is None:
        raise UnknownName(f"run {run_id} has no text {sha[:64]!r}", remedy="open the step or the call again")
    return found


async def batches(desk: Desk, store: Store) -> dict[str, Any]:
    """All batches."""
    return await tables.listed(store)


async def batch(desk: Desk, store: Store, *, batch_id: str, quick: bool = False) -> dict[str, Any]:
    """One batch with counts, failures and facets; `quick` leaves out facets."""
    return await tables.page_of(store, desk.library.heads, named(batch_id), quick=quick)


async def facets(desk: Desk, store: Store, *, batch_id: str, begin: bool = False) -> dict[str, Any]:
    """How a batch's rows fall apart, their last states included as far as these are rebuilt; `begin` rebuilds those of a large batch."""
    return await tables.divided(store, desk.library.heads, desk.library.states, named(batch_id), begin=begin)


async def rows(desk: Desk, store: Store, *, batch_id: str, q: str, after: int) -> dict[str, Any]:
    """The rows that the filter keeps: all of a batch up to 10,000, else a window."""
    found, every, told = await _kept(desk, store, batch_id, q)
    whole = every <= _WHOLE
    items = found if whole else found[max(0, after) : max(0, after) + _WINDOW]
    end = max(0, after) + len(items)
    more = None if whole or end >= len(found) else end
    return {"items": sent(items, every), "next": more, "total": len(found), "of": every, **told}


async def rows_csv(desk: Desk, store: Store, *, batch_id: str, q: str) -> str:
    """All rows that the filter keeps, as CSV."""
    found, _, told = await _kept(desk, store, batch_id, q)
    states = told["states"]
    if states and states["done"] < states["of"]:
        raise BadInput(
            f"the filter {q[:200]!r} needs what the last states of the rows say, which is known of {states['done']} of {states['of']} rows",
            remedy="open the batch with this filter, wait until its states are rebuilt, and save the CSV then",
        )
    return await as_csv(store, found)


async def _kept(desk: Desk, store: Store, batch_id: str, q: str) -> tuple[list[Head], int, dict[str, Any]]:
    """The rows that a filter keeps, of how many, and what has to be said about it."""
    query, library = read_query(q), desk.library
    every = await tables.rows_of(store, library.heads, named(batch_id), paths=query.needs_paths)
    progress = None
    if query.needs_states:
        begin = tables.settled(await tables.record_of(store, batch_id), every)
        progress = await library.states.progress(library.heads, batch_id, every, begin=begin)
    found, removed = query.over(library.states.with_states(library.heads, every))
    return found, len(every), {"removed_by": removed, "states": progress}


async def methods(desk: Desk, store: Store) -> dict[str, Any]:
    """All methods, as `symposia methods --json` lists them."""
    items = [method_card(registry.load(name)) for name in registry.names()]
    return {"items": items, "next": None, "total": len(items)}


async def method(desk: Desk, store: Store, *, name: str) -> dict[str, Any]:
    """One method with its graph."""
    return method_page(name)


async def compare(desk: Desk, store: Store, *, a: str, b: str, rows: str = "changed") -> dict[str, Any]:
    """Two runs, or two batches; of these the rows of a cell of their table, or those whose answer changed."""
    known = [bool(await store.batches(batch_id=named(one))) for one in (a, b)]
    if all(known):
        return {"of": "batches", **await batches_compared(store, desk.library.heads, a, b, which=rows)}
    if any(known):
        raise BadInput("a run cannot be compared with a batch", remedy="name two runs, or two batches")
    books: list[Book] = [await desk.library.book(store, named(one)) for one in (a, b)]
    return {"of": "runs", **await desk.library.apart(lambda apart: runs_compared(apart, *books))}


def named(run_id: str) -> str:
    """An id as it is looked up.

    Raises:
        UnknownName: It has a form that no id has.
    """
    if not _ID.fullmatch(run_id):
        raise UnknownName(f"unknown run {run_id[:80]!r}", remedy="ids are letters and digits")
    return run_id


async def _page(desk: Desk, store: Store, after: str, limit: int) -> list[dict[str, Any]]:
    """The lines of the newest runs after one."""
    if not after:
        newest = "SELECT id FROM runs ORDER BY started DESC, id DESC LIMIT ?"
        return await desk.library.heads.of(store, f"WHERE id IN ({newest})", (limit,))
    found = await store.read("SELECT started FROM runs WHERE id = ?", (named(after),))
    if not found:
        raise UnknownName(f"unknown run {after[:80]!r}", remedy="begin at the newest again")
    began = found[0][0]
    older = "SELECT id FROM runs WHERE started < ? OR (started = ? AND id < ?) ORDER BY started DESC, id DESC LIMIT ?"
    return await desk.library.heads.of(store, f"WHERE id IN ({older})", (began, began, after, limit))


async def _quick(desk: Desk, store: Store, record: dict[str, Any]) -> dict[str, Any]:
    """A run as its journal has it."""
    run_id = record["run_id"]
    entries = in_order(await desk.library.entries(store, run_id))
    recorded = [s for s in await store.steps(run_id) if not s.frame]
    seen = Look(record, entries, recorded, [], None, None, None)
    head = {**head_of(record, entries), "correct": await verdict_of(record)}
    nothing = {"first_divergence": None, "cannot_replay": None}
    return {**run_page(seen, head), "states": "pending", "steps": thin_steps(seen), **nothing}


async def _now(desk: Desk, store: Store, run_id: str) -> dict[str, Any]:
    """The head of a run that goes on, with what it has cost so far."""
    return head_of(await store.run(run_id), await desk.library.entries(store, run_id))


async def _checkpoint(store: Store, seen: Look, n: int) -> dict[str, Any] | None:
    """The state after a step as LangGraph kept it; None where it kept none or it cannot be read any more."""
    record = seen.record
    if record["checkpoints"] != "each" or seen.cannot_replay:
        return None
    try:
        async with store.saver() as saver:
            graph = registry.load(record["method"]).compile(saver, record["graph"])
            async for snapshot in graph.aget_state_history({"configurable": {"thread_id": thread_of(record["run_id"])}}):
                if (snapshot.metadata or {}).get("step") == n:
                    return dict(snapshot.values)
    except (SymposiaError, StoreError, KeyError, ValueError):
        return None
    return None
