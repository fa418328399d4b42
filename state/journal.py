"""The journal: everything a run does that its state does not determine, committed before it is used.

`effect` is the one gate. It looks the effect up by its place in the run (`state.place`) and the digest of its request; a hit is returned
without doing anything, a miss is done, committed, and only then returned. So a run started again after a crash reads what it paid for, a
replay makes no call at all, and a fork calls only what its change touches. A failure that was final is an entry too: it is raised again on
replay, and dropped when a failed run is resumed.
"""

import asyncio
import contextlib
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ormsgpack
from langchain_core.runnables.config import var_child_runnable_config

from symposia.state.errors import NotRecorded, PlaceError, Stopped, SymposiaError, from_record
from symposia.state.packing import digest, digest_of, request_digest, sound_all
from symposia.state.place import inside, next_place, node_of, shift, site, step_of, steps_of
from symposia.state.store import Entry, Step, Store, Usage


@dataclass(slots=True)
class Outcome:
    """What performing an effect gave: a JSON value and its cost."""

    value: Any
    usage: Usage = field(default_factory=Usage)


class Failed(Exception):
    """Raised by `perform` for a final failure that is to be recorded: the error and what it cost."""

    def __init__(self, error: SymposiaError, usage: Usage) -> None:
        """Keep both."""
        super().__init__(str(error))
        self.error = error
        self.usage = usage


class Parent:
    """The entries of the run that a fork started from, each of which the fork can take once."""

    def __init__(self, entries: Iterable[Entry], at: int, shifted: bool) -> None:
        """Index by place and by site; with `shifted`, steps after `at` stand one later in the fork (LangGraph counts the edit).

        Failures after `at` are left out: the fork tries what its parent could not get.
        """
        self._at = at
        self._by = 1 if shifted else 0
        self._exact: dict[tuple[str, bytes], Entry] = {}
        self._sites: defaultdict[tuple[str, bytes], deque[Entry]] = defaultdict(deque)
        known = (e for e in entries if "error" not in e.outcome or step_of(e.place) <= at)
        for entry in sorted(known, key=lambda e: (steps_of(e.place), e.seq)):
            self._exact[entry.place, entry.digest] = entry
            self._sites[site(entry.place), entry.digest].append(entry)
        self._taken: set[int] = set()

    def take(self, place: str, key: bytes) -> Entry | None:
        """The parent's entry for a place of the fork: the same place, else the next unused one at the same site, both by digest."""
        origin = shift(place, -self._by) if step_of(place) > self._at else place
        entry = self._exact.get((origin, key))
        if entry is None or entry.seq in self._taken:
            queue = self._sites[site(place), key]
            entry = next((e for e in queue if e.seq not in self._taken), None)
        if entry is not None:
            self._taken.add(entry.seq)
        return entry


