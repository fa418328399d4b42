"""One chat completion as an effect: the request, its retries, its cost, and its failures by name.

The only place that calls LiteLLM, whose own retries wait for nothing and hide the 429: they are off, and `tools/retry.py` does it.
"""

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from symposia.state.errors import (
    EndpointDown,
    MalformedReply,
    MissingKey,
    ModelError,
    ModelNotFound,
    RateLimited,
    RequestRejected,
    shorten,
)
from symposia.state.journal import Outcome, effect, seed_at
from symposia.state.packing import sound, text_of
from symposia.state.store import Usage
from symposia.tools.compatible import NAME, failure_behind
from symposia.tools.limits import Limiter, limiter
from symposia.tools.providers import litellm, loaded, price, route, takes_schema, unheard
from symposia.tools.retry import retry_after, retrying
from symposia.tools.settings import settings

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
) -> list[dict[str, Any]]:
    """`n` replies of a model, or fewer when the provider gives fewer: `{"text", "finish", "refusal"}` each.

    Args:
        role: Whose call it is, for the ledger.
        model: LiteLLM name, or a bare name at the address of `settings().api_base`.
        messages: Chat messages; a content may be a list of parts, which are joined when sent and stored one by one.
        sampling: Fields of `Sampling`; those that are None are not sent.
        n: Replies asked for in one request.
        seed: The run's seed, from which the call's own is made; None sends none.
        schema: Asks for JSON of this shape where the provider can.

    Raises:
        ModelError: The call finally failed; the journal holds the failure.
    """
    request: dict[str, Any] = {"model": model, "messages": list(messages)}
    request |= {k: v for k, v in (sampling or {}).items() if v is not None}
    if n > 1:
        request["n"] = n
    if schema:
        request["response_format"] = _json_schema(schema)
    slots = limiter(model)

    async def perform(own_seed: int | None) -> Outcome:
        return await _send(role, request, own_seed, slots)

    value: dict[str, Any] = await effect("llm", request, perform, salt=seed_at(seed), hold=slots)
    choices: list[dict[str, Any]] = value["choices"]
    return choices


async def _send(role: str, request: dict[str, Any], seed: int | None, slots: Limiter) -> Outcome:
    """Send until it is answered or finally fails.

    The request says what was asked for, whoever serves the model; what this provider does not know is left out here, and noted.
    """
    await loaded()
    routed = route(request["model"])
    usage = Usage(role=role, model=request["model"])
    body, left_out = _taken({k: v for k, v in request.items() if k != "model"}, routed["model"])
    body["messages"] = [{**m, "content": text_of(m["content"])} for m in request["messages"]]
    options = {**body, **routed, **({"seed": seed} if seed is not None else {}), "timeout": settings().timeout}
    tokens = slots.rates.estimate(body["messages"], body.get("n", 1), body.get("max_tokens")) if slots.rates else 0.0
    reply = await retrying(lambda: _once(options), usage, slots, tokens=tokens)
    _account(usage, reply, price(routed["model"]))
    if slots.rates:
        slots.rates.used(tokens, usage.prompt_tokens, usage.completion_tokens, usage.calls)
    if left_out:
        usage.notes["left_out"] = left_out
    return Outcome({"choices": [_choice(c) for c in reply.choices if not _empty(c)]}, usage)


async def _once(options: dict[str, Any]) -> Any:
    """One request; every failure becomes a `ModelError`."""
    try:
        with unheard():
            reply = await litellm().acompletion(**options, num_retries=0, max_retries=0)
    except Exception as error:
        raise _named(failure_behind(error), options) from error
    if not getattr(reply, "choices", None) or all(_empty(c) for c in reply.choices):
        raise MalformedReply(f"{options['model']} answered without any text", remedy="look at the endpoint's own log")
    return reply


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


def _choice(choice: Any) -> dict[str, Any]:
    text = choice.message.content or ""
    refusal = _refusal(choice.message)
    return {"text": sound(str(text)), "finish": str(choice.finish_reason), "refusal": sound(str(refusal)) if refusal else None}


def _account(usage: Usage, reply: Any, prices: tuple[float, float] | None) -> None:
    tokens = getattr(reply, "usage", None)
    usage.calls = len(reply.choices)
    usage.prompt_tokens = int(getattr(tokens, "prompt_tokens", 0) or 0)
    usage.completion_tokens = int(getattr(tokens, "completion_tokens", 0) or 0)
    if prices is not None:
        usage.usd = usage.prompt_tokens * prices[0] + usage.completion_tokens * prices[1]


