"""Why a run went where it went: its routers, called again on a recorded state with a mapping that notes what they read.

Routers are pure functions of the state, so this costs nothing, calls nothing and needs no hint from the method.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from inspect import isawaitable
from typing import Any

from langgraph.types import Send

from symposia.state.base import BaseParams


async def why_next(params: type[BaseParams], builder: Any, ran: Sequence[str], values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each router behind the nodes that ran: `{node, router, read, goto}`.

    Args:
        params: The method's parameters, whose fields are noted one by one.
        builder: The graph with its routers.
        ran: The nodes of the step.
        values: The state after it.
    """
    return [
        {"node": node, "router": name, **await _asked(branch.path, branch.ends or {}, values, params)}
        for node in dict.fromkeys(ran)
        for name, branch in builder.branches.get(node, {}).items()
    ]


async def _asked(path: Any, ends: Mapping[Any, str], values: Mapping[str, Any], params: type[BaseParams]) -> dict[str, Any]:
    reads = Reads(params)
    with reads.noting():
        try:
            goto = (path.func or path.afunc)(reads.of("", dict(values)))
            goto = await goto if isawaitable(goto) else goto
        except Exception as error:
            # A router that wants more than the state, such as a runtime: where it went still stands in the step's `next`.
            return {"read": reads.found(), "goto": [], "error": f"{type(error).__name__}: {error}"}
    targets = goto if isinstance(goto, list | tuple) else [goto]
    return {"read": reads.found(), "goto": [t.node if isinstance(t, Send) else str(ends.get(t, t)) for t in targets]}


class Reads:
    """Notes which values of a state are read, by their path: `history[-1].is_hard`; parameters by their name alone."""

    def __init__(self, params: type[BaseParams]) -> None:
        """`params` is the class of the method's parameters."""
        self._params = params
        self._values: dict[str, Any] = {}
        self._taken: dict[str, Any] = {}

    def of(self, path: str, value: Any) -> Any:
        """A value as a router gets it: a container notes what is taken out of it, anything else is noted now."""
        if path == "params" and value:
            return _watched_params(self._params, value)
        if isinstance(value, dict | list):
            self._taken[path] = value
            return WatchedDict(value, path, self) if isinstance(value, dict) else WatchedList(value, path, self)
        self.note(path, value)
        return value

    def note(self, path: str, value: Any) -> None:
        """A value was read as a whole."""
        self._values[path] = value

    def enter(self, path: str) -> None:
        """A container was looked into, so what was taken from it stands for it."""
        self._taken.pop(path, None)

    def found(self) -> dict[str, Any]:
        """What was read; a container that was taken and never looked into counts as read whole."""
        return {**self._values, **{path: value for path, value in self._taken.items() if path}}

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note fields of the parameters too."""
        token = _READS.set(self)
        try:
            yield
        finally:
            _READS.reset(token)


_READS: ContextVar[Reads | None] = ContextVar("symposia_reads", default=None)


def _watched_params(params: type[BaseParams], value: Mapping[str, Any]) -> BaseParams:
    """Parameters that note their fields; `Params.of` takes an instance of a subclass as it is."""
    token = _READS.set(None)
    try:
        return _watched(params).model_validate(value)
    finally:
        _READS.reset(token)


@cache
def _watched(params: type[BaseParams]) -> type[BaseParams]:
    class Watched(params):  # type: ignore[valid-type, misc]
        def __getattribute__(self, name: str) -> Any:
            reads = _READS.get()
            value = super().__getattribute__(name)
            if reads is not None and name in params.model_fields:
                reads.note(name, value)
            return value

        def __getitem__(self, name: str) -> Any:
            getattr(self, name)
            return self.model_dump(mode="json")[name]

        def get(self, name: str, default: Any = None) -> Any:
            return self[name] if name in params.model_fields else default

        def keys(self) -> Iterable[str]:
            return list(params.model_fields)

    return Watched


class WatchedDict(dict[str, Any]):
    """A record of the state that notes what is read of it."""

    def __init__(self, value: Mapping[str, Any], path: str, reads: Reads) -> None:
        """Hold the values; they are wrapped when they are taken."""
        super().__init__(value)
        self._path, self._reads = path, reads

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        self._reads.enter(self._path)
        return self._reads.of(self._at(key), value)

    def get(self, key: str, default: Any = None) -> Any:
        """As a dict's; of a missing key the default is noted."""
        if key in self:
            return self[key]
        self._reads.note(self._at(key), default)
        return default

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


class WatchedList(list[Any]):
    """A list of the state that notes what is read of it; one that is gone through is read whole."""

    def __init__(self, value: Sequence[Any], path: str, reads: Reads) -> None:
        """Hold the items; they are wrapped when they are taken."""
        super().__init__(value)
        self._path, self._reads = path, reads

    def __getitem__(self, index: Any) -> Any:
        self._reads.enter(self._path)
        item = super().__getitem__(index)
        if isinstance(index, slice):
            bounds = ("" if bound is None else str(bound) for bound in (index.start, index.stop))
            self._reads.note(f"{self._path}[{':'.join(bounds)}]", item)
            return item
        return self._reads.of(f"{self._path}[{index}]", item)

    def __len__(self) -> int:
        self._reads.enter(self._path)
        self._reads.note(f"len({self._path})", super().__len__())
        return super().__len__()
