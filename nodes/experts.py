"""Experts: different models that answer the same question once each, and how their answers are read.

Symbolic-MoE (arXiv 2503.05641). Rules of the authors' code (dinobby/Symbolic-MoE): an option is the last letter of the range before a
closing bracket, and the range follows the number of options; a reasoning model may write more than others. Ours: an option in a box comes
first, since a box is what the prompt asks for; where no bracket follows any letter, one that stands alone counts, read as in other methods.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from symposia.nodes.prompts import answer_format
from symposia.state.base import Answer, Sample
from symposia.state.errors import BadInput, shorten
from symposia.tools.answers import extract, last_box
from symposia.tools.completion import Message
from symposia.tools.llm import ask, prompt

USUAL = "D"
"""The last option where a question does not list its options."""
_OPTION = re.compile(r"(?m)(?:^[ \t]{0,8}\(?|[ \t]\()([A-J])[.):][ \t]{0,8}\S")


def pool_of(params: Mapping[str, Any], artefact: Mapping[str, Any] | None = None) -> list[str]:
    """The models to recruit from, each once: those of the role `expert`, else those of the artefact, else the run's model.

    Raises:
        BadInput: The artefact holds no profiles, or none of a model.
    """
    if artefact and "profiles" not in artefact:
        raise BadInput(f"the artefact {params['artefact']} holds no profiles", remedy="make some: symposia prepare symbolic_moe DATA.jsonl")
    given = params["roles"].get("expert") or (artefact or {}).get("pool") or params["model"]
    pool = list(dict.fromkeys([given] if isinstance(given, str) else given))
    missing = [model for model in pool if artefact and model not in artefact["profiles"]]
    if missing:
        known = shorten(", ".join(artefact["profiles"] if artefact else ()), 200)
        what = f"the artefact has no profile of {missing[0]}; it has those of {known}"
        raise BadInput(what, remedy="name experts of the artefact, or prepare another one with --role expert=...")
    return pool


def with_pool(params: Mapping[str, Any], role: str, pool: Sequence[str]) -> dict[str, Any]:
    """Parameters in which a role has these models."""
    return {**params, "roles": {**params["roles"], role: list(pool)}}


def at_length(params: Mapping[str, Any], role: str, model: str) -> Mapping[str, Any]:
    """Parameters in which a role may write as much as `long_replies` grants this model."""
    longest = max((n for part, n in params["long_replies"].items() if part in model), default=None)
    if longest is None:
        return params
    return {**params, "sampling": {**params["sampling"], role: {**params["sampling"][role], "max_tokens": longest}}}


def request(params: Mapping[str, Any], question: str, task: str) -> list[Message]:
    """What every expert is asked."""
    return prompt(params, "expert", question=question, answer_format=answer_format(task))


async def reply_of(params: Mapping[str, Any], role: str, model: str, messages: Sequence[Message]) -> Sample:
    """One reply of a model in a role."""
    return await ask(at_length(with_pool(params, role, [model]), role, model), role, messages)


def answer_in(text: str, task: str, question: str) -> Answer | None:
    """The answer of a reply; in a choice among options, one that the question has."""
    return option_in(text, last_option(question)) if task == "letter" else extract(text, task)


def last_option(question: str) -> str:
    """The last letter of a question's options, as far as they are listed from A on without a gap, else D."""
    listed, last = set(_OPTION.findall(question)), ""
    for option in "ABCDEFGHIJ":
        if option not in listed:
            break
        last = option
    return last if last > "A" else USUAL


def option_in(text: str, last: str) -> str | None:
    """The option from A to `last` that a reply names."""
    box = last_box(text) or ""
    for found in (re.findall(rf"(?<![A-Za-z\\])([A-{last}])(?![A-Za-z])", box), re.findall(rf"([A-{last}])\)", text)):
        if found:
            return str(found[-1])
    lone = extract(text, "letter")
    return str(lone) if lone is not None and str(lone) <= last else None
