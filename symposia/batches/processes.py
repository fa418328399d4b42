"""The engine `processes`: a crew per core, each in a process of its own that writes a journal of its own.

The processes are plain children that speak JSON over pipes (`symposia.batches.worker`). One that dies is replaced; what it had paid for is
merged into the store before its rows go to others.
"""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from symposia.batches.boss import WorkerDied
from symposia.batches.worker import LINE, MARK, answer_of, most_crews, share
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.shards import merge_beside
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Store
from symposia.tools.settings import settings

MERGE_EVERY = 1.0
"""Seconds between two merges of the workers' journals, after which everybody sees what they did."""
_LEAVE = 5.0  # seconds that a worker gets to end by itself
_GONE = 1.0  # and one that has closed its pipe
_STARTS = 3  # workers that die before they are ready, before the engine gives up

T = TypeVar("T")


class Processes:
    """Workers on this machine."""

    name = "processes"

    def __init__(self, store: Store, terms: Mapping[str, Any], workers: int | None = None) -> None:
        """Start nothing yet.

        Args:
            store: The batch's store, open; the workers' journals are merged into it.
            terms: What the crews need to know (`symposia.batches.crew.Crew`).
            workers: How many; None for as many as there are cores. There are never more than requests may be in flight.

        Raises:
            BadInput: The store is in this process's memory, where no other process can see it.
        """
        if isinstance(store, SqliteStore) and store.url == ":memory:":
            raise BadInput("--engine processes needs a store that several processes can open", remedy="name a file with --store")
        self.size = min(workers or _cores(), most_crews())
        self._store = store
        self._address = str(Path(store.url).absolute()) if isinstance(store, SqliteStore) else store.address
        self._terms = terms
        self._links: set[Worker] = set()
        self._merging = asyncio.Lock()
        self._merger: asyncio.Task[None] | None = None

    async def link(self) -> "Worker":
        """Start a worker and wait until it is ready.

        Raises:
            SymposiaError: It says why it cannot work, or it keeps dying before it is ready.
        """
        if self._merger is None:
            self._merger = asyncio.create_task(self._merge_on())
        for _ in range(_STARTS):
            worker = await Worker.start(self)
            self._links.add(worker)
            try:
                await worker.begin({"store": self._address, "terms": self._terms, "settings": share(self.size)})
            except WorkerDied as death:
                last = death
            except BaseException:
                await worker.close()
                raise
            else:
                return worker
        raise SymposiaError(f"{_STARTS} workers died before they were ready: {last.message}", remedy="see their messages above") from last

    async def merge(self) -> None:
        """Bring what the workers have committed so far into the store.

        Raises:
            StoreError: The store cannot be written, such as for want of space.
        """
        self.check()
        if isinstance(self._store, SqliteStore):
            async with self._merging:
                await merge_beside(self._store)

    async def close(self) -> None:
        """End all workers and merge their journals."""
        if self._merger is not None:
            self._merger.cancel()
            await asyncio.gather(self._merger, return_exceptions=True)
            self._merger = None
        await asyncio.gather(*(worker.close() for worker in set(self._links)))
        await self.merge()

    def check(self) -> None:
        """Raise what the periodic merge met: a worker's journal that nobody can merge is no place for more work."""
        if self._merger is not None and self._merger.done():
            self._merger.result()

    def gone(self, worker: "Worker") -> None:
        """Forget a worker that has ended."""
        self._links.discard(worker)

    async def _merge_on(self) -> None:
        while True:
            await asyncio.sleep(MERGE_EVERY)
            await self.merge()


class Worker:
    """The way to a crew in another process."""

    def __init__(self, engine: Processes, process: Process, token: str) -> None:
        """Keep the process; `start` makes one."""
        self.name = f"process {process.pid}"
        self.pid = process.pid
        self._engine = engine
        self._process = process
        self._token = token

    @classmethod
    async def start(cls, engine: Processes) -> "Worker":
        """Start a process.

        The key goes by environment, never over argv or into a file. A session of its own keeps a terminal's Ctrl-C away, and `-P` the
        modules that happen to lie in the current folder.
        """
        key = settings().api_key
        environment = {**os.environ, **({"SYMPOSIA_API_KEY": key} if key else {})}
        command = [sys.executable, "-P", "-m", "symposia.batches.worker"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, limit=LINE, env=environment, start_new_session=True
        )
        return cls(engine, process, secrets.token_hex(6))

    async def begin(self, given: Mapping[str, Any]) -> None:
        """Set the crew up."""
        answer_of(await self._ask({**given, "token": self._token}))

    async def exchange(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Give an order, get a report.

        Raises:
            WorkerDied: The process is gone; what it had committed is in the store.
        """
        self._engine.check()
        return answer_of(await self._ask(order))

    async def close(self) -> None:
        """End the process: it sees the end of its orders; one that hangs is killed."""
        _pipe(self._process.stdin).close()
        try:
            await self._end(_LEAVE)
        finally:
            self._kill()
            self._engine.gone(self)

    async def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        orders, reports = _pipe(self._process.stdin), _pipe(self._process.stdout)
        line = b""
        with contextlib.suppress(ConnectionError):
            orders.write(json.dumps(message).encode() + b"\n")
            await orders.drain()
            line = await reports.readline()
            while line.endswith(b"\n") and not line.startswith(MARK):
                line = await reports.readline()  # printed while Python started, before the worker could turn such things away
        if not line.endswith(b"\n"):
            raise await self._death()
        report: dict[str, Any] = json.loads(line.removeprefix(MARK))
        return report

    async def _death(self) -> WorkerDied:
        code = await self._end(_GONE)
        self._engine.gone(self)
        await self._engine.merge()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return WorkerDied(f"the worker process {self.pid} {how}", remedy="its rows go to others; what it had paid for is kept")

    async def _end(self, patience: float) -> int:
        """Wait until the process has ended, and kill it when that takes too many seconds; its exit code."""
        try:
            return await asyncio.wait_for(self._process.wait(), patience)
        except TimeoutError:
            self._kill()
        return await self._process.wait()

    def _kill(self) -> None:
        # Not the process's own `kill`: that asks for the exit code first, and takes it away from asyncio.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _pipe(stream: T | None) -> T:
    """A pipe that was asked for when the process was started, and so is there."""
    if stream is None:
        raise RuntimeError("the process was started without pipes")
    return stream


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
