"""Fields of a row: their values as plain JSON, and their names as a method wants them."""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from symposia.inputs import REFERENCES
from symposia.state.errors import BadInput, nearest, shorten


def plain_row(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A row with values of the types that JSON has; what it has none for, such as bytes, is a `BadInput` that names the field."""
    try:
        return {str(name): _plain(value, str(name), place) for name, value in row.items()}
    except RecursionError:
        raise BadInput("the row is nested too deeply", remedy="flatten it", place=place) from None


def _plain(value: Any, path: str, place: str) -> Any:
    """A value as JSON has it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return _number(value, path, place)
        case Mapping():
            return {str(k): _plain(v, f"{path}.{k}", place) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v, f"{path}.{i}", place) for i, v in enumerate(value)]
        case Decimal():
            whole = value.is_finite() and value == value.to_integral_value()
            return int(value) if whole else _number(float(value), path, place)
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case UUID():
            return str(value)
    if isinstance(value, bytes):
        raise BadInput(f"{len(value)} bytes, no text", remedy="take the column out, or write it as text", place=f"{place}, field {path}")
    if hasattr(value, "tolist"):  # an array or a scalar of NumPy
        return _plain(value.tolist(), path, place)
    raise BadInput(f"a {type(value).__name__}, which JSON lacks", remedy="write it as text or number", place=f"{place}, field {path}")


def _number(value: float, path: str, place: str) -> float | None:
    """A number; NaN, by which tables mark what is missing, is None."""
    if math.isinf(value):
        raise BadInput("infinity is no number in JSON", remedy="leave the field empty", place=f"{place}, field {path}")
    return None if math.isnan(value) else value


def check_columns(names: Sequence[str], mapping: Mapping[str, str], place: str) -> None:
    """Say once that a table lacks a mapped column, not for each of its rows."""
    for target, path in mapping.items():
        if path not in names:
            _item(dict.fromkeys(names), path.split(".")[0], "the table", f"{place}, field {target}")


def mapped(row: dict[str, Any], mapping: Mapping[str, str], place: str) -> dict[str, Any]:
    """A row with its fields renamed; a mapped reference is the only one."""
    if not mapping:
        return row
    values = {target: _reached(row, path, f"{place}, field {target}") for target, path in mapping.items()}
    gone = set(mapping.values())
    if values.keys() & set(REFERENCES):
        gone |= set(REFERENCES)
    return {k: v for k, v in row.items() if k not in gone} | values


def _reached(row: Mapping[str, Any], path: str, place: str) -> Any:
    """The value at a path; a name with dots in it, if there is one, comes before a way into what is nested."""
    if path in row:
        return row[path]
    value: Any = row
    around = "the row"
    for name in path.split("."):
        value = _item(value, name, around, place)
        around = name if around == "the row" else f"{around}.{name}"
    return value


def _item(value: Any, name: str, around: str, place: str) -> Any:
    remedy = "name a field that is there: --map question=FIELD"
    if isinstance(value, Mapping):
        if name in value:
            return value[name]
        near = nearest(name, map(str, value), 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise BadInput(f"no field {name!r} in {around}{hint} It has {', '.join(value) or 'none'}", remedy=remedy, place=place)
    if isinstance(value, list) and name.isdecimal():
        if int(name) < len(value):
            return value[int(name)]
        raise BadInput(f"{around} has {len(value)} items, the first of them 0, and no item {name}", remedy=remedy, place=place)
    form = "a list, whose items have numbers" if isinstance(value, list) else f"{shorten(json.dumps(value), 40)}, no object"
    raise BadInput(f"no field {name!r} in {around}, which is {form}", remedy=remedy, place=place)
