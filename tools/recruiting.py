"""Who answers which question: experts drawn by their skills, rare ones replaced, and the work sorted by model.

Symbolic-MoE (arXiv 2503.05641). `repo` is the rule of the authors' code (dinobby/Symbolic-MoE): a model's fit is the sum of its values in
the question's skills; of those above 0, k are drawn independently, with repeats, by fit x strength; when none is above 0 all are in, their
fits shifted so that the least is 1. `paper` is the rule of its reviews: a softmax of fit x strength at temperature 0.5.

Ours: for `paper` the products are divided by the largest of their magnitudes, since nothing says how they are scaled; `topk` takes the k
different models of the largest weights; `random` draws k different models, `uniform` k independent ones, whatever their skills. Draws rest
on the seed and the question alone, so that no order of questions or models changes them. Where models repeat for lack of others, they do
in turn.
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from symposia.tools.profiles import Profile, strengths

Router = Literal["repo", "paper", "topk", "random", "uniform"]

BY_SKILL: Final[tuple[Router, ...]] = ("repo", "paper", "topk")
"""The rules that look at skills."""
TEMPERATURE: Final = 0.5
"""Of the softmax of `paper`."""
_ROUNDING: Final = 1e-9


def fit(profile: Mapping[str, int], skills: Iterable[str]) -> int:
    """A model's values in a question's skills; one that is named twice counts twice."""
    return sum(profile.get(skill, 0) for skill in skills)


def weights(router: Router, fits: Mapping[str, int], strength: Mapping[str, float]) -> dict[str, float]:
    """What each model is drawn by, or for `topk` ranked by, under a rule that looks at skills.

    Args:
        router: The rule.
        fits: Of each model to the question.
        strength: Of each model in all.
    """
    if router == "paper":
        return _softmax({model: value * strength[model] for model, value in fits.items()})
    lift = 0 if max(fits.values()) > 0 else 1 - min(fits.values())
    found = {model: (value + lift) * strength[model] for model, value in fits.items()}
    if router == "topk":
        return found
    found = {model: max(0.0, weight) for model, weight in found.items()}
    return found if any(found.values()) else {model: float(max(0, value + lift)) for model, value in fits.items()}


def _softmax(relevance: Mapping[str, float]) -> dict[str, float]:
    scale = max(map(abs, relevance.values())) or 1.0
    raised = {model: math.exp(value / scale / TEMPERATURE) for model, value in relevance.items()}
    return {model: value / sum(raised.values()) for model, value in raised.items()}


def recruit(
    router: Router, table: Mapping[str, Profile], skills: Sequence[str], k: int, seed: int, question: str
) -> tuple[list[str], dict[str, float]]:
    """The k models that answer a question, a slot each, and the weights they were drawn by, equal ones where no skill counts.

    The first slots are the same for every k. When the fits are above 0 only in models without any strength, fit alone decides (ours).
    """
    rng = random.Random(f"{seed} recruit {question}")
    names = sorted(table)
    if router not in BY_SKILL or not skills:
        found = dict.fromkeys(names, 1.0)
    else:
        found = weights(router, {model: fit(table[model], skills) for model in names}, strengths(table))
    if router == "random":
        order = rng.sample(names, len(names))
    elif router == "topk" and skills:
        order = sorted(names, key=lambda model: (-found[model], model))
    else:
        return rng.choices(names, [found[model] for model in names], k=k), found
    return [order[slot % len(order)] for slot in range(k)], found


def slots(assigned: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many slots of a batch each model has, by name."""
    return dict(sorted(Counter(model for models in assigned.values() for model in models).items()))


def trim(assigned: Mapping[str, Sequence[str]], share: float, seed: int, counts: Mapping[str, int] | None = None) -> dict[str, list[str]]:
    """Give the slots of rarely recruited models to the others, so that a batch needs fewer models.

    Models with at least a share of all slots are frequent; each slot of another is drawn anew among them, by how many slots they have.
    When none is frequent, everything stays as it is (ours).

    Args:
        assigned: Models by question, a slot each.
        share: Part of all slots, from 0 to 1, that makes a model frequent; 0 leaves everything.
        seed: Of the draws, which rest on the question besides.
        counts: Slots by model of the whole batch; by default those assigned here.
    """
    counts = slots(assigned) if counts is None else counts
    least = share * sum(counts.values()) - _ROUNDING
    frequent = {model: n for model, n in sorted(counts.items()) if n > 0 and n >= least}
    trimmed = {}
    for question, models in assigned.items():
        rng = random.Random(f"{seed} trim {question}")
        others = rng.choices(list(frequent), list(frequent.values()), k=len(models)) if frequent and share else models
        trimmed[question] = [m if m in frequent or not share else other for m, other in zip(models, others, strict=True)]
    return trimmed


def group(assigned: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, int]]]:
    """The work of a batch by model, each slot as its question and its number: what a model does while it is loaded."""
    found: dict[str, list[tuple[str, int]]] = {}
    for question, models in assigned.items():
        for slot, model in enumerate(models):
            found.setdefault(model, []).append((question, slot))
    return dict(sorted(found.items()))
