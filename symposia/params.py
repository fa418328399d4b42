"""From what a user gave to the parameters of a run, with errors that name the nearest right word."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from symposia import pools
from symposia.registry import Loaded
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, UnknownName, nearest, shorten
from symposia.state.packing import sound_all
from symposia.tools.toy import skill_of


def make_params(loaded: Loaded, given: Mapping[str, Any]) -> BaseParams:
    """Validate parameters of a method.

    Raises:
        BadInput: An unknown parameter or role, or a value of the wrong kind; the message names the place and what would be right.
    """
    try:
        params = loaded.params.model_validate(sound_all(given))
    except ValidationError as error:
        raise BadInput("; ".join(_fault(loaded, fault) for fault in error.errors())) from None
    for name, number in _numbers(params.model_dump()):
        if not -(2**63) <= number < 2**63:
            raise BadInput(f"{name} is a number of more than 64 bits", remedy="give a smaller one")
    for role in params.roles:
        if role not in loaded.method.roles:
            raise UnknownName.of("role", role, loaded.method.roles, remedy=f"{loaded.method.name} has {', '.join(loaded.method.roles)}")
    for role, models in (("", params.model), *params.roles.items()):
        for model in [models] if isinstance(models, str) else models:
            pools.check(model)
            if role != "embedder":
                _check_toy(model)
    return params


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """The whole numbers in a value, each with its name."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _numbers(each, f"{name}.{key}" if name else str(key))
    if isinstance(value, int):
        yield name, value


def _check_toy(model: str) -> None:
    """A toy that does not exist is known at once, unlike a provider's model."""
    if model.startswith("toy/"):
        try:
            skill_of(model.removeprefix("toy/"))
        except ValueError as error:
            raise BadInput(str(error), remedy="toy/default plays every role") from None


def _fault(loaded: Loaded, fault: Any) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = nearest(str(fault["loc"][-1]), loaded.params.model_fields)
        hint = f"; did you mean {' or '.join(near)}?" if near else f"; `symposia methods {loaded.method.name}` lists them"
        return f"{loaded.method.name} has no parameter {name}{hint}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{name}: {message[0].lower()}{message[1:]}, got {shorten(repr(fault['input']), 60)}" if name != "prompts" else message


def assignments(pairs: Sequence[str], option: str) -> dict[str, str]:
    """`name=value` pairs of an option.

    Raises:
        BadInput: One has no `=`.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"{option} {pair!r} is not of the form name=value", remedy=f"{option} name=value")
        found[name] = value
    return found


def nested(pairs: Mapping[str, str]) -> dict[str, Any]:
    """Parameters from their text: `sampling.solver.top_p=null` becomes a nested value; values are JSON where they can be, else text."""
    found: dict[str, Any] = {}
    for name, text in pairs.items():
        *path, last = name.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise BadInput(f"-p {name}: {part} is a value already")
        inner[last] = json_or_text(text)
    return found


def json_or_text(text: str) -> Any:
    """A JSON value, or the text itself when it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested mappings, the second winning."""
    found = dict(base)
    for key, value in over.items():
        found[key] = merged(found[key], value) if isinstance(value, Mapping) and isinstance(found.get(key), Mapping) else value
    return found
