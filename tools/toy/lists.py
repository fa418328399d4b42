"""Tasks about lists in plain English, read as a chain of small steps and carried out: the part of the language that toys can read.

A task is one sentence, "Return RESULT.", or "Return RESULT, or V when there are none.", over the arguments of a signature:

    RESULT  the sum of ITEMS | a list of ITEMS | whether all of ITEMS are even | ITEMS joined with ', ' | the largest of ITEMS | ...
    ITEMS   the squares of ITEMS | the first 3 of ITEMS | the running totals of ITEMS | ... | SOURCE
    SOURCE  the even numbers in the list that are at least limit in ascending order | the words of the text | ...

"the list" and "the text" are the first argument; "first list" and "second list" the first two; V is a whole number, 'quoted' text or the
name of an argument. What the phrases mean stands in the tables below. A sentence outside of them has no reading.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["numbers", "words", "text", "limit", "divisor", "count", "letter"]
"""What an argument holds: a list, a text, or the V of a phrase."""

Do = Callable[[list[Any], Sequence[Any]], Any]

_V: Final = r"(-?\d{1,9}|'[^']{0,20}'|[a-z_]{1,20})"


class Step(NamedTuple):
    """A phrase of a task and what it does to the items so far; the value of the first one is the argument itself."""

    phrase: str
    do: Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Task:
    """A task as read: the function's name, what its arguments hold, and the steps that lead from them to the result."""

    entry: str
    kinds: Mapping[str, Kind]
    bounds: tuple[int, ...]
    """The whole numbers that the task names."""
    steps: tuple[Step, ...]


class NoResult(ValueError):
    """The task does not say what is to come out for these arguments."""


def _spread(items: list[Any]) -> Any:
    return max(items) - min(items)


def _second(items: list[Any]) -> Any:
    return sorted(items)[-2]


def _run(items: list[Any]) -> int:
    """The length of the longest run of equal neighbours."""
    longest = length = 0
    for i, item in enumerate(items):
        length = length + 1 if i and item == items[i - 1] else 1
        longest = max(longest, length)
    return longest


def _product(items: list[Any]) -> Any:
    result = 1
    for item in items:
        result *= item
    return result


def _totals(items: list[Any]) -> list[Any]:
    return [sum(items[: i + 1]) for i in range(len(items))]


_CLAUSES: Final[Mapping[str, tuple[Kind, Callable[[Any, Any], bool]]]] = {
    f"are greater than {_V}": ("limit", lambda x, v: x > v),
    f"are less than {_V}": ("limit", lambda x, v: x < v),
    f"are at least {_V}": ("limit", lambda x, v: x >= v),
    f"are at most {_V}": ("limit", lambda x, v: x <= v),
    f"are divisible by {_V}": ("divisor", lambda x, v: x % v == 0),
    f"are not divisible by {_V}": ("divisor", lambda x, v: x % v != 0),
    f"are not equal to {_V}": ("limit", lambda x, v: x != v),
    f"are longer than {_V} letters": ("count", lambda x, v: len(x) > v),
    f"are shorter than {_V} letters": ("count", lambda x, v: len(x) < v),
    f"have {_V} letters": ("count", lambda x, v: len(x) == v),
    f"start with {_V}": ("letter", lambda x, v: x.startswith(v)),
    f"end with {_V}": ("letter", lambda x, v: x.endswith(v)),
    f"contain {_V}": ("letter", lambda x, v: v in x),
    "are even": ("limit", lambda x, _: x % 2 == 0),
    "are odd": ("limit", lambda x, _: x % 2 == 1),
    "are positive": ("limit", lambda x, _: x > 0),
    "are negative": ("limit", lambda x, _: x < 0),
    "read the same backwards": ("letter", lambda x, _: x == x[::-1]),
}
"""What may stand after "that" and looks at the item alone, with what V is."""

_AMONG: Final[Mapping[str, Do]] = {
    "are greater than the one before": lambda xs, _: [b for a, b in pairwise(xs) if b > a],
    "occur only once": lambda xs, _: [x for x in xs if xs.count(x) == 1],
    "occur more than once": lambda xs, _: [x for x in xs if xs.count(x) > 1],
    "are also in the second list": lambda xs, args: [x for x in xs if x in args[1]],
    "are not in the second list": lambda xs, args: [x for x in xs if x not in args[1]],
}
"""What may stand after "that" and looks at more than the item itself."""

