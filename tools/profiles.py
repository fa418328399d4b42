"""What models are good at: a table of skills per model, how strong each is in all, and who aggregates best.

Symbolic-MoE (arXiv 2503.05641) and its authors' code (dinobby/Symbolic-MoE). On questions with known answers a model earns +1 per skill of
a question that it answers rightly, and -1 where it is wrong; those sums are its profile. How strong it is in all is the square of the sum
of its profile, as a share of all models' squares; when a sum is negative, all are first shifted so that the least is 1.

Ours: when every sum is 0 all are equally strong (the authors' code divides by zero).
"""

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import TypedDict

if TYPE_CHECKING:
    import networkx as nx

    Graph = nx.Graph[str]

Profile = dict[str, int]
"""Value by skill."""

POWER = 2
"""Of the sum of a profile; the authors' code divides the exponent 1 by its temperature, 0.5."""
WRONG = 2
"""Wrong solutions of an item of the bench, beside one right one."""


class BenchItem(TypedDict):
    """An item of the aggregation bench: whose solutions stand in it, None for an empty text, and whether one of them is right."""

    row: int
    models: list[str | None]
    has_correct: bool


def profiles(correct: Mapping[str, Sequence[bool]], skills: Sequence[Sequence[str]]) -> dict[str, Profile]:
    """A profile per model, all with the same skills in alphabetical order.

    Args:
        correct: By model, whether it answered each question rightly.
        skills: Of each question, in the same order; none of them twice.
    """
    names = sorted({skill for tags in skills for skill in tags})
    found = {model: dict.fromkeys(names, 0) for model in correct}
    for model, results in correct.items():
        for right, tags in zip(results, skills, strict=True):
            for skill in tags:
                found[model][skill] += 1 if right else -1
    return found


def strengths(table: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    """How strong each model is in all; the strengths sum to 1."""
    totals = {model: sum(profile.values()) for model, profile in table.items()}
    least = min(totals.values(), default=0)
    if least < 0:
        totals = {model: total + 1 - least for model, total in totals.items()}
    squares = {model: float(total**POWER) for model, total in totals.items()}
    mass = sum(squares.values())
    return {model: square / mass if mass else 1 / len(squares) for model, square in squares.items()}


def bench(correct: Mapping[str, Sequence[bool]], seed: int) -> list[BenchItem]:
    """An item per question: one right and two wrong solutions of the models, drawn and shuffled; the same for every candidate.

    Where no solution is right its text is empty; where fewer than two are wrong, both of theirs are.
    """
    rng = random.Random(seed)
    items = []
    for row, results in enumerate(zip(*correct.values(), strict=True)):
        right, wrong = ([m for m, held in zip(correct, results, strict=True) if held == wanted] for wanted in (True, False))
        drawn: list[str | None] = [rng.choice(right) if right else None]
        drawn += rng.sample(wrong, WRONG) if len(wrong) >= WRONG else [None] * WRONG
        rng.shuffle(drawn)
        items.append(BenchItem(row=row, models=drawn, has_correct=bool(right)))
    return items


def score(results: Sequence[bool], items: Sequence[BenchItem], exclude_no_correct: bool = False) -> float:
    """Right answers of a candidate to the items of the bench, in per cent with two decimals.

    Args:
        results: Whether it answered each item rightly.
        items: The bench.
        exclude_no_correct: Leave out items that held no right solution.
    """
    counted = [right for right, item in zip(results, items, strict=True) if item["has_correct"] or not exclude_no_correct]
    return round(100 * sum(counted) / len(counted), 2) if counted else 0.0


def pick(scores: Mapping[str, float], accuracy: Mapping[str, float]) -> str:
    """The model of the highest score on the bench; equal ones by accuracy on the questions, then by name."""
    return min(scores, key=lambda model: (-scores[model], -accuracy[model], model))


def strongest(accuracy: Mapping[str, float], n: int) -> list[str]:
    """The `n` models that answer most questions rightly, the best first; equal ones by name."""
    return sorted(accuracy, key=lambda model: (-accuracy[model], model))[:n]


def bipartite(table: Mapping[str, Mapping[str, int]]) -> "Graph":
    """Models and skills as a networkx graph of two parts (`bipartite` 0 and 1), an edge with its `weight` wherever a value is not 0.

    Nodes are `model NAME` and `skill NAME`, since a skill may be called like a model.
    """
    import networkx as nx

    graph: Graph = nx.Graph()
    for model, profile in table.items():
        graph.add_node(f"model {model}", bipartite=0, label=model)
        for skill, value in profile.items():
            graph.add_node(f"skill {skill}", bipartite=1, label=skill)
            if value:
                graph.add_edge(f"model {model}", f"skill {skill}", weight=value)
    return graph
