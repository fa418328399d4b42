"""Choosing one solution as a whole, where a vote chooses an answer."""

from typing import Any, NotRequired

from symposia.nodes.extract import Rounds
from symposia.nodes.score import Scored
from symposia.state.base import Answer
from symposia.tools.vote import best


class Selected(Scored):
    """Scored rounds of which one solution has been chosen."""

    best_index: NotRequired[int]


def select_best(state: Selected) -> dict[str, Any]:
    """Choose the highest score of the newest round, the lowest index among equals; a missing score ranks below every number.

    A solution without an answer is chosen only when no other one has any (ours: a failing scorer must not let it win).
    """
    answers, scores = state["answers"][-1], state["scores"][-1]
    answered = [i for i, answer in enumerate(answers) if answer is not None] or list(range(len(answers)))
    return {"best_index": answered[best([scores[i] for i in answered])]}


def answer_of(state: Rounds, round_: int, index: int) -> Answer | None:
    """What a chosen solution answers: in the task `text` the whole solution, unchanged, else the answer read out of it."""
    answer = state["answers"][round_][index]
    return state["chains"][round_][index] if state["task"] == "text" and answer is not None else answer
