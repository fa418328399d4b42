"""The typed filter over lists of runs: `correct:no cost>0.01 error:ReplyError visited:refine round>=2`.

Terms are joined by "and"; `-` before one turns it round; several values with commas between them are alternatives; a word without a key is
looked for in ids, questions, answers and references. Quotes hold a value with blanks together.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from symposia.state.errors import BadInput, UnknownName

Row = Mapping[str, Any]

_TERM = re.compile(r'\s*(-?)(?:(\w+)(>=|<=|:|=|>|<))?("(?:[^"]*)"|\S*)')
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    **{">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt},
    **{":": operator.eq, "=": operator.eq},
}
_VERDICTS = {"yes": True, "right": True, "true": True, "no": False, "wrong": False, "false": False, "unknown": None, "none": None}

NUMBERS = {"calls": "calls", "cost": "cost", "tokens": "tokens", "seconds": "seconds", "round": "rounds", "rounds": "rounds"}
TEXTS: dict[str, Callable[[Row], Any]] = {
    "status": lambda row: row["status"],
    "method": lambda row: row["method"],
    "run": lambda row: row["run"],
    "row": lambda row: row.get("row"),
    "batch": lambda row: row.get("batch"),
    "parent": lambda row: (row.get("parent") or {}).get("run"),
    "answer": lambda row: row.get("answer"),
    "stop": lambda row: row.get("stop"),
    "error": lambda row: (row.get("error") or {}).get("name"),
    "node": lambda row: (row.get("error") or {}).get("node"),
}
_PATHS = ("visited", "round", "rounds")
KEYS = (*TEXTS, *NUMBERS, "visited", "correct", "toy")


@dataclass(frozen=True)
class Query:
    """A filter that was read."""

    tests: tuple[Callable[[Row], bool], ...]
    needs_paths: bool
    """Whether rows need what they visited."""

    def keeps(self, row: Row) -> bool:
        """Whether a row passes."""
        return all(test(row) for test in self.tests)


def read_query(text: str) -> Query:
    """Read a filter.

    Raises:
        BadInput: A key is unknown, or a number is none.
    """
    tests: list[Callable[[Row], bool]] = []
    paths = False
    for found in _TERM.finditer(text):
        minus, key, sign, value = found.groups()
        if not key and not value:
            continue
        test = _test(key, sign, value) if key else _words(value)
        paths = paths or key in _PATHS
        tests.append(_turned(test) if minus else test)
    return Query(tuple(tests), paths)


def _test(key: str, sign: str, value: str) -> Callable[[Row], bool]:
    if key not in KEYS:
        raise UnknownName.of("filter key", key, KEYS, remedy=f"there are {', '.join(KEYS)}")
    wanted = [value.strip('"')] if value.startswith('"') else value.split(",")
    if key in NUMBERS:
        return _number(NUMBERS[key], sign, wanted, f"{key}{sign}{value}")
    if sign not in (":", "="):
        raise BadInput(f"{key}{sign}{value}: {key} is no number", remedy=f"{key}:{value}")
    if key == "correct":
        return _verdict(wanted)
    if key == "toy":
        return lambda row: bool(row.get("toy")) == (wanted[0] in ("yes", "true"))
    if key == "visited":
        return lambda row: any(node in row.get("visited", {}) for node in wanted)
    get = TEXTS[key]
    return lambda row: any(_matches(get(row), one) for one in wanted)


def _number(field: str, sign: str, wanted: list[str], term: str) -> Callable[[Row], bool]:
    try:
        numbers = [float(one) for one in wanted]
    except ValueError:
        raise BadInput(f"{term}: that is no number", remedy="such as cost>0.01 or round>=2") from None
    compare = _COMPARE[sign]
    return lambda row: row.get(field) is not None and any(compare(row[field], number) for number in numbers)


def _verdict(wanted: list[str]) -> Callable[[Row], bool]:
    for one in wanted:
        if one not in _VERDICTS:
            raise UnknownName.of("verdict", one, _VERDICTS, remedy="correct:yes, correct:no or correct:unknown")
    verdicts = [_VERDICTS[one] for one in wanted]
    return lambda row: row.get("correct") in verdicts


def _matches(value: Any, wanted: str) -> bool:
    """`none` is what is not there; else equal, whatever the case."""
    return wanted == "none" if value is None else str(value).lower() == wanted.lower()


def _words(value: str) -> Callable[[Row], bool]:
    wanted = value.strip('"').lower()
    return lambda row: any(wanted in str(row.get(key, "")).lower() for key in ("run", "row", "question", "answer", "reference"))


def _turned(test: Callable[[Row], bool]) -> Callable[[Row], bool]:
    return lambda row: not test(row)