_ADJECTIVES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "even": lambda x: x % 2 == 0,
    "odd": lambda x: x % 2 == 1,
    "positive": lambda x: x > 0,
    "negative": lambda x: x < 0,
    "capital": lambda x: x.isupper(),
}

_NOUNS: Final[Mapping[str, Callable[[Any], list[Any]]]] = {
    "numbers": list,
    "words": lambda given: given.split() if isinstance(given, str) else list(given),
    "characters": list,
    "letters": lambda given: [c for c in given if c.isalpha()],
    "vowels": lambda given: [c for c in given if c.lower() in "aeiou"],
    "digits": lambda given: [c for c in given if c.isdigit()],
}

_ORDERS: Final[Mapping[str, Callable[[list[Any]], list[Any]]]] = {
    "in ascending order": sorted,
    "in alphabetical order": sorted,
    "in descending order": lambda xs: sorted(xs, reverse=True),
    "in reverse order": lambda xs: xs[::-1],
    "from the shortest to the longest": lambda xs: sorted(xs, key=len),
    "from the longest to the shortest": lambda xs: sorted(xs, key=len, reverse=True),
}

_MAPS: Final[Mapping[str, Callable[[list[Any], Any], list[Any]]]] = {
    "the squares of": lambda xs, _: [x * x for x in xs],
    "the cubes of": lambda xs, _: [x**3 for x in xs],
    "the doubles of": lambda xs, _: [2 * x for x in xs],
    "the absolute values of": lambda xs, _: [abs(x) for x in xs],
    "the lengths of": lambda xs, _: [len(x) for x in xs],
    "the first letters of": lambda xs, _: [x[:1] for x in xs],
    "the last letters of": lambda xs, _: [x[-1:] for x in xs],
    "the upper-case forms of": lambda xs, _: [x.upper() for x in xs],
    "the reversed forms of": lambda xs, _: [x[::-1] for x in xs],
    "the running totals of": lambda xs, _: _totals(xs),
    "the differences between neighbours in": lambda xs, _: [b - a for a, b in pairwise(xs)],
    "the sums of neighbours in": lambda xs, _: [a + b for a, b in pairwise(xs)],
    "every second of": lambda xs, _: xs[::2],
    "all but the first of": lambda xs, _: xs[1:],
    "all but the last of": lambda xs, _: xs[:-1],
    f"the first {_V} of": lambda xs, v: xs[:v],
    f"the last {_V} of": lambda xs, v: xs[max(len(xs) - v, 0) :],
}

_TIES: Final = r"(?:, the first on ties)?"
_RESULTS: Final[Mapping[str, tuple[int, Callable[[list[Any], Any], Any]]]] = {
    "a list of (ITEMS)": (0, lambda xs, _: xs),
    "the sum of (ITEMS)": (0, lambda xs, _: sum(xs)),
    "the product of (ITEMS)": (0, lambda xs, _: _product(xs)),
    "the number of (ITEMS)": (0, lambda xs, _: len(xs)),
    "the average of (ITEMS)": (1, lambda xs, _: sum(xs) / len(xs)),
    "the largest of (ITEMS)": (1, lambda xs, _: max(xs)),
    "the smallest of (ITEMS)": (1, lambda xs, _: min(xs)),
    "the second largest of (ITEMS)": (2, lambda xs, _: _second(xs)),
    f"the longest of (ITEMS){_TIES}": (1, lambda xs, _: max(xs, key=len)),
    f"the shortest of (ITEMS){_TIES}": (1, lambda xs, _: min(xs, key=len)),
    f"the most frequent of (ITEMS){_TIES}": (1, lambda xs, _: max(xs, key=xs.count)),
    f"the position of the largest of (ITEMS), counted from 0{_TIES}": (1, lambda xs, _: xs.index(max(xs))),
    f"the position of the smallest of (ITEMS), counted from 0{_TIES}": (1, lambda xs, _: xs.index(min(xs))),
    "the difference between the largest and the smallest of (ITEMS)": (1, lambda xs, _: _spread(xs)),
    "the length of the longest run of equal neighbours in (ITEMS)": (0, lambda xs, _: _run(xs)),
    "the first of (ITEMS)": (1, lambda xs, _: xs[0]),
    "the last of (ITEMS)": (1, lambda xs, _: xs[-1]),
    "whether (ITEMS) are in ascending order": (0, lambda xs, _: xs == sorted(xs)),
    "whether (ITEMS) read the same backwards": (0, lambda xs, _: xs == xs[::-1]),
    f"(ITEMS) joined with {_V}": (0, lambda xs, v: str(v).join(xs)),
}
"""How a result is made of the items, and how many it takes."""

