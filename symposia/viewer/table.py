"""The rows of a batch for a list of thousands, and as CSV for a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from symposia.state.errors import shorten
from symposia.state.store import Store
from symposia.viewer.heads import Head, records_of

_MANY = 2_000
"""Rows from which on their questions are cut shorter, since they are most of what is sent."""
_HEAD = 56
_SENT = ("run", "row", "repeat", "position", "status", "answer", "reference", "correct", "question", "error", "calls", "cost", "moves")
_COLUMNS = (
    *("row", "repeat", "run", "method", "status", "correct", "answer", "reference", "stop", "error", "node", "message"),
    *("calls", "tokens", "cost", "seconds", "question"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def sent(rows: Sequence[Head], of: int) -> list[Head]:
    """Rows as a list shows them, without what is the same for all of a batch; `of` is how many the batch has."""
    found = [{key: row[key] for key in _SENT if key in row} for row in rows]
    for row in found:
        if row.get("repeat") == 1:
            del row["repeat"]
        if row.get("row") is not None:
            row.pop("position", None)
        if of > _MANY and row.get("question"):
            row["question"] = shorten(row["question"], _HEAD)
        if row["cost"]:
            row["cost"] = float(f"{row['cost']:.4g}")
    return found


async def as_csv(store: Store, rows: Sequence[Head]) -> str:
    """Rows with their texts whole; a text that a spreadsheet would take for a formula gets a quote before it."""
    text = io.StringIO()
    write = csv.writer(text)
    write.writerow(_COLUMNS)
    async for records in records_of(store, [row["run"] for row in rows]):
        for row, record in zip(rows[: len(records)], records, strict=True):
            write.writerow(_cells(row, record))
        rows = rows[len(records) :]
    return text.getvalue()


def _cells(row: Head, record: dict[str, Any]) -> Iterable[Any]:
    error = record.get("error") or {}
    given = record["input"] if isinstance(record["input"], dict) else {}
    whole = {
        **row,
        **{"answer": record.get("answer"), "reference": record["reference"], "question": given.get("question") or given.get("prompt")},
        **{"error": error.get("name"), "node": (row.get("error") or {}).get("node"), "message": error.get("message")},
    }
    return (cell(whole.get(column)) for column in _COLUMNS)


def cell(value: Any) -> Any:
    """A value for a spreadsheet: a number as it is, anything else as text that is no formula."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(_FORMULA) else text
