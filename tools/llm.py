"""Roles asking models: one reply (`ask`) or k samples of a prompt (`sample`), read by a parser and asked again when it cannot.

A node names a role; the run's parameters say which model, which sampling and which prompt the role has. A failed, refused, truncated or
unreadable reply is a `Sample` with that status, never an exception and never text to vote on; a node decides with `quorum` whether what
came back is enough.
"""

import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError

from symposia.state.base import Sample
from symposia.state.errors import ModelError, QuorumMissed, ReplyError, from_record, shorten
from symposia.state.place import fan, here
from symposia.tools.completion import Message, complete

Parser = Callable[[str], Any]
_LIKELY = 20  # the most that OpenAI's interface tells
_AROUND = " \t\n\"'`*\u2581\u0120"  # what a token of a word may begin or end with; two tokenizers have signs of their own for the blank
READINGS: ContextVar[dict[tuple[str, str], Any] | None] = ContextVar("symposia_readings", default=None)
"""Takes what parsers read, by the place that asked and the text of the reply, for who replays a run to look at it."""


def model_of(params: Mapping[str, Any], role: str, agent: int = 0) -> str:
    """The model that plays a role; of several, the one of this agent."""
    models = params["roles"].get(role) or params["model"]
    return str(models[agent % len(models)]) if isinstance(models, list) else str(models)


def parts(template: str, fields: Mapping[str, Any]) -> list[str]:
    """A filled template as parts: what stands between the placeholders, and each filled value; joined, they are the prompt."""
    found: list[str] = []
    for literal, name, _, _ in string.Formatter().parse(template):
        found += [literal] if literal else []
        if name is not None:
            value = fields[name]
            found += value if isinstance(value, list) else [str(value)]
    return found


def prompt(params: Mapping[str, Any], role: str, **fields: Any) -> list[Message]:
    """The messages of a role's prompt; a field may itself be a list of parts."""
    return [{"role": "user", "content": parts(params["prompts"][role], fields)}]


async def ask(
    params: Mapping[str, Any],
    role: str,
    messages: Sequence[Message],
    *,
    parse: Parser | None = None,
    schema: type[BaseModel] | None = None,
    form: Mapping[str, Any] | None = None,
    agent: int = 0,
) -> Sample:
    """One reply of a role.

    Args:
        params: The run's parameters, as they stand in the state.
        role: Who is asked; its model, sampling and number of re-asks come from `params`.
        messages: What it is asked.
        parse: Reads the reply's value from its text, raising `ReplyError` when it cannot; then the role is asked again with the
            complaint, `max_reasks` times.
        schema: The value's shape: asked for as structured output where the provider has it, and tried before `parse` elsewhere.
        form: The form of the reply, as OpenAI's `response_format`, demanded of the provider.
        agent: Which of several models of the role.
    """
    read = _reader(parse, schema)
    asked = list(messages)
    for _ in range(1 + (params["max_reasks"] if read else 0)):
        try:
            choices = await complete(role, model_of(params, role, agent), asked, **_options(params, role), schema=schema, form=form)
        except ModelError as error:
            return Sample(status="failed", text="", error=error.to_record())
        reply = _sample(choices[0])
        if reply["status"] != "ok" or read is None:
            return reply
        try:
            value = read(reply["text"])
            if (readings := READINGS.get()) is not None:
                readings[here(), reply["text"]] = value
            return Sample(status="ok", text=reply["text"], value=value)
        except ReplyError as complaint:
            reply = Sample(status="unreadable", text=reply["text"], error=complaint.to_record())
            again = f"That could not be read: {complaint.message}. Answer again, in the form asked for."
            asked += [{"role": "assistant", "content": [reply["text"]]}, {"role": "user", "content": [again]}]
    return reply


async def leaning(params: Mapping[str, Any], role: str, messages: Sequence[Message], words: tuple[str, str]) -> Sample:
    """How a role leans between two words that its reply may begin with, as the value: the first one's share of the probability of both.

    None where the provider tells no probabilities, or has neither word among the likeliest.
    """
    try:
        (choice, *_) = await complete(role, model_of(params, role), messages, **_options(params, role), likely=_LIKELY)
    except ModelError as error:
        return Sample(status="failed", text="", value=None, error=error.to_record())
    told = [(token.strip(_AROUND).lower(), share) for token, share in (choice["likely"] or {}).items()]
    first, second = (sum(share for token, share in told if token == word) for word in words)
    return Sample(**{**_sample(choice), "value": first / (first + second) if first + second else None})


async def sample(params: Mapping[str, Any], role: str, messages: Sequence[Message], k: int, first: int = 0) -> list[Sample]:
    """`k` independent replies to one prompt, in order: a request each, or with `use_n` as few requests as the provider allows.

    Several models of a role take turns, so each of their samples is a request of its own; `first` is the number, from 0, of the first of
    these samples, where others of the same turns have been drawn before.
    """
    if not params["use_n"] or isinstance(params["roles"].get(role), list):
        return await fan([partial(ask, params, role, messages, agent=first + i) for i in range(k)])
    replies: list[Sample] = []
    while len(replies) < k:
        try:
            choices = await complete(role, model_of(params, role), messages, **_options(params, role), n=k - len(replies))
        except ModelError as error:
            return replies + [Sample(status="failed", text="", error=error.to_record())] * (k - len(replies))
        replies += [_sample(c) for c in choices[: k - len(replies)]]
    return replies


def quorum(samples: Sequence[Sample], least: int) -> None:
    """Go on only when enough samples came back.

    Raises:
        SymposiaError: Too few; the failure itself when all failed alike, else `QuorumMissed` with the counts.
    """
    good = sum(s["status"] == "ok" for s in samples)
    failures = [s["error"] for s in samples if s["status"] == "failed"]
    if not failures or good >= least:
        return
    names = sorted({f["name"] for f in failures})
    if len(failures) == len(samples) and len(names) == 1:
        raise from_record(failures[0])
    counts = ", ".join(f"{sum(f['name'] == name for f in failures)} x {name}" for name in names)
    raise QuorumMissed(
        f"{good} of {len(samples)} samples came back, {least} are needed: {counts}; the first: {failures[0]['message']}",
        remedy="see to the endpoint and resume the run, or lower -p quorum",
        place=failures[0]["place"],
    )


def _options(params: Mapping[str, Any], role: str) -> dict[str, Any]:
    return {"sampling": params["sampling"].get(role), "seed": params["seed"]}


def _sample(choice: Mapping[str, Any]) -> Sample:
    """The status of a reply as the provider ended it."""
    if choice["refusal"] or choice["finish"] == "content_filter":
        return Sample(status="refused", text=choice["refusal"] or choice["text"])
    if choice["finish"] == "length":
        return Sample(status="truncated", text=choice["text"])
    return Sample(status="ok", text=choice["text"])


def _reader(parse: Parser | None, schema: type[BaseModel] | None) -> Parser | None:
    """A parser that tries JSON of the schema first, then the text."""
    if schema is None:
        return parse

    def read(text: str) -> Any:
        found = re.search(r"\{.*\}", text, re.DOTALL)
        try:
            return schema.model_validate(json.loads(found[0] if found else text)).model_dump(mode="json")
        except (ValueError, ValidationError, RecursionError) as error:
            if parse is not None:
                return parse(text)
            raise ReplyError(f"no JSON of the form {schema.__name__}: {shorten(str(error), 120)}") from error

    return read
