"""Rows of a data set, each with its place for errors and as plain JSON: JSON Lines, JSON, CSV, TSV, Parquet, or the Hugging Face hub.

All rows are read and checked before anything is called, and the error of a bad file names up to ten of its bad rows, not the first alone.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from symposia.fields import mapped, plain_row
from symposia.readers import lines_of, name_of, reader_of, text_of
from symposia.state.errors import BadInput, shorten

Placed = tuple[str, dict[str, Any]]

_SHOWN = 10  # problems that one error spells out


class Problems:
    """What is wrong with rows, collected so that one error tells it all."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._first: list[BadInput] = []
        self._count = 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep a `BadInput` raised inside for later."""
        try:
            yield
        except BadInput as error:
            self.add(error)

    def add(self, error: BadInput) -> None:
        """Keep an error for later."""
        self._count += 1
        if len(self._first) < _SHOWN:
            self._first.append(error)

    def check(self) -> None:
        """Raise what was kept.

        Raises:
            BadInput: A single problem as it was raised; several as one error, a line each, at the place of the first.
        """
        if not self._first:
            return
        if self._count == 1:
            raise self._first[0]
        lines = [f"{error.place}: {error.message}" if error.place else error.message for error in self._first]
        more = self._count - len(lines)
        lines += [f"and {more} more"] if more else []
        remedies = list(dict.fromkeys(error.remedy for error in self._first if error.remedy))
        text = "\n  ".join([f"{self._count} problems:", *lines])
        raise BadInput(text, remedy="; ".join(remedies) or None, place=self._first[0].place)


def read_rows(source: str, mapping: Mapping[str, str] | None = None, limit: int | None = None) -> list[Placed]:
    """The rows of a data set, each with its place: `in.csv, line 17`, `in.parquet, row 17`, `hf:owner/name:main:test, row 17`.

    Values become plain JSON: dates are texts in ISO 8601, decimals numbers, NaN and empty cells of a CSV file None.

    Args:
        source: A file named `.jsonl`, `.ndjson`, `.json` (a list of objects, or a line each), `.csv`, `.tsv` or `.parquet`; `-` for
            JSON on standard input; or `hf:NAME[:CONFIG[:SPLIT]]`, a data set of the hub or a local folder such as `hf:./folder`.
        mapping: Names of the fields that a method reads, and the field of the source that each is taken from and that it replaces.
            `choices.0` or `input.text` reaches into a list or an object.
        limit: The most rows to read, counted from the first.

    Raises:
        BadInput: The source cannot be read, has no row, or has bad ones: up to ten of them are named, the rest counted.
    """
    if limit is not None and limit < 1:
        raise BadInput(f"the limit is {limit} rows", remedy="read at least one: --limit 1")
    fields = mapping or {}
    found = islice(reader_of(source)(source, fields), limit)
    rows = _good(found, lambda place, row: mapped(plain_row(row, place), fields, place))
    if not rows:
        raise BadInput(f"{name_of(source)} holds no row", remedy="a row is a JSON object, or a line of a table below its header")
    return rows


def read_jsonl(path: Path | None, text: str | None = None) -> list[Placed]:
    """The objects of a JSON Lines file, each with its place (`FILE, line N`); blank lines are passed over.

    Args:
        path: The file.
        text: What it holds, when it has been read already, such as from standard input.

    Raises:
        BadInput: The file cannot be read, lines are no JSON objects, or there is none at all.
    """
    name = str(path) if path else "standard input"
    rows = _good(lines_of(name, text_of(name) if text is None else text), lambda _, row: row)
    if not rows:
        raise BadInput(f"{name} holds no row", remedy='a row is a JSON object on a line of its own: {"question": "..."}')
    return rows


def _good(found: Iterable[tuple[str, dict[str, Any] | BadInput]], finish: Callable[[str, dict[str, Any]], dict[str, Any]]) -> list[Placed]:
    """The rows, finished, once none of them is bad."""
    rows: list[Placed] = []
    problems = Problems()
    for place, row in found:
        with problems.caught():
            if isinstance(row, BadInput):
                raise row
            rows.append((place, finish(place, row)))
    problems.check()
    return rows


def check_ids(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Every row has an id of its own: its field `id`, else its number.

    Raises:
        BadInput: Rows share one (1 and "1" are one); each of them is named with the row that has it already. An id is no text or number.
    """
    first: dict[str, tuple[str, Mapping[str, Any]]] = {}
    problems = Problems()
    for number, (place, row) in enumerate(rows, 1):
        given = number if row.get("id") is None else row["id"]
        if isinstance(given, (dict, list)):
            what = f"the id {shorten(json.dumps(given), 60)} is neither text nor number"
            problems.add(BadInput(what, remedy="name a field that is: --map id=FIELD", place=place))
            continue
        name = str(given)
        if name not in first:
            first[name] = place, row
            continue
        before, same = first[name]
        with problems.caught():
            if same == row:
                raise BadInput(f"the row of id {shorten(name, 60)} stands in {before} already", remedy="take one out", place=place)
            what = f"id {shorten(name, 60)} is that of another row, {before}"
            raise BadInput(what, remedy="name a field that tells rows apart: --map id=FIELD; or take one out", place=place)
    problems.check()
