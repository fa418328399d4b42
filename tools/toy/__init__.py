"""Toy models: small rule-based players of the roles of a method, which work without a key, a network or a GPU.

A toy is no language model. It knows a few dozen verbs and sentence forms, reads word problems of arithmetic written in them, and errs at
rates that a setting names; nothing it does says how a language model would do. What it says it has worked out from the text of the prompt
alone: it holds no problems and no answers, and a number changed in a problem changes what it computes.

The names are `default`, which plays every role, and the presets `strong` and `weak`; settings follow as in `default?error=0.2&check=0.9`:
`error` is the chance from 0 to 1 that a step goes wrong, `check` the chance from 0 to 1 that the check of a step is right, and `persuade`
the chance from 0 to 1 that a debater gives way to another's answer that its own check confirms.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Final

from symposia.tools.toy import aggregation, debate, documents, fellowship, persuasion, plans, symbols
from symposia.tools.toy.prompts import read_prompt
from symposia.tools.toy.roles import PLAY, Skill

PRESETS: Final[Mapping[str, Skill]] = {
    "default": Skill(error=0.09, check=0.75),
    "strong": Skill(error=0.05, check=0.9),
    "weak": Skill(error=0.2, check=0.65),
}
"""What follows `toy/` in the name of a model, and how well it works."""

SETTINGS: Final = ("error", "check", "persuade")


@lru_cache(maxsize=256)
def skill_of(model: str) -> Skill:
    """The rates a model's name stands for; a name or setting that is not known is a `ValueError`."""
    name, _, query = model.partition("?")
    if name not in PRESETS:
        raise ValueError(f"no toy model {name[:60]!r}; there are {', '.join(PRESETS)}")
    skill = PRESETS[name]
    for setting in query.split("&") if query else []:
        key, _, text = setting.partition("=")
        if key not in SETTINGS:
            raise ValueError(f"a toy model has no setting {key[:60]!r}; there are {', '.join(SETTINGS)}")
        skill = replace(skill, **{key: _rate(key, text)})
    return skill


def _rate(key: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"the setting {key!r} of a toy model is a number from 0 to 1, not {text[:60]!r}")
    return rate


def reply(model: str, messages: Sequence[Mapping[str, str]], seed: int | None) -> str:
    """What a toy answers to a chat; with a seed, always the same for the same model and messages."""
    skill = skill_of(model)
    if seed is None:
        rng = random.Random()
    else:
        spoken = json.dumps([model, seed, [[m["role"], m["content"]] for m in messages]])
        rng = random.Random(int.from_bytes(sha256(spoken.encode()).digest()[:16], "big"))
    if (said := symbols.play(messages, skill, rng)) is not None:
        return said
    if (said := plans.play(messages, skill, rng)) is not None:
        return said
    if asked := documents.about_document(messages):
        return documents.play(asked, skill, rng)
    if (said := persuasion.play(messages, skill, rng)) is not None:
        return said
    if (said := fellowship.play(messages, skill, rng)) is not None:
        return said
    if (said := aggregation.play(messages, skill, rng)) is not None:
        return said
    if turn := debate.read_turn(messages):
        return debate.PLAY[turn.part](turn, skill, rng)
    prompt = read_prompt(messages)
    return PLAY[prompt.role](prompt, skill, rng)
