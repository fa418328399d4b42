"""What a crew has spent, and what it may spend: where its calls wait for money."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from symposia.state.store import Usage


class Purse:
    """What was spent, and what may be: calls wait while the allowance is used up, those in flight counted at the mean price so far.

    Before a call has shown what calls cost, they are made one at a time.
    """

    def __init__(self, flying: Callable[[], int], mean: Mapping[str, float] | None) -> None:
        """Nothing is spent, everything is allowed.

        Args:
            flying: Counts the effects in flight.
            mean: What a call has cost before, `usd` and `tokens`; None when nothing is known.
        """
        self._flying = flying
        self._before = mean
        self._calls = self._requests = self._prompt = self._completion = self._paid = self._unpriced = self._waiting = 0
        self._usd = 0.0
        self._usd_most: float | None = None
        self._tokens_most: int | None = None
        self._more = asyncio.Event()

    @property
    def starved(self) -> bool:
        """Whether calls wait for an allowance, and nothing in flight can make room."""
        return self._waiting > 0 and not self._flying() and not self._affordable()

    def allow(self, amounts: Mapping[str, Any]) -> None:
        """Set what may be spent in all, None for any amount."""
        self._usd_most, self._tokens_most = amounts["usd"], amounts["tokens"]
        self.wake()

    def pay(self, usage: Usage) -> None:
        """Count what an effect cost."""
        self._calls += usage.calls
        self._requests += usage.requests
        self._prompt += usage.prompt_tokens
        self._completion += usage.completion_tokens
        self._usd += usage.usd or 0.0
        self._paid += usage.calls > 0
        self._unpriced += usage.usd is None and usage.calls > 0
        if self._waiting:
            self.wake()

    async def admit(self) -> None:
        """Wait until a call may be made."""
        while not self._affordable():
            self._waiting += 1
            try:
                await self._more.wait()
            finally:
                self._waiting -= 1

    def spent(self) -> dict[str, Any]:
        """Calls, requests, tokens, and USD as far as prices are known (`unpriced` calls have none)."""
        return {
            **{"calls": self._calls, "requests": self._requests, "prompt_tokens": self._prompt},
            **{"completion_tokens": self._completion, "usd": self._usd, "unpriced": self._unpriced},
        }

    def wake(self) -> None:
        """Let those who wait look again."""
        self._more.set()
        self._more = asyncio.Event()

    def _affordable(self) -> bool:
        if self._usd_most is None and self._tokens_most is None:
            return True
        tokens = self._prompt + self._completion
        if self._paid:
            mean_usd, mean_tokens = self._usd / self._paid, tokens / self._paid
        elif self._before:
            mean_usd, mean_tokens = self._before["usd"], self._before["tokens"]
        elif self._flying():
            return False
        else:
            mean_usd = mean_tokens = 0.0
        # The call that is asked for and those in flight count too, so that the sum ends below the budget.
        coming = self._flying() + 1
        enough_usd = self._usd_most is None or self._usd + coming * mean_usd <= self._usd_most
        return enough_usd and (self._tokens_most is None or tokens + coming * mean_tokens <= self._tokens_most)
