"""What happens in a run now, as server-sent events: read from the journal, so it does not matter which process executes the run.

`call` and `step` come in batches, at most ten a second; `interrupt` says that a person is asked, `now` how the run stands, `done` ends the
stream. The id of an event is the journal's sequence number: whoever lost the connection goes on from there, and gets the steps since again.
A batch has `now` and `done` only. What many follow is read and written out once for all of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from symposia.state.errors import UnknownName
from symposia.state.place import step_of
from symposia.state.store import Store
from symposia.viewer.desk import Desk
from symposia.viewer.news import Since, event
from symposia.viewer.standing import batch_standing, standing_of

_QUIET = 15.0  # seconds without an event after which a comment is sent
_NOW = 0.5  # seconds between two words on how a run stands
_COMMENT = b": nothing new\n\n"


async def events(desk: Desk, run_id: str, after: int, *, once: bool = False) -> AsyncIterator[bytes]:
    """The events of a run from a sequence number of its journal on, until it has ended or is removed; `once`: only those that there are."""
    since = Since(run_id, after, await desk.library.ask(lambda store: _step_before(store, run_id, after)))
    known = told = 0  # versions: up to which events were sent, and how the run stands was told
    stamp, summed, spoke = None, 0.0, time.monotonic()
    with suppress(UnknownName), desk.lookout.at(run_id) as watch:  # whoever asks again for a run that was removed is told so
        while True:
            owed = known != told
            watch.wanted.add(since)
            await watch.after(known, max(0.01, (summed + _NOW if owed else spoke + _QUIET) - time.monotonic()))
            if desk.lookout.ended:
                return
            known, current = watch.version, watch.stamp
            if current != stamp:
                stamp = current
                news = await desk.lookout.news(watch, since)
                since = Since(run_id, news.seq, news.step)
                for said in news.sent:
                    spoke = time.monotonic()
                    yield said
                if news.over or desk.lookout.ended:
                    return
            if known != told and time.monotonic() - summed >= _NOW:
                told, spoke = known, time.monotonic()
                summed = spoke
                standing = await watch.shared(("now", known), partial(desk.library.ask, partial(standing_of, run_id=run_id)))
                yield event("now", standing, since.seq)
            if time.monotonic() - spoke >= _QUIET:
                spoke = time.monotonic()
                yield _COMMENT
            if once:
                return


async def batch_events(desk: Desk, batch_id: str, *, once: bool = False) -> AsyncIterator[bytes]:
    """How a batch stands, whenever that has changed, until it has ended."""
    before, spoke = None, time.monotonic()
    while not desk.lookout.ended:
        standing = await desk.lookout.batch(batch_id, partial(batch_standing, batch_id=batch_id))
        if standing != before:
            before, spoke = standing, time.monotonic()
            yield event("done" if standing["ended"] else "now", standing, sum(standing["counts"].values()))
        if standing["ended"] or once:
            return
        if time.monotonic() - spoke >= _QUIET:
            spoke = time.monotonic()
            yield _COMMENT
        await asyncio.sleep(_NOW)


async def _step_before(store: Store, run_id: str, after: int) -> int:
    """The last step that had ended for certain when an entry was written."""
    rows = await store.read("SELECT place FROM entries WHERE run = ? AND seq <= ? ORDER BY seq DESC LIMIT 1", (run_id, after))
    return step_of(rows[0][0]) - 1 if rows else 0