class Run:
    """An open run: its entries in memory, its store (None: memory only), and what it is allowed to do."""

    def __init__(
        self,
        run_id: str,
        store: Store | None = None,
        entries: Sequence[Entry] = (),
        steps: Sequence[Step] = (),
        *,
        parent: Parent | None = None,
        strict: bool = False,
    ) -> None:
        """Open over what the store holds; `strict` refuses every effect that is not recorded."""
        self.id = run_id
        self.store = store
        self.strict = strict
        self.parent = parent
        self.entries = list(entries)
        self.recorded = {(s.frame, s.step): s for s in steps}
        self.steps: dict[tuple[str, int], Step] = {}
        self.live: list[Entry] = []
        self.replayed = 0
        self.in_flight = 0
        self.divergence: dict[str, Any] | None = None
        self.stop_reason: str | None = None
        self.artefact: dict[str, Any] | None = None
        self.reference: Any = None
        """The known answer, for an effect that measures what the run has made; nothing of it goes into a state or a prompt."""
        self.frames: dict[str, tuple[str, ...]] = {}
        self._entered: defaultdict[str, int] = defaultdict(int)
        self.on_effect: Callable[[Entry, bool], None] | None = None
        """Hears of every effect when its result is known, and whether it was made now."""
        self.admit: Callable[[], Awaitable[None]] | None = None
        """Is awaited before each paid effect, its slot in hand: a budget lets it wait here."""
        self.asked = 0
        """Effects asked for and not answered: waiting for a slot, or in flight."""
        self.open: set[str] = set()
        """Their places."""
        self.pauses: dict[object, tuple[float, str]] = {}
        """Pauses before an attempt: until when, as `time.monotonic` counts, and why."""
        self._found = {(e.place, e.digest): e for e in entries}
        self._used: set[str] = set()
        self._visits: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._step_writes: list[Awaitable[None]] = []

    def begin(self) -> None:
        """Start an execution: LangGraph runs an interrupted node again, so its places may be used again."""
        self._used.clear()
        self._entered.clear()

    def enter(self, namespace: str, frames: tuple[str, ...]) -> None:
        """Note which frames a namespace of LangGraph's stands for; it numbers the calls of one task, from the second on."""
        n = self._entered[namespace]
        self._entered[namespace] += 1
        self.frames[f"{namespace}|{n}" if n else namespace] = frames

    @property
    def begun(self) -> bool:
        """Whether it has asked for any effect in this execution."""
        return bool(self._used)

    def stop(self, reason: str) -> None:
        """Let no new effect start; those in flight end and are kept, without further attempts."""
        self.stop_reason = reason
        self._stopping.set()

    async def pause(self, seconds: float, why: str = "Rate") -> None:
        """Wait before another attempt, no longer than until the run is stopped; `why` is for who looks on."""
        mark = object()
        self.pauses[mark] = (time.monotonic() + seconds, why)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)
        finally:
            del self.pauses[mark]

    def start(self) -> None:
        """Count an effect as in flight: begun and not yet committed."""
        self.in_flight += 1
        self._idle.clear()

    def end(self) -> None:
        """Count it as done."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until nothing is in flight, so that an error raised next costs no call that is paid for."""
        await self._idle.wait()

    def use(self, place: str) -> None:
        """Claim a place for one effect.

        Raises:
            PlaceError: Another effect of this execution has it.
        """
        if place in self._used:
            raise PlaceError(
                f"two effects have the place {place}",
                remedy="run parallel effects through symposia.state.place.fan, and await effects directly rather than in tasks",
                place=place,
            )
        self._used.add(place)

    def occurrence(self, place: str) -> int:
        """How many times the site of this place was visited before, which is its round; equal on every execution, also in a fork."""
        visits = self._visits[site(place)]
        return visits.setdefault(place, len(visits))

    def went_through(self, entries: Iterable[Entry]) -> None:
        """Count the visits of what was done before an execution that does not begin at the beginning."""
        for entry in sorted(entries, key=lambda e: (steps_of(e.place), e.seq)):
            if entry.salt is not None:
                self.occurrence(entry.place)

    def find(self, place: str, key: bytes) -> tuple[Entry, bool] | None:
        """The recorded entry and whether it is the parent's."""
        own = self._found.get((place, key))
        if own is not None:
            return own, False
        taken = self.parent.take(place, key) if self.parent else None
        return (taken, True) if taken else None

    async def commit(self, entry: Entry) -> None:
        """Write an entry, and keep it for this execution."""
        if self.store is not None:
            await self.store.append(self.id, entry)
        self._found[entry.place, entry.digest] = entry

    def miss(self, place: str, kind: str, request: dict[str, Any]) -> NotRecorded:
        """The error of a strict run for an effect it has no record of, noting the first one."""
        at = [e for e in self.entries if e.place == place]
        expected = {"place": place, "request": at[0].request} if at else None
        got = {"place": place, "kind": kind, "request": request}
        self.diverge(step_of(place), place, expected, got)
        return NotRecorded(f"{kind} at {place} is not in the journal", place=place, got=got)

    def diverge(self, step: int, place: str, expected: Any, got: Any) -> None:
        """Remember the earliest difference between this execution and the record."""
        if self.divergence is None or step < self.divergence["step"]:
            self.divergence = {"step": step, "node": node_of(place), "place": place, "expected": expected, "got": got}

    def note_step(self, frames: tuple[str, ...], step: int, source: str, names: list[str], values: Any) -> bool:
        """Record the state after a step, or compare it with the record; returns whether it is as recorded."""
        frame = "/".join(frames)
        here = Step(frame, step, digest_of([step, source, names, values]), names)
        if self.steps.get((frame, step)) == here:
            return True
        self.steps[frame, step] = here
        if self.strict:
            before = self.recorded.get((frame, step))
            return before is not None and before.digest == here.digest
        if self.store is not None:
            self._step_writes.append(self.store.append_step(self.id, here))
        return True

    async def settle(self) -> None:
        """Wait until the digests of all steps are committed."""
        writes, self._step_writes = self._step_writes, []
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


RUN: ContextVar[Run | None] = ContextVar("symposia_run", default=None)


@asynccontextmanager
async def opened(run: Run) -> AsyncIterator[Run]:
    """Make a run the one that effects in this context belong to; opened inside a node of another graph, it keeps places of its own."""
    token, caller = RUN.set(run), var_child_runnable_config.set(None)
    try:
        with inside(()):
            yield run
    finally:
        var_child_runnable_config.reset(caller)
        RUN.reset(token)


def current() -> Run:
    """The open run.

    Raises:
        PlaceError: None is open: the code runs outside of a graph.
    """
    run = RUN.get()
    if run is None:
        raise PlaceError("no run is open", remedy="call this from a node of a graph built with symposia.state.graph.StateGraph")
    return run


