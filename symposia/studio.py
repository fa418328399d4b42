"""What `langgraph dev` runs beside the methods: the runs of the store, shown in LangGraph Studio as threads.

`langgraph.json` names `app`. Threads are made through the server's own interface (`langgraph-sdk`, inside the server's process); their
states are the checkpoints that the store has anyway, or of a run without any, those that a replay writes there.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from langgraph_sdk import get_client
from starlette.applications import Starlette

from symposia import runs
from symposia.background import elsewhere
from symposia.execution import thread_of
from symposia.hosting import hosted_store
from symposia.state.store import Store

MOST = 50
"""The newest runs that are looked for; older ones have been seen, or are left to `symposia show`."""
_EVERY = 2.0  # seconds between two looks
_LOG = logging.getLogger("symposia")


@contextlib.asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    following = asyncio.create_task(_follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


app = Starlette(lifespan=_lifespan)


async def _follow() -> None:
    """Make a thread of each run that ends here, now and as long as the server lives."""
    seen: set[str] = set()
    client = get_client()
    while True:
        try:
            if store := hosted_store():
                await _show_new(client, store, seen)
        except Exception as error:  # the server is not ready yet, or the store is busy: the next look finds it
            _LOG.debug("runs are not shown as threads yet: %s", error)
        await asyncio.sleep(_EVERY)


async def _show_new(client: Any, store: Store, seen: set[str]) -> None:
    """Make a thread of each run that has not been seen, the oldest first."""
    found = [record for record in await elsewhere(store.runs(MOST)) if record["run_id"] not in seen and _can_be_shown(record)]
    if not found:
        return
    mine = await client.assistants.search(metadata={"created_by": "system"}, limit=1000)
    known = {each["graph_id"] for each in mine}
    for record in reversed(found):
        run_id, method = record["run_id"], record["method"]
        if method in known:
            await elsewhere(_with_checkpoints(store, record))
            told = {"symposia_run": run_id, "symposia_status": record["status"]}
            await client.threads.create(thread_id=thread_of(run_id), graph_id=method, metadata=told, if_exists="do_nothing")
        seen.add(run_id)


def _can_be_shown(record: Mapping[str, Any]) -> bool:
    """Whether it is a run that has ended or waits, and that no thread of a host is of already."""
    return "thread" not in record and record["graph"] == "build" and record["status"] != "started"


async def _with_checkpoints(store: Store, record: Mapping[str, Any]) -> None:
    """See to it that the run's checkpoints are in the store."""
    async with store.saver() as saver:
        await saver.setup()
        if await saver.aget_tuple({"configurable": {"thread_id": thread_of(record["run_id"])}}) is None:
            await runs.replay(store, record["run_id"], saver=saver)
