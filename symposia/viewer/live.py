"""What happens in a run now, as server-sent events: read from the journal, so it does not matter which process executes the run.

`call` and `step` come in batches, at most ten a second; `interrupt` says that a person is asked, `now` how the run stands, `done` ends the
stream. The id of an event is the journal's sequence number: whoever lost the connection goes on from there, and gets the steps since again.
A batch has `now` and `done` only. What many follow is read and written out once for all of them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from symposia.output import finite
from symposia.state.packing import refs_of, unpack
from symposia.state.place import step_of
from symposia.state.store import Entry, Store, Usage
from symposia.viewer.calls import index_of
from symposia.viewer.desk import Desk
from symposia.viewer.heads import head_of
from symposia.viewer.standing import batch_standing, standing_of

OVER = ("ok", "no_answer", "failed", "stopped")
_QUIET = 15.0  # seconds without an event after which a comment is sent
_NOW = 0.5  # seconds between two words on how a run stands
_COMMENT = b": nothing new\n\n"
_COLUMNS = "seq, place, kind, outcome, role, model, calls, requests, prompt_tokens, completion_tokens, usd, ms, copied"


@dataclass(frozen=True)
class _News:
    """What has happened in a run since a sequence number and a step: events as they are sent, and where to go on from."""

    sent: tuple[bytes, ...]
    seq: int
    step: int
    over: bool


async def events(desk: Desk, run_id: str, after: int, *, once: bool = False) -> AsyncIterator[bytes]:
    """The events of a run from a sequence number of its journal on, until it has ended; `once`: only those that there are."""
    step = await desk.library.ask(lambda store: _step_before(store, run_id, after))
    known = told = 0  # versions: up to which events were sent, and how the run stands was told
    stamp, summed, spoke = None, 0.0, time.monotonic()
    with desk.lookout.at(run_id) as watch:
        while True:
            owed = known != told
            await watch.after(known, max(0.01, (summed + _NOW if owed else spoke + _QUIET) - time.monotonic()))
            if desk.lookout.ended:
                return
            known, current = watch.version, watch.stamp
            if current != stamp:
                stamp = current
                news: _News = await watch.shared((after, step), partial(desk.library.ask, partial(_news, run_id, after, step)))
                after, step = news.seq, news.step
                for event in news.sent:
                    spoke = time.monotonic()
                    yield event
                if news.over:
                    return
            if known != told and time.monotonic() - summed >= _NOW:
                told, spoke = known, time.monotonic()
                summed = spoke
                standing = await watch.shared(("now", known), partial(desk.library.ask, partial(standing_of, run_id=run_id)))
                yield _event("now", standing, after)
            if time.monotonic() - spoke >= _QUIET:
                spoke = time.monotonic()
                yield _COMMENT
            if once:
                return


async def batch_events(desk: Desk, batch_id: str, *, once: bool = False) -> AsyncIterator[bytes]:
    """How a batch stands, whenever that has changed, until it has ended."""
    before, spoke = None, time.monotonic()
    while True:
        standing = await desk.lookout.batch(batch_id, partial(batch_standing, batch_id=batch_id))
        if standing != before:
            before, spoke = standing, time.monotonic()
            yield _event("done" if standing["ended"] else "now", standing, sum(standing["counts"].values()))
        if standing["ended"] or once or desk.lookout.ended:
            return
        if time.monotonic() - spoke >= _QUIET:
            spoke = time.monotonic()
            yield _COMMENT
        await asyncio.sleep(_NOW)


async def _news(run_id: str, after: int, step: int, store: Store) -> _News:
    """What has happened since."""
    record = await store.run(run_id)
    rows = await _rows_after(store, run_id, after)
    steps, top = await _steps_after(store, run_id, step)
    seq, over = max((entry.seq for entry in rows), default=after), record["status"] in OVER
    sent = [_event(kind, {"items": items}, seq) for kind, items in (("call", index_of(rows)), ("step", steps)) if items]
    if record["status"] == "paused" and record.get("waiting"):
        sent.append(_event("interrupt", record["waiting"], seq))
    if over:
        sent.append(_event("done", head_of(record, await store.entries(run_id)), seq))
    return _News(tuple(sent), seq, max(step, top), over)


async def _step_before(store: Store, run_id: str, after: int) -> int:
    """The last step that had ended for certain when an entry was written."""
    rows = await store.read("SELECT place FROM entries WHERE run = ? AND seq <= ? ORDER BY seq DESC LIMIT 1", (run_id, after))
    return step_of(rows[0][0]) - 1 if rows else 0


async def _steps_after(store: Store, run_id: str, step: int) -> tuple[list[dict[str, Any]], int]:
    """The steps that have ended since, with the nodes that ran, and the number of the last."""
    known = [s for s in await store.steps(run_id) if not s.frame]
    ran = {s.step + 1: s.next for s in known}
    told = [s for s in known if s.step > max(step, 0)]
    fresh = [{"n": s.step, "nodes": list(dict.fromkeys(ran.get(s.step, []))), "next": s.next, "digest": s.digest.hex()} for s in told]
    return fresh, max((s.step for s in known), default=0)


async def _rows_after(store: Store, run_id: str, after: int) -> list[Entry]:
    """The entries written since, without their requests."""
    rows = await store.read(f"SELECT {_COLUMNS} FROM entries WHERE run = ? AND seq > ? ORDER BY seq", (run_id, after))  # noqa: S608
    blobs = await _blobs(store, [bytes(row[3]) for row in rows])
    found = []
    for seq, place, kind, outcome, role, model, calls, requests, sent, back, usd, ms, copied in rows:
        used = Usage(role, model, calls, requests, sent, back, usd, ms)
        found.append(Entry(place, b"", kind, {}, unpack(bytes(outcome), blobs.__getitem__), used, None, bool(copied), seq))
    return found


async def _blobs(store: Store, packed: Sequence[bytes]) -> dict[bytes, bytes]:
    """The texts that outcomes name; an outcome names nothing deeper than texts."""
    wanted = sorted({ref for data in packed for ref in refs_of(data)})
    found: dict[bytes, bytes] = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        rows = await store.read(f"SELECT digest, body FROM blobs WHERE digest IN ({', '.join('?' * len(part))})", part)  # noqa: S608
        found.update((bytes(key), bytes(body)) for key, body in rows)
    return found


def _event(kind: str, data: Mapping[str, Any], seq: int) -> bytes:
    return f"event: {kind}\nid: {seq}\ndata: {json.dumps(finite(data), allow_nan=False)}\n\n".encode()
