"""The form of a reply, OpenAI's `response_format`: what may be asked for, and a reply read by it."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from symposia.state.errors import BadInput, ReplyError, shorten

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FENCE = "```"
_DEEPEST = 100
"""Levels of a schema; the store and every provider read that many."""


def reply_form(given: Any) -> dict[str, Any] | None:
    """A form that can be asked for, None where nothing is asked for (`{"type": "text"}`); a schema without a name is called `answer`.

    Raises:
        BadInput: It is none.
    """
    kind = given.get("type") if isinstance(given, Mapping) else None
    if given is None or kind == "text":
        return None
    if kind == "json_object":
        return dict(given)
    described = given.get("json_schema") if kind == "json_schema" else None
    if not isinstance(described, Mapping) or not isinstance(described.get("schema"), Mapping):
        what = f"response_format is {shorten(repr(given), 80)}, no form of a reply"
        remedy = 'give {"type": "json_object"}, or {"type": "json_schema", "json_schema": {"name": "answer", "schema": {...}}}'
        raise BadInput(what, remedy=remedy)
    _check_plain(described, "json_schema")
    named = {"name": "answer", **described}
    if not isinstance(named["name"], str) or not _NAME.fullmatch(named["name"]):
        what = f"response_format: the schema's name is {shorten(repr(named['name']), 80)}"
        raise BadInput(what, remedy="a name has 1 to 64 letters, digits, _ and -")
    return {**given, "json_schema": named}


def _check_plain(value: Any, place: str, depth: int = 1) -> None:
    """Refuse what cannot be stored and sent as JSON.

    Raises:
        BadInput: A part of it is no JSON, a number that JSON or the store has not, or nested too deeply.
    """
    if depth > _DEEPEST:
        raise BadInput(f"response_format: {shorten(place, 60)} is nested too deeply", remedy=f"{_DEEPEST} levels are allowed")
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        for key, inner in value.items():
            _check_plain(inner, f"{place}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_plain(inner, f"{place}.{number}", depth + 1)
    elif (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and not -(2**63) <= value < 2**63):
        raise BadInput(f"response_format: {shorten(place, 60)} is no number of 64 bits", remedy="leave it out, or give a smaller one")
    elif not isinstance(value, str | int | float | None):
        raise BadInput(f"response_format: {shorten(place, 60)} is {shorten(repr(value), 40)}, which is no JSON")


def read_object(text: str) -> str:
    """The text of the JSON object that a reply is, blanks and one code fence around it taken off.

    Raises:
        ReplyError: It is anything else.
    """
    found = _unfenced(text.strip())
    try:
        value = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ReplyError(f"the reply is no JSON object: {shorten(str(error), 80)}") from None
    if not isinstance(value, dict):
        raise ReplyError(f"the reply is JSON, but no object: '{shorten(found, 60)}'")
    return found


def _unfenced(text: str) -> str:
    """A text without the fence around it, whose first line may name a language."""
    head, line_end, body = text.partition("\n")
    label = head.removeprefix(_FENCE).strip()
    if not line_end or not head.startswith(_FENCE) or not body.endswith(_FENCE) or not (label.isalnum() or not label):
        return text
    return body.removesuffix(_FENCE).strip()