_SOURCE: Final = re.compile(
    rf"the ((?:(?:distinct|{'|'.join(_ADJECTIVES)}) )*)({'|'.join(_NOUNS)}) (?:in|of) the (list|text|first list|second list)"
    rf"(?: that (.+?))?(?: ({'|'.join(_ORDERS)}))?"
)
_SENTENCE: Final = re.compile(
    r"Return (.+?)(?:, or (None|-?\d{1,9}|an empty text|an empty list|'[^']{0,20}') when there are (none|fewer than (\d)))?\."
)
_SIGNATURE: Final = re.compile(r"(?:def )?(\w+) ?\(([^)]*)\)")
_EMPTY: Final[Mapping[str, Any]] = {"None": None, "an empty text": "", "an empty list": []}


class _Reader:
    """Reads one task, noting what each argument holds on the way."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.kinds: dict[str, Kind] = {}
        self.bounds: list[int] = []

    def value(self, text: str | None, kind: Kind) -> Callable[[Mapping[str, Any]], Any]:
        """What gives the V of a phrase, from the arguments by name."""
        if text is None:
            return lambda _: None
        if text.startswith("'"):
            return lambda _: text[1:-1]
        if text in self.names:
            self.kinds[text] = kind
            return lambda args: args[text]
        number = int(text)
        self.bounds.append(number)
        return lambda _: number

    def result(self, text: str) -> list[Step]:
        """The steps of a RESULT; the last one's function takes items only where there are enough of them."""
        if found := re.fullmatch(r"whether (all|any) of (.+?) (?:are|is) (.+)", text):
            holds, every = self.predicate(f"are {found[3]}"), all if found[1] == "all" else any
            return [*self.items(found[2]), Step(text, lambda xs, args: every(holds(x, args) for x in xs))]
        for pattern, (least, do) in _RESULTS.items():
            if match := re.fullmatch(pattern.replace("ITEMS", ".+?"), text):
                given = self.value(match[2] if len(match.groups()) > 1 else None, "letter")
                phrase = text.replace(match[1], "them")
                return [*self.items(match[1]), Step(phrase, _enough(least, _given(do, given)))]
        raise ValueError(f"no result {text!r}")

    def items(self, text: str) -> list[Step]:
        """The steps of ITEMS."""
        for pattern, do in _MAPS.items():
            if match := re.fullmatch(f"{pattern} (.+)", text):
                given = self.value(match[1] if len(match.groups()) > 1 else None, "count")
                phrase = text[: match.start(len(match.groups()))] + "them"
                return [*self.items(match[len(match.groups())]), Step(phrase, _given(do, given))]
        match = _SOURCE.fullmatch(text)
        if match is None:
            raise ValueError(f"no items {text!r}")
        return self.source(match)

    def source(self, match: re.Match[str]) -> list[Step]:
        """The steps of a SOURCE: take the argument, keep what fits, put it in order."""
        adjectives, noun, place, condition, order = match.groups()
        name = self.names[place == "second list"]
        self.kinds[name] = "text" if place == "text" else "words" if noun == "words" else "numbers"
        steps = [Step(f"all {noun}", lambda _, args: _NOUNS[noun](args[name]))]
        for adjective in adjectives.split():
            steps.append(Step(f"the {adjective} ones", self.adjective(adjective)))
        for said in condition.split(" and that ") if condition else []:
            steps.append(Step(f"those that {said}", self.condition(said)))
        if order:
            steps.append(Step(order, lambda xs, _: _ORDERS[order](xs)))
        return steps

    @staticmethod
    def adjective(adjective: str) -> Callable[[Any, Mapping[str, Any]], Any]:
        """What keeps the items that an adjective fits."""
        if adjective == "distinct":
            return lambda xs, _: list(dict.fromkeys(xs))
        return lambda xs, _: [x for x in xs if _ADJECTIVES[adjective](x)]

    def condition(self, said: str) -> Callable[[Any, Mapping[str, Any]], Any]:
        """What keeps the items that a relative clause fits."""
        if said in _AMONG:
            if "second list" in said:
                self.kinds.setdefault(self.names[1], self.kinds[self.names[0]])
            return lambda xs, args: _AMONG[said](xs, list(args.values()))
        if found := re.fullmatch(rf"are between {_V} and {_V}", said):
            low, high = (self.value(found[i], "limit") for i in (1, 2))
            return lambda xs, args: [x for x in xs if low(args) <= x <= high(args)]
        holds = self.predicate(said)
        return lambda xs, args: [x for x in xs if holds(x, args)]

    def predicate(self, said: str) -> Callable[[Any, Mapping[str, Any]], bool]:
        """Whether a clause such as "are even" or "start with 'a'" is true of one item."""
        for pattern, (kind, holds) in _CLAUSES.items():
            if match := re.fullmatch(pattern, said):
                given = self.value(match[1] if match.groups() else None, kind)
                return _given(holds, given)
        raise ValueError(f"no condition {said!r}")


