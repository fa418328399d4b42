"""What happens in a run now, as server-sent events: read from the journal, so it does not matter which process executes the run.

`call` and `step` come in batches, at most ten a second; `interrupt` says that a person is asked, `now` what has been spent so far, `done`
ends the stream. The id of an event is the journal's sequence number: whoever lost the connection goes on from there, and gets the steps
since again.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from symposia.output import finite
from symposia.state.packing import refs_of, unpack
from symposia.state.place import step_of
from symposia.state.store import Entry, Store, Usage
from symposia.tools.limits import limiters
from symposia.viewer.calls import index_of
from symposia.viewer.desk import Desk
from symposia.viewer.heads import head_of

OVER = ("ok", "no_answer", "failed", "stopped")
_TICK = 0.1  # seconds between two looks
_QUIET = 15.0  # seconds without an event after which a comment is sent
_NOW = 2.0  # seconds between two sums of what was spent
_STAMP = (
    "SELECT status, length(record), (SELECT max(seq) FROM entries WHERE run = runs.id),"
    " (SELECT max(step) FROM steps WHERE run = runs.id AND frame = '') FROM runs WHERE id = ?"
)
_COLUMNS = "seq, place, kind, outcome, role, model, calls, requests, prompt_tokens, completion_tokens, usd, ms, copied"


async def events(desk: Desk, run_id: str, after: int) -> AsyncIterator[bytes]:
    """The events of a run from a sequence number of its journal on, until it has ended."""
    step = await desk.library.ask(lambda store: _step_before(store, run_id, after))
    stamp: Any = None
    told, summed = time.monotonic(), 0.0
    while True:
        found = await desk.library.ask(lambda store, stamp=stamp, after=after, step=step: _news(store, run_id, stamp, after, step))  # type: ignore[misc]
        if found is not None:
            stamp, told = found["stamp"], time.monotonic()
            after, step = max(after, found["seq"]), max(step, found["top"])
            for kind in ("call", "step"):
                if found[kind]:
                    yield _event(kind, {"items": found[kind]}, after)
            if found["waiting"]:
                yield _event("interrupt", found["waiting"], after)
            if found["over"]:
                yield _event("done", found["over"], after)
                return
        if found is not None and time.monotonic() - summed > _NOW:
            summed = time.monotonic()
            head = await desk.library.ask(lambda store: _spent(desk, store, run_id))
            yield _event("now", {"run": head, "models": _waiting()}, after)
        if time.monotonic() - told > _QUIET:
            told = time.monotonic()
            yield b": nothing new\n\n"
        await asyncio.sleep(_TICK)


async def _news(store: Store, run_id: str, before: Any, after: int, step: int) -> dict[str, Any] | None:
    """What has happened since; None when nothing has."""
    stamp = (await store.read(_STAMP, (run_id,)))[0]
    if stamp == before:
        return None
    record = await store.run(run_id)
    rows = await _rows_after(store, run_id, after)
    steps, top = await _steps_after(store, run_id, step)
    over = record["status"] in OVER
    return {
        **{"stamp": stamp, "seq": max((entry.seq for entry in rows), default=after), "top": top, "call": index_of(rows), "step": steps},
        "waiting": record.get("waiting") if record["status"] == "paused" else None,
        "over": head_of(record, await store.entries(run_id)) if over else None,
    }


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


async def _spent(desk: Desk, store: Store, run_id: str) -> dict[str, Any]:
    return head_of(await store.run(run_id), await desk.library.entries(store, run_id))


def _waiting() -> list[dict[str, Any]]:
    """The models that are being called from this process, and how many calls wait for a slot."""
    return [
        {"model": model, "in_flight": one.active, "waiting": one.waiting, "limit": int(one.limit)}
        for model, one in limiters().items()
        if one.active or one.waiting
    ]


def _event(kind: str, data: Mapping[str, Any], seq: int) -> bytes:
    return f"event: {kind}\nid: {seq}\ndata: {json.dumps(finite(data), allow_nan=False)}\n\n".encode()
