"""Votes over the answers of the newest round, each sample weighing the same or as much as its score."""

from typing import Any, NotRequired

from symposia.nodes.extract import Rounds
from symposia.nodes.score import Scored
from symposia.state.base import Answer
from symposia.tools.vote import Tally, tally, winner


class Voted(Rounds):
    """Rounds with the outcome of a vote: the answers in the order in which they are met, with their votes."""

    vote_weights: NotRequired[list[Tally]]
    confidence: NotRequired[float]


class Weighed(Scored):
    """Scored rounds with the outcome of a weighted vote: the answers, best sample first, with their mass."""

    vote_weights: NotRequired[list[Tally]]


def vote(state: Voted) -> dict[str, Any]:
    """Give every sample one vote; equal counts go to the answer met first.

    `confidence` is the winner's share of all samples, those without an answer included.
    """
    answers = state["answers"][-1]
    votes = tally(answers)
    most = max((t["count"] for t in votes), default=0)
    return {"vote_weights": votes, "answer": winner(votes), "confidence": most / len(answers)}


def weighted_vote(state: Weighed) -> dict[str, Any]:
    """Give every sample its score, to the power `power`, as its vote; a missing score weighs nothing.

    Equal masses go to the answer that owns the best sample, then to the lower index. Without any mass the plain count decides.
    """
    answers, scores, power = state["answers"][-1], state["scores"][-1], state["params"].get("power", 1)
    weights = [0.0 if s is None else s**power for s in scores]
    best_first = sorted(range(len(answers)), key=lambda i: -weights[i])
    votes = tally([answers[i] for i in best_first], [weights[i] for i in best_first])
    return {"vote_weights": votes, "answer": winner(votes if mass(votes) else tally(answers))}


def mass(votes: list[Tally]) -> float:
    """The weight of all answers together."""
    return sum(entry["weight"] for entry in votes)


def outcome_of(answer: Answer | None, votes: list[Tally]) -> str:
    """Why a vote ended as it did: `voted`, `no_answer`, or `zero_mass` when all answers weigh nothing."""
    if answer is None:
        return "no_answer"
    return "voted" if mass(votes) else "zero_mass"
