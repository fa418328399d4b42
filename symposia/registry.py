"""The methods: whatever stands in `symposia.graphs` with a `METHOD`. Nothing is registered by hand."""

import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from symposia.state.base import BaseParams, Method
from symposia.state.errors import BadInput, UnknownName
from symposia.state.graph import JournaledGraph


@dataclass(frozen=True)
class Loaded:
    """A method with the parts of its file."""

    method: Method
    params: type[BaseParams]
    module: ModuleType

    def compile(self, checkpointer: Any = None, part: str = "build") -> JournaledGraph[Any, Any, Any, Any]:
        """Its graph, or with `part="prepare"` the one that makes its artefact, with a checkpointer of the caller's.

        Raises:
            BadInput: The method has nothing to prepare.
        """
        if not hasattr(self.module, part):
            raise BadInput(f"{self.method.name} needs nothing prepared", remedy="run it as it is")
        copy: JournaledGraph[Any, Any, Any, Any] = _compiled(self.method.name, part).copy({"checkpointer": checkpointer})
        return copy


@cache
def names() -> tuple[str, ...]:
    """The names of all methods, sorted; a file that begins with an underscore is none."""
    package = import_module("symposia.graphs")
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


@cache
def load(name: str) -> Loaded:
    """A method by its name.

    Raises:
        UnknownName: There is none of that name; the nearest are named.
        BadInput: Its file lacks `METHOD`, `Params` or `build`.
    """
    if name not in names():
        raise UnknownName.of("method", name, names(), remedy="`symposia methods` lists them")
    module = import_module(f"symposia.graphs.{name}")
    missing = [part for part in ("METHOD", "Params", "build") if not hasattr(module, part)]
    if missing:
        raise BadInput(f"graphs/{name}.py has no {', '.join(missing)}", remedy="see CONTRIBUTING.md, adding a method")
    return Loaded(module.METHOD, module.Params, module)


@cache
def _compiled(name: str, part: str) -> JournaledGraph[Any, Any, Any, Any]:
    """A method's graph, compiled once in a process: that takes 10 ms, a copy with another checkpointer next to nothing."""
    graph: JournaledGraph[Any, Any, Any, Any] = getattr(load(name).module, part)().compile()
    return graph
