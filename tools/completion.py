"""One chat completion as an effect: the request, its retries, its cost, and its failures by name.

The only place that calls LiteLLM, whose own retries wait for nothing and hide the 429: they are off, and `tools/retry.py` does it.
"""

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from symposia.state.errors import BadInput, MalformedReply
from symposia.state.images import as_sent
from symposia.state.journal import Outcome, effect, seed_at
from symposia.state.packing import sound, text_of
from symposia.state.store import Usage
from symposia.tools.compatible import NAME, failure_behind
from symposia.tools.failures import named
from symposia.tools.limits import Limiter, limiter
from symposia.tools.pool.plan import LOCAL
from symposia.tools.pool.residence import house
from symposia.tools.providers import litellm, loaded, price, route, takes_schema, tells_tokens, unheard
from symposia.tools.retry import retrying
from symposia.tools.settings import settings
from symposia.tools.tokens import Telling, telling, writing

Message = dict[str, Any]


async def complete(
    role: str,
    model: str,
    messages: Sequence[Message],
    *,
    sampling: dict[str, Any] | None = None,
    n: int = 1,
    seed: int | None = None,
    schema: type[BaseModel] | None = None,
    form: Mapping[str, Any] | None = None,
    likely: int = 0,
) -> list[dict[str, Any]]:
    """`n` replies of a model, or fewer when the provider gives fewer: `{"text", "finish", "refusal"}` each.

    Args:
        role: Whose call it is, for the ledger.
        model: LiteLLM name, or a bare name at the address of `settings().api_base`.
        messages: Chat messages; a content may be a list of parts, which are joined when sent and stored one by one, images by digest.
        sampling: Fields of `Sampling`; those that are None are not sent.
        n: Replies asked for in one request.
        seed: The run's seed, from which the call's own is made; None sends none.
        schema: Asks for JSON of this shape where the provider can.
        form: The form of the reply, as OpenAI's `response_format`; unlike `schema` no wish, but a demand.
        likely: How many of the likeliest first tokens are wanted with their probabilities; then a reply has `likely`, these by token, or
            None where the provider tells none.

    Raises:
        BadInput: The provider takes no `form`.
        ModelError: The call finally failed; the journal holds the failure.
    """
    request: dict[str, Any] = {"model": model, "messages": list(messages)}
    request |= {k: v for k, v in (sampling or {}).items() if v is not None}
    if n > 1:
        request["n"] = n
    if schema or form:
        request["response_format"] = _json_schema(schema) if schema else dict(form or {})
    if likely:
        request |= {"logprobs": True, "top_logprobs": likely}
    slots = limiter(model)

    async def perform(own_seed: int | None) -> Outcome:
        return await _send(role, request, own_seed, slots, form is not None)

    value: dict[str, Any] = await effect("llm", request, perform, salt=seed_at(seed), hold=slots)
    choices: list[dict[str, Any]] = value["choices"]
    return choices


async def _send(role: str, request: dict[str, Any], seed: int | None, slots: Limiter, demanded: bool) -> Outcome:
    """Send until it is answered or finally fails.

    The request says what was asked for, whoever serves the model; what this provider does not know is left out here, and noted.
    """
    await loaded()
    routed = route(request["model"])
    if demanded:
        check_form(request["model"])
    usage = Usage(role=role, model=request["model"])
    body, left_out = _taken({k: v for k, v in request.items() if k != "model"}, routed["model"], demanded)
    body["messages"] = [{**m, "content": text_of(as_sent(m["content"]))} for m in request["messages"]]
    options = {**body, **routed, **({"seed": seed} if seed is not None else {}), "timeout": settings().timeout}
    tokens = slots.rates.estimate(body["messages"], body.get("n", 1), body.get("max_tokens")) if slots.rates else 0.0
    probable = "top_logprobs" in request
    tell = telling() if body.get("n", 1) == 1 and not probable else None
    if left_out:
        usage.notes["left_out"] = left_out
    reply = await retrying(lambda: _once(options, tell), usage, slots, tokens=tokens)
    _account(usage, reply, price(routed["model"]))
    if slots.rates:
        slots.rates.used(tokens, usage.prompt_tokens, usage.completion_tokens, usage.calls)
    return Outcome({"choices": [_choice(c, probable) for c in reply.choices if not _empty(c)]}, usage)


