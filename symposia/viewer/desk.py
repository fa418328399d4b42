"""What the viewer's requests share: the library to read from, the server's own store to act in, and the runs that were started here."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from fnmatch import fnmatchcase
from typing import Any

from symposia import runs
from symposia.execution import Listener
from symposia.registry import Loaded
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.state.journal import Run
from symposia.state.store import Store
from symposia.telemetry import telemetry
from symposia.viewer.doors import Turned
from symposia.viewer.library import Library
from symposia.viewer.lookout import Lookout

_LOG = logging.getLogger("symposia.viewer")
_MOST = 64  # runs that were started here and go at once


class Desk:
    """Reads in a thread of its own, and starts runs in the server's loop, where the limits per model hold for all."""

    def __init__(self, address: str, home: Callable[[], Store], models: tuple[str, ...] = (), most_calls: int | None = None) -> None:
        """Open nothing yet.

        Args:
            address: Of the store.
            home: Gives the server's own open store.
            models: Patterns of the models that a run may use; any, when there is none.
            most_calls: That a run may need by its method's formula.
        """
        self.library = Library(address)
        self.lookout = Lookout(self.library)
        self._home, self._models, self._most_calls = home, models, most_calls
        self._tasks: set[asyncio.Task[Any]] = set()
        self._resuming: set[str] = set()
        self.listener: Listener | None = telemetry()

    @property
    def store(self) -> Store:
        """The server's own."""
        return self._home()

    def begin(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Let a run go on by itself.

        Raises:
            Turned: Too many go already.
        """
        if len(self._tasks) >= _MOST:
            work.close()
            raise Turned(429, "TooManyRuns", f"{len(self._tasks)} runs that were started here are going", "wait until one has ended")
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def opened(self, work: Callable[[Callable[[Run], None]], Coroutine[Any, Any, Any]]) -> None:
        """Let a run go on by itself; when this returns, its record is in the store and says that it goes.

        Args:
            work: The run's execution, which calls what it is given once the run is open.

        Raises:
            Turned: Too many go already; nothing was written.
            SymposiaError: The run could not be opened.
        """
        known = asyncio.Event()
        open_runs: list[Run] = []

        def on_open(run: Run) -> None:
            open_runs.append(run)
            known.set()

        task = self.begin(work(on_open))
        task.add_done_callback(lambda _: known.set())
        await known.wait()
        if not open_runs:
            await task  # whose error nobody else would hear of

    async def go_on(self, run_id: str, given: Mapping[str, Any]) -> None:
        """Let a paused run go on; when this returns, its record says that it does.

        Args:
            run_id: Which run.
            given: What it waited for, as `runs.resume` takes it.

        Raises:
            BadInput: Somebody else was faster, or the run does not wait for that.
            SymposiaError: The run could not be opened, and still waits.
        """
        if run_id in self._resuming:
            raise BadInput(f"run {run_id} was just answered by somebody else", remedy="look at what it does with that")
        self._resuming.add(run_id)
        try:
            await self.opened(lambda on_open: runs.resume(self.store, run_id, **given, on_event=self.listener, on_open=on_open))
        finally:
            self._resuming.discard(run_id)

    def check(self, loaded: Loaded, params: BaseParams, models: set[str]) -> None:
        """Whether the server may run this.

        Raises:
            BadInput: A model is not allowed here, or the run may need more calls than are allowed.
        """
        for model in sorted(models):
            if "://" in model and not model.startswith("reward/"):
                raise BadInput(f"a model name cannot hold an address: {shorten(model, 80)!r}", remedy="name the model only")
            if self._models and not any(fnmatchcase(model, pattern) for pattern in self._models):
                raise BadInput(f"model {shorten(model, 80)!r} is not allowed here", remedy=f"allowed: {', '.join(self._models)}")
        most = calls_at_most(loaded, params)
        if self._most_calls is not None and most is not None and most > self._most_calls:
            raise BadInput(
                f"the run may need {most} calls, and {self._most_calls} are allowed", remedy="ask for less, or raise --max-calls"
            )

    async def close(self) -> None:
        """End the streams, stop what was started here, which can be resumed, and close the library."""
        self.lookout.end()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.library.close()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, SymposiaError):
            _LOG.error("a run that was started in the viewer failed", exc_info=error)


_LARGEST = 10**6


def calls_at_most(loaded: Loaded, params: BaseParams) -> int | None:
    """Completions of a run, and scorings, by its method's formulas; None where a number is beyond reason."""
    values: Mapping[str, Any] = params.model_dump()
    if any(isinstance(value, int) and not isinstance(value, bool) and value > _LARGEST for name, value in values.items() if name != "seed"):
        return None
    return sum(loaded.method.count(formula, params) for formula in (loaded.method.calls, loaded.method.scoring))
