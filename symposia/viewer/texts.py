"""Long texts of JSON values: their head and their digest in place of them, so that a page costs what is looked at."""

from collections.abc import Mapping
from typing import Any

from symposia.state.packing import digest, text_of

LONG = 2_000
"""Characters up to which a text stands in an answer as it is, and of the head of a longer one."""


def folded(value: Any, kept: dict[str, str]) -> Any:
    """A JSON value whose longer texts are `{"$text": sha, "len", "head"}`, the texts themselves kept by their digest.

    A key of the value's own that begins with `$` gets a second one, so nothing that a model wrote can pass for a folded text.
    """
    if isinstance(value, str):
        return value if len(value) <= LONG else _fold(value, kept)
    if isinstance(value, Mapping):
        return {_own(str(key)): folded(item, kept) for key, item in value.items()}
    return [folded(item, kept) for item in value] if isinstance(value, list | tuple) else value


def asked(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with each message's text in one piece, as it was sent."""
    if "messages" not in request:
        return dict(request)
    return {**request, "messages": [{**m, "content": text_of(m["content"])} for m in request["messages"]]}


def size_of(value: Any) -> dict[str, Any]:
    """What a value is and how much of it there is: `{type, n}`, `n` being characters, items or keys."""
    match value:
        case None:
            return {"type": "null", "n": 0}
        case bool():
            return {"type": "boolean", "n": 1}
        case int() | float():
            return {"type": "number", "n": 1}
        case str():
            return {"type": "text", "n": len(value)}
    return {"type": "object" if isinstance(value, Mapping) else "list", "n": len(value)}


def _fold(text: str, kept: dict[str, str]) -> dict[str, Any]:
    sha = digest(text.encode("utf-8", "surrogatepass")).hex()
    kept[sha] = text
    return {"$text": sha, "len": len(text), "head": text[:LONG]}


def _own(key: str) -> str:
    return f"${key}" if key.startswith("$") else key
