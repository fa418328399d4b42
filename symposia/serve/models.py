"""Model names of the server: `METHOD[@MODEL][?PARAM=VALUE&...]`, a preset in place of the method where there is one.

`magicore`, `magicore@gpt-4o-mini`, `magicore@gpt-4o-mini?k=8&roles.reviewer=gpt-4o`, `quick?task=text`. Parameters are written as after
`-p`, `task` is that of the answer; a `?` or `&` inside a model or a value is percent-encoded. What the name says goes before the preset,
the preset before `symposia.toml`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from typing_extensions import get_type_hints

from symposia import registry
from symposia.api import given_params
from symposia.config import Config
from symposia.params import make_params, merged, nested
from symposia.registry import Loaded
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, UnknownName, nearest, shorten
from symposia.tools.answers import task_of

LONGEST = 1000
"""Characters of a model name."""
_DEEPEST = 50
"""Levels of a value in a model name; Python reads about a thousand, less what the server itself stands on."""
_LARGEST = 10**6
"""Of a number that the number of calls depends on; the expression is not even computed for a larger one."""
_OWN = ("method", "description", "task")


class NoSuchModel(UnknownName):
    """A model name whose method or preset is not offered."""


@dataclass(frozen=True)
class Asked:
    """What a model name stands for: a method, the parameters its runs are given, and the task of their answers."""

    name: str
    loaded: Loaded
    given: dict[str, Any]
    task: str | None = None


@dataclass
class Catalogue:
    """What is offered, and how a name is read.

    Attributes:
        config: Settings, defaults and presets.
        allowed: Patterns of models that a name may choose; any, when there is none.
        most_calls: Completions and scorings that a run may need by its method's formula; None for any number.
    """

    config: Config
    allowed: tuple[str, ...] = ()
    most_calls: int | None = None
    left_out: tuple[str, ...] = field(init=False)
    """Methods that take no chat."""

    def __post_init__(self) -> None:
        """Check the presets.

        Raises:
            BadInput: One cannot run.
        """
        self.left_out = tuple(name for name in registry.names() if not takes_chat(registry.load(name)))
        for name in self.config.presets:
            if name in registry.names():
                raise BadInput(f"the preset {name!r} has the name of a method", remedy="give it another name in symposia.toml")
            try:
                preset = self._preset(name)
                self._check_calls(preset, make_params(preset.loaded, preset.given))
            except BadInput as error:
                raise BadInput(f"presets.{name}: {error.message}", remedy=error.remedy) from None

    @property
    def names(self) -> list[str]:
        """Methods that take a chat, then presets."""
        return [*(name for name in registry.names() if name not in self.left_out), *self.config.presets]

    def asked(self, name: str) -> Asked:
        """What a model name stands for.

        Raises:
            NoSuchModel: There is no such method or preset, or it takes no chat.
            BadInput: The name is not of the form, or what it gives cannot be.
        """
        asked = self._read(name)
        self._check_calls(asked, make_params(asked.loaded, asked.given))
        return asked

    def _read(self, name: str) -> Asked:
        """A name, whatever it may cost."""
        if len(name) > LONGEST:
            raise BadInput(f"the model name has {len(name)} characters", remedy=f"{LONGEST} are allowed")
        head, _, query = name.partition("?")
        base, at, model = head.partition("@")
        found = self._base(base)
        if at and not model:
            raise BadInput(f"model {shorten(name, 80)!r} names nothing after '@'", remedy="METHOD@MODEL?PARAM=VALUE&...")
        own = _fields(query) if query else {}
        task = own.pop("task", None)
        given = merged(nested(own), {"model": unquote(model)} if at else {})
        for chosen in _models_in(given):
            self._check_model(chosen)
        return Asked(name, found.loaded, merged(found.given, given), named_task(task) if task is not None else found.task)

    def card(self, name: str) -> dict[str, Any]:
        """A model as `/v1/models` tells it.

        Raises:
            BadInput: As `asked`.
        """
        asked = self._read(name)
        method, params = asked.loaded.method, make_params(asked.loaded, asked.given)
        preset = self.config.presets.get(re.split("[@?]", name)[0], {})
        return {
            **{"id": name, "object": "model", "created": 0, "owned_by": "symposia"},
            **{"method": method.name, "title": method.title, "family": method.family, "arxiv": method.arxiv},
            **{"description": str(preset.get("description") or method.title), "model": params.model, "roles": dict(params.roles)},
            "calls": method.count(method.calls, params),
        }

    def _base(self, name: str) -> Asked:
        """A method or preset, as the settings have it."""
        if name in self.config.presets:
            return self._preset(name)
        if name in self.left_out:
            raise NoSuchModel(f"{name} takes no chat: its input is no question", remedy=f"run it by `symposia run {name}`")
        if name not in self.names:
            near = nearest(name[:100], self.names)
            hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
            raise NoSuchModel(f"unknown model {shorten(name, 80)!r}{hint}", remedy="GET /v1/models lists them; METHOD@MODEL?PARAM=VALUE")
        return Asked(name, registry.load(name), given_params(self.config, name))

    def _preset(self, name: str) -> Asked:
        preset = self.config.presets[name]
        loaded = registry.load(preset["method"])
        if preset["method"] in self.left_out:
            raise BadInput(f"{preset['method']} takes no chat", remedy="its input is no question")
        own = {key: value for key, value in preset.items() if key not in _OWN}
        task = named_task(preset["task"]) if "task" in preset else None
        return Asked(name, loaded, given_params(self.config, preset["method"], params=own), task)

    def _check_model(self, model: str) -> None:
        """Whether a client may choose a model."""
        if not model.isprintable():  # PostgreSQL cannot store some of them, and would refuse what else is written with it
            raise BadInput(f"the model {shorten(repr(model), 80)} holds characters that cannot be printed", remedy="leave them out")
        if "://" in model:
            raise BadInput(f"a model name cannot hold an address: {shorten(model, 80)!r}", remedy="name it in a preset of symposia.toml")
        if self.allowed and not any(fnmatchcase(model, pattern) for pattern in self.allowed):
            raise BadInput(f"model {shorten(model, 80)!r} is not allowed here", remedy=f"allowed: {', '.join(self.allowed)}")

    def _check_calls(self, asked: Asked, params: BaseParams) -> None:
        """Whether a run stays within the calls that are allowed, by its method's formulas."""
        if self.most_calls is None:
            return
        method, values = asked.loaded.method, params.model_dump()
        counted = [node.id for text in (method.calls, method.scoring) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
        large = any(isinstance(values.get(name), int) and values[name] > _LARGEST for name in counted)
        calls = self.most_calls + 1 if large else sum(method.count(text, params) for text in (method.calls, method.scoring))
        if calls > self.most_calls:
            raise BadInput(
                f"{asked.name} may need more than the {self.most_calls} calls that are allowed", remedy="ask for less, or raise --max-calls"
            )


def takes_chat(loaded: Loaded) -> bool:
    """Whether a chat can be a method's input."""
    return hasattr(loaded.module, "from_messages") or "question" in get_type_hints(loaded.method.input)


def _fields(query: str) -> dict[str, str]:
    """The parameters of a name, as text."""
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, equals, value = (unquote(part) for part in pair.partition("="))
        if not equals or not name:
            raise BadInput(f"{shorten(pair, 40)!r} in a model name is not of the form name=value", remedy="METHOD@MODEL?k=8&max_rounds=1")
        if max(name.count("."), value.count("["), value.count("{")) > _DEEPEST:
            raise BadInput(f"{shorten(name, 40)} in a model name is nested too deeply", remedy=f"{_DEEPEST} levels are allowed")
        if name in found:
            raise BadInput(f"{shorten(name, 40)} stands twice in the model name", remedy="name it once")
        found[name] = value
    return found


def named_task(name: Any) -> str:
    """The name of a task of answers, which is one.

    Raises:
        BadInput: There is no such task.
    """
    try:
        return task_of(str(name))
    except ValueError as error:
        raise BadInput(str(error)) from None


def _models_in(given: Mapping[str, Any]) -> Iterator[str]:
    """The models that parameters name."""
    if "model" in given:
        yield str(given["model"])
    roles = given.get("roles")
    for models in roles.values() if isinstance(roles, Mapping) else ():
        yield from (str(model) for model in (models if isinstance(models, list) else [models]))
