"""Counting and weighing answers: sums per answer, the winner, ties, and how far the answers agree."""

import math
from collections.abc import Sequence

from typing_extensions import TypedDict

from symposia.state.base import Answer


class Tally(TypedDict):
    """An answer with the weight and the number of the samples that gave it."""

    answer: Answer
    weight: float
    count: int


def tally(answers: Sequence[Answer | None], weights: Sequence[float] | None = None) -> list[Tally]:
    """Weight and count per answer, in the order in which the answers are first met; None does not vote.

    Equal answers are equal values: `tools.equality.canon` has mapped them to one form. Weights default to 1.
    """
    found: dict[Answer, Tally] = {}
    for i, answer in enumerate(answers):
        if answer is not None:
            entry = found.setdefault(answer, Tally(answer=answer, weight=0.0, count=0))
            entry["weight"] += 1.0 if weights is None else weights[i]
            entry["count"] += 1
    return list(found.values())


def winner(tallies: Sequence[Tally]) -> Answer | None:
    """The answer of most weight, the first met among equals; None when nobody voted.

    Sums are compared at 12 digits, or the order of adding 0.1, 0.2 and 0.3 would decide.
    """
    return max(tallies, key=lambda t: float(f"{t['weight']:.12g}"))["answer"] if tallies else None


def best(scores: Sequence[float | None]) -> int:
    """Index of the highest score, the earliest on ties; a missing score ranks below every number.

    Raises:
        ValueError: There is no score at all to choose by.
    """
    return max(range(len(scores)), key=lambda i: -math.inf if (s := scores[i]) is None else s)


def confidence(answers: Sequence[Answer | None], masses: Sequence[float]) -> float | None:
    """How far weighted answers agree: `2 * (1 - sigmoid(H))`, H the entropy in nats of the mass per answer.

    1 when all agree, 0.5 for three equal answers (H = ln 3), towards 0 as they spread. A missing answer counts as one more answer. None
    when there is no mass, of which nothing can be said.
    """
    sums: dict[Answer | None, float] = {}
    for answer, mass in zip(answers, masses, strict=True):
        sums[answer] = sums.get(answer, 0.0) + mass
    total = sum(sums.values())
    if total <= 0:
        return None
    entropy = -sum(p * math.log(p) for p in (m / total for m in sums.values()) if p > 0)
    return 2.0 / (1.0 + math.exp(entropy))
