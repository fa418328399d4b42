"""What was taken out of a reply, and where in its text that stands, so that a reader sees what the method went on with."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NUMBER = re.compile(r"-?\d[\d,]{0,40}(?:\.\d{1,40})?%?|-?\.\d{1,40}")
_LONGEST = 200_000  # characters of a reply that are looked through
_MOST = 60  # places that are outlined in one reply


def spans_of(text: str, value: Any) -> list[list[int]]:
    """Where a value that was read out of a text stands in it, as `[start, end]` in units of UTF-16, as in browsers; [] where it does not.

    Of a text and of a number that occur more than once it is the last place, since that is where replies say what they came to. A list is
    looked for from its end backwards, a record as the JSON in the text, else by its values.
    """
    head = text[:_LONGEST]
    found = sorted(set(_found(head, value)))[:_MOST]
    return [[_units(head, start), _units(head, end)] for start, end in found if (start, end) != (0, len(text))]


def _found(text: str, value: Any) -> Iterator[tuple[int, int]]:
    match value:
        case None | bool():
            return
        case int() | float():
            yield from _numbers(text, [float(value)])
        case str():
            at = text.rfind(value) if value else -1
            if at >= 0:
                yield at, at + len(value)
        case list() | tuple():
            if value and all(isinstance(item, int | float) and not isinstance(item, bool) for item in value):
                yield from _numbers(text, [float(item) for item in value])
            else:
                for item in value[:_MOST]:
                    yield from _found(text, item)
        case Mapping():
            whole = _json(text, value)
            if whole:
                yield whole
            else:
                for item in list(value.values())[:_MOST]:
                    yield from _found(text, item)


def _numbers(text: str, wanted: list[float]) -> Iterator[tuple[int, int]]:
    """The last run of numbers that are the wanted ones; other numbers may stand between them."""
    left = list(wanted)
    for token in reversed(list(_NUMBER.finditer(text))):
        if left and any(abs(one - left[-1]) <= 1e-9 * max(1.0, abs(one)) for one in _values(token[0])):
            left.pop()
            yield token.span()


def _values(token: str) -> list[float]:
    """What a number in a text may mean: itself, and its hundredth where it is a percentage."""
    bare = token.rstrip("%").rstrip(",").replace(",", "")
    try:
        number = float(bare)
    except ValueError:
        return []
    return [number, number / 100] if token.endswith("%") else [number]


def _json(text: str, value: Mapping[str, Any]) -> tuple[int, int] | None:
    """Where the JSON stands of which the value was made."""
    start, end = text.find("{"), text.rfind("}") + 1
    try:
        read = json.loads(text[start:end]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    return (start, end) if isinstance(read, dict) and value.keys() & read.keys() else None


def _units(text: str, at: int) -> int:
    """A position in units of UTF-16, of which characters beyond U+FFFF take two."""
    return at + sum(char > "\uffff" for char in text[:at])
