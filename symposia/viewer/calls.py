"""The calls of a run: a thin line for each, and one of them whole, with what the parser said of it and where else its node was asked."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from symposia.draw import laps
from symposia.records import call_record
from symposia.state.errors import ReplyError, shorten
from symposia.state.packing import text_of
from symposia.state.place import node_of, site, step_of
from symposia.state.store import Entry
from symposia.viewer.copied import copies
from symposia.viewer.texts import asked, folded

_HEAD = 100  # characters of a reply in a line


class Calls:
    """The calls of a run in the order of their places, and what follows from their order."""

    def __init__(
        self,
        entries: Sequence[Entry],
        steps: Sequence[Mapping[str, Any]] = (),
        took: Callable[[Entry], Any] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the journal of a run.

        Args:
            entries: The journal, or a part of it.
            steps: The run's thin steps, which say what is a round.
            took: Tells what was read out of a reply.
            record: The run's record, which says on what reply it failed.
        """
        self.entries = in_order(entries)
        self._took = took
        self._complaints = _complaints(self.entries) | (_failed_on(self.entries, record) if record else {})
        self._steps = steps

    def lines(self) -> list[dict[str, Any]]:
        """A line per call: `{place, step, node, kind, role, model, tokens, cost, ms, status, from, head}`.

        `status` is `ok`, `failed`, `refused`, `truncated`, or `unreadable` where the parser's complaint followed; `seq` counts the journal.
        """
        return [_line(entry, self._complaints) for entry in self.entries]

    @property
    def places(self) -> list[str]:
        """Where calls were made, in order."""
        return self._places

    def call(self, place: str, kept: dict[str, str]) -> dict[str, Any] | None:
        """A call whole: its line with `request`, `outcome`, `attempts`, `complaint`, `took`, `around` and `copy`; None where there is none.

        Args:
            place: Where it was made.
            kept: Takes the long texts.
        """
        entry = self._last.get(place)
        if entry is None:
            return None
        record = call_record(entry)
        request = asked(entry.request)
        return {
            **_line(entry, self._complaints),
            **{"requests": record["requests"], "seed": record["seed"], "attempts": record["attempts"], "digest": record["digest"]},
            "request": folded(request, kept),
            "outcome": folded(entry.outcome, kept),
            "complaint": folded(self._complaints.get(place), kept),
            "notes": folded({key: value for key, value in entry.usage.notes.items() if key != "attempts"}, kept),
            "took": folded(self._took(entry), kept) if self._took else None,
            "around": self._around(place),
            "copy": copies(request, entry.salt, entry.usage.notes.get("left_out", ())) if entry.kind == "llm" else None,
        }

    def _around(self, place: str) -> dict[str, Any]:
        """The calls before and after this one, the one of the same role before, and those at the same place a round before and after."""
        i, same = self._position[place], self._sites[site(place)]
        j = same.index(place)
        role = self._last[place].usage.role
        return {
            "previous": self._places[i - 1] if i else None,
            "next": self._places[i + 1] if i + 1 < len(self._last) else None,
            "role_before": next((p for p in reversed(self._places[:i]) if role and self._last[p].usage.role == role), None),
            "round": self._rounds.get(step_of(place)),
            "round_before": same[j - 1] if j else None,
            "round_after": same[j + 1] if j + 1 < len(same) else None,
        }

    @cached_property
    def _last(self) -> dict[str, Entry]:
        """The entry of each place; of several, as after a change of code, the last."""
        return {entry.place: entry for entry in self.entries}

    @cached_property
    def _places(self) -> list[str]:
        return list(self._last)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {place: i for i, place in enumerate(self._last)}

    @cached_property
    def _sites(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for place in self._last:
            found[site(place)].append(place)
        return found

    @cached_property
    def _rounds(self) -> dict[int, int]:
        every = laps([{"ran": step["nodes"], **step} for step in self._steps])
        return {step["n"]: number for number, lap in enumerate(every) for step in lap}


def index_of(entries: Sequence[Entry], record: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """A line per call, in the order of the places; see `Calls`."""
    return Calls(entries, record=record).lines()


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """Entries by step, then by place with its numbers as numbers, so that branch 10 follows branch 9."""

    def key(entry: Entry) -> tuple[Any, ...]:
        marks = [int(part[1:]) if part[1:].isdigit() else -1 for part in entry.place.replace("/", ".").split(".")]
        return step_of(entry.place), node_of(entry.place), marks, entry.seq

    return sorted(entries, key=key)


def reply_of(entry: Entry) -> str:
    """What came back, as one text."""
    if error := entry.outcome.get("error"):
        return f"{error['name']}: {error['message']}"
    value = entry.outcome.get("value")
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not choices:
        return str(value)
    return "\n".join(str(choice.get("refusal") or choice.get("text") or "") for choice in choices)


def prompt_of(entry: Entry) -> str:
    """What was asked, as one text."""
    messages = entry.request.get("messages")
    if not messages:
        return str(entry.request)
    return "\n".join(str(text_of(message["content"])) for message in messages)


def _line(entry: Entry, complaints: Mapping[str, str]) -> dict[str, Any]:
    record = call_record(entry, texts=False)
    line = {key: record[key] for key in ("place", "node", "kind", "role", "model")}
    return {
        **line,
        "seq": entry.seq,
        "step": step_of(entry.place),
        "tokens": [record["prompt_tokens"], record["completion_tokens"]],
        "calls": record["calls"],
        "cost": record["usd"],
        "ms": round(record["ms"], 1),
        "status": _status(entry, complaints),
        "from": "replayed" if entry.copied else "live",
        "retries": len(record["attempts"]),
        "head": shorten(_last_line(reply_of(entry)), _HEAD),
    }


def _status(entry: Entry, complaints: Mapping[str, str]) -> str:
    if "error" in entry.outcome:
        return "failed"
    value = entry.outcome.get("value")
    choices = (value.get("choices") if isinstance(value, Mapping) else None) or []
    if any(choice.get("refusal") or choice.get("finish") == "content_filter" for choice in choices):
        return "refused"
    if any(choice.get("finish") == "length" for choice in choices):
        return "truncated"
    return "unreadable" if entry.place in complaints else "ok"


def _last_line(text: str) -> str:
    """Where an answer, a score or a verdict stands."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def _complaints(entries: Sequence[Entry]) -> dict[str, str]:
    """What the parser said of a call, by place: the call after it at the same place asks again with the complaint as its last message."""
    found: dict[str, str] = {}
    for before, after in pairwise(entries):
        asked_before, asked_after = before.request.get("messages"), after.request.get("messages")
        if not asked_before or not asked_after or base_of(before.place) != base_of(after.place):
            continue
        longer = len(asked_after) == len(asked_before) + 2 and asked_after[: len(asked_before)] == asked_before
        if longer and text_of(asked_after[-2]["content"]) == reply_of(before):
            found[before.place] = str(text_of(asked_after[-1]["content"]))
    return found


def _failed_on(entries: Sequence[Entry], record: Mapping[str, Any]) -> dict[str, str]:
    """What the parser said of the reply on which a run failed, by its place; nobody was asked again after it."""
    error = record.get("error") or {}
    lost = step_of(str(error["place"])) if error.get("place") else error.get("step")
    asked = [entry for entry in entries if entry.kind == "llm" and "value" in entry.outcome and lost in (None, step_of(entry.place))]
    if error.get("name") != ReplyError.__name__ or not asked:
        return {}
    last = max(asked, key=lambda entry: (step_of(entry.place), base_of(entry.place) != entry.place, entry.seq))
    return {last.place: str(error["message"])}


def base_of(place: str) -> str:
    """A place without the count of effects made there."""
    head, _, last = place.rpartition(".")
    return head if last[:1] == "n" and last[1:].isdigit() else place
