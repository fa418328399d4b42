"""Scorers: how good is a solution (`outcome`) and each of its steps (`process`).

A scorer is a role. Its model is a language model that judges, or `reward/URL`, a reward model served over HTTP (`tools/served_reward.py`).
Scores are in 0..1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from symposia.state.errors import BadInput, ReplyError, shorten
from symposia.tools import served_reward
from symposia.tools.llm import ask, model_of, prompt

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ENDS = r"(?!\.?\d)(?![ \t]*(?:[/%-]|of\b|out\b|or\b|to\b))"  # "1%" and "1 of 10" are no score of 1
_SCORE = re.compile(rf"^[ \t*]*SCORE[ \t*]*:[ \t*]*({_NUMBER}(?:[ \t]*/[ \t]*\d+)?){_ENDS}", re.IGNORECASE | re.MULTILINE)
_SCORES = re.compile(r"^[ \t*]*SCORES[ \t*]*:[ \t*]*([^\n]+)", re.IGNORECASE | re.MULTILINE)


def check_images_read(params: Mapping[str, Any]) -> None:
    """Refuse served reward models, whatever their role, where a question has images.

    Raises:
        BadInput: The model of a role is one.
    """
    for role, models in (("every role", params["model"]), *params["roles"].items()):
        for model in [models] if isinstance(models, str) else models:
            if model.startswith(served_reward.PREFIX):
                what = f"the model of {role} is {shorten(model, 60)}, and a served reward model reads no images"
                raise BadInput(what, remedy="let a language model judge: --role outcome=MODEL")


async def outcome(params: Mapping[str, Any], question: str | list[str], chain: str) -> float | None:
    """How likely the solution's answer is right, in 0..1; None when the scorer failed or could not be read.

    Raises:
        BadInput: A served reward model is to judge a question with images.
    """
    model = model_of(params, "outcome")
    if model.startswith(served_reward.PREFIX):
        if not isinstance(question, str):
            raise BadInput("a served reward model reads no images", remedy="let a model judge: --role outcome=MODEL")
        return await served_reward.outcome(model, question, chain)
    reply = await ask(params, "outcome", prompt(params, "outcome", question=question, chain=chain), parse=read_score)
    return reply["value"] if reply["status"] == "ok" else None


async def process(params: Mapping[str, Any], question: str, steps: Sequence[str]) -> list[float] | None:
    """How likely each step is right, in 0..1, a number per step; None when the scorer failed or could not be read."""
    if not steps:
        return []
    model = model_of(params, "process")
    if model.startswith(served_reward.PREFIX):
        return await served_reward.process(model, question, steps)
    listed = [part for step in steps for part in (step, "\n")]
    messages = prompt(params, "process", question=question, steps=listed, n_steps=len(steps))
    reply = await ask(params, "process", messages, parse=scores_reader(len(steps)))
    return reply["value"] if reply["status"] == "ok" else None


def read_score(text: str) -> float:
    """The number of the last line "SCORE: x".

    Raises:
        ReplyError: There is none, or it is not in 0..1.
    """
    found = _SCORE.findall(text)
    if not found:
        raise ReplyError(f"the reply has no line 'SCORE: x' with x in [0, 1]; it ends with '{shorten(text[-80:])}'")
    return _in_range(found[-1])


def scores_reader(n: int) -> Callable[[str], list[float]]:
    """A parser of the last line "SCORES: x1, ..., xn"."""

    def read(text: str) -> list[float]:
        found = _SCORES.findall(text)
        if not found:
            raise ReplyError(f"the reply has no line 'SCORES: x1, ..., x{n}'; it ends with '{shorten(text[-80:])}'")
        items = [item.strip(" *[]") for item in found[-1].split(",")]
        if len(items) != n:
            raise ReplyError(f"the reply gives {len(items)} scores for {n} steps: '{shorten(found[-1], 80)}'")
        return [_in_range(item) for item in items]

    return read


def _in_range(text: str) -> float:
    """A score; "0.7" and "7/10" are read, "7" is not in range."""
    top, _, bottom = text.partition("/")
    try:
        value = float(top) / float(bottom or 1)
    except (ValueError, ZeroDivisionError):
        raise ReplyError(f"'{shorten(text, 40)}' is no number in [0, 1]") from None
    if not 0.0 <= value <= 1.0:
        raise ReplyError(f"the score {shorten(text, 40)} is not in [0, 1]")
    return value
