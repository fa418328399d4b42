"""Turning points: the step from which the answer that leads stays wrong, or right, to the end.

Without a reference nothing can be wrong; then every change of the leading answer is marked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from symposia.records import any_same, known_answers
from symposia.shapes import SHORT
from symposia.state.errors import BadInput
from symposia.state.show import Show
from symposia.tools.checkers import holds_tests
from symposia.tools.equality import same_pure

Turn = Literal["wrong", "right", "changed"]


def leading(values: Mapping[str, Any], show: Show) -> Any:
    """The answer that leads in a state; None when there is none yet."""
    for key in filter(None, (show.leading, "answer")):
        if values.get(key) is not None:
            return values[key]
    for value in values.values():
        if (winner := _voted(value)) is not None:
            return winner
    return _majority(values.get("answers"))


async def turns(leads: Sequence[tuple[int, Any]], reference: Any) -> dict[int, Turn]:
    """The turning points of a run, by step.

    Args:
        leads: The leading answer after each step, in order; None where there is none.
        reference: The known answer; tests are none that an answer can be held against.
    """
    known = [(step, answer) for step, answer in leads if isinstance(answer, str | int | float)]
    if not known:
        return {}
    if comparable(reference):
        return await _decided(known, reference)
    found: dict[int, Turn] = {}
    for (_, before), (step, answer) in pairwise(known):
        if before != answer and not (_short(before) and _short(answer) and same_pure(before, answer)):
            found[step] = "changed"
    return found


async def _decided(known: Sequence[tuple[int, Any]], reference: Any) -> dict[int, Turn]:
    """The first step of the last stretch over which the verdict stays the same."""
    verdicts: dict[str, bool] = {}
    for _, answer in known:
        if repr(answer) not in verdicts:
            verdicts[repr(answer)] = await any_same(reference, answer)
    last = verdicts[repr(known[-1][1])]
    first = known[-1][0]
    for step, answer in reversed(known):
        if verdicts[repr(answer)] != last:
            break
        first = step
    return {first: "right" if last else "wrong"}


def comparable(reference: Any) -> bool:
    """Whether answers can be held against a reference; tests are none, and neither is nothing."""
    if reference is None or holds_tests(reference):
        return False
    try:
        known_answers(reference)
    except BadInput:
        return False
    return True


def _short(answer: Any) -> bool:
    return len(str(answer)) <= SHORT


def _voted(value: Any) -> Any:
    """The heaviest answer of a list of `{answer, weight, count}`."""
    if not isinstance(value, list) or not value:
        return None
    if not all(isinstance(v, Mapping) and "answer" in v and ("weight" in v or "count" in v) for v in value):
        return None
    return max(value, key=lambda v: v.get("weight") or v.get("count") or 0)["answer"]


def _majority(value: Any) -> Any:
    """The most frequent short value of a list, or of the newest of several lists; the earliest of equals."""
    while isinstance(value, list) and value and isinstance(value[-1], list):
        value = value[-1]
    if not isinstance(value, list):
        return None
    counts = Counter(v for v in value if isinstance(v, str | int | float) and _short(v))
    return counts.most_common(1)[0][0] if counts else None
