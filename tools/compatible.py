"""A LiteLLM provider for OpenAI-compatible servers (vLLM, SGLang, llama.cpp, ...) that posts through a pooled session of this process.

LiteLLM's own path to such a server goes through an httpx client over aiohttp, at about twice the CPU; `bench/overhead.py` prints both. A
bare model name at `--api-base` goes this way, `hosted_vllm/NAME` and `openai/NAME` go LiteLLM's.
"""

import json
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientTimeout

from symposia.tools.http import http
from symposia.tools.tokens import WRITING, Telling

NAME = "compatible"


class HttpFailure(Exception):
    """An answer that is no completion: status, text and headers; status 200 for a body that has another form."""

    def __init__(self, status: int, text: str, headers: Any = None) -> None:
        """Keep them under the names that LiteLLM's exceptions use."""
        super().__init__(text)
        self.status_code = status
        self.litellm_response_headers = headers or {}


def failure_behind(error: BaseException) -> BaseException:
    """The `HttpFailure` or time-out that LiteLLM wrapped, else the error itself."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HttpFailure | TimeoutError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return error


def provider(module: ModuleType) -> Any:
    """The handler to register with LiteLLM."""

    class Compatible(module.CustomLLM):  # type: ignore[misc, name-defined]
        async def acompletion(self, *args: Any, **options: Any) -> Any:
            reply = await _post(options)
            return _filled(module, options["model_response"], reply, "top_logprobs" in (options.get("optional_params") or {}))

    return Compatible()


async def _post(options: dict[str, Any]) -> dict[str, Any]:
    """One request; the parsed reply. One that somebody listens to is asked for as a stream, and told while it comes."""
    telling = WRITING.get()
    sampling = {k: v for k, v in (options.get("optional_params") or {}).items() if k != "max_retries"}
    body = {"model": options["model"], "messages": options["messages"], **sampling.pop("extra_body", {}), **sampling}
    body |= {"stream": True, "stream_options": {"include_usage": True}} if telling else {}
    headers = {"Authorization": f"Bearer {options['api_key']}"} if options.get("api_key") else {}
    address = f"{options['api_base'].rstrip('/')}/chat/completions"
    session = await http()
    timeout = ClientTimeout(total=float(options.get("timeout") or 600.0))
    try:
        async with session.post(address, json=body, headers=headers, timeout=timeout, allow_redirects=False) as response:
            if telling and response.status == 200 and response.content_type == "text/event-stream":
                return await _gathered(response, telling)
            raw = await response.read()
    except TimeoutError:
        raise
    except (ClientError, OSError) as error:
        raise HttpFailure(503, f"{type(error).__name__}: {error}") from error
    if response.status != 200:
        raise HttpFailure(response.status, raw[:2000].decode("utf-8", "replace"), response.headers)
    try:
        reply: dict[str, Any] = json.loads(raw)
        if not isinstance(reply["choices"], list):
            raise TypeError("`choices` is no list")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        begin = raw[:80].decode("utf-8", "replace")
        raise HttpFailure(200, f"{type(error).__name__}: {error}; it begins with '{begin}'") from error
    return reply


async def _gathered(response: ClientResponse, telling: Telling) -> dict[str, Any]:
    """The reply of a stream as if it had come in one piece."""
    text, refusal, finish, usage = "", "", None, None
    async for event in _events(response):
        try:
            if event.get("error"):
                raise HttpFailure(500, str(event["error"].get("message") or event["error"]))
            usage = event.get("usage") or usage
            for choice in event["choices"][:1]:
                delta = choice.get("delta") or {}
                text += delta.get("content") or ""
                refusal += delta.get("refusal") or ""
                finish = choice.get("finish_reason") or finish
        except (TypeError, KeyError, AttributeError) as error:
            raise HttpFailure(200, f"{type(error).__name__}: {error}") from error
        telling.upto(text)
    if finish is None:
        raise HttpFailure(503, f"the stream broke off after {len(text)} characters")
    message = {"content": text, "refusal": refusal or None}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


async def _events(response: ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The objects of a stream of server-sent events, until `[DONE]` or its end."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or not data:
                continue
            if data == b"[DONE]":
                return
            try:
                event = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise HttpFailure(200, f"an event of the stream is no JSON: {error}") from error
            yield event


def _filled(module: ModuleType, response: Any, reply: dict[str, Any], probable: bool) -> Any:
    """LiteLLM's response object with the reply in it, and where they were asked for the probabilities of its tokens."""
    try:
        response.choices = [_choice(module, i, choice, probable) for i, choice in enumerate(reply["choices"])]
        used = reply.get("usage") or {}
        sent, back = int(used.get("prompt_tokens") or 0), int(used.get("completion_tokens") or 0)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise HttpFailure(200, f"{type(error).__name__}: {error}") from error
    response.usage = module.Usage(prompt_tokens=sent, completion_tokens=back, total_tokens=sent + back)
    response.model = str(reply.get("model") or response.model)
    # The ledger counts the cost; without this LiteLLM looks for a price at every reply, a tenth of its time.
    response._hidden_params["response_cost"] = 0.0
    return response


def _choice(module: ModuleType, index: int, choice: dict[str, Any], probable: bool) -> Any:
    said = choice["message"]
    fields = {"refusal": said["refusal"]} if said.get("refusal") else None
    message = module.Message(role="assistant", content=said.get("content"), provider_specific_fields=fields)
    told = {"logprobs": choice["logprobs"]} if probable and choice.get("logprobs") else {}
    return module.Choices(index=index, finish_reason=str(choice.get("finish_reason") or "stop"), message=message, **told)
