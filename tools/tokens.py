"""A reply told while it is written: the text of one node's call, to whoever listens to the run.

Nothing of it reaches the journal or the request's digest: the entry is committed when the reply is whole, as of any other call, and a
replay tells nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from symposia.state.packing import sound
from symposia.state.place import here

_HIGH = ("\ud800", "\udbff")  # the first half of a character that JSON writes as two


class Audience(NamedTuple):
    """Who hears the replies of a node of the outermost graph, piece by piece."""

    node: str
    hear: Callable[[str], None]


AUDIENCE: ContextVar[Audience | None] = ContextVar("symposia_audience", default=None)
"""Set around an execution by whoever wants to hear; the tasks of its graph inherit it."""


class Telling:
    """A reply as far as it was told. What was said cannot be taken back: a second attempt is told only as far as it repeats the first."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        """Nothing is told yet."""
        self._hear = hear
        self._said = ""

    def upto(self, text: str) -> None:
        """Tell what this attempt has written so far, without what was told before."""
        whole = sound(text[:-1] if text and _HIGH[0] <= text[-1] <= _HIGH[1] else text)
        if len(whole) > len(self._said) and whole.startswith(self._said):
            self._hear(whole[len(self._said) :])
            self._said = whole


def telling() -> Telling | None:
    """How to tell the reply of the running code's call, if anybody listens to its node."""
    audience = AUDIENCE.get()
    if audience is None:
        return None
    place = here()
    listened = "/" not in place and place.split(".")[1] == audience.node
    return Telling(audience.hear) if listened else None


WRITING: ContextVar[Telling | None] = ContextVar("symposia_writing", default=None)
"""The telling of the request that is being sent, for a provider of this process that streams by itself."""


@contextmanager
def writing(telling: Telling | None) -> Iterator[None]:
    """Send a request whose reply is to be told."""
    token = WRITING.set(telling)
    try:
        yield
    finally:
        WRITING.reset(token)
