"""Where crews work: in this process (`local`), in several of this machine (`processes`), on many machines (`ray`)."""

import gc
from collections.abc import Mapping
from typing import Any

from symposia.batches.boss import Engine, Link
from symposia.batches.crew import Crew
from symposia.state.errors import UnknownName
from symposia.state.store import Store
from symposia.tools.providers import loaded

ENGINES = ("local", "processes", "ray")


class Local:
    """One crew, in this process."""

    name = "local"
    size = 1

    def __init__(self, store: Store, terms: Mapping[str, Any]) -> None:
        """For a store and what holds for all rows."""
        self._store, self._terms = store, terms
        self._thresholds = gc.get_threshold()

    async def link(self) -> Link:
        """Start it, with LiteLLM imported: a crew that counts on slots and seconds must not begin with three of them lost."""
        await loaded()
        calm_collector()
        return Crew(self._store, self._terms)

    async def close(self) -> None:
        """Leave the process as it was; the crew's link is closed by whoever opened it."""
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()


def calm_collector() -> None:
    """Collect garbage seldom: looking through hundreds of live graphs again and again costs up to half of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 5, 5)


def engine_of(name: str, store: Store, terms: Mapping[str, Any], workers: int | None) -> Engine:
    """The engine of a name.

    Raises:
        UnknownName: There is none of that name.
        BadInput: It cannot work with this store.
    """
    if name == "local":
        return Local(store, terms)
    if name == "processes":
        from symposia.batches.processes import Processes

        return Processes(store, terms, workers)
    if name == "ray":
        from symposia.batches.ray_engine import RayEngine

        return RayEngine(store, terms, workers)
    raise UnknownName.of("engine", name, ENGINES, remedy=f"--engine {', '.join(ENGINES)}")
