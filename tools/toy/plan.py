"""Chains of arithmetic operations: what the reader makes of a problem and what the toys carry out, write and read back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Final

from symposia.tools.toy.words import written


@dataclass(frozen=True)
class Ref:
    """The result of an earlier operation of the same chain, counted from 0."""

    step: int


Term = Fraction | Ref


@dataclass(frozen=True)
class Op:
    """One operation, and the words of the problem it stands for."""

    sign: str
    left: Term
    right: Term
    phrase: str


@dataclass(frozen=True)
class Plan:
    """Operations in order, the last one giving the answer; `sure` is false where the reader had to guess."""

    ops: tuple[Op, ...]
    sure: bool = True


@dataclass(frozen=True)
class Step:
    """One step of a written solution: the operation it stands for (if any is known), its calculation and its words."""

    op: int | None
    phrase: str
    sign: str
    left: Fraction
    right: Fraction
    result: Fraction


NAMES: Final = {"+": "adds", "-": "subtracts", "*": "multiplies", "/": "divides"}

_N = r"-?(?:\d{1,60}/0{0,9}[1-9]\d{0,59}|\d{1,60}(?:\.\d{1,60})?)"
CALCULATION: Final = re.compile(rf"({_N}) ([-+*/]) ({_N}) = ({_N})")
_LABEL = re.compile(r"^[ \t*#]{0,4}step[ \t]{0,2}(\d{1,4})\b", re.IGNORECASE | re.MULTILINE)
_MARK = re.compile(r"[ \t](\d+(?:\.\d+)?)/10[ \t]*$")


def calculate(sign: str, left: Fraction, right: Fraction) -> Fraction:
    """The result of one operation; division by nothing gives 0, as somebody who has lost the thread would write."""
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    return left / right if right else Fraction(0)


def value(term: Term, results: Sequence[Fraction]) -> Fraction:
    """The number a term stands for, given the results so far."""
    return results[term.step] if isinstance(term, Ref) else term


def true_steps(plan: Plan) -> list[Step]:
    """The plan carried out without a slip."""
    results: list[Fraction] = []
    steps = []
    for i, op in enumerate(plan.ops):
        left, right = value(op.left, results), value(op.right, results)
        results.append(calculate(op.sign, left, right))
        steps.append(Step(i, op.phrase, op.sign, left, right, results[-1]))
    return steps


def calculation(step: Step) -> str:
    """A step's calculation as it is written."""
    return f"{written(step.left)} {step.sign} {written(step.right)} = {written(step.result)}"


def chain(steps: Sequence[Step]) -> str:
    """The solution as text, with the last result in the box."""
    lines = [f'Step {n}: "{step.phrase}": {calculation(step)}.' for n, step in enumerate(steps, 1)]
    return "\n".join([*lines, f"The answer is \\boxed{{{written(steps[-1].result)}}}."])


@dataclass(frozen=True)
class Written:
    """One step as found in a text: its words, the last calculation in it, and the mark from 0 to 10 after it."""

    text: str
    step: Step | None
    mark: float | None


def read_chain(text: str) -> list[Written]:
    """The steps of a solution in its text; a text without labels is one step."""
    starts = [m.start() for m in _LABEL.finditer(text)]
    return [_read_step(text[a:b].strip()) for a, b in pairwise([*(starts or [0]), len(text)])]


def _read_step(text: str) -> Written:
    mark = _MARK.search(text)
    body = text[: mark.start()] if mark else text
    found = CALCULATION.findall(body)
    quoted = re.search(r'"([^"]*)"', body)
    step = None
    if found:
        left, sign, right, result = found[-1]
        step = Step(None, quoted[1] if quoted else "", sign, Fraction(left), Fraction(right), Fraction(result))
    return Written(body, step, float(mark[1]) if mark else None)


def align(plan: Plan, found: Sequence[Written]) -> list[int | None]:
    """For each written step the operation of the plan it stands for: the next one with its words, else by position."""
    free = list(range(len(plan.ops)))
    places: list[int | None] = []
    for n, item in enumerate(found):
        same = [i for i in free if item.step and plan.ops[i].phrase == item.step.phrase]
        alike = [i for i in same if item.step and plan.ops[i].sign == item.step.sign]
        by_position = [n] if not same and len(found) == len(plan.ops) and n in free else []
        place = next(iter([*alike[:1], *same, *by_position]), None)
        places.append(place)
        free = [i for i in free if place is None or i > place]
    return places
