"""Where a text stands in the prompts and replies of all runs, the newest first, a stretch of them at a time."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from symposia.state.errors import BadInput, UnknownName
from symposia.state.place import step_of
from symposia.state.store import Entry, Store
from symposia.viewer.calls import prompt_of, reply_of

AROUND = 60
"""Characters on each side of what was found."""
_LONGEST = 1.5  # seconds that one answer looks for
_MOST = 100  # hits in one answer
_PER_RUN = 3  # hits that are told of one run


async def search_all(store: Store, wanted: str, after: str = "") -> dict[str, Any]:
    """The first hits in each run that has any, whatever their case.

    Args:
        store: Where the runs are.
        wanted: The text.
        after: The run after which to go on: `next` of the answer before.

    Returns:
        `{items, next, total, looked, of}`: hits `{run, method, in, step, place, head, at}`, the run to go on after (None at the end), hits
        in the `looked` runs, of `of` runs in the store.

    Raises:
        BadInput: There is nothing to look for.
        UnknownName: The run to go on after is gone.
    """
    if not wanted.strip():
        raise BadInput("there is nothing to look for", remedy="type at least one character")
    ids = await store.read("SELECT id, method FROM runs ORDER BY started DESC, id DESC")
    start = next((i + 1 for i, row in enumerate(ids) if row[0] == after), None) if after else 0
    if start is None:
        raise UnknownName(f"unknown run {after[:80]!r}", remedy="begin at the newest again")
    ends = time.monotonic() + _LONGEST
    found: list[dict[str, Any]] = []
    total, looked = 0, 0
    for run_id, method in ids[start:]:
        if looked and (time.monotonic() > ends or len(found) >= _MOST):
            break
        looked += 1
        hits = list(_hits(await store.entries(run_id), wanted))
        total += len(hits)
        found += [{"run": run_id, "method": method, "more": max(0, len(hits) - _PER_RUN), **hit} for hit in hits[:_PER_RUN]]
    last = start + looked
    more = ids[last - 1][0] if looked and last < len(ids) else None
    return {"items": found, "next": more, "total": total, "looked": last, "of": len(ids)}


def hit_in(text: str, wanted: str) -> dict[str, Any] | None:
    """What stands around the first place of a text in another, `{head, at}`; None where it is not."""
    at = text.lower().find(wanted.lower())
    return {"head": text[max(0, at - AROUND) : at + len(wanted) + AROUND], "at": at} if at >= 0 else None


def _hits(entries: Sequence[Entry], wanted: str) -> Iterator[dict[str, Any]]:
    for entry in entries:
        for where, text in (("prompt", prompt_of(entry)), ("reply", reply_of(entry))):
            if hit := hit_in(text, wanted):
                yield {"in": where, "step": step_of(entry.place), "place": entry.place, **hit}
