"""One loop for sending a request until it is answered or finally fails, over tenacity.

It waits as long as `Retry-After` says, else exponentially with jitter, teaches the model's limiter, and keeps the failed attempts for the
ledger. What can be tried again is for the error to say (`retryable`).
"""

import email.utils
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from symposia.state.errors import MalformedReply, ModelError, RateLimited, Stopped, shorten
from symposia.state.journal import Failed, Run, current
from symposia.state.store import Usage
from symposia.tools.limits import Limiter
from symposia.tools.settings import settings

T = TypeVar("T")


async def retrying(
    send: Callable[[], Awaitable[T]], usage: Usage, slots: Limiter, *, malformed: int | None = None, tokens: float = 0.0
) -> T:
    """What `send` returns once it succeeds; counts the requests and notes the failed attempts in `usage`.

    Args:
        send: Sends one request; every failure of it is a `ModelError`, with `pause` in seconds where the endpoint asks for one.
        usage: The effect's cost, filled in also when it fails.
        slots: The model's limiter, whose slot the caller holds.
        malformed: How often a request is sent whose replies have the wrong form; `settings().attempts` when None.
        tokens: What the request is estimated to take, for the tokens per minute.

    Raises:
        Failed: The last failure, for the journal.
        Stopped: The run was stopped before the request was sent, or sent again; it is as if it had not begun.
    """
    tried: list[dict[str, Any]] = []
    run = current()

    def note(state: RetryCallState) -> None:
        error = _error(state)
        tried.append({"error": type(error).__name__, "message": shorten(str(error)), "waited": round(state.upcoming_sleep, 3)})

    async def pause(seconds: float) -> None:
        await run.pause(seconds, tried[-1]["error"])

    def spent(state: RetryCallState) -> bool:
        few = malformed is not None and isinstance(_error(state), MalformedReply)
        most = min(malformed or 1, settings().attempts) if few else settings().attempts
        return state.attempt_number >= most

    async def once() -> T:
        await slots.ready(run, tokens, again=usage.requests > 0)
        if run.stop_reason is not None:
            raise await _stopped(run)
        usage.requests += 1
        number = slots.sent()
        try:
            reply = await send()
        except RateLimited as error:
            slots.refused(min(error.pause or 0.0, settings().max_wait), number)
            raise
        slots.answered(number)
        return reply

    failed: list[ModelError] = []

    async def again() -> T:
        if failed:
            raise failed.pop()
        return await once()

    try:
        try:
            return await once()  # the usual case goes without tenacity, whose bookkeeping costs 0.3 ms
        except ModelError as error:
            failed.append(error)
        retry = retry_if_exception(lambda e: isinstance(e, ModelError) and e.retryable)
        return await AsyncRetrying(sleep=pause, stop=spent, retry=retry, wait=_pause, before_sleep=note, reraise=True)(again)
    except ModelError as error:
        raise Failed(error, usage) from error
    finally:
        if tried:
            usage.notes["attempts"] = tried


async def _stopped(run: Run) -> Stopped:
    """The error of an effect that ends without a result, once all others have theirs: it would cancel those in flight."""
    run.end()
    try:
        await run.idle()
    finally:
        run.start()
    return Stopped(f"no new work: {run.stop_reason}", remedy=f"`symposia resume {run.id}` goes on")


def retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks to wait, from a number or an HTTP date; None when it says nothing readable."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return None


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _pause(state: RetryCallState) -> float:
    """What the endpoint asks for, else an exponential pause with jitter; at most `max_wait` seconds."""
    error = _error(state)
    asked = error.pause if isinstance(error, ModelError) else None
    backoff = min(0.25 * 2 ** (state.attempt_number - 1), 20.0) * random.uniform(0.75, 1.25)
    return float(min(max(asked or 0.0, backoff), settings().max_wait))
