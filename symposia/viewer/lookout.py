"""Looks at what somebody follows: all runs with one query, ten times a second, however many look on; at batches as often as is cheap."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from symposia.background import working
from symposia.state.errors import UnknownName
from symposia.state.store import Store
from symposia.viewer.library import Library
from symposia.viewer.news import News, Since, news_of

_TICK = 0.1  # seconds between two looks at runs
_REST = 50  # a batch is looked at again after so many times as long as the look took, which is 2 % of a core
_BATCH = 1.0  # seconds between two looks at a batch, at least
_STAMPS = (
    "SELECT id, status, length(record), (SELECT max(seq) FROM entries WHERE run = runs.id),"
    " (SELECT max(step) FROM steps WHERE run = runs.id AND frame = ''), (SELECT count(*) FROM cancels WHERE run = runs.id)"
    " FROM runs WHERE id IN ({})"
)


class Watch:
    """A run that somebody follows: how its record and its work stood at the last look, and what was read about it since that look."""

    def __init__(self, run_id: str) -> None:
        """Nobody follows it yet."""
        self.run_id = run_id
        self.readers = 0
        self.version = 0
        """Counts the changes; 0 before the first look."""
        self.stamp: Any = None
        self.wanted: set[Since] = set()
        """How far those who wait have heard: the look that finds a change reads what has happened since."""
        self.news: dict[Since, News] = {}
        """What it has read."""
        self.error: Exception | None = None
        self._pulse: Any = None
        self._changed = asyncio.Event()
        self._found: dict[Any, asyncio.Task[Any]] = {}

    async def after(self, version: int, seconds: float) -> None:
        """Wait until something has changed since a version, no longer than so many seconds.

        Raises:
            SymposiaError: The store could not be read.
        """
        if self.version == version and self.error is None:
            try:
                async with asyncio.timeout(seconds):  # `wait_for` needs a task, and three rounds of a busy loop
                    await self._changed.wait()
            except TimeoutError:
                return
        if self.error is not None:
            raise self.error

    async def shared(self, key: Any, work: Callable[[], Awaitable[Any]]) -> Any:
        """What some work gives, done once for everybody who asks for it before the run changes again."""
        task = self._found.get((self.stamp, key))
        if task is None:
            task = self._found[self.stamp, key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    def look(self, stamp: Any, news: Mapping[Since, News]) -> None:
        """Take what the store says of it now, and what has happened since if that has changed."""
        if stamp != self.stamp:
            self.news, self.wanted = {since: news[since] for since in self.wanted if since in news}, set()
        pulse = pulse_of(self.run_id)
        if (stamp, pulse) != (self.stamp, self._pulse) or not self.version:
            self._found = {key: task for key, task in self._found.items() if not task.done()}
            self.stamp, self._pulse = stamp, pulse
            self.version += 1
            self.wake()

    def wake(self) -> None:
        """Wake all who wait."""
        self._changed.set()
        self._changed = asyncio.Event()


class Lookout:
    """All that is followed on one server."""

    def __init__(self, library: Library) -> None:
        """Watch nothing yet."""
        self.ended = False
        """Set when the server is to end: open streams would hold it up."""
        self._library = library
        self._watches: dict[str, Watch] = {}
        self._looking: asyncio.Task[None] | None = None
        self._batches: dict[str, tuple[float, asyncio.Task[Any]]] = {}

    @contextmanager
    def at(self, run_id: str) -> Iterator[Watch]:
        """Follow a run for the length of a `with`."""
        watch = self._watches.setdefault(run_id, Watch(run_id))
        watch.readers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield watch
        finally:
            watch.readers -= 1
            if not watch.readers:
                self._drop(watch)

    def end(self) -> None:
        """Let all streams end, which would open the library again after it was closed."""
        self.ended = True
        for watch in self._watches.values():
            watch.wake()

    def _drop(self, watch: Watch) -> None:
        """Follow a run no more; another watch at its place, begun after this one failed, has readers of its own."""
        if self._watches.get(watch.run_id) is watch:
            del self._watches[watch.run_id]

    async def news(self, watch: Watch, since: Since) -> News:
        """What has happened in a run, which the last look has read for all who waited for it."""
        known = watch.news.get(since)
        if known is not None:
            return known
        found: dict[Since, News] = await watch.shared(since, partial(self._library.ask, partial(_read, [since])))
        if since not in found:
            raise UnknownName(f"unknown run {since.run_id[:80]!r}", remedy="open the list of runs")
        return found[since]

    async def batch(self, batch_id: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
        """What a look at a batch gives, at most a second old or a little more where a look is dear; shared by all who follow it."""
        now = time.monotonic()
        due, task = self._batches.get(batch_id, (0.0, None))
        if task is None or (task.done() and now > due):
            task = asyncio.create_task(self._timed(batch_id, work))
            others = {name: known for name, known in self._batches.items() if not known[1].done() or known[0] >= now}
            self._batches = {**others, batch_id: (0.0, task)}
        return await asyncio.shield(task)

    async def _timed(self, batch_id: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
        begun = time.monotonic()
        try:
            return await self._library.ask(work)
        finally:
            now = time.monotonic()
            self._batches[batch_id] = (now + max(_BATCH, _REST * (now - begun)), self._batches[batch_id][1])

    async def _look(self) -> None:
        """Look at the runs as long as somebody follows one."""
        while self._watches:
            watches = dict(self._watches)
            if self.ended:
                for watch in watches.values():
                    watch.wake()
                return
            try:
                known = {run_id: (watch.stamp, tuple(watch.wanted)) for run_id, watch in watches.items()}
                stamps, news = await self._library.ask(partial(_looked, known))
            except Exception as error:  # whoever follows tells of it
                for watch in watches.values():
                    watch.error = error
                    watch.wake()
                    self._drop(watch)
                continue
            for run_id, watch in watches.items():
                watch.look(stamps.get(run_id), news)
            await asyncio.sleep(_TICK)


async def _looked(known: Mapping[str, tuple[Any, Sequence[Since]]], store: Store) -> tuple[dict[str, tuple[Any, ...]], dict[Since, News]]:
    """How runs stand, and of those that do not stand as was known what has happened."""
    stamps = await _stamps(list(known), store)
    wanted = [since for run_id, (stamp, waiting) in known.items() if stamps.get(run_id) != stamp for since in waiting]
    return stamps, await news_of(store, wanted)


async def _read(wanted: Sequence[Since], store: Store) -> dict[Since, News]:
    return await news_of(store, wanted)


async def _stamps(run_ids: Sequence[str], store: Store) -> dict[str, tuple[Any, ...]]:
    """What changes in the store when a run goes on, by run."""
    found = await store.read(_STAMPS.format(", ".join("?" * len(run_ids))), run_ids)
    return {row[0]: tuple(row) for row in found}


def pulse_of(run_id: str) -> Any:
    """What changes while a run that is executed in this process waits for its calls; None for one that is not."""
    at = working(run_id)
    if at is None:
        return None
    return at.run.in_flight, len(at.run.open), at.run.stop_reason, tuple(round(until, 2) for until, _ in list(at.run.pauses.values()))
