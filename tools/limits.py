"""How many requests a model gets at once: a limit per model and event loop, learned downward from 429s and slowly upward again."""

import asyncio
import time
from collections import deque
from types import TracebackType
from weakref import WeakKeyDictionary

from symposia.tools.settings import settings


class Limiter:
    """Slots of one model, as an async context manager; first come, first served.

    A 429 cuts the limit by three tenths, once per wave, and holds new requests until `Retry-After` is over; every `limit` answers without
    one add a slot, up to the configured number.
    """

    def __init__(self, most: int) -> None:
        """Start with `most` slots."""
        self.most = most
        self.limit = float(most)
        self.active = 0
        self.resume_at = 0.0
        self._cut_at = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> "Limiter":
        """Take a slot, waiting for one."""
        if self.active >= int(self.limit) or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._free()
                raise
        else:
            self.active += 1
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the slot back."""
        self._free()

    def _free(self) -> None:
        self.active -= 1
        while self._waiting and self.active < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.active += 1
                turn.set_result(None)

    async def ready(self) -> None:
        """Wait until the pause that the endpoint asked for is over."""
        wait = self.resume_at - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
            await self.ready()

    def refused(self, pause: float) -> None:
        """Learn from a 429: fewer at once, and none for `pause` seconds."""
        now = time.monotonic()
        self.resume_at = max(self.resume_at, now + pause)
        if now - self._cut_at > max(pause, 1.0):
            self.limit = max(1.0, self.limit * 0.7)
            self._cut_at = now

    def answered(self) -> None:
        """Learn from an answer: slowly more again."""
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)


_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Limiter]] = WeakKeyDictionary()


def limiter(model: str) -> Limiter:
    """The limiter of a model in the running event loop."""
    loop = _limiters.setdefault(asyncio.get_running_loop(), {})
    if model not in loop:
        loop[model] = Limiter(settings().concurrency)
    return loop[model]
