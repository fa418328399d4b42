"""What LiteLLM raises, as errors of ours that name the cause and the knob that helps; without the keys an endpoint may echo."""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from symposia.state.errors import EndpointDown, MalformedReply, MissingKey, ModelError, ModelNotFound, RateLimited, RequestRejected, shorten
from symposia.tools.providers import litellm
from symposia.tools.retry import retry_after


def named(error: BaseException, options: Mapping[str, Any], wanted: str) -> ModelError:
    """The failure by its cause, with the knob that helps.

    Args:
        error: What LiteLLM raised, or what stood behind it.
        options: What LiteLLM was called with; none of its keys gets into the message.
        wanted: What the reply should have been, such as `completion`.
    """
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
        return MalformedReply(f"{model}{at} answered something that is no {wanted}: {text}", remedy="look at the endpoint's own log")
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


def _missing_keys(options: Mapping[str, Any]) -> list[str]:
    """The variables that could hold the key of a provider and do not; none when the request brings a key."""
    if options.get("api_key"):
        return []
    try:
        missing = litellm().validate_environment(model=options["model"])["missing_keys"]
    except Exception:
        return []
    return [name for name in missing if name.endswith("_API_KEY")]


def _without(text: str, options: Mapping[str, Any]) -> str:
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