async def _once(options: dict[str, Any], tell: Telling | None) -> Any:
    """One request; every failure becomes a `ModelError`."""
    async with house(options["model"]) as here:
        options = {**options, **here}
        streams = tell is not None and not _in_process(options["model"])
        try:
            with unheard(), writing(tell):
                asked = {**options, **({"stream": True, "stream_options": {"include_usage": True}} if streams else {})}
                reply = await litellm().acompletion(**asked, num_retries=0, max_retries=0)
                if streams and tell is not None:
                    reply = await _gathered(reply, tell)
        except Exception as error:
            raise named(failure_behind(error), options, "completion") from error
    if not getattr(reply, "choices", None) or all(_empty(c) for c in reply.choices):
        raise MalformedReply(f"{options['model']} answered without any text", remedy="look at the endpoint's own log")
    return reply


def _in_process(model: str) -> bool:
    """Whether a provider of this process answers: ours to compatible servers streams by itself, others, such as the toys, not at all."""
    return any(model.startswith(f"{each['provider']}/") for each in litellm().custom_provider_map)


async def _gathered(stream: Any, tell: Telling) -> Any:
    """The reply of a stream, each piece told as it comes."""
    text, refusal, finish, usage = "", "", None, None
    async for chunk in stream:
        usage = getattr(chunk, "usage", None) or usage
        for choice in chunk.choices[:1]:
            text += choice.delta.content or ""
            refusal += getattr(choice.delta, "refusal", None) or ""
            finish = choice.finish_reason or finish
            tell.upto(text)
    message = SimpleNamespace(content=text, refusal=refusal or None)
    return SimpleNamespace(choices=[SimpleNamespace(message=message, finish_reason=finish)], usage=usage)


def _empty(choice: Any) -> bool:
    message = getattr(choice, "message", None)
    if message is None:
        return True
    # A reasoning model may use up its tokens before the first word: that is a truncated reply, not a broken one.
    ended = _refusal(message) or getattr(choice, "finish_reason", None) in ("content_filter", "length")
    return not (message.content or ended)


def _refusal(message: Any) -> str | None:
    fields = getattr(message, "provider_specific_fields", None) or {}
    return getattr(message, "refusal", None) or fields.get("refusal")


def _choice(choice: Any, probable: bool) -> dict[str, Any]:
    text = choice.message.content or ""
    refusal = _refusal(choice.message)
    told = {"text": sound(str(text)), "finish": str(choice.finish_reason), "refusal": sound(str(refusal)) if refusal else None}
    return {**told, "likely": _likely(choice)} if probable else told


def _likely(choice: Any) -> dict[str, float] | None:
    """The probabilities from 0 to 1 of the likeliest first tokens, as far as they are told."""
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    if not content:
        return None
    found: dict[str, float] = {}
    for token in content[0].top_logprobs:
        if token.logprob <= 0:  # neither NaN nor what is no probability
            name = sound(str(token.token))
            found[name] = found.get(name, 0.0) + math.exp(token.logprob)
    return found


def _account(usage: Usage, reply: Any, prices: tuple[float, float] | None) -> None:
    tokens = getattr(reply, "usage", None)
    usage.calls = len(reply.choices)
    usage.prompt_tokens = int(getattr(tokens, "prompt_tokens", 0) or 0)
    usage.completion_tokens = int(getattr(tokens, "completion_tokens", 0) or 0)
    if prices is not None:
        usage.usd = usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]


def check_form(model: str) -> None:
    """Refuse to ask a model for a form that its provider does not take; an OpenAI-compatible server says so itself where it does not.

    Raises:
        BadInput: It takes none.
    """
    name = route(model)["model"]
    if not (name.startswith((f"{NAME}/", "hosted_vllm/", LOCAL)) or takes_schema(name)):
        raise BadInput(f"the provider of {model} takes no form of a reply", remedy="choose another model for this role, or ask without one")


def _taken(fields: dict[str, Any], model: str, demanded: bool) -> tuple[dict[str, Any], list[str]]:
    """The fields as this provider takes them, and the names of those it does not know."""
    left_out = []
    if "min_tokens" in fields:
        shortest = fields.pop("min_tokens")
        if model.startswith(("hosted_vllm/", f"{NAME}/", LOCAL)):
            fields["extra_body"] = {"min_tokens": shortest}
        else:
            left_out.append("min_tokens")
    if "top_logprobs" in fields and not tells_tokens(model):
        del fields["logprobs"], fields["top_logprobs"]
        left_out.append("top_logprobs")
    if "response_format" in fields and not demanded and not takes_schema(model):
        del fields["response_format"]
        left_out.append("response_format")
    return fields, left_out


def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    form = schema.model_json_schema()
    form["additionalProperties"] = False
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "schema": form, "strict": True}}
