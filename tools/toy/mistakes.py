"""The mistakes of the toys: slips by chance, and phrases that are misread again and again.

A slip is a wrong operation, a misread number, a false sum or a step left out, and all that follows rests on it. Besides, every phrase has
a difficulty of its own, drawn from its words: a few are misread in the same way by most samples, so that a vote can be wrong together.
"""

import random
from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from re import sub
from typing import Final

from symposia.tools.toy.plan import Op, Plan, Step, calculate, value

HARD_SHARE: Final = 0.13
"""Part of all phrases that are misread more often than by chance."""

HARD_FACTOR: Final = 6.0
"""How many times the chance of a slip at a hard phrase is that of a slip anywhere, up to `HARDEST`."""

HARDEST: Final = 0.9

_INSTEAD: Final = {"+": "-", "-": "+", "*": "+", "/": "*"}
_KINDS: Final = ("operation", "number", "sum", "dropped")
_WEIGHTS: Final = (30, 25, 30, 15)


def difficulty(op: Op) -> float:
    """How often a phrase is misread, in multiples of the chance of a slip: 0 for most, `HARD_FACTOR` for a few."""
    words = sub(r"\d+", "#", op.phrase) + op.sign
    return HARD_FACTOR if sha256(words.encode()).digest()[0] < 256 * HARD_SHARE else 0.0


def attempt(plan: Plan, rng: random.Random, error: float) -> list[Step]:
    """The plan carried out by somebody who slips at each operation with chance `error`."""
    results: list[Fraction] = []
    steps: list[Step] = []
    for i, op in enumerate(plan.ops):
        misread = rng.random() < min(HARDEST, error * difficulty(op))
        kind = "operation" if misread else rng.choices(_KINDS, _WEIGHTS)[0] if rng.random() < error else None
        left, right = value(op.left, results), value(op.right, results)
        last_chance = i == len(plan.ops) - 1 and not steps
        if kind == "dropped" and not last_chance:
            results.append(left)
            continue
        step = slipped(Step(i, op.phrase, op.sign, left, right, calculate(op.sign, left, right)), op, rng, kind)
        results.append(step.result)
        steps.append(step)
    return steps


def slipped(step: Step, op: Op, rng: random.Random, kind: str | None) -> Step:
    """The step with one mistake of a kind in it, or as it is for None."""
    sign, left, right = step.sign, step.left, step.right
    if kind == "operation":
        sign = _INSTEAD[sign]
    elif kind == "number" and isinstance(op.right, Fraction):
        right = misread(right, rng)
    elif kind == "number" and isinstance(op.left, Fraction):
        left = misread(left, rng)
    result = calculate(sign, left, right)
    if kind is not None and (sign, left, right) == (step.sign, step.left, step.right):
        result += rng.choice((-10, -2, -1, 1, 2, 10))
    return Step(step.op, step.phrase, sign, left, right, result)


def misread(number: Fraction, rng: random.Random) -> Fraction:
    """Another number that looks like this one: digits swapped, or one too many or too few."""
    digits = str(number.numerator)
    if number.denominator == 1 and len(digits) == 2 and digits[0] != digits[1] and digits[1] != "0" and rng.random() < 0.6:
        return Fraction(int(digits[::-1]))
    return number + rng.choice((-1, 1)) if number > 1 else number * 2


def other_operation(step: Step) -> Step:
    """The step as somebody would have it who takes its operation for another one."""
    sign = _INSTEAD[step.sign]
    return Step(step.op, step.phrase, sign, step.left, step.right, calculate(sign, step.left, step.right))


def is_right(step: Step | None, truth: Sequence[Step]) -> bool:
    """Whether a step's calculation holds and ends at a number of the true solution; without one, whether it holds."""
    if step is None or calculate(step.sign, step.left, step.right) != step.result:
        return False
    return not truth or any(step.result == t.result for t in truth)
