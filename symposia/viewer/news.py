"""What has happened in runs since somebody heard of them, as server-sent events, read for all that are followed with a few queries.

Each query hands the interpreter over to whatever else the server does, and waits for it afterwards; so there are as few as can be.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from symposia.output import finite
from symposia.result import ledger
from symposia.state.packing import refs_of, unpack
from symposia.state.store import Entry, Step, Store, Usage
from symposia.viewer.calls import index_of
from symposia.viewer.heads import head_of

T = TypeVar("T")
OVER = ("ok", "no_answer", "failed", "stopped")
_AT_ONCE = 300  # places in one query
_COLUMNS = "run, seq, place, kind, outcome, role, model, calls, requests, prompt_tokens, completion_tokens, usd, ms, copied"


@dataclass(frozen=True)
class Since:
    """How far somebody has heard of a run."""

    run_id: str
    seq: int
    """The sequence number of the last entry of its journal that was told."""
    step: int
    """The last step that was told."""


@dataclass(frozen=True)
class News:
    """What has happened since: events as they are sent, and how far they go."""

    sent: tuple[bytes, ...]
    seq: int
    step: int
    over: bool


async def news_of(store: Store, wanted: Iterable[Since]) -> dict[Since, News]:
    """What has happened in runs, by what was known of them; nothing of a run that is gone."""
    found: dict[Since, News] = {}
    for part in _parts(list(wanted)):
        run_ids = list(dict.fromkeys(since.run_id for since in part))
        records = await _records(store, run_ids)
        entries, steps = await _entries_after(store, part), await _steps_of(store, run_ids)
        for since in part:
            if since.run_id in records:
                found[since] = await _told(store, since, records[since.run_id], entries[since], steps[since.run_id])
    return found


def event(kind: str, data: Mapping[str, Any], seq: int) -> bytes:
    """An event as it is sent."""
    return f"event: {kind}\nid: {seq}\ndata: {json.dumps(finite(data), allow_nan=False)}\n\n".encode()


async def _told(store: Store, since: Since, record: Mapping[str, Any], rows: Sequence[Entry], steps: Sequence[Step]) -> News:
    fresh, top = _fresh(steps, since.step)
    seq, over = max((entry.seq for entry in rows), default=since.seq), record["status"] in OVER
    sent = [event(kind, {"items": items}, seq) for kind, items in (("call", index_of(rows)), ("step", fresh)) if items]
    if record["status"] == "paused" and record.get("waiting"):
        sent.append(event("interrupt", record["waiting"], seq))
    if over:
        # A run that has ended has its costs in its record, unless it never came to them.
        counted = record if "usage" in record else {**ledger(await store.entries(since.run_id)), **record}
        sent.append(event("done", head_of(counted), seq))
    return News(tuple(sent), seq, max(since.step, top), over)


def _fresh(steps: Sequence[Step], step: int) -> tuple[list[dict[str, Any]], int]:
    """The steps that have ended since, with the nodes that ran, and the number of the last."""
    ran = {s.step + 1: s.next for s in steps}
    told = [s for s in steps if s.step > max(step, 0)]
    fresh = [{"n": s.step, "nodes": list(dict.fromkeys(ran.get(s.step, []))), "next": s.next, "digest": s.digest.hex()} for s in told]
    return fresh, max((s.step for s in steps), default=0)


async def _records(store: Store, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = await store.read(f"SELECT id, record FROM runs WHERE id IN ({_marks(run_ids)})", run_ids)  # noqa: S608
    return {run_id: json.loads(text) for run_id, text in rows}


async def _steps_of(store: Store, run_ids: Sequence[str]) -> defaultdict[str, list[Step]]:
    """The steps of runs, without those of their subgraphs."""
    sql = f"SELECT run, step, digest, next FROM steps WHERE frame = '' AND run IN ({_marks(run_ids)}) ORDER BY run, step"  # noqa: S608
    found: defaultdict[str, list[Step]] = defaultdict(list)
    for run_id, step, digest, names in await store.read(sql, run_ids):
        found[run_id].append(Step("", step, bytes(digest), json.loads(names)))
    return found


async def _entries_after(store: Store, wanted: Sequence[Since]) -> dict[Since, list[Entry]]:
    """The entries written since, without their requests."""
    lowest: dict[str, int] = {}
    for since in wanted:
        lowest[since.run_id] = min(since.seq, lowest.get(since.run_id, since.seq))
    asked = " OR ".join(["(run = ? AND seq > ?)"] * len(lowest))
    sql = f"SELECT {_COLUMNS} FROM entries WHERE {asked} ORDER BY seq"  # noqa: S608
    rows = await store.read(sql, [value for pair in lowest.items() for value in pair])
    blobs = await _blobs(store, [bytes(row[4]) for row in rows])
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for run_id, seq, place, kind, outcome, role, model, calls, requests, sent, back, usd, ms, copied in rows:
        used = Usage(role, model, calls, requests, sent, back, usd, ms)
        entry = Entry(place, b"", kind, {}, unpack(bytes(outcome), blobs.__getitem__), used, None, bool(copied), seq)
        found[run_id].append(entry)
    return {since: [entry for entry in found[since.run_id] if entry.seq > since.seq] for since in wanted}


async def _blobs(store: Store, packed: Sequence[bytes]) -> dict[bytes, bytes]:
    """The texts that outcomes name; an outcome names nothing deeper than texts."""
    found: dict[bytes, bytes] = {}
    for part in _parts(sorted({ref for data in packed for ref in refs_of(data)})):
        rows = await store.read(f"SELECT digest, body FROM blobs WHERE digest IN ({_marks(part)})", part)  # noqa: S608
        found.update((bytes(key), bytes(body)) for key, body in rows)
    return found


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many as one query takes."""
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)
