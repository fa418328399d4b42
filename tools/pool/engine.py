"""One engine: a server process for one model, from its start to its end.

It listens on 127.0.0.1 and gets a key of its own, which keeps other users of the machine from its `/v1`. vLLM guards nothing else with it,
such as `/pooling` and `/sleep`, and an engine that does not know keys ignores it. It is told no key of a provider, since its weights may
bring code along. What it prints goes to a log. It dies with this process, also when that is killed: a watcher beside it sees that, and ends
it with all that it has started.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from aiohttp import ClientError, ClientTimeout

from symposia.state.errors import EngineFailed, shorten
from symposia.tools.http import http
from symposia.tools.pool.plan import HOST, Hosted, PoolSettings, asked_as, command_of

_log = logging.getLogger("symposia.engines")
_POLL = 0.05
_PATIENCE = ClientTimeout(total=5)
_SLEEPS = ClientTimeout(total=120)
_LOG_BYTES = 16 * 2**20
"""A log that is longer is put aside when the engine starts again."""
_LAST_WORDS = 400
_PORTS = 3
"""Ports that are tried when others take them before the engine listens, which may be minutes after it was started."""
_PROVIDERS_KEYS = "_API_KEY"
_OURS = "SYMPOSIA_"
"""Begins the names of our own settings, among them a reward server's key and a store's address with its password."""
_LAUNCH = """
import os, signal, sys, time
patience, group = float(sys.argv[1]), os.getpid()
helper = os.fork()
if helper:
    os.waitpid(helper, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execv(sys.argv[2], sys.argv[3:])
os.setsid()
if os.fork():
    os._exit(0)
if os.read(0, 1):
    os._exit(0)
try:
    os.killpg(group, signal.SIGTERM)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(0.05)
        os.killpg(group, 0)
    os.killpg(group, signal.SIGKILL)
except OSError:
    pass
"""
"""Becomes the engine, and leaves a watcher: it reads the pipe that the owner holds, whose end without a byte is the owner's."""


class Engine:
    """A server process for a model; `start` it once, then `sleep` and `wake` it, and `stop` it.

    Attributes:
        state: `down`, `awake` or `asleep`.
        starts: Processes started, by their ids.
        failures: How often it could not be started.
    """

    def __init__(self, model: Hosted, settings: PoolSettings) -> None:
        """Nothing runs yet."""
        self.model = model
        self.state: Literal["down", "awake", "asleep"] = "down"
        self.starts: list[int] = []
        self.failures = 0
        self.address = ""
        self.asked_as = asked_as(model, settings)
        self.key = secrets.token_urlsafe(24)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._said_before = 0
        self._log_file = Path(settings.logs) / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', model.name)}.log"

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            EngineFailed: It cannot be started, ended, or was not ready in time; with the end of what it printed.
        """
        for left in reversed(range(_PORTS)):
            port = _free_port()
            try:
                await self._start_at(port)
            except EngineFailed:
                if not left or not _taken(port):
                    raise
                _log.info("engine %s: something else took its port %d", self.model.name, port)
            else:
                return

    async def _start_at(self, port: int) -> None:
        command = command_of(self.model, self._settings, port)
        self.address = f"http://{HOST}:{port}"
        begun = time.monotonic()
        program = shutil.which(command[0])
        if program is None:
            raise EngineFailed(
                f"the engine of {self.model.name} cannot be started: there is no program {command[0]!r}",
                remedy="pip install 'symposia[vllm]', or give another command under [pool] in symposia.toml",
            )
        try:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            self._process = self._launched([program, *command])
        except OSError as error:
            what = f"the engine of {self.model.name} cannot be started: {error.strerror or error}"
            remedy = f"see to {error.filename or program}; logs and command are set under [pool] in symposia.toml"
            raise EngineFailed(what, remedy=remedy) from None
        self.starts.append(self._process.pid)
        _log.info("engine %s: starting, pid %d, log %s", self.model.name, self._process.pid, self._log_file)
        try:
            await self._until_ready(self._process, begun + self._settings.start_seconds)
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        self.state = "awake"
        _log.info("engine %s: ready after %.1f s", self.model.name, time.monotonic() - begun)

    async def sleep(self) -> bool:
        """Give the accelerator's memory back and keep the weights in RAM (vLLM's level 1); whether it did."""
        if not await self._posted("/sleep?level=1"):
            return False
        self.state = "asleep"
        _log.info("engine %s: asleep", self.model.name)
        return True

    async def wake(self) -> bool:
        """Come back from sleep; whether it did."""
        if not self.alive or not await self._posted("/wake_up"):
            return False
        self.state = "awake"
        _log.info("engine %s: awake", self.model.name)
        return True

    async def stop(self) -> None:
        """End the process and everything it started, and wait until all of them are gone: they hold the accelerator's memory."""
        process = self._process
        self.state = "down"
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, self._settings.stop_seconds)
        _signal(process, signal.SIGKILL)
        await asyncio.to_thread(process.wait)
        await asyncio.to_thread(_until_gone, process.pid, self._settings.stop_seconds)
        self._ended(process)
        _log.info("engine %s: ended", self.model.name)

    def kill(self) -> None:
        """End it at once, without an event loop."""
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)
            self._process.wait()
            self._ended(self._process)

    def _ended(self, process: "subprocess.Popen[bytes]") -> None:
        """Forget a process that is gone; its watcher need not look for it."""
        self._process = None
        if process.stdin and not process.stdin.closed:
            with contextlib.suppress(OSError):
                process.stdin.write(b"x")
                process.stdin.close()

    def _launched(self, words: list[str]) -> "subprocess.Popen[bytes]":
        """The process: a program's path, then its arguments with their own name first."""
        if self._log_file.exists() and self._log_file.stat().st_size > _LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".old.log"))
        awake = {"VLLM_SERVER_DEV_MODE": "1"} if self._settings.sleep_memory > 0 else {}  # which offers /sleep and /wake_up
        known = {name: value for name, value in os.environ.items() if not name.endswith(_PROVIDERS_KEYS) and not name.startswith(_OURS)}
        with self._log_file.open("ab") as log:
            self._said_before = log.tell()
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, f"{self._settings.stop_seconds:g}", *words],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**known, "VLLM_API_KEY": self.key, **awake},
                start_new_session=True,
            )

    async def _until_ready(self, process: "subprocess.Popen[bytes]", deadline: float) -> None:
        session = await http()
        while True:
            code = process.poll()
            if code is not None:
                why = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                raise self._failed(f"{why} before it was ready")
            with contextlib.suppress(ClientError, OSError, TimeoutError):
                async with session.get(f"{self.address}{self._settings.health}", headers=self.headers, timeout=_PATIENCE) as answer:
                    if answer.status == 200:
                        return
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready after {self._settings.start_seconds:g} s")
            await asyncio.sleep(_POLL)

    @property
    def headers(self) -> dict[str, str]:
        """What its requests carry."""
        return {"Authorization": f"Bearer {self.key}"}

    def _failed(self, what: str) -> EngineFailed:
        with self._log_file.open("rb") as log:
            log.seek(max(self._said_before, log.seek(0, os.SEEK_END) - 10 * _LAST_WORDS))
            said = log.read().decode("utf-8", "replace").replace(self.key, "[key]").strip()[-_LAST_WORDS:]
        return EngineFailed(
            f"the engine of {self.model.name} {what}; it says: {shorten(said) if said else 'nothing'}",
            remedy=f"see {self._log_file}; then correct [pool] in symposia.toml, or raise its start_seconds",
        )

    async def _posted(self, path: str) -> bool:
        session = await http()
        try:
            async with session.post(f"{self.address}{path}", headers=self.headers, timeout=_SLEEPS) as answer:
                return answer.status == 200
        except (ClientError, OSError, TimeoutError):
            return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def _taken(port: int) -> bool:
    """Whether an engine could not listen there, since others do, or speak from there."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: what has ended is in nobody's way
        try:
            one.bind((HOST, port))
        except OSError:
            return True
    return False


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to the process and whatever it started, which share a session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _until_gone(group: int, seconds: float) -> None:
    """Wait until no process of a group is left, for so long at most."""
    until = time.monotonic() + seconds
    while _lives(group) and time.monotonic() < until:
        time.sleep(_POLL)


def _lives(group: int) -> bool:
    """Whether Linux still runs a process of a group; one that has ended and that nobody waits for holds no memory."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(its_group) == group and state not in "ZX":
                return True
    return False
