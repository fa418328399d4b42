"""Toy models: small rule-based players of the roles of a method, which work without a key, a network or a GPU.

A toy is no language model. It knows a few dozen verbs and sentence forms, reads word problems of arithmetic written in them, and errs at
rates that a setting names; nothing it does says how a language model would do. What it says it has worked out from the text of the prompt
alone: it holds no problems and no answers, and a number changed in a problem changes what it computes. Code it changes by small edits, and
runs in the sandbox.

The names are `default`, which plays every role, and the presets `strong` and `weak`; settings follow as in `default?error=0.2&check=0.9`:
`error` is the chance from 0 to 1 that a step goes wrong, `check` the chance from 0 to 1 that the check of a step is right, and `persuade`
the chance from 0 to 1 that a debater gives way to another's answer that its own check confirms. The name of a topic (`money`, `rates`,
`ages`, `sharing`, `fractions`) sets `error` for problems of that topic.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from symposia.tools.toy import aggregation, code, debate, documents, experts, fellowship, persuasion, plans, symbols
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
        if key not in (*SETTINGS, *experts.TOPICS):
            raise ValueError(f"a toy model has no setting {key[:60]!r}; there are {', '.join((*SETTINGS, *experts.TOPICS))}")
        rate = _rate(key, text)
        changed: dict[str, Any] = {"topics": (*skill.topics, (key, rate))} if key in experts.TOPICS else {key: rate}
        skill = replace(skill, **changed)
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
    """What a toy answers to a chat; with a seed, always the same for the same model and messages.

    Chats about programs have to be awaited (`areply`), since the toy runs code.
    """
    skill, rng = experts.in_its_subject(skill_of(model), messages), _chance(model, messages, seed)
    if (said := experts.play(messages, skill, rng)) is not None:
        return said
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


def likely(messages: Sequence[Mapping[str, str]]) -> dict[str, float] | None:
    """The probabilities of the words that a reply may begin with, where a toy knows them: whether to accept an answer in a dialogue."""
    return persuasion.leaning(messages)


async def areply(model: str, messages: Sequence[Mapping[str, str]], seed: int | None) -> str:
    """What a toy answers to any chat, those about programs included."""
    if chat := code.about_program(messages):
        return await code.play(chat, skill_of(model), _chance(model, messages, seed))
    return reply(model, messages, seed)


def _chance(model: str, messages: Sequence[Mapping[str, str]], seed: int | None) -> random.Random:
    """The chance that a reply rests on; with a seed, always the same for the same model and messages."""
    if seed is None:
        return random.Random()
    spoken = json.dumps([model, seed, [[m["role"], m["content"]] for m in messages]])
    return random.Random(int.from_bytes(sha256(spoken.encode()).digest()[:16], "big"))
