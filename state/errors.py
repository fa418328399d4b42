"""Errors that say what happened, where, and which knob helps.

Every error of ours is a `SymposiaError`. It carries a `remedy` and, where there is one, the place in the run (`state.place`), and it
survives the journal: `to_record` gives plain JSON, `from_record` the same class again, so a replayed failure is the recorded one.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any


class SymposiaError(RuntimeError):
    """Base of all errors: a message, where it happened, and what to do about it."""

    retryable = False

    def __init__(self, message: str, *, remedy: str | None = None, place: str | None = None) -> None:
        """Keep the message and, if known, the remedy and the place in the run."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.place = place

    def __str__(self) -> str:
        """Message, place and remedy in one line."""
        where = f" (at {self.place})" if self.place else ""
        return f"{self.message}{where}" + (f". {self.remedy}" if self.remedy else "")

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy by record, since the keyword arguments are not in `args`."""
        return from_record, (self.to_record(),)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON: name, message, node, step, place, remedy."""
        step, node = _step_and_node(self.place)
        return {
            "name": type(self).__name__,
            "message": self.message,
            "node": node,
            "step": step,
            "place": self.place,
            "remedy": self.remedy,
        }


class BadInput(SymposiaError):
    """The caller asked for something that cannot be: unknown name, wrong type, broken line. Exit code 2."""


class UnknownName(BadInput):
    """A method, parameter, role or run that does not exist; names the nearest ones."""

    @classmethod
    def of(cls, what: str, name: str, known: Iterable[str], *, remedy: str | None = None) -> "UnknownName":
        """`unknown method 'magicor'; did you mean 'magicore'?`."""
        near = nearest(name, known)
        hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        return cls(f"unknown {what} {name!r}{hint}", remedy=remedy)


class ReplyError(SymposiaError):
    """A reply whose form the parser cannot read; the model is asked again with this complaint, `max_reasks` times."""


class ModelError(SymposiaError):
    """A model call that finally failed, after its retries."""

    pause: float | None = None
    """Seconds the endpoint asked to wait before the next attempt."""


class MissingKey(ModelError):
    """No API key, or one the provider does not accept (401, 403)."""


class ModelNotFound(ModelError):
    """The provider does not know the model, or no provider does (404)."""


class RequestRejected(ModelError):
    """The provider will not take this request, however often (400): too long, a wrong parameter."""


class RateLimited(ModelError):
    """429 until the retries ran out."""

    retryable = True


class EndpointDown(ModelError):
    """No connection, a timeout, or a 5xx answer until the retries ran out."""

    retryable = True


class EngineFailed(ModelError):
    """An engine of this machine's own did not start."""


class MalformedReply(ModelError):
    """The endpoint answered something that is no completion, until the retries ran out."""

    retryable = True


class QuorumMissed(SymposiaError):
    """Fewer samples came back than the method needs; `message` names the failures."""


class StoreError(SymposiaError):
    """The store cannot be opened, read or written."""


class StoreLocked(StoreError):
    """Another process holds the store's write lock."""


class RunHeld(SymposiaError):
    """A run that is to be executed is being executed already."""


class StoreVersion(StoreError):
    """The store was written by another version of its format."""


class PlaceError(SymposiaError):
    """An effect whose place in the run is ambiguous, such as two at once under a bare `asyncio.gather`."""


class NotRecorded(SymposiaError):
    """A replay asked for an effect that the journal does not hold: the run's course differs from the record."""

    def __init__(self, message: str, *, remedy: str | None = None, place: str | None = None, got: Any = None) -> None:
        """Keep the request that was made, for the report of the first divergence."""
        super().__init__(message, remedy=remedy, place=place)
        self.got = got


class Stopped(SymposiaError):
    """New work was stopped: cancelled, or the budget is used up. The run can be resumed."""


def nearest(name: str, known: Iterable[str], n: int = 2) -> list[str]:
    """The `n` known names most like `name`, best first; empty when none is alike."""
    return difflib.get_close_matches(name, list(known), n=n, cutoff=0.5)


def shorten(text: str, width: int = 200) -> str:
    """A text on one line, its middle cut out beyond `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width // 2]} ... {line[-width // 2 :]}"


def _classes(base: type[SymposiaError]) -> Iterable[type[SymposiaError]]:
    yield base
    for sub in base.__subclasses__():
        yield from _classes(sub)


def from_record(record: dict[str, Any]) -> SymposiaError:
    """The error that `to_record` described; `SymposiaError` itself when its class is gone."""
    found = next((c for c in _classes(SymposiaError) if c.__name__ == record["name"]), SymposiaError)
    return found(record["message"], remedy=record.get("remedy"), place=record.get("place"))


_EFFECT = re.compile(r"(\d+)\.(\w+)(?:~\d+)?(?:\.[a-z]\d+)*$")


def _step_and_node(place: str | None) -> tuple[int | None, str | None]:
    """Step and node of the innermost frame of a place in a run; a place in a file has none."""
    found = _EFFECT.match(place.rsplit("/", 1)[-1]) if place else None
    return (int(found[1]), found[2]) if found else (None, None)
