"""The engine `ray`: a crew per CPU of a Ray cluster, each an actor, over a PostgreSQL store that all machines reach.

Orders and reports are JSON texts, as between processes. Keys and the store's password travel in an actor's first call, which Ray keeps
nowhere; a `runtime_env` would show them in its logs and its dashboard. Between machines Ray encrypts only with `RAY_USE_TLS`.
"""

import asyncio
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping
from typing import Any

from symposia.batches.boss import WorkerDied
from symposia.batches.worker import answer_of, error_report, most_crews, report_of, share, take_share
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Store, open_store
from symposia.tools.settings import configure, settings

START_WAIT = 60.0
"""Seconds that a crew may take to start, when no other is at work."""
_LEAVE = 5.0  # seconds that a crew gets to end by itself


class Host:
    """A crew as an actor; every argument and every result is a JSON text."""

    def __init__(self) -> None:
        """Wait for `begin`."""
        self._crew: Any = None
        self._store: Store | None = None

    async def begin(self, text: str) -> str:
        """Set the crew up; returns an error report, or one without anything."""
        given = json.loads(text)
        try:
            os.environ.update(given["environment"])
            take_share(given["settings"])
            configure(api_key=given["key"])
            from symposia.batches.crew import Crew
            from symposia.batches.engines import calm_collector

            self._store = open_store(given["store"])
            await self._store.open()
            calm_collector()
            self._crew = Crew(self._store, given["terms"])
        except Exception as error:  # whatever it is, the boss is told, as JSON and not as a pickled exception
            return json.dumps(error_report(error))
        return "{}"

    async def exchange(self, text: str) -> str:
        """Take an order, give a report."""
        return json.dumps(await report_of(self._crew, text))

    async def close(self) -> None:
        """Drop what is at work; what is paid for is in the journal."""
        if self._crew is not None:
            await self._crew.close()
        if self._store is not None:
            await self._store.close()


class RayEngine:
    """Crews on a cluster: the one of `RAY_ADDRESS`, else one that is started on this machine."""

    name = "ray"

    def __init__(self, store: Store, terms: Mapping[str, Any], workers: int | None = None) -> None:
        """Connect to the cluster, or start one, which takes some seconds.

        Args:
            store: The batch's store.
            terms: What the crews need to know (`symposia.batches.crew.Crew`).
            workers: Crews; None for as many as the cluster has CPUs. There are never more than requests may be in flight.

        Raises:
            BadInput: The store is a file, Ray is not installed, or there is no cluster at that address.
        """
        if isinstance(store, SqliteStore):
            raise BadInput(
                f"--engine ray needs a PostgreSQL store, and {store.url} is a file", remedy="--store postgresql://USER@HOST/NAME"
            )
        self._ray, self._own = _connected()
        cores = int(self._ray.cluster_resources().get("CPU", 0))
        self.size = max(1, min(workers or cores, most_crews()))
        self._actor = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")(Host)
        self._given = {
            "store": store.address,
            "terms": terms,
            "settings": share(self.size),
            "environment": _keys(),
            "key": settings().api_key,
        }
        self._links: set[Seat] = set()

    async def link(self) -> "Seat":
        """Start a crew. While others are at work it waits as long as it takes until a CPU is free, such as after a machine was lost.

        Raises:
            WorkerDied: None could be started, and no other is at work.
            SymposiaError: The crew says why it cannot work.
        """
        seat = Seat(self, self._actor.remote())
        ready = asyncio.ensure_future(seat.begin(json.dumps(self._given)))
        since = time.monotonic()
        try:
            while not ready.done():
                await asyncio.wait({ready}, timeout=1.0)
                if not ready.done() and not self._links and time.monotonic() - since > START_WAIT:
                    raise self._no_room()
            ready.result()
        except BaseException:
            ready.cancel()
            seat.kill()
            raise
        self._links.add(seat)
        return seat

    async def close(self) -> None:
        """End all crews, and the cluster if it was started here."""
        await asyncio.gather(*(seat.close() for seat in set(self._links)))
        if self._own:
            self._ray.shutdown()

    def gone(self, seat: "Seat") -> None:
        """Forget a crew that has ended."""
        self._links.discard(seat)

    def kill(self, actor: Any) -> None:
        """End an actor's process at once."""
        self._ray.kill(actor)

    def died(self, failure: Exception) -> SymposiaError | None:
        """What a failure of a call means: the actor is gone, or its code failed outside of the crew."""
        if isinstance(failure, self._ray.exceptions.RayActorError):
            first = shorten(str(failure).strip().splitlines()[0])
            return WorkerDied(f"a worker of the Ray cluster died: {first}", remedy="its rows go to others; what it had paid for is kept")
        if isinstance(failure, self._ray.exceptions.RayError):
            remedy = "install this version of Symposia, with the ray extra, on every machine of the cluster"
            return SymposiaError(f"a worker of the Ray cluster cannot work: {shorten(str(failure), 400)}", remedy=remedy)
        return None

    def _no_room(self) -> WorkerDied:
        free = int(self._ray.available_resources().get("CPU", 0))
        return WorkerDied(
            f"no worker could be started within {START_WAIT:g} s; the Ray cluster has {free} CPUs free",
            remedy="free some, or use --engine processes on one machine",
        )


class Seat:
    """The way to a crew in an actor."""

    def __init__(self, engine: RayEngine, actor: Any) -> None:
        """Keep the handle; the actor may still be starting."""
        self.name = f"ray {actor._actor_id.hex()[:8]}"
        self._engine = engine
        self._actor = actor

    async def begin(self, text: str) -> None:
        """Set the crew up."""
        await self._call(self._actor.begin, text)

    async def exchange(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Give an order, get a report.

        Raises:
            WorkerDied: The actor or its machine is gone; what it had committed is in the store.
        """
        return await self._call(self._actor.exchange, json.dumps(order))

    async def close(self) -> None:
        """End the actor."""
        if self not in self._engine._links:
            return
        self._engine.gone(self)
        try:
            await asyncio.wait_for(_result(self._actor.close.remote()), _LEAVE)
        except Exception as failure:  # it is gone already, or hangs and is killed
            logging.getLogger("symposia.batches").debug("%s did not end by itself: %s", self.name, failure)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the actor's process at once."""
        self._engine.kill(self._actor)

    async def _call(self, method: Any, text: str) -> dict[str, Any]:
        try:
            answer = await _result(method.remote(text))
        except Exception as failure:
            error = self._engine.died(failure)
            if error is None:
                raise
            self._engine.gone(self)
            raise error from None
        return answer_of(json.loads(answer))


async def _result(ref: Any) -> Any:
    return await asyncio.wrap_future(ref.future())


def _connected() -> tuple[Any, bool]:
    """The `ray` module, connected, and whether that was done here."""
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        # A cluster of one's own listens on every interface: nobody gets in without its token, which stands in no file (Ray's own would be
        # one that everybody on the machine can read). Ray looks for both when it is imported.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise BadInput("Ray is not installed", remedy="pip install 'symposia[ray]'") from None
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(address=address, include_dashboard=None if address else False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"at {address}" if address else "on this machine"
        remedy = "check RAY_ADDRESS, and RAY_AUTH_TOKEN if the cluster asks for one"
        raise BadInput(f"no Ray cluster {where}: {shorten(str(error))}", remedy=remedy) from error
    return ray, True


def _keys() -> dict[str, str]:
    """The providers' keys and addresses of this machine's environment, which the crews on others need too."""
    ends = ("_API_KEY", "_API_BASE", "_BASE_URL")
    return {name: value for name, value in os.environ.items() if name.endswith(ends)}
