"""A run as one file: HTML that works from a disk without a network, JSON, or the graph as SVG.

An exported page holds what the endpoints would have answered, by their paths, so the page in the file is the page of the server.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from symposia import __version__
from symposia.draw import graph_of, svg
from symposia.records import look, to_json
from symposia.registry import load
from symposia.state.errors import BadInput
from symposia.state.store import Store
from symposia.viewer.calls import Calls
from symposia.viewer.join import page
from symposia.viewer.methods import method_page
from symposia.viewer.records import Book

PARTS = ("prompts", "references")
"""What can be left out."""
FORMS = {"html": "text/html", "json": "application/json", "svg": "image/svg+xml"}


async def run_answers(book: Book, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the endpoints answer about a run, by their paths without `/api`, with what is to be left out left out."""
    run_id = book.seen.record["run_id"]
    base = f"/runs/{run_id}"
    steps = book.page["steps"]
    calls = Calls(book.seen.entries, steps)
    found: dict[str, Any] = {base: book.page, f"{base}/calls": _list(calls.lines())}
    found |= {f"{base}/steps/{step['n']}": book.step(step["n"]) for step in steps}
    found |= {f"{base}/calls/{place}": calls.call(place, book.texts) for place in calls.places}
    with suppress(BadInput):  # a method that is gone has no graph to show
        found[f"/methods/{book.seen.record['method']}"] = method_page(book.seen.record["method"])
    shorn: dict[str, Any] = _without(found, without)
    wanted = set(_folded(shorn))
    shorn |= {f"{base}/text/{sha}": text for sha, text in book.texts.items() if sha in wanted}
    shorn["/export"] = {
        **{"version": __version__, "made": time.time(), "command": f"symposia show {run_id} --html {run_id}.html"},
        **{"toys": book.page["toys"], "start": f"#/runs/{run_id}", "without": list(without)},
    }
    return shorn


async def as_html(book: Book, without: tuple[str, ...] = ()) -> str:
    """The whole page as a file."""
    record = book.seen.record
    return page(await run_answers(book, without), title=f"{record['method']} {record['run_id']}")


async def write_page(store: Store, run_id: str, path: Path) -> None:
    """Write a run's page to a file.

    Raises:
        UnknownName: There is no such run.
        BadInput: The file cannot be written.
    """
    text = await as_html(await Book.of(await look(store, run_id)))
    try:
        await asyncio.to_thread(path.write_text, text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}", remedy="name a file in a folder that exists") from None


async def as_json(book: Book, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The object of `symposia show --json --calls`."""
    found = await to_json(book.seen)
    return dict(_without(found, without))


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
    parts = tuple(part for part in text.split(",") if part)
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"{part[:40]!r} cannot be left out", remedy=f"without={','.join(PARTS)}")
    return parts


def _without(value: Any, parts: tuple[str, ...]) -> Any:
    """A value without prompts or references, wherever they stand in it."""
    gone = {"prompts": ("request", "copy", "prompts", "complaint"), "references": ("reference", "correct", "turning")}
    names = {name for part in parts for name in gone[part]}
    if not names:
        return value
    if isinstance(value, Mapping):
        return {key: None if key in names else _without(item, parts) for key, item in value.items()}
    return [_without(item, parts) for item in value] if isinstance(value, list | tuple) else value


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
