"""Inputs that a toy invents for a task: common ones, and such as programs tend to get wrong."""

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from symposia.tools.toy.lists import Kind, Task

WORDS: Final = ("ant", "bee", "level", "stone", "river", "noon", "Ada", "elm", "ox", "otter", "apple", "kayak", "is", "echo", "a", "pear")

EDGE: Final = 0.75
"""The chance that an input meant to break a program is an edge case."""

COMMON_LENGTH: Final = (3, 6)


def invent(task: Task, rng: random.Random, hard: bool) -> list[Any]:
    """Arguments for a task; with `hard`, most likely an edge case."""
    edge = hard and rng.random() < EDGE
    bounds = list(task.bounds)
    args: dict[str, Any] = {}
    for name, kind in task.kinds.items():  # the V of a phrase first: lists lie around it
        if kind not in _LISTS:
            args[name] = _single(kind, rng, edge)
            bounds += [args[name]] if kind == "limit" else []
    for name, kind in task.kinds.items():
        if kind in _LISTS:
            args[name] = _LISTS[kind](rng, bounds, edge)
    return [args[name] for name in task.kinds]


def _single(kind: Kind, rng: random.Random, edge: bool) -> Any:
    if kind == "letter":
        return rng.choice("aeno")
    if kind == "divisor":
        return rng.choice((1, 7)) if edge else rng.randint(2, 5)
    if kind == "count":
        return rng.choice((0, 1, 8)) if edge else rng.randint(1, 4)
    return rng.choice((-2, 0, 1)) if edge else rng.randint(2, 12)


def _numbers(rng: random.Random, bounds: list[int], edge: bool) -> list[int]:
    if not edge:
        return [rng.randint(1, 15) for _ in range(rng.randint(*COMMON_LENGTH))]
    plain = [rng.randint(-9, 9) for _ in range(rng.randint(3, 6))]
    near = [bound + d for bound in bounds for d in (-1, 0, 1)] or [0]
    shapes: tuple[Callable[[], list[int]], ...] = (
        list,
        lambda: [rng.choice(near)],
        lambda: [rng.choice(plain)],
        lambda: [-abs(n) - 1 for n in plain],
        lambda: [rng.choice((plain[0], plain[1])) for _ in range(5)],
        lambda: [plain[0]] * 3,
        lambda: sorted(plain),
        lambda: sorted(plain, reverse=True),
        lambda: [rng.choice(near) for _ in range(4)],
        lambda: [*plain, 0, max(plain)],
        lambda: plain,
    )
    return rng.choice(shapes)()


def _words(rng: random.Random, bounds: list[int], edge: bool) -> list[str]:
    some = [rng.choice(WORDS) for _ in range(rng.randint(*COMMON_LENGTH))]
    if not edge:
        return some
    shapes: tuple[list[str], ...] = (
        [],
        some[:1],
        [some[0], some[1], some[0]],
        [*some, some[-1]],
        sorted(some, key=len),
        sorted(some, key=len, reverse=True),
        [word for word in WORDS if len(word) == rng.choice((2, 3, 5))],
    )
    return rng.choice(shapes)


def _text(rng: random.Random, bounds: list[int], edge: bool) -> str:
    some = " ".join(_words(rng, bounds, False))
    if not edge:
        return some
    return rng.choice(("", some.split()[0], some.upper(), f"{some[:1]} {some[:1]}", some.title(), f"7 {some} 42", "AEIOU"))


_LISTS: Final[Mapping[Kind, Callable[[random.Random, list[int], bool], Any]]] = {"numbers": _numbers, "words": _words, "text": _text}
