"""The steps of a run as text, while they happen: who did what, votes, scores, and where it went on and why.

Names of models and texts that they wrote are shown with their control characters spelled out.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from symposia.execution import Event, plain
from symposia.output import models_of, safe, toy_note
from symposia.records import QUIET, written
from symposia.registry import Loaded
from symposia.shapes import gist
from symposia.show.path import went
from symposia.state.errors import shorten
from symposia.state.place import node_of
from symposia.state.store import Entry
from symposia.why import why_next

_WIDTH = 160  # characters of a reply that a line shows


class Story:
    """Tells the events of one run."""

    def __init__(self, loaded: Loaded, record: Mapping[str, Any]) -> None:
        """Nothing has happened yet."""
        self._loaded, self._record = loaded, record
        self._before: dict[str, Any] = {}

    def beginning(self) -> str:
        """What runs, and that toys answer if they do."""
        models = models_of(self._record, self._loaded.method.roles)
        named = "; ".join(name if role == "*" else f"{role}: {name}" for role, name in models.items())
        note = toy_note(models.values())
        head = f"{self._loaded.method.title}, {named}, run {self._record['run_id']}"
        return safe(head + (f"\n{note}" if note else "")) + "\n"

    async def tell(self, event: Event) -> str:
        """The lines of an event; none for most."""
        if event["type"] == "effect":
            return _call(event["entry"])
        return await self._step(event) if event["type"] == "step" else ""

    async def _step(self, event: Event) -> str:
        """What a step wrote, and why it goes on as it does."""
        values = plain(event["values"])
        wrote, self._before = written(self._before, values), values
        ran = [node for node in event["ran"] if not node.startswith("__")]
        if not ran:
            return ""
        nodes = ", ".join(node + (f" x{n}" if n > 1 else "") for node, n in Counter(ran).items())
        told = "; ".join(f"{key}: {change['gist']}" for key, change in wrote.items() if key not in QUIET)
        graph = self._loaded.module.graph
        why = await why_next(self._loaded.params, graph.builder, ran, values)
        routes = "".join(f"\n  -> {went(each)}" for each in why)
        return safe(f"{event['step']} {nodes}{': ' if told else ''}{told}{routes}") + "\n"


def _call(entry: Entry) -> str:
    """A line about a call; none about what costs nothing."""
    used = entry.usage
    if not used.calls and not used.requests and "error" not in entry.outcome:
        return ""
    who = f"{used.role or node_of(entry.place)}{f' ({used.model})' if used.model else ''}"
    return safe(f"  {who}: {shorten(_reply(entry), _WIDTH)}") + "\n"


def _reply(entry: Entry) -> str:
    """The last line of a reply, where its answer, score or verdict stands; else what came of the effect."""
    if error := entry.outcome.get("error"):
        return f"failed: {error['name']}: {error['message']}"
    value = entry.outcome["value"]
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not choices:
        return gist(value)
    lines = [line for line in (choices[0]["refusal"] or choices[0]["text"]).splitlines() if line.strip()]
    more = f" (and {len(choices) - 1} more)" if len(choices) > 1 else ""
    return (lines[-1] if lines else f"no text ({choices[0]['finish']})") + more
