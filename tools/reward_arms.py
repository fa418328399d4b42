"""The arms that LASeR chooses among: served reward models, and judges with a rubric each."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from symposia.tools import served_reward
from symposia.tools.llm import ask, model_of, prompt
from symposia.tools.rewards import read_score

RUBRICS = {
    "correctness": "Ask only how likely it is that its final answer is correct, and check the work for it.",
    "reasoning": "Ask whether each of its steps follows from what stands before it, and whether nothing needed is left out.",
    "instructions": "Ask whether it does all that is demanded, in the form demanded, and nothing else.",
    "style": "Ask how clear, well ordered and to the point it is for whoever has to read it.",
}
"""What a judge looks at, by name; ours."""


class Arm(TypedDict):
    """A reward model, or a judge with its rubric."""

    model: str
    rubric: str


def arms_of(params: Mapping[str, Any]) -> list[Arm]:
    """The arms: the models of the role `reward`, each with the next of the rubrics; a single judge without rubrics is one for each of ours.

    Served reward models take no rubric.
    """
    named = params["roles"].get("reward") or params["model"]
    models = [named] if isinstance(named, str) else named
    rubrics = params["rubrics"] or (list(RUBRICS) if len(models) == 1 else ["correctness"])
    size = len(models) if all(map(_served, models)) else max(len(models), len(rubrics))
    pairs = [(models[i % len(models)], rubrics[i % len(rubrics)]) for i in range(size)]
    return [Arm(model=model, rubric="" if _served(model) else rubric) for model, rubric in pairs]


def arm_names(params: Mapping[str, Any]) -> list[str]:
    """The arms in words: the model, and after it the rubric of a judge."""
    return [f"{arm['model']} ({arm['rubric']})" if arm["rubric"] else arm["model"] for arm in arms_of(params)]


def _served(model: str) -> bool:
    return model.startswith(served_reward.PREFIX)


async def mark(params: Mapping[str, Any], arm: int, question: str, response: str) -> float | None:
    """What an arm thinks of a response, in 0..1; None when it failed or could not be read, and without a call for an empty one."""
    if not response.strip():
        return None
    model = model_of(params, "reward", arm)
    if _served(model):
        return await served_reward.outcome(model, question, response)
    rubric = arms_of(params)[arm]["rubric"]
    messages = prompt(params, "reward", rubric=RUBRICS.get(rubric, rubric), question=question, chain=response)
    reply = await ask(params, "reward", messages, parse=read_score, agent=arm)
    return reply["value"] if reply["status"] == "ok" else None
