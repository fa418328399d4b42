"""Which models are there: who asks waits in order, and idle engines make room."""

import asyncio
import atexit
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from symposia.state.errors import EngineFailed
from symposia.tools.compatible import NAME
from symposia.tools.pool.engine import Engine
from symposia.tools.pool.plan import LOCAL, PoolSettings, hosted
from symposia.tools.settings import settings

_log = logging.getLogger("symposia.engines")
_PAUSE = 10
"""How many times as long as an engine took to fail it is not started again: who asks meanwhile is told how it failed."""
_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Pool, AsyncGenerator[None, None]]]" = WeakKeyDictionary()
_alive: "WeakSet[Pool]" = WeakSet()


class Pool:
    """The engines of one event loop."""

    def __init__(self, settings: PoolSettings) -> None:
        """Nothing runs yet."""
        self._settings = settings
        self._engines: dict[str, Engine] = {}  # by age of their last use, the oldest first
        self._users: Counter[str] = Counter()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._director: asyncio.Task[None] | None = None
        self._failed: dict[str, tuple[float, EngineFailed]] = {}  # with the time from which a start is tried again
        self._left = asyncio.Event()
        self._crowded = False
        _alive.add(self)

    @property
    def done(self) -> dict[str, dict[str, Any]]:
        """As `engines` gives it."""
        return {
            name: {"loads": len(engine.starts), "pids": list(engine.starts), "failures": engine.failures}
            for name, engine in sorted(self._engines.items())
            if engine.starts or engine.failures
        }

    async def enter(self, name: str) -> Engine:
        """The engine of a model, ready; `leave` it afterwards.

        Raises:
            UnknownName: The pool has no such model.
            EngineFailed: Its engine does not start.
        """
        if name not in self._engines:
            self._engines[name] = Engine(hosted(name, self._settings), self._settings)
        engine = self._engines[name]
        if not (self._ready(engine) and not self._crowded):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((name, turn))
            if self._director is None:
                self._director = asyncio.create_task(self._direct())
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self.leave(name)
                raise
        else:
            self._users[name] += 1
        self._engines[name] = self._engines.pop(name)
        return engine

    def leave(self, name: str) -> None:
        """A call of a model has ended."""
        self._users[name] -= 1
        self._left.set()

    async def close(self) -> None:
        """End every engine, and let nobody wait on."""
        if self._director is not None:
            self._director.cancel()
            await asyncio.gather(self._director, return_exceptions=True)
        for _, turn in self._waiting:
            turn.cancel()
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
        _alive.discard(self)

    def kill(self) -> None:
        """End every engine at once."""
        for engine in self._engines.values():
            engine.kill()

    def _ready(self, engine: Engine) -> bool:
        if engine.state != "down" and not engine.alive:
            _log.info("engine %s: has died", engine.model.name)
            engine.state = "down"
        return engine.state == "awake"

    async def _direct(self) -> None:
        """Bring in the model that was asked for first, until nobody waits."""
        try:
            while self._waiting:
                name, turn = self._waiting[0]
                if turn.done():  # whoever waited has gone
                    self._waiting.popleft()
                    continue
                try:
                    await self._bring(self._engines[name])
                except Exception as error:
                    self._let_in(name, error)
                else:
                    self._let_in(name, None)
        finally:
            self._director = None

    async def _bring(self, engine: Engine) -> None:
        """Make an engine ready, idle ones making room for it."""
        if self._ready(engine):
            return
        if engine.state == "asleep":
            await self._make_room(engine)
            if await engine.wake():
                return
        await engine.stop()  # of one that died, what it had started may live on
        until, failure = self._failed.pop(_name(engine), (0.0, None))
        if failure is not None and time.monotonic() < until:
            self._failed[_name(engine)] = until, failure
            raise EngineFailed(failure.message, remedy=failure.remedy)
        await self._make_room(engine)
        begun = time.monotonic()
        try:
            await engine.start()
        except EngineFailed as error:
            self._failed[_name(engine)] = time.monotonic() + _PAUSE * (time.monotonic() - begun), error
            engine.failures += 1
            _log.warning("%s", error.message)
            raise

    async def _make_room(self, engine: Engine) -> None:
        """Let idle engines go, the longest unused first, until another one fits in; whoever asks meanwhile waits behind it."""
        self._crowded = True
        try:
            while not self._settings.fits([engine.model, *(one.model for one in self._awake() if one is not engine)]):
                idle = [one for one in self._awake() if one is not engine and not self._users[_name(one)]]
                if idle:
                    await self._let_go(idle[0])
                else:
                    self._left.clear()
                    await self._left.wait()
        finally:
            self._crowded = False

    async def _let_go(self, engine: Engine) -> None:
        asleep = [one.model for one in self._engines.values() if one.state == "asleep" and one.alive]
        if not (self._settings.naps([*asleep, engine.model]) and await engine.sleep()):
            await engine.stop()

    def _awake(self) -> list[Engine]:
        return [engine for engine in self._engines.values() if self._ready(engine)]

    def _let_in(self, name: str, error: Exception | None) -> None:
        """Let in everybody who waits for a model, or tell them why it is not there."""
        waiting, self._waiting = self._waiting, deque()
        for wanted, turn in waiting:
            if wanted != name:
                self._waiting.append((wanted, turn))
            elif turn.done():
                pass
            elif error is not None:
                turn.set_exception(error)
            else:
                self._users[name] += 1
                turn.set_result(None)


def _name(engine: Engine) -> str:
    return LOCAL + engine.model.name


async def pool() -> Pool:
    """The pool of the running event loop, which ends its engines when it ends."""
    loop = asyncio.get_running_loop()
    if loop not in _pools:
        one = Pool(settings().pool)
        closing = _closing(loop, one)
        _pools[loop] = one, closing
        await anext(closing)
    return _pools[loop][0]


async def _closing(loop: asyncio.AbstractEventLoop, one: Pool) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        _pools.pop(loop, None)
        await one.close()


def engines() -> dict[str, dict[str, Any]]:
    """What the running event loop's pool has done: `loads`, `pids` (of every process started) and `failures` to start, by model."""
    known = _pools.get(asyncio.get_running_loop())
    return known[0].done if known else {}


@asynccontextmanager
async def house(model: str) -> AsyncIterator[dict[str, Any]]:
    """While a call of a model lasts, what LiteLLM is told about its address; nothing of a model that others serve.

    Raises:
        UnknownName: The pool has no such model.
        EngineFailed: Its engine does not start.
    """
    if not model.startswith(LOCAL):
        yield {}
        return
    here = await pool()
    engine = await here.enter(model)
    try:
        yield {"model": f"{NAME}/{engine.asked_as}", "api_base": f"{engine.address}/v1", "api_key": engine.key}
    finally:
        here.leave(model)


@atexit.register
def _end_all() -> None:
    """Leave no engine behind when a loop was dropped without being closed."""
    for one in list(_alive):
        one.kill()