async def effect(
    kind: str,
    request: dict[str, Any],
    perform: Callable[..., Awaitable[Any]],
    *,
    salt: Callable[[Run, str], int | None] | None = None,
    hold: AbstractAsyncContextManager[Any] | None = None,
) -> Any:
    """Do something once in the life of a run, and read it from the journal ever after.

    Args:
        kind: What it is: `llm`, `reward`, `equal`, `person`, ...
        request: JSON that decides the result; never an address, a key or a timeout. `messages` may hold contents as lists of parts.
        perform: Does it; returns a JSON value or an `Outcome`, raises `Failed` for a failure to be recorded. Called with the salt, if any.
        salt: Makes a number from the run and the place (a seed), which is part of the request's digest.
        hold: A context held from before `perform` until the entry is committed, such as a limiter's slot.

    Returns:
        The value, as it comes back from the store, so that live and replayed values have the same types.

    Raises:
        SymposiaError: The recorded failure, now or on an earlier execution.
        NotRecorded: In a replay, when the journal does not hold it.
        Stopped: The run takes no new work.
    """
    run = current()
    place = next_place()
    run.use(place)
    number = salt(run, place) if salt else None
    key = request_digest(kind, request, number)
    hit = run.find(place, key)
    if hit:
        entry, inherited = hit
        run.replayed += 1
        if inherited:
            entry = Entry(place, key, kind, request, entry.outcome, entry.usage, number, copied=True)
            await run.commit(entry)
        return _deliver(run, entry, live=False)
    if run.strict:
        raise run.miss(place, kind, request)
    run.asked += 1
    run.open.add(place)
    try:
        async with nullcontext() if run.stop_reason else hold or nullcontext():
            if run.admit and hold:
                await run.admit()
            # Asked only here: whoever waited for a slot while the run was stopped has not begun.
            if not run.stop_reason:
                run.start()
                try:
                    entry = Entry(place, key, kind, request, *await _perform(partial(perform, number) if salt else perform, place), number)
                    await run.commit(entry)
                finally:
                    run.end()
                run.live.append(entry)
                return _deliver(run, entry, live=True)
    finally:
        run.asked -= 1
        run.open.discard(place)
    await run.idle()
    raise Stopped(f"no new work: {run.stop_reason}", place=place, remedy=f"`symposia resume {run.id}` goes on")


async def _perform(perform: Callable[[], Awaitable[Any]], place: str) -> tuple[dict[str, Any], Usage]:
    """Outcome and usage, with the time it took."""
    start = time.perf_counter()
    try:
        result = await perform()
        done = result if isinstance(result, Outcome) else Outcome(result)
        outcome, usage = {"value": ormsgpack.unpackb(ormsgpack.packb(done.value))}, done.usage
    except Failed as failure:
        failure.error.place = place
        outcome, usage = {"error": sound_all(failure.error.to_record())}, failure.usage  # an endpoint may quote half a sign
    usage.notes = sound_all(usage.notes)
    usage.ms = (time.perf_counter() - start) * 1000
    return outcome, usage


def _deliver(run: Run, entry: Entry, live: bool) -> Any:
    if run.on_effect:
        run.on_effect(entry, live)
    _stream(entry, live)
    if "error" in entry.outcome:
        raise from_record(entry.outcome["error"])
    return entry.outcome["value"]


def _stream(entry: Entry, live: bool) -> None:
    """Tell of an effect in the `custom` stream of the graph around it; outside of one, and where nobody listens, nothing happens."""
    runtime = ((var_child_runnable_config.get() or {}).get("configurable") or {}).get("__pregel_runtime")
    if runtime is None:
        return
    used, value = entry.usage, entry.outcome.get("value")
    choices = value.get("choices") if isinstance(value, dict) else None
    runtime.stream_writer(
        {
            **{"name": used.role or entry.kind, "kind": entry.kind, "place": entry.place, "model": used.model, "live": live},
            **{"prompt_tokens": used.prompt_tokens, "completion_tokens": used.completion_tokens, "ms": round(used.ms, 1)},
            **{"cost_usd": used.usd, "error": entry.outcome.get("error"), "text": choices[0].get("text") if choices else None},
        }
    )


async def now() -> float:
    """The time, in seconds since 1970; the recorded one on replay."""

    async def clock() -> float:
        return time.time()

    return float(await effect("clock", {}, clock))


def seed_at(root: int | None) -> Callable[[Run, str], int | None]:
    """The seed of an effect, from the run's seed, the site and the round, so that a fork with more steps keeps its samples."""

    def salt(run: Run, place: str) -> int | None:
        if root is None:
            return None
        text = f"{root}|{site(place)}|{run.occurrence(place)}"
        return int.from_bytes(digest(text.encode())[:4], "big") >> 1

    return salt
