"""Preference pairs from scored responses to one prompt: better against worse, never across prompts.

LASeR (arXiv 2410.01735) trains on them; the authors' code ranks all responses of a batch in one list, so that its pairs mix prompts, which
is not followed here.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import Literal

from typing_extensions import TypedDict

Rule = Literal["half", "nested"]


class RankedPair(TypedDict):
    """Which response is preferred to which, by index, and by how much."""

    chosen: int
    rejected: int
    margin: float


def ranked_pairs(texts: Sequence[str], scores: Sequence[float | None], most: int, rule: Rule = "half") -> list[RankedPair]:
    """Up to `most` pairs of different texts with different scores.

    Args:
        texts: The responses to one prompt.
        scores: Their scores; a response without one is left out.
        most: Pairs at most.
        rule: `half` pairs the better half with the worse one, largest margins first (ours, after the paper's idea); `nested` takes the
            best with each of the others, then the second best, and so on (the authors' code).
    """
    ranked = sorted(((-s, i) for i, s in enumerate(scores) if s is not None))
    order = [i for _, i in ranked]
    known = [RankedPair(chosen=i, rejected=j, margin=_margin(scores, i, j)) for i, j in _candidates(order, rule)]
    fit = [pair for pair in known if pair["margin"] > 0 and texts[pair["chosen"]] != texts[pair["rejected"]]]
    return (sorted(fit, key=lambda pair: -pair["margin"]) if rule == "half" else fit)[:most]


def _candidates(order: Sequence[int], rule: Rule) -> Iterator[tuple[int, int]]:
    half = len(order) // 2
    yield from product(order[:half], order[half:]) if rule == "half" else combinations(order, 2)


def _margin(scores: Sequence[float | None], better: int, worse: int) -> float:
    return (scores[better] or 0.0) - (scores[worse] or 0.0)
