"""The typed filter over lists of runs: `correct:no cost>0.01 error:ReplyError visited:refine round>=2`.

Terms are joined by "and"; `-` before one turns it round; several values with commas between them are alternatives; a word without a key is
looked for in ids, questions, answers and references. Quotes hold a value with blanks together. In a batch `changed:right-wrong` keeps the
rows in which a debate moved an answer that way, and `state.KEY:value` or `state.KEY>=2` those whose last state says so; a key with signs
other than letters, digits, `_` and `.` stands in quotes, `state."scores.gpt-4o":1`.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from symposia.state.errors import BadInput, UnknownName
from symposia.viewer.persuasion import MOVES

Row = Mapping[str, Any]
T = TypeVar("T", bound=Row)
Test = Callable[[Row], bool]

_TERM = re.compile(r'\s*(-?)(?:(state\.(?:"[^"]*"|[\w.]+)|\w+)(>=|<=|:|=|>|<))?("(?:[^"]*)"|\S*)')
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
_STATES = ("changed", "state")
KEYS = (*TEXTS, *NUMBERS, "visited", "correct", "toy", *_STATES)


@dataclass(frozen=True)
class Query:
    """A filter that was read."""

    tests: tuple[Test, ...]
    terms: tuple[str, ...]
    """What was typed for each."""
    needs_paths: bool
    """Whether rows need what they visited."""
    needs_states: bool
    """Whether rows need what their last states say."""

    def keeps(self, row: Row) -> bool:
        """Whether a row passes."""
        return all(test(row) for test in self.tests)

    def over(self, rows: Sequence[T]) -> tuple[list[T], dict[str, Any] | None]:
        """The rows that pass; when none does, the term that removed the last of them and how many it still found."""
        found = list(rows)
        for term, test in zip(self.terms, self.tests, strict=True):
            before = len(found)
            found = [row for row in found if test(row)]
            if before and not found:
                return [], {"term": term, "before": before}
        return found, None


def read_query(text: str) -> Query:
    """Read a filter.

    Raises:
        BadInput: A key is unknown, or a number is none.
    """
    tests: list[Test] = []
    terms: list[str] = []
    paths = states = False
    for found in _TERM.finditer(text):
        minus, key, sign, value = found.groups()
        if not key and not value:
            continue
        test = _test(key, sign, value) if key else _words(value)
        paths = paths or key in _PATHS
        states = states or (key or "").partition(".")[0] in _STATES
        tests.append(_turned(test) if minus else test)
        terms.append(found[0].strip())
    return Query(tuple(tests), tuple(terms), paths, states)


def _test(key: str, sign: str, value: str) -> Test:
    if key.startswith("state."):
        return _fact(key.removeprefix("state.").strip('"'), sign, value)
    if key not in KEYS or key == "state":
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
    if key == "changed":
        return _moved(wanted)
    if key == "visited":
        return lambda row: any(node in row.get("visited", {}) for node in wanted)
    get = TEXTS[key]
    return lambda row: any(_matches(get(row), one) for one in wanted)


def _number(field: str, sign: str, wanted: list[str], term: str) -> Test:
    try:
        numbers = [float(one) for one in wanted]
    except ValueError:
        raise BadInput(f"{term}: that is no number", remedy="such as cost>0.01 or round>=2") from None
    compare = _COMPARE[sign]
    return lambda row: row.get(field) is not None and any(compare(row[field], number) for number in numbers)


def _verdict(wanted: list[str]) -> Test:
    for one in wanted:
        if one.lower() not in _VERDICTS:
            raise UnknownName.of("verdict", one, _VERDICTS, remedy="correct:yes, correct:no or correct:unknown")
    verdicts = [_VERDICTS[one.lower()] for one in wanted]
    return lambda row: row.get("correct") in verdicts


def _moved(wanted: list[str]) -> Test:
    for one in wanted:
        if one not in MOVES:
            raise UnknownName.of("change of answer", one, MOVES, remedy=f"there are {', '.join(MOVES)}")
    return lambda row: any((row.get("moves") or {}).get(one) for one in wanted)


def _fact(name: str, sign: str, value: str) -> Test:
    """What the last state of a row says under a key; a row whose state is not known does not pass."""
    wanted = [value.strip('"')] if value.startswith('"') else value.split(",")
    if sign in (":", "="):
        return lambda row: "state" in row and any(_matches(row["state"].get(name), one) for one in wanted)
    try:
        limit = float(value)
    except ValueError:
        raise BadInput(f"state.{name}{sign}{value}: that is no number", remedy=f"such as state.{name}>=2") from None
    compare = _COMPARE[sign]
    return lambda row: isinstance(row.get("state", {}).get(name), int | float) and compare(row["state"][name], limit)


def _matches(value: Any, wanted: str) -> bool:
    """`none` is what is not there; else equal, whatever the case, numbers however they are written."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return wanted == "none" if value is None else _plain(value) == wanted.lower()
    try:
        return float(wanted) == value
    except ValueError:
        return False


def _plain(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value).lower()


def _words(value: str) -> Test:
    wanted = value.strip('"').lower()
    return lambda row: any(wanted in str(row.get(key, "")).lower() for key in ("run", "row", "question", "answer", "reference"))


def _turned(test: Test) -> Test:
    return lambda row: not test(row)