def _given(do: Callable[[Any, Any], Any], value: Callable[[Mapping[str, Any]], Any]) -> Callable[[Any, Mapping[str, Any]], Any]:
    """A function of items and a V as one of items and all arguments."""
    return lambda items, args: do(items, value(args))


def _enough(least: int, do: Callable[[Any, Mapping[str, Any]], Any]) -> Callable[[Any, Mapping[str, Any]], Any]:
    def step(items: Any, args: Mapping[str, Any]) -> Any:
        if len(items) < least:
            raise NoResult(f"there are {len(items)}, {least} are needed")
        return do(items, args)

    return step


def _or_else(least: int, value: Any, step: Step) -> Step:
    """A last step with what comes out where there are fewer items than `least`."""
    return Step(step.phrase, lambda items, args: value if len(items) < least else step.do(items, args))


def read_task(description: str, signature: str) -> Task | None:
    """The reading of a task; None when a phrase of it, or the signature, is not understood."""
    sentence, declared = _SENTENCE.search(" ".join(description.split())), _SIGNATURE.search(signature)
    if sentence is None or declared is None:
        return None
    names = [part.split(":")[0].split("=")[0].strip() for part in declared[2].split(",") if part.strip()]
    reader = _Reader(names)
    try:
        steps = reader.result(sentence[1])
    except (ValueError, IndexError, StopIteration):
        return None
    if sentence[2] is not None:
        text, least = sentence[2], int(sentence[4] or 1)
        value = _EMPTY[text] if text in _EMPTY else text[1:-1] if text.startswith("'") else int(text)
        steps[-1] = _or_else(least, value, steps[-1])
    if set(reader.kinds) != set(names):
        return None
    kinds = {name: reader.kinds[name] for name in names}
    return Task(declared[1], kinds, tuple(reader.bounds), tuple(steps))


def work_out(task: Task, args: Sequence[Any], rng: random.Random | None = None, error: float = 0.0) -> list[tuple[str, Any]]:
    """Each phrase with the value after it; the last value is the result. With chance `error` a step goes wrong.

    Raises:
        NoResult: The task does not say what comes out, or takes no such arguments.
    """
    if len(args) != len(task.kinds):
        raise NoResult(f"{len(args)} arguments, {len(task.kinds)} are taken")
    named = dict(zip(task.kinds, args, strict=True))
    value: Any = None
    trace: list[tuple[str, Any]] = []
    for step in task.steps:
        try:
            value = step.do(value, named)
        except (TypeError, ArithmeticError, AttributeError, IndexError, ValueError) as fault:
            raise NoResult(str(fault)) from None
        if rng is not None and trace and rng.random() < error:
            value = slipped(value, rng)
        trace.append((step.phrase, value))
    return trace


def slipped(value: Any, rng: random.Random) -> Any:
    """A value with a slip in it: a number a little off, an item too few or too many, two that changed places."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + rng.choice((-2, -1, 1, 2))
        case str():
            return value[:-1] if value else "a"
        case list() if len(value) > 1:
            i = rng.randrange(len(value))
            changes = (value[:i] + value[i + 1 :], [*value, value[i]], [*value[:i], slipped(value[i], rng), *value[i + 1 :]])
            return rng.choice(changes)
        case list():
            return []
    return 0
