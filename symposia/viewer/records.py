"""A run as the viewer shows it: thin steps, one step whole, the state after it, and what a search finds. No HTTP, no call to any model."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from symposia.draw import laps
from symposia.execution import Moment, plain
from symposia.records import Look, look, params_of, state_at, to_json, written
from symposia.state.errors import BadInput, shorten
from symposia.state.place import node_of, step_of
from symposia.state.show import Show
from symposia.state.store import Entry, Store
from symposia.tools.answers import TASKS, extract
from symposia.tools.llm import READINGS
from symposia.viewer.bandits import evidence
from symposia.viewer.calls import base_of, index_of, prompt_of, reply_of
from symposia.viewer.find import hit_in
from symposia.viewer.flight import flight_of
from symposia.viewer.heads import head_of, verdict_of
from symposia.viewer.steps import begins_at, cases_run, divergence, run_page, show_for, standing, tasks_of, thin, wrote
from symposia.viewer.texts import asked, folded
from symposia.viewer.took import spans_of
from symposia.viewer.turning import leading, turns
from symposia.viewer.verdicts import verdicts

_MOST_HITS = 200
_ANSWER = 80  # characters of an answer in a line


@dataclass
class Book:
    """A run with its states rebuilt."""

    seen: Look
    page: dict[str, Any]
    """The run and its thin steps."""
    full: list[dict[str, Any]]
    """The steps with the values they wrote."""
    texts: dict[str, str] = field(default_factory=dict)
    """Long texts by their digest, as far as they were given out or looked for."""
    readings: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What parsers read when the run was replayed, by the place that asked and the reply's text."""

    @classmethod
    async def open(cls, store: Store, run_id: str) -> "Book":
        """Read and replay a run.

        Raises:
            UnknownName: There is no such run.
        """
        readings: dict[tuple[str, str], Any] = {}
        token = READINGS.set(readings)
        try:
            seen = await look(store, run_id)
        finally:
            READINGS.reset(token)
        book = await cls.of(seen, readings)
        book.page["bandit"] = await evidence(store, seen.entries)
        return book

    @classmethod
    async def of(cls, seen: Look, readings: Mapping[tuple[str, str], Any] | None = None) -> "Book":
        """What is shown of a run that was looked at."""
        known = await to_json(seen, texts=False)
        show = show_for(seen.record["method"])
        steps = known["steps"]
        leads = _leads(seen, show)
        marks = await turns(list(leads.items()), seen.record["reference"])
        digests = {step.step: step.digest.hex() for step in seen.recorded}
        rounds = {step["step"]: number for number, lap in enumerate(laps(steps)) for step in lap}
        states = {m.step: m.values for m in seen.moments if not m.frame}
        inside = _inside(seen)
        flying: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for line in index_of(seen.entries, seen.record):
            flying[line["step"]].append(line)
        lines = [
            {
                **thin(step, show, states.get(step["step"], {})),
                **{"round": rounds[step["step"]], "digest": digests.get(step["step"]), "turning": marks.get(step["step"])},
                **{"leading": _short(leads.get(step["step"])), "flight": flight_of(flying[step["step"]])},
                **({"inside": inside[step["step"]]} if step["step"] in inside else {}),
            }
            for step in steps
        ]
        run = {**head_of(seen.record, seen.entries), "correct": await verdict_of(seen.record)}
        page = {**run_page(seen, run), "states": standing(seen), "steps": lines}
        page |= {"first_divergence": divergence(seen.first_divergence), "cannot_replay": seen.cannot_replay}
        page["judged"] = await verdicts(steps, states[max(states)] if states and seen.trusted else {}, show, seen.record["reference"])
        page["saved"] = seen.record["checkpoints"] == "each" and not seen.cannot_replay
        return cls(seen, page, steps, readings=dict(readings or {}))

    def step(self, number: int, keys: Sequence[str] | None = None) -> dict[str, Any]:
        """One step with what was written there.

        Args:
            number: Which step.
            keys: Only these keys of the state; all by default.

        Raises:
            BadInput: The run has no such step.
        """
        line = next((step for step in self.page["steps"] if step["n"] == number), None)
        if line is None:
            raise self._no_step(number)
        full = next(step for step in self.full if step["step"] == number)
        before = self._before(number)
        changes = [
            {**wrote(key, change), **begins_at(before, key, change), "value": folded(change["value"], self.texts)}
            for key, change in full["wrote"].items()
            if keys is None or key in keys
        ]
        places = {call["place"] for call in full["calls"]}
        made = [entry for entry in self.seen.entries if entry.place in places]
        cases = cases_run(show_for(self.seen.record["method"]), before, made)
        return {
            **line,
            "wrote": changes,
            "calls": [line for line in self._lines if line["place"] in places],
            "cases": cases,
            "frames": self._frames(number),
        }

    def state(self, number: int) -> dict[str, Any]:
        """The whole state after a step, rebuilt.

        Raises:
            BadInput: The run has no such step, or its replay differs from the record.
        """
        if not self.seen.trusted:
            raise BadInput(
                f"the states of run {self.seen.record['run_id']} cannot be rebuilt: its replay differs from the record",
                remedy="the digests and calls that were recorded still can be read",
            )
        value = folded(state_at(self.seen, number), self.texts)
        return {"n": number, "from": "replay", "diverged": False, "state": value}

    def text(self, sha: str) -> str | None:
        """A long text by its digest; None where the run has none of it."""
        if sha not in self.texts:
            for step in self.page["steps"]:
                self.step(step["n"])
            record = self.seen.record
            given = [record["input"], params_of(record), record.get("answer"), record["reference"]]
            for value in (*given, *(part for e in self.seen.entries for part in (asked(e.request), e.outcome))):
                folded(value, self.texts)
        return self.texts.get(sha)

    def search(self, wanted: str) -> dict[str, Any]:
        """Where a text stands in the run's prompts, replies and states, whatever its case: hits with addresses."""
        found: list[dict[str, Any]] = []
        total = 0
        for address, text in self._searched():
            hit = hit_in(text, wanted)
            total += hit is not None
            if hit and len(found) < _MOST_HITS:
                found.append({**address, **hit})
        return {"items": found, "next": None, "total": total}

    def took(self, entry: Entry) -> dict[str, Any] | None:
        """What the method went on with of a reply, `{value, spans, by}`; None where that is not known.

        `by` is `parser` for what the call's own parser returned when the run was replayed. Of a call without one it is `answer`: what the
        reader of the run's task finds in the text, told only where the run has written just that down.
        """
        text = reply_of(entry)
        key = base_of(entry.place), text
        if key in self.readings:
            value, by = self.readings[key], "parser"
        else:
            value, by = self._answer_in(text), "answer"
            if value is None:
                return None
        return {"value": plain(value), "spans": spans_of(text, value), "by": by}

    def _answer_in(self, text: str) -> Any:
        """The answer that stands in a text, if the run holds it."""
        given = self.seen.record["input"]
        task = given.get("task") if isinstance(given, Mapping) else None
        if not self.seen.trusted or not isinstance(task, str) or task not in TASKS:
            return None
        found = extract(text, task)
        return found if found in self._held else None

    @cached_property
    def _held(self) -> set[Any]:
        """The short values that the run has written."""
        return {
            value for step in self.full for key, change in step["wrote"].items() if key != "params" for value in _leaves(change["value"])
        }

    def _searched(self) -> Iterator[tuple[dict[str, Any], str]]:
        for step in self.full:
            for key, change in step["wrote"].items():
                for text in _texts(change["value"]):
                    yield {"in": "state", "step": step["step"], "key": key}, text
        for entry in self.seen.entries:
            yield {"in": "prompt", "step": step_of(entry.place), "place": entry.place}, prompt_of(entry)
            yield {"in": "reply", "step": step_of(entry.place), "place": entry.place}, reply_of(entry)

    @cached_property
    def _lines(self) -> list[dict[str, Any]]:
        """A line per call of the run."""
        return index_of(self.seen.entries, self.seen.record)

    def _no_step(self, number: int) -> BadInput:
        run_id, steps = self.seen.record["run_id"], [step["n"] for step in self.page["steps"]]
        known = f"the steps {min(steps)} to {max(steps)}" if steps else "no step yet"
        return BadInput(f"run {run_id} has {known}, not {number}", remedy="open one of them")

    def _before(self, number: int) -> Mapping[str, Any]:
        """The state that a step found."""
        earlier = [m.values for m in self.seen.moments if not m.frame and m.step < number] if self.seen.trusted else []
        return earlier[-1] if earlier else {}

    def _frames(self, number: int) -> list[dict[str, Any]]:
        """The steps inside the subgraphs that a step called, with what they wrote."""
        inside: dict[str, list[Moment]] = {}
        for moment in self.seen.moments if self.seen.trusted else []:
            if moment.frame and step_of(moment.frame[0]) == number:
                inside.setdefault("/".join(moment.frame), []).append(moment)
        return [{"frame": frame, "steps": self._inner(moments)} for frame, moments in inside.items()]

    def _inner(self, moments: Sequence[Moment]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before: dict[str, Any] = {}
        ran: list[str] = []
        for moment in moments:
            values = plain(moment.values)
            if moment.step > 0:
                changes = written(before, values)
                told = [{**wrote(key, change), "value": folded(change["value"], self.texts)} for key, change in changes.items()]
                found.append(
                    {"n": moment.step, "nodes": list(dict.fromkeys(ran)), "tasks": tasks_of(ran), "next": moment.next, "wrote": told}
                )
            before, ran = values, moment.next
        return found


def _leads(seen: Look, show: Show) -> dict[int, Any]:
    """The leading answer after each step."""
    moments = [m for m in seen.moments if not m.frame and m.step > 0] if seen.trusted else []
    return {m.step: leading(m.values, show) for m in moments}


def _inside(seen: Look) -> dict[int, list[dict[str, Any]]]:
    """By step, the subgraphs that it called: `{frame, ran}`, the nodes of each step in there."""
    called: defaultdict[int, defaultdict[tuple[str, ...], list[Moment]]] = defaultdict(lambda: defaultdict(list))
    for moment in seen.moments if seen.trusted else []:
        if moment.frame:
            called[step_of(moment.frame[0])][moment.frame].append(moment)
    return {
        step: [
            {"frame": ":".join(map(node_of, frame)), "ran": [list(dict.fromkeys(a.next)) for a, b in pairwise(moments) if b.step > 0]}
            for frame, moments in frames.items()
        ]
        for step, frames in called.items()
    }


def _short(answer: Any) -> Any:
    """A leading answer as a line has it."""
    return answer if answer is None or isinstance(answer, bool | int | float) else shorten(str(answer), _ANSWER)


def _texts(value: Any) -> Iterator[str]:
    """All texts of a value."""
    return (leaf for leaf in _leaves(value) if isinstance(leaf, str))


def _leaves(value: Any) -> Iterator[Any]:
    """All texts, numbers and the like of a value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str | int | float):
        yield value
