"""What `langgraph dev` runs beside the methods: the runs of the store are shown as threads, and `symposia.toml` as assistants.

`langgraph.json` names `app`. All is made through the server's own interface (`langgraph-sdk`, inside the server's process). The states of
threads are the checkpoints that the store has anyway, or of a run without any, those that a replay writes there. A method's own assistant
has the settings that the file gives to the method, and each preset is an assistant of its own.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from langgraph_sdk import get_client
from starlette.applications import Starlette

from symposia import registry, runs
from symposia.api import given_params
from symposia.background import elsewhere
from symposia.config import Config, load_config
from symposia.execution import thread_of
from symposia.hosting import hosted_store
from symposia.serve.models import Catalogue
from symposia.state.errors import BadInput
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
    """Offer what `symposia.toml` says, and make a thread of each run that ends here, now and as long as the server lives."""
    seen: set[str] = set()
    client, offered = get_client(), False
    while True:
        try:
            if not offered:
                await _offer(client, await asyncio.to_thread(load_config))
                offered = True
            if store := hosted_store():
                await _show_new(client, store, seen)
        except BadInput as error:
            offered = True
            _LOG.warning("symposia.toml is not offered here: %s", error)
        except Exception as error:  # the server is not ready yet, or the store is busy: the next look finds it
            _LOG.debug("neither assistants nor threads are made yet: %s", error)
        await asyncio.sleep(_EVERY)


async def _offer(client: Any, config: Config) -> None:
    """Give the methods' own assistants the settings of `symposia.toml`, and make one of each preset."""
    own = await client.assistants.search(metadata={"created_by": "system"}, limit=1000)
    methods = {each["graph_id"]: each for each in own if each["graph_id"] in registry.names()}  # a server may have other graphs as well
    for method, each in methods.items():
        given = _said(given_params(config, method))
        if each["context"] != given:
            await client.assistants.update(each["assistant_id"], context=given)
    catalogue = Catalogue(config)
    for name in config.presets:
        asked, key = catalogue.asked(name), str(uuid5(NAMESPACE_OID, f"symposia preset {name}"))
        method, given = asked.loaded.method.name, _said(asked.given)
        if method in methods:
            each = await client.assistants.create(method, assistant_id=key, name=name, context=given, if_exists="do_nothing")
            if (each["graph_id"], each["context"]) != (method, given):  # the preset was another one when it was made
                await client.assistants.update(key, graph_id=method, name=name, context=given)


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without the tables that name no role."""
    return {key: value for key, value in given.items() if value != {}}


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
