"""A call as something to paste: curl for an OpenAI-compatible address, and Python with LiteLLM. No key is in either."""

import json
import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from symposia.tools.compatible import NAME
from symposia.tools.providers import litellm, route

_OPENAI = "https://api.openai.com/v1"
_LONGEST = 100_000  # characters of one argument; Linux takes 128 KiB, so a longer body is read from a here document
_SOMEWHERE = "${OPENAI_BASE_URL:-https://api.openai.com/v1}"
"""Where a bare name was asked at an address that is no longer configured: whoever pastes the call names it, for LiteLLM too."""
_HERE = ("toy/", "local/")
"""Models that answer in this process, or from an engine that it starts: nobody else can ask them by that name."""
_COMPATIBLE = ("openai/", "hosted_vllm/", "litellm_proxy/", f"{NAME}/")
_OPENAIS = re.compile(r"openai/|(?:ft:)?(?:gpt-|chatgpt-|o\d)")
_OTHERS = re.compile(r"claude|gemini|command")
_IMAGE = re.compile(r"\[image [0-9a-f]{32,}\]")
"""What stands in a prompt for an image, whose data the journal does not hold."""
_OURS = "min_tokens"
"""A field that only compatible servers know, and that LiteLLM sends on as it is."""
_TAKING = ("hosted_vllm/", f"{NAME}/")
"""Where it is sent."""


def copies(request: Mapping[str, Any], seed: int | None, left_out: Collection[str] = ()) -> dict[str, str | None]:
    """A request as `{curl, python}`; None where nothing that could be pasted would ask the same.

    There is no curl for a provider whose interface is another one, and neither for a toy, a model of the pool, or a prompt with images.

    Args:
        request: The request with each message's text in one piece.
        seed: The call's own seed, if it was sent one.
        left_out: Fields that the provider does not know, and that were not sent.
    """
    model = str(request["model"])
    if model.startswith(_HERE) or _IMAGE.search(json.dumps(request["messages"])):
        return {"curl": None, "python": None}
    routed = route(model)
    name, address = str(routed["model"]), _bare(str(routed["api_base"])) if "api_base" in routed else None
    homeless = address is None and _is_homeless(name)
    unsent = {*left_out, *(("logprobs",) if "top_logprobs" in left_out else ())}
    if not homeless and not name.startswith(_TAKING):
        unsent.add(_OURS)  # of a call that failed nobody noted what was left out
    body = {key: value for key, value in request.items() if key not in unsent} | ({"seed": seed} if seed is not None else {})
    if homeless:
        return {"curl": _curl(body, name, _SOMEWHERE), "python": _python(body, f"openai/{name}", None)}
    asked = _OPENAI if address is None and _OPENAIS.match(name) else None if name.startswith("text-completion") else address
    return {"curl": _curl(body, name, asked) if asked else None, "python": _python(body, name, address)}


def _is_homeless(name: str) -> bool:
    """Whether a name says no provider, such as `meta-llama/Llama-3.1-8B`, so that it was asked at an address of one's own."""
    if "/" in name:
        return name.partition("/")[0] not in {str(getattr(each, "value", each)) for each in litellm().provider_list}
    return not _OPENAIS.match(name) and not _OTHERS.match(name)


def _curl(body: Mapping[str, Any], model: str, address: str) -> str:
    """The shell's own quoting holds whatever a prompt contains; control characters are escapes of JSON."""
    name = next((model.removeprefix(start) for start in _COMPATIBLE if model.startswith(start)), model)
    text = json.dumps({**body, "model": name})
    where = f'"{address}/chat/completions"' if address == _SOMEWHERE else shlex.quote(f"{address}/chat/completions")
    start = f'curl -s {where} -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json"'
    if len(text) > _LONGEST:
        return f"{start} --data-binary @- <<'JSON'\n{text}\nJSON\n"
    return f"{start} -d {shlex.quote(text)}"


def _python(body: Mapping[str, Any], model: str, address: str | None) -> str:
    """Every value as a literal of ASCII."""
    named = f"openai/{model.removeprefix(f'{NAME}/')}" if model.startswith(f"{NAME}/") else model
    fields = {**{key: value for key, value in body.items() if key != _OURS}, "model": named}
    fields |= {"extra_body": {_OURS: body[_OURS]}} if _OURS in body else {}
    fields |= {"api_base": address} if address else {}
    lines = [f"    {key}={value!a}," for key, value in fields.items()]
    key = ['    api_key=os.environ["OPENAI_API_KEY"],'] if address else []
    told = "print(reply.choices[0].message.content)"
    return "\n".join(["import os", "", "import litellm", "", "reply = litellm.completion(", *lines, *key, ")", told, ""])


def _bare(address: str) -> str:
    """Where requests go, without a name, a password or a query, in which a key may stand."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl().rstrip("/")
