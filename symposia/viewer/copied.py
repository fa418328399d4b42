"""A call as something to paste: curl for an OpenAI-compatible address, and Python with LiteLLM. No key is in either."""

import json
import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from symposia.tools.compatible import NAME
from symposia.tools.settings import settings

_OPENAI = "https://api.openai.com/v1"
_LONGEST = 100_000  # characters of one argument; Linux takes 128 KiB, so a longer body is read from a here document
_COMPATIBLE = ("openai/", "hosted_vllm/", f"{NAME}/")


def copies(request: Mapping[str, Any], seed: int | None) -> dict[str, str | None]:
    """A request as `{curl, python}`; no curl for a provider whose interface is another one, neither for a toy.

    Args:
        request: The request with each message's text in one piece.
        seed: The call's own seed, if it was sent one.
    """
    body = {key: value for key, value in request.items() if key != "min_tokens"} | ({"seed": seed} if seed is not None else {})
    model = str(body["model"])
    if model.startswith("toy/"):
        return {"curl": None, "python": None}
    return {"curl": _curl(body, model), "python": _python(body, model)}


def _curl(body: Mapping[str, Any], model: str) -> str | None:
    """The shell's own quoting holds whatever a prompt contains; control characters are escapes of JSON."""
    bare = next((model.removeprefix(start) for start in _COMPATIBLE if model.startswith(start)), model)
    if "/" in bare and bare == model and not settings().api_base:
        return None
    text = json.dumps({**body, "model": bare})
    address = shlex.quote(f"{_address()}/chat/completions")
    start = f'curl -s {address} -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json"'
    if len(text) > _LONGEST:
        return f"{start} --data-binary @- <<'JSON'\n{text}\nJSON\n"
    return f"{start} -d {shlex.quote(text)}"


def _python(body: Mapping[str, Any], model: str) -> str:
    """Every value as a literal of ASCII."""
    base = settings().api_base
    named = model if "/" in model or not base else f"openai/{model}"
    fields = {**body, "model": named, **({"api_base": _address()} if base else {})}
    lines = [f"    {key}={_literal(value)}," for key, value in fields.items()]
    key = ['    api_key=os.environ["OPENAI_API_KEY"],'] if base else []
    told = "print(reply.choices[0].message.content)"
    return "\n".join(["import os", "", "import litellm", "", "reply = litellm.completion(", *lines, *key, ")", told, ""])


def _literal(value: Any) -> str:
    return ascii(value)


def _address() -> str:
    """Where requests go, without a name or password that stands in the address."""
    base = str(settings().api_base or _OPENAI).rstrip("/")
    parts = urlsplit(base)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
