"""One engine: a server process for one model, from its start to its end.

It listens on 127.0.0.1 and gets a key of its own, so that no other user of the machine can use it (vLLM asks for the key; an engine that
does not know keys ignores it). What it prints goes to a log. It dies with this process, also when that is killed.
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
_LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit("whoever started this is gone")
os.execv(sys.argv[2], sys.argv[3:])
"""
"""Becomes the engine, after asking Linux for SIGTERM when this process dies."""


class Engine:
    """A server process for a model; `start` it once, then `sleep` and `wake` it, and `stop` it.

    Attributes:
        state: `down`, `awake` or `asleep`.
        starts: Processes started, by their ids.
    """

    def __init__(self, model: Hosted, settings: PoolSettings) -> None:
        """Nothing runs yet."""
        self.model = model
        self.state: Literal["down", "awake", "asleep"] = "down"
        self.starts: list[int] = []
        self.address = ""
        self.asked_as = asked_as(model, settings)
        self.key = secrets.token_urlsafe(24)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
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
        port = _free_port()
        command = command_of(self.model, self._settings, port)
        self.address = f"http://{HOST}:{port}"
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        program = shutil.which(command[0])
        if program is None:
            raise EngineFailed(
                f"the engine of {self.model.name} cannot be started: there is no program {command[0]!r}",
                remedy="pip install 'symposia[vllm]', or give another command under [pool] in symposia.toml",
            )
        self._process = self._launched([program, *command])
        self.starts.append(self._process.pid)
        _log.info("engine %s: starting, pid %d, log %s", self.model.name, self._process.pid, self._log_file)
        try:
            await self._until_ready(begun + self._settings.start_seconds)
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
        """End the process and everything it started."""
        process, self._process = self._process, None
        self.state = "down"
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, self._settings.stop_seconds)
        _signal(process, signal.SIGKILL)
        process.wait()
        _log.info("engine %s: ended", self.model.name)

    def kill(self) -> None:
        """End it at once, without an event loop."""
        process, self._process = self._process, None
        if process is not None:
            _signal(process, signal.SIGKILL)
            process.wait()

    def _launched(self, words: list[str]) -> "subprocess.Popen[bytes]":
        """The process: a program's path, then its arguments with their own name first."""
        awake = {"VLLM_SERVER_DEV_MODE": "1"} if self._settings.sleep_memory > 0 else {}  # which offers /sleep and /wake_up
        with self._log_file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "VLLM_API_KEY": self.key, **awake},
                start_new_session=True,
            )

    async def _until_ready(self, deadline: float) -> None:
        session = await http()
        while self._process is not None:
            code = self._process.poll()
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
        said = self._log_file.read_text(encoding="utf-8", errors="replace").strip()[-400:].replace(self.key, "[key]")
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


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to the process and whatever it started, which share a session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
