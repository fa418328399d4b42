"""What the last states of a batch's runs say: short values to divide rows by, and which way a debate moved its speakers.

A state is rebuilt by replay, milliseconds each, which is minutes for a large batch; so it happens in a thread of its own, for as long as
somebody asks how far it is, and what was found of a run is kept until its record changes. The code is that of this process. Where a replay
differs from the record the last checkpoint is read instead, if there is one.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from symposia.execution import thread_of
from symposia.records import QUIET
from symposia.registry import load
from symposia.runs import replay
from symposia.state.errors import SymposiaError
from symposia.state.store import Store
from symposia.tools.answers import TASKS
from symposia.viewer.heads import ENDED, Head, Heads
from symposia.viewer.persuasion import held_in, moves_of
from symposia.viewer.room import Room
from symposia.viewer.steps import show_for

PATIENCE = 15.0
"""Seconds without a question after which nobody is taken to look any more."""
_MOST = 50_000  # runs of which something is kept
_SHORT = 40  # characters of a value that rows can be divided by
_SAID_ELSEWHERE = (*QUIET, "question", "prompt", "answer", "stop_reason")


@dataclass(frozen=True)
class Told:
    """What the last state of a run says."""

    standing: str
    """`known`, or `gone` where there is no state to read."""
    facts: Mapping[str, Any]
    moves: Mapping[str, int] | None
    """None where the state holds no dialogue."""


NOTHING = Told("gone", {}, None)


@dataclass
class _Job:
    """States that are being rebuilt."""

    todo: list[tuple[str, Any]]
    asked: float
    began: float
    batch: frozenset[str]
    """All of the batch's ended runs."""
    done: int = 0
    task: Any = field(default=None, repr=False)


class States:
    """What is known of the last states of runs; more is found while somebody asks."""

    def __init__(self, address: str) -> None:
        """Know nothing yet of a store's runs."""
        self._room = Room(address, "symposia viewer states")
        self._known: dict[str, tuple[Any, Told]] = {}
        self._jobs: dict[str, _Job] = {}

    async def close(self) -> None:
        """Stop what is going on."""
        await self._room.close()

    def told(self, heads: Heads, run_id: str) -> Told | None:
        """What is known of a run as its record is now."""
        stamp, told = self._known.get(run_id, (None, None))
        return told if stamp == heads.stamp(run_id) else None

    def with_states(self, heads: Heads, rows: Iterable[Head]) -> list[Head]:
        """Rows with what is known of their states: `state`, and `moves` where it holds a dialogue."""
        if not self._known:
            return list(rows)
        found = []
        for row in rows:
            told = self.told(heads, row["run"])
            moves = {"moves": told.moves} if told and told.moves is not None else {}
            found.append({**row, "state": told.facts, **moves} if told else row)
        return found

    async def progress(self, heads: Heads, batch_id: str, rows: Iterable[Head], *, begin: bool) -> dict[str, Any]:
        """How far the states of a batch's ended rows are.

        Args:
            heads: The lines of the runs, which know when a record changes.
            batch_id: The batch.
            rows: Its rows.
            begin: Whether to rebuild what is missing, unless that is going on already.

        Returns:
            `{of, done, gone, going, seconds}`: `gone` are those without a state that can be read, `seconds` what the rest should take, None
            before that can be said.
        """
        ended = [row["run"] for row in rows if row["status"] in ENDED]
        found = {run_id: self.told(heads, run_id) for run_id in ended}
        missing = [run_id for run_id, told in found.items() if told is None]
        job = self._jobs.get(batch_id)
        if job and job.task.done():
            del self._jobs[batch_id]
            job = None
        if begin and missing and job is None:
            now = time.monotonic()
            job = self._jobs[batch_id] = _Job([(run_id, heads.stamp(run_id)) for run_id in missing], now, now, frozenset(ended))
            job.task = asyncio.create_task(self._room.ask(lambda store: self._rebuild(store, job)))
        if job:
            job.asked = time.monotonic()
        gone = sum(told is not None and told.standing == "gone" for told in found.values())
        return {"of": len(ended), "done": len(ended) - len(missing), "gone": gone, "going": job is not None, "seconds": _left(job)}

    async def _rebuild(self, store: Store, job: _Job) -> None:
        """Learn what the states of a job's runs say, in the other thread; dictionaries are written by one thread and read by the other."""
        others = [run_id for run_id in list(self._known) if run_id not in job.batch]
        for run_id in others[: max(0, len(self._known) + len(job.todo) - _MOST)]:  # the oldest
            self._known.pop(run_id, None)
        for run_id, stamp in job.todo:
            if time.monotonic() - job.asked > PATIENCE:
                break
            try:
                told = await told_of(store, run_id)
            except Exception:  # a state of any shape, by code of any version: one that cannot be told must not keep the others from it
                told = NOTHING
            self._known[run_id] = (stamp, told)
            job.done += 1
            await asyncio.sleep(0)


async def told_of(store: Store, run_id: str) -> Told:
    """What the last state of a run says."""
    record = await store.run(run_id)
    values = await _last(store, record)
    if values is None:
        return NOTHING
    held = held_in(values, show_for(record["method"]), debate=load(record["method"]).method.family == "debate")
    given = values.get("task")
    task = given if isinstance(given, str) and given in TASKS else "auto"
    moves = await moves_of(held, record["reference"], task) if held is not None else None
    return Told("known", facts_of(values), moves)


def facts_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The short values of a state by their keys: of a list its length `KEY.n` and words of its last item, of a mapping what it holds.

    A key with a quotation mark is left out, since no filter could name it.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in _SAID_ELSEWHERE:
            continue
        if isinstance(value, list):
            found |= {f"{key}.n": len(value), **_words(key, value[-1] if value else None)}
        elif isinstance(value, Mapping):
            found |= {f"{key}.{name}": item for name, item in value.items() if _is_short(item)}
        elif _is_short(value):
            found[key] = value
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items() if '"' not in key}


def _words(key: str, last: Any) -> dict[str, Any]:
    """What the last item of a list says in words, or by yes and no; its numbers are as many as there are rows."""
    items = {f"{key}.{name}": item for name, item in last.items()} if isinstance(last, Mapping) else {key: last}
    return {name: item for name, item in items.items() if _is_short(item) and isinstance(item, str | bool)}


async def _last(store: Store, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last state of a run, rebuilt or as LangGraph kept it; None where neither can be had."""
    try:
        report, execution = await replay(store, record["run_id"])
        if report["first_divergence"] is None:
            return execution.values
        if record["checkpoints"] != "each":
            return None
        async with store.saver() as saver:
            graph = load(record["method"]).compile(saver, record["graph"])
            kept = await graph.aget_state({"configurable": {"thread_id": thread_of(record["run_id"])}})
            return dict(kept.values) or None
    except (SymposiaError, KeyError, ValueError):  # a method that is gone, or a state in the form of an older one
        return None


def _left(job: _Job | None) -> float | None:
    if job is None or not job.done:
        return None
    return round((time.monotonic() - job.began) / job.done * (len(job.todo) - job.done), 1)


def _is_short(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and 0 < len(value) <= _SHORT)
