"""What talking to each other does to a team: accuracy before and after a debate, who flipped which way, and whether the order counts.

The measures are those of "Teaching Models to Balance Resisting and Accepting Persuasion" (arXiv 2410.14596): the accuracy of a team is the
mean over questions of the share of its two agents that are right, and the effect of the order how far it differs by who speaks first.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from symposia.tools.pairs import correct
from symposia.tools.trees import AGENTS, Pair

ORDERS = ("AB", "BA")
"""Who speaks first, then second."""


class Debate(TypedDict):
    """One debate: what both agents answered at first and in the end, and why it stopped (`agree`, `max_turns` or `failed`)."""

    order: str
    turns: int
    initial: Pair
    final: Pair
    stopped: str


class Side(TypedDict):
    """What became of one order: accuracies from 0 to 1, of the team and by agent, and flips in answers counted over agents."""

    debates: int
    before: float
    after: float
    before_by_agent: dict[str, float]
    after_by_agent: dict[str, float]
    better: int
    worse: int
    turns: float


class Report(TypedDict):
    """What became of a data set: each order, the effect of the order on the final accuracy, and how many final answers hang on it."""

    orders: dict[str, Side]
    order_effect: float | None
    order_dependent: int


def team_report(items: Iterable[tuple[Sequence[Debate], Sequence[str]]]) -> Report:
    """Measure a team on questions with known answers.

    Args:
        items: For each question its debates, one per order, and every accepted spelling of its answer.
    """
    kept = [({debate["order"]: debate for debate in debates}, list(accepted)) for debates, accepted in items]
    rows = [(debate, accepted) for debates, accepted in kept for debate in debates.values()]
    sides = {
        order: _side([row for row in rows if row[0]["order"] == order]) for order in ORDERS if any(d["order"] == order for d, _ in rows)
    }
    effect = abs(sides["AB"]["after"] - sides["BA"]["after"]) if len(sides) == len(ORDERS) else None
    return Report(orders=sides, order_effect=effect, order_dependent=sum(_dependent(*row) for row in kept))


def _side(rows: Sequence[tuple[Debate, list[str]]]) -> Side:
    first = [{agent: correct(debate["initial"][agent], accepted) for agent in AGENTS} for debate, accepted in rows]
    last = [{agent: correct(debate["final"][agent], accepted) for agent in AGENTS} for debate, accepted in rows]
    moves = [(old[agent], new[agent]) for old, new in zip(first, last, strict=True) for agent in AGENTS]
    by_agent: Any = [{agent: fmean(right[agent] for right in side) for agent in AGENTS} for side in (first, last)]
    return Side(
        debates=len(rows),
        before=fmean(old for old, _ in moves),
        after=fmean(new for _, new in moves),
        before_by_agent=by_agent[0],
        after_by_agent=by_agent[1],
        better=moves.count((False, True)),
        worse=moves.count((True, False)),
        turns=fmean(debate["turns"] for debate, _ in rows),
    )


def _dependent(debates: Mapping[str, Debate], accepted: Sequence[str]) -> int:
    """Of how many agents the order decides whether they end up right."""
    if len(debates) < len(ORDERS):
        return 0
    one, other = (debates[order]["final"] for order in ORDERS)
    return sum(correct(one[agent], accepted) != correct(other[agent], accepted) for agent in AGENTS)
