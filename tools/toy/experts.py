"""Toys with a subject of their own, and the toy that names the subjects of a question.

A setting called like a topic is the rate at which a toy errs in problems of that topic: `default?error=0.4&money=0.05` is good at money.
A problem of several topics has the mean of their rates. Topics are told by the words of the problem, and so they are by the tagger, which
has two keywords for each; with chance `error` a pass of the tagger leaves a keyword out, or adds one that does not belong.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from symposia.tools.toy.prompts import read_prompt
from symposia.tools.toy.roles import Skill

TOPICS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for name, words in {
        "money": "dollars?|cents?|euros?|costs?|prices?|pays?|money",
        "rates": "per (?:second|minute|hour|day|week|month)|a (?:day|week|month|year)",
        "ages": "years? (?:old|older|younger)|how old",
        "sharing": "equally|shares?|packs?|(?:puts?|pours?) .{1,60} into",
        "fractions": r"half|(?:a|two|three|one) (?:third|quarter|fifth|tenth)s?|percent|\d{1,4}/\d{1,4}",
    }.items()
}
"""How the words of a problem tell its topics."""

_KEYWORDS: Final[Mapping[str, tuple[str, str]]] = {
    "money": ("money", "prices"),
    "rates": ("rates", "work over time"),
    "ages": ("ages", "comparison"),
    "sharing": ("sharing", "equal groups"),
    "fractions": ("fractions", "parts of a whole"),
}
_MOST: Final = 5
"""Keywords of a pass at most."""
_ASKED: Final = "Name the core knowledge, subjects or skills"


@lru_cache(maxsize=4096)
def topics_of(problem: str) -> tuple[str, ...]:
    """The topics of a problem, of those that toys know."""
    return tuple(name for name, words in TOPICS.items() if words.search(problem))


def in_its_subject(skill: Skill, messages: Sequence[Mapping[str, str]]) -> Skill:
    """A toy as it works on the problem of a chat: its error is that in the problem's topics."""
    if not skill.topics:
        return skill
    own = dict(skill.topics)
    rates = [own.get(topic, skill.error) for topic in topics_of(read_prompt(messages).problem)]
    return replace(skill, error=sum(rates) / len(rates)) if rates else skill


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The reply to a prompt of the tagger; None to any other."""
    text = messages[-1]["content"] if messages else ""
    if not text.startswith(_ASKED):
        return None
    problem = read_prompt(messages).problem.removesuffix("Keywords:").strip()
    found = [word for topic in topics_of(problem) for word in _KEYWORDS[topic]] or ["arithmetic"]
    named = [word for word in found if rng.random() >= skill.error]
    if rng.random() < skill.error:
        named.append(rng.choice([word for words in _KEYWORDS.values() for word in words if word not in found] or ["arithmetic"]))
    return f"Keywords: {', '.join(word.capitalize() for word in named[:_MOST] or found[:1])}"
