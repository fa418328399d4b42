"""How many requests a model gets at once and per minute: a limiter per model and event loop, and a gate before them all.

Nothing of it is shared between event loops or processes: the ceilings of several processes are leased out by whoever started them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from symposia.state.journal import RUN, Run
from symposia.tools.permits import Permits
from symposia.tools.rates import Rates
from symposia.tools.settings import limits_of


class _Wait(NamedTuple):
    """Somebody who waits, and for what run."""

    run: Run | None
    turn: "asyncio.Future[None]"

    @property
    def stopped(self) -> bool:
        return self.run is not None and self.run.stop_reason is not None

    def wake(self) -> bool:
        """Wake them; whether they still waited."""
        if self.turn.done():
            return False
        self.turn.set_result(None)
        return True


def _wait() -> _Wait:
    return _Wait(RUN.get(), asyncio.get_running_loop().create_future())


class Gate:
    """Lets in the calls of some models at a time; a subclass hears which models are wanted."""

    def __init__(self) -> None:
        """Start with no model present."""
        self.present: frozenset[str] = frozenset()
        self._open = False
        self._outside: list[tuple[str, _Wait]] = []

    def wants(self, model: str) -> None:
        """Hear that a call of the current run waits for a model that is not present."""

    def admit(self, *models: str) -> None:
        """Make these models the present ones and let in who waits for them; whoever is in already stays."""
        self.present = frozenset(models)
        self._wake(lambda name, _: name in models)

    def release(self) -> None:
        """Let in everybody from now on."""
        self._open = True
        self._wake(lambda *_: True)

    def wake_stopped(self) -> None:
        """Let in whose run is stopped: they only go on to see that."""
        self._wake(lambda _, wait: wait.stopped)

    async def enter(self, model: str) -> None:
        """Wait until a model is present."""
        while not (self._open or model in self.present or ((run := RUN.get()) and run.stop_reason)):
            wait = _wait()
            self._outside.append((model, wait))
            self.wants(model)
            await wait.turn

    def _wake(self, chosen: Callable[[str, _Wait], bool]) -> None:
        outside, self._outside = self._outside, []
        for name, wait in outside:
            if chosen(name, wait):
                wait.wake()
            elif not wait.turn.done():
                self._outside.append((name, wait))


@dataclass
class _Home:
    """What the limiters of one event loop share."""

    limiters: dict[str, "Limiter"] = field(default_factory=dict)
    gate: Gate | None = None
    freed: asyncio.Event = field(default_factory=asyncio.Event)
    on_change: Callable[[str, "Limiter"], None] | None = None


class Limiter(Permits):
    """Slots of one model, as an async context manager; first come, first served.

    Attributes:
        active: Slots taken.
        resume_at: The event loop's time, in seconds, before which no request is sent.
        rates: Requests and tokens per minute, where configured.
    """

    def __init__(self, most: int, model: str = "", *, rates: Rates | None = None, home: _Home | None = None) -> None:
        """Start with `most` slots."""
        super().__init__(most, model)
        self.active = 0
        self.resume_at = 0.0
        self.rates = rates
        self._home = home or _Home()
        self._waiting: deque[_Wait] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    async def __aenter__(self) -> "Limiter":
        """Take a slot, waiting for one; and before that for the model, if there is a gate."""
        if self._home.gate is not None:
            await self._home.gate.enter(self.model)
        if self.active >= int(self.limit) or self._waiting:
            await self._turn(first=False)
        else:
            self.active += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the slot back."""
        self._free()

    def lease(self, most: int) -> None:
        """Change the ceiling, down to 0; those who have a slot keep it until they end."""
        self.most = most
        self._set("leased")
        self._fill()

    def wake_stopped(self) -> None:
        """Let go on whose run is stopped, slot or not: they only see that."""
        for wait in [wait for wait in self._waiting if wait.stopped]:
            self._waiting.remove(wait)
            self.active += wait.wake()

    async def ready(self, run: Run, tokens: float = 0.0, *, again: bool = False) -> None:
        """Wait, with a slot, until a request may be sent: for the pause that the endpoint asked for, and for the rates.

        Args:
            run: Whose request it is; nothing but a slot is waited for once it is stopped.
            tokens: What it is estimated to take.
            again: It failed before: if slots were cut in the meantime, it waits for one, before those who have not begun.
        """
        if again and self.active > int(self.limit) and not run.stop_reason:
            self._free()
            try:
                await self._turn(first=True)
            except asyncio.CancelledError:
                self.active += 1  # the slot that the caller gives back
                raise
        while (wait := self.resume_at - asyncio.get_running_loop().time()) > 0.001 and not run.stop_reason:
            await run.pause(wait, "RateLimited")
        if self.rates:
            await self.rates.admit(run, tokens)

    def refused(self, pause: float, number: int | None = None) -> None:
        """Learn from a 429: fewer at once; and none for `pause` seconds, where a cut has not helped."""
        if self.refusal(number):
            self.resume_at = max(self.resume_at, asyncio.get_running_loop().time() + pause)

    async def _turn(self, *, first: bool) -> None:
        wait = _wait()
        (self._waiting.appendleft if first else self._waiting.append)(wait)
        try:
            await wait.turn
        except asyncio.CancelledError:
            if wait.turn.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(wait)
            else:
                self._free()
            raise

    def _free(self) -> None:
        self.active -= 1
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self.active < int(self.limit):
            self.active += self._waiting.popleft().wake()
        if not self._waiting:
            self._home.freed.set()

    def _changed(self) -> None:
        if self._home.on_change:
            self._home.on_change(self.model, self)


_homes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Home] = WeakKeyDictionary()


def _home() -> _Home:
    loop = asyncio.get_running_loop()
    home = _homes.get(loop)
    if home is None:
        for closed in [known for known in _homes if known.is_closed()]:
            del _homes[closed]  # events and rates that were waited for keep their loop alive
        home = _homes[loop] = _Home()
    return home


def limiter(model: str) -> Limiter:
    """The limiter of a model in the running event loop."""
    home = _home()
    if model not in home.limiters:
        own = limits_of(model)
        rates = Rates(own.rpm, own.tpm) if own.rpm or own.tpm else None
        home.limiters[model] = Limiter(own.concurrency or 1, model, rates=rates, home=home)
    return home.limiters[model]


def limiters() -> dict[str, Limiter]:
    """The limiters of the running event loop, by model."""
    return _home().limiters


def freed() -> asyncio.Event:
    """Is set whenever a slot is given back for which nobody waits; for whoever waits to clear."""
    return _home().freed


def gate(new: Gate | None) -> None:
    """Set the gate of the running event loop, or take it away; the former one lets in everybody."""
    home = _home()
    if home.gate is not None and home.gate is not new:
        home.gate.release()
    home.gate = new


def on_change(hear: Callable[[str, Limiter], None] | None) -> None:
    """Have a function called after each change of a model's permits, of the running event loop, that is more than a trifle."""
    _home().on_change = hear


def wake_stopped() -> None:
    """Let go on who waits at the gate or for a slot though their run is stopped; to be called when runs were stopped."""
    home = _home()
    if home.gate:
        home.gate.wake_stopped()
    for one in home.limiters.values():
        one.wake_stopped()