def _named(error: BaseException, options: dict[str, Any]) -> ModelError:
    """The failure by its cause, with the knob that helps."""
    module = litellm()
    model, address = options["model"], options.get("api_base")
    at = _without(f" at {address}", options) if address else ""
    text = shorten(_without(str(error), options))
    status = _status(error)
    missing = _missing_keys(options) if status in (None, 401, 403, 500) else []
    if isinstance(error, module.AuthenticationError | module.PermissionDeniedError) or status in (401, 403) or missing:
        variables = missing or [f"{model.split('/', 1)[0].upper()}_API_KEY" if "/" in model else "the provider's API key"]
        knob = f"set {'SYMPOSIA_API_KEY' if address else ' or '.join(variables)} to a valid key"
        return MissingKey(f"{model}{at} does not accept the key, or there is none: {text}", remedy=knob)
    if isinstance(error, module.NotFoundError) or status == 404 or "LLM Provider NOT provided" in text:
        return ModelNotFound(f"no model {model}{at}: {text}", remedy="name it as LiteLLM does, provider/model, or give --api-base URL")
    if isinstance(error, module.RateLimitError) or status == 429:
        limited = RateLimited(f"{model}{at} is over its rate limit: {text}", remedy="lower --concurrency, or resume later")
        limited.pause = _retry_after(error)
        return limited
    if isinstance(error, module.BadRequestError) or (status is not None and 400 <= status < 500 and status != 408):
        long = isinstance(error, module.ContextWindowExceededError) or "context length" in text
        knob = "take a model with a longer context" if long else "leave out what it does not take, such as -p sampling.solver.top_p=null"
        return RequestRejected(f"{model}{at} rejects the request: {text}", remedy=knob)
    if isinstance(error, module.Timeout | TimeoutError):
        return EndpointDown(
            f"{model}{at} did not answer within {options['timeout']:g} s", remedy="raise --timeout, or look after the endpoint"
        )
    if status in (None, 200) or _undecoded(error) or isinstance(error, module.APIResponseValidationError):
        return MalformedReply(f"{model}{at} answered something that is no completion: {text}", remedy="look at the endpoint's own log")
    down = EndpointDown(
        f"{model}{at} cannot be reached or is failing: {text}", remedy="start it, or correct --api-base; then resume the run"
    )
    down.pause = _retry_after(error)
    return down


def _status(error: BaseException) -> int | None:
    """The HTTP status of a failure; None for one that has none, such as an error object that came as a good answer."""
    status = getattr(error, "status_code", None)
    return int(status) if isinstance(status, int) or (isinstance(status, str) and status.isdecimal()) else None


def _undecoded(error: BaseException) -> bool:
    """Whether a reply that is no JSON stands behind a failure, which LiteLLM calls a fault of the server."""
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    return "Empty or invalid response" in str(error) or any(isinstance(cause, json.JSONDecodeError) for cause in causes)


def _missing_keys(options: dict[str, Any]) -> list[str]:
    """The variables that could hold the key of a provider and do not; none when the request brings a key."""
    if options.get("api_key"):
        return []
    try:
        missing = litellm().validate_environment(model=options["model"])["missing_keys"]
    except Exception:
        return []
    return [name for name in missing if name.endswith("_API_KEY")]


def _without(text: str, options: dict[str, Any]) -> str:
    """A message without keys and passwords, should an endpoint echo them."""
    password = urlsplit(options.get("api_base") or "").password
    variables = [value for name, value in os.environ.items() if name.endswith("_API_KEY") and len(value) >= 8]
    for secret in filter(None, [options.get("api_key"), password, *variables]):
        text = text.replace(secret, "[key]")
    return text


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the endpoint asks to wait."""
    response = getattr(error, "response", None)
    headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    return retry_after(headers.get("retry-after"))


def _taken(fields: dict[str, Any], model: str) -> tuple[dict[str, Any], list[str]]:
    """The fields as this provider takes them, and the names of those it does not know."""
    left_out = []
    if "min_tokens" in fields:
        shortest = fields.pop("min_tokens")
        if model.startswith(("hosted_vllm/", f"{NAME}/")):
            fields["extra_body"] = {"min_tokens": shortest}
        else:
            left_out.append("min_tokens")
    if "response_format" in fields and not takes_schema(model):
        del fields["response_format"]
        left_out.append("response_format")
    return fields, left_out


def _json_schema(schema: type[BaseModel]) -> dict[str, Any]:
    form = schema.model_json_schema()
    form["additionalProperties"] = False
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "schema": form, "strict": True}}
