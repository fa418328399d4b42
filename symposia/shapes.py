"""What a value says, in a line, judged by its shape alone: votes, scores, answers, records, texts.

No method is named here, so a method that keeps its state in plain shapes reads well without a line of its own. A shape is a guess; the
whole value stands beside it wherever it is shown.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symposia.state.errors import shorten

SHORT = 40
"""Characters up to which a text counts as an answer or a name rather than as prose."""

_WHOLE = 1e15
_MOST = 6  # forms of an answer, fields of a record, or items of a list that a line holds
_LAST = 3  # entries of a mapping, or values of a field, that a line holds


def gist(value: Any) -> str:
    """A line about a value."""
    return next(line for form in _FORMS if (line := form(value)) is not None)


def number(value: float) -> str:
    """A number with the digits a reader needs: six, three below 1, and no point after a whole number."""
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.6g}"


def brief(value: Any) -> str:
    """A value inside a line: numbers and short texts themselves, of anything else its size."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value)
        case int() | float():
            return number(value)
        case str():
            return shorten(value, SHORT) or '""'
        case Mapping():
            return f"{{{len(value)}}}"
    return f"[{len(value)}]" if isinstance(value, Sequence) else shorten(str(value), SHORT)


def _scalar(value: Any) -> str | None:
    if isinstance(value, str) and ("\n" in value or len(value) > 2 * SHORT):
        first = next((line for line in value.splitlines() if line.strip()), "")
        return f"{shorten(first, 2 * SHORT)} ({len(value)} characters)"
    if value is None or isinstance(value, bool | int | float | str):
        return "" if value == "" else brief(value)
    return None


def _votes(value: Any) -> str | None:
    """`20: 3.9 (3 of 8), 18: 2.1 (4 of 8)`: the heaviest first, as a winner is chosen."""
    if not _all(value, lambda v: isinstance(v, Mapping) and "answer" in v and ("weight" in v or "count" in v) and len(v) <= 4):
        return None
    total = sum(v.get("count", 1) for v in value)
    ranked = sorted(value, key=lambda v: -v.get("weight", v.get("count")))
    return _first([f"{brief(v['answer'])}: {_vote(v, total)}" for v in ranked])


def _vote(vote: Mapping[str, Any], total: int) -> str:
    weight, count = vote.get("weight"), vote.get("count")
    if weight is None or weight == count:
        return f"{count} of {total}"
    return f"{weight:.3g}" + (f" ({count} of {total})" if count is not None else "")


def _scores(value: Any) -> str | None:
    """`mean 0.61, lowest 0.22 (no. 4)`: numbers in 0..1."""
    if not _all(value, _is_score) or not any(isinstance(v, float) for v in value):
        return None
    least = min(range(len(value)), key=lambda i: value[i])
    if min(value) == max(value):
        return number(value[0]) + (f" x{len(value)}" if len(value) > 1 else "")
    return f"mean {number(_mean(value))}, lowest {number(value[least])} (no. {least + 1} of {len(value)})"


def _score_rows(value: Any) -> str | None:
    """`mean 0.61, lowest 0.22 (no. 4, item 2)`: a list of such numbers for each of several texts."""
    if not _all(value, lambda row: isinstance(row, list) and all(map(_is_score, row))):
        return None
    flat = [(mark, i, j) for i, row in enumerate(value) for j, mark in enumerate(row)]
    if not any(isinstance(mark, float) for mark, _, _ in flat):
        return None
    least, i, j = min(flat)
    empty = sum(not row for row in value)
    none = f", {empty} without any" if empty else ""
    return f"mean {number(_mean([m for m, _, _ in flat]))}, lowest {number(least)} (no. {i + 1}, item {j + 1}){none}"


def _answers(value: Any) -> str | None:
    """`18 x3, 20 x1, unreadable x1`: short values, counted; without numbers where each is there once."""
    if not _all(value, lambda v: v is None or (isinstance(v, str | int | float) and len(str(v)) <= SHORT)):
        return None
    counts = Counter("unreadable" if v is None else brief(v) for v in value)
    if len(counts) == len(value):
        return _first(list(counts))
    return _first([f"{answer} x{count}" for answer, count in counts.most_common()])


def _texts(value: Any) -> str | None:
    if not _all(value, lambda v: v is None or isinstance(v, str)):
        return None
    lengths = [len(v) for v in value if v]
    empty = len(value) - len(lengths)
    if len(value) == 1 or not lengths:
        return _scalar(value[0]) if len(value) == 1 else f"{empty} empty texts"
    span = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    return f"{len(lengths)} texts of {span} characters" + (f", {empty} empty" if empty else "")


def _record(value: Any) -> str | None:
    """`round=0, quality=0.61, is_hard=True`."""
    if not isinstance(value, Mapping):
        return None
    if isinstance(value.get("nodes"), list) and isinstance(value.get("edges"), list):  # as networkx writes a graph down
        return "1 node" if len(value["nodes"]) == 1 else f"{len(value['nodes'])} nodes"
    return _first([f"{name}={brief(item)}" for name, item in value.items()], 2 * _MOST) if value else "empty"


def _entries(value: Any) -> str | None:
    """`n1: score=3; n2: score=5`: records by name, the last ones, or which there are when they hold more than short values."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(entry, Mapping) for entry in value.values()):
        return None
    names = list(map(str, value))
    if len(value) > 1 and any(_scalar(item) is None or len(str(item)) > SHORT for entry in value.values() for item in entry.values()):
        return f"{names[0]} to {names[-1]}: {_list(list(value.values()))}"
    earlier = f"{len(names) - _LAST} before; " if len(names) > _LAST else ""
    return earlier + "; ".join(f"{name}: {_record(value[name])}" for name in list(value)[-_LAST:])


def _list(value: Any) -> str:
    """Anything else: the only item, or how many there are and how they look."""
    if not isinstance(value, Sequence):
        return shorten(str(value), 2 * SHORT)
    if len(value) == 1:
        return gist(value[0])
    if _all(value, lambda v: isinstance(v, Mapping)):
        return f"{len(value)} records of {_first([_field(name, value) for name in value[0]])}"
    return f"{len(value)} items" if value else "none"


def _field(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """A field of records: `status (fail x2, pass x1)` where it holds few short texts, else its name."""
    values = [record.get(name) for record in records]
    short = all(value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= SHORT) for value in values)
    kinds = Counter(brief(value) for value in values) if short else Counter[str]()
    if not 0 < len(kinds) <= min(_LAST, len(values) - 1):
        return str(name)
    return f"{name} ({', '.join(f'{kind} x{count}' for kind, count in kinds.most_common())})"


_FORMS: tuple[Callable[[Any], str | None], ...] = (_scalar, _votes, _scores, _score_rows, _answers, _texts, _entries, _record, _list)


def _all(value: Any, test: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and bool(value) and all(test(v) for v in value)


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _first(parts: Sequence[str], most: int = _MOST) -> str:
    more = f", and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more
