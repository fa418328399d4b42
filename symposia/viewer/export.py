"""A run, two of them side by side, or a batch as one file: HTML that works from a disk without a network, JSON, or the graph as SVG.

An exported page holds what the endpoints would have answered, by their paths, so the page in the file is the page of the server.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from symposia.draw import graph_of, svg
from symposia.output import say
from symposia.records import to_json
from symposia.registry import load
from symposia.state.errors import BadInput
from symposia.state.store import Store
from symposia.viewer.carried import (
    PAIRED,
    PARTS,
    RUNS,
    Apart,
    batch_answers,
    batches_answers,
    compare_answers,
    facts,
    run_answers,
    there,
    without,
    without_rows,
)
from symposia.viewer.heads import Heads
from symposia.viewer.join import page
from symposia.viewer.records import Book
from symposia.viewer.states import States

_ALONE = 120.0
"""Seconds that the states of a batch's rows may take where nobody else waits for this process."""

FORMS = {"html": "text/html", "json": "application/json", "svg": "image/svg+xml"}


async def as_page(answers: Mapping[str, Any]) -> str:
    """Answers as a file that shows them, packed in a thread of its own."""
    return await asyncio.to_thread(page, answers, title=f"Symposia {answers['/export']['start'].removeprefix('#/')}")


async def as_html(book: Book, parts: tuple[str, ...] = ()) -> str:
    """The page of a run as a file."""
    return await as_page(await run_answers(book, parts))


async def write_page(store: Store, name: str, path: Path, parts: tuple[str, ...] = (), most: int = RUNS) -> None:
    """Write the page of a run or a batch to a file.

    Raises:
        UnknownName: There is no such run or batch.
        BadInput: The file cannot be written.
    """
    if await store.batches(batch_id=name):
        async with _states(store) as states:
            answers = await batch_answers(store, Heads(), states, name, parts, most, patience=_ALONE)
        known = answers[f"/batches/{name}/facets"]["states"]
        if known["done"] < known["of"]:
            say(f"the file knows what {known['done']} of {known['of']} rows came to in their last states; the server's page rebuilds all")
    else:
        answers = await run_answers(await Book.open(store, name), parts)
    await _write(path, await as_page(answers))


async def write_compared(store: Store, a: str, b: str, path: Path, parts: tuple[str, ...] = ()) -> None:
    """Write the page of two runs, or of two batches, side by side to a file.

    Raises:
        UnknownName: One of them does not exist.
        BadInput: The file cannot be written, or one is a run and one a batch.
    """
    async with _states(store) as states:
        answers = await compared_answers(store, Heads(), states, a, b, parts)
    await _write(path, await as_page(answers))


async def compared_answers(
    store: Store, heads: Heads, states: States, a: str, b: str, parts: tuple[str, ...] = (), apart: Apart | None = None
) -> dict[str, Any]:
    """What the endpoints answer about two runs, or two batches; `apart` is where runs are replayed, here by default.

    Raises:
        UnknownName: One of them does not exist.
        BadInput: One is a run and one a batch.
    """
    known = [bool(await store.batches(batch_id=one)) for one in (a, b)]
    if all(known):
        return await batches_answers(store, heads, states, a, b, parts)
    if any(known):
        raise BadInput("a run cannot be compared with a batch", remedy="name two runs, or two batches")
    books = [await there(apart, store, partial(Book.open, run_id=one)) for one in (a, b)]
    return await compare_answers(store, books[0], books[1], parts, apart)


async def as_json(book: Book, parts: tuple[str, ...] = ()) -> dict[str, Any]:
    """The object of `symposia show --json --calls`, with the facts of the file under `export`."""
    run_id = book.seen.record["run_id"]
    about = facts(f"symposia show {run_id} --json --calls", [book], start=f"#/runs/{run_id}", parts=parts)
    return {**without_rows(without(await to_json(book.seen), parts), [book], parts), "export": about}


async def compared_json(
    store: Store, heads: Heads, states: States, a: str, b: str, parts: tuple[str, ...] = (), apart: Apart | None = None
) -> dict[str, Any]:
    """The object of `symposia diff --json`, or what `/compare` says of two batches, with the facts of the file under `export`."""
    answers = await compared_answers(store, heads, states, a, b, parts, apart)
    shown = next(answer for path, answer in answers.items() if path.startswith("/compare?"))
    found = shown if shown["of"] == "batches" else {key: value for key, value in shown.items() if key not in PAIRED}
    return {**found, "export": answers["/export"]}


async def batch_json(store: Store, heads: Heads, states: States, batch_id: str, parts: tuple[str, ...] = ()) -> dict[str, Any]:
    """A batch's page with its changes of answer and its rows, and the facts of the file under `export`."""
    answers = await batch_answers(store, heads, states, batch_id, parts, 0)
    base = f"/batches/{batch_id}"
    told = {"changes": answers[f"{base}/facets"]["changes"], "states": answers[f"{base}/facets"]["states"]}
    return {**answers[base], **told, "rows": answers[f"{base}/rows"]["items"], "export": answers["/export"]}


def as_svg(method: str) -> str:
    """A method's graph as a picture.

    Raises:
        SymposiaError: Graphviz is missing or fails.
    """
    return svg(method, *graph_of(load(method)))


def parts_of(text: str) -> tuple[str, ...]:
    """What a request wants left out.

    Raises:
        BadInput: A part that cannot be.
    """
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"{part[:40]!r} cannot be left out", remedy=f"there are {' and '.join(PARTS)}")
    return tuple(dict.fromkeys(parts))


@asynccontextmanager
async def _states(store: Store) -> AsyncIterator[States]:
    """What rebuilds the states of a store's runs, for as long as a file is made."""
    states = States(store.address)
    try:
        yield states
    finally:
        await states.close()


async def _write(path: Path, text: str) -> None:
    try:
        await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}", remedy="name a file in a folder that exists") from None
