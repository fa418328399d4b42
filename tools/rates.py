"""Requests and tokens per minute, where they are configured for a model: leaky buckets of aiolimiter, without a burst at the start."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from aiolimiter import AsyncLimiter

from symposia.state.journal import Run
from symposia.state.packing import text_of

_BURST = 0.5
"""Seconds' worth that may go at once: with as much again in refunds, a minute exceeds the rate by less than 2 %."""
_FOR_EVER = 1e6
_IMAGE_TOKENS = 1000
"""Estimate for an image, ours: providers count by its size, which is not looked at; what the reply says it took corrects it."""


class Rate:
    """An amount per minute; first come, first served, also for amounts that are larger than the bucket."""

    def __init__(self, per_minute: float) -> None:
        """Start with an empty bucket."""
        per_second = per_minute / 60
        self._most = max(1.0, per_second * _BURST)
        self._bucket = AsyncLimiter(self._most, self._most / per_second)
        self._order = asyncio.Lock()
        self._owed = 0.0

    def free(self, amount: float) -> bool:
        """Whether `take` would not wait."""
        return not self._order.locked() and self._owed + amount <= self._most and self._bucket.has_capacity(max(0.0, self._owed + amount))

    async def take(self, amount: float) -> None:
        """Take an amount, in parts where it is larger than the bucket, which wakes small amounts first, hence the lock."""
        async with self._order:
            left = self._owed + amount
            self._owed = min(left, 0.0)
            while left > 0:
                part = min(left, self._most)
                try:
                    await self._bucket.acquire(part)
                except asyncio.CancelledError:
                    self._owed += max(0.0, left - amount)  # what others had owed
                    raise
                left -= part

    def settle(self, difference: float) -> None:
        """Charge what was used beyond the estimate to those who come next, or refund it, at most as much as may go at once."""
        self._owed = max(self._owed + difference, -self._most)


class Rates:
    """The rates of one model, None where none is configured, and the estimate of a call's tokens."""

    def __init__(self, rpm: float | None, tpm: float | None) -> None:
        """Requests and tokens per minute."""
        self.requests = Rate(rpm) if rpm else None
        self.tokens = Rate(tpm) if tpm else None
        self._replies = 0
        self._written = 0

    def estimate(self, messages: Iterable[Mapping[str, Any]], replies: int, max_tokens: int | None = None) -> float:
        """Tokens of a call: one for four characters, 1,000 for an image, and per reply its most, else the mean of the replies so far."""
        mean = self._written / self._replies if self._replies else 0.0
        return sum(_tokens(message["content"]) for message in messages) + replies * (mean if max_tokens is None else max_tokens)

    def used(self, estimate: float, prompt: int, completion: int, replies: int = 0) -> None:
        """Correct the estimate of an answered call by what it took."""
        self._replies += replies
        self._written += completion
        if self.tokens and prompt + completion:  # else the server does not say
            self.tokens.settle(prompt + completion - estimate)

    async def admit(self, run: Run, tokens: float) -> None:
        """Wait until a request may go; no longer than until its run is stopped."""
        for rate, amount in ((self.requests, 1.0), (self.tokens, tokens)):
            if rate and rate.free(amount):
                await rate.take(amount)
            elif rate:
                await _unless_stopped(run, rate.take(amount))


def _tokens(content: Any) -> float:
    """Tokens of a message as it is sent: a text, or parts of which some are images."""
    sent = text_of(content)
    if isinstance(sent, str):
        return len(sent) / 4
    return sum(len(part["text"]) / 4 if part["type"] == "text" else _IMAGE_TOKENS for part in sent)


async def _unless_stopped(run: Run, waiting: Coroutine[Any, Any, None]) -> None:
    """Await something; no longer than until a run is stopped."""
    tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(run.pause(_FOR_EVER))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
