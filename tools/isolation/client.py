"""One fork server as its parent sees it: start it, hand it a run, take what the run prints, end it."""

import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from symposia.state.errors import shorten
from symposia.tools.isolation.paths import command, environment

_START: Final = 60.0  # seconds that a server may take to start, on a busy machine
_GRACE: Final = 10.0  # seconds behind the server's own clock after which it counts as stuck
_LOOK: Final = 3600.0  # seconds that are waited for at once; the kernel counts up to some 24 days
_CHUNK: Final = 65536


@dataclass
class Job:
    """One run: what is asked and what came of it."""

    code: bytes
    stdin: bytes
    bounds: Mapping[str, Any]
    profile: str
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    isolation: str = "none"
    too_much: bool = False
    """Whether it printed more than it may."""
    reply: dict[str, Any] | None = None
    """The server's word on how it ended; None when the server ended with it."""
    _server: "Server | None" = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def given_to(self, server: "Server | None") -> bool:
        """Note who runs it, from now on or no more; whether it is still wanted."""
        with self._lock:
            self._server = server
            return not self._stopped

    def stop(self) -> None:
        """End it as soon as can be; from any thread."""
        with self._lock:
            self._stopped = True
            if self._server:
                self._server.stop()


class Unavailable(Exception):
    """An isolation that this machine does not give, and why."""


class Server:
    """One fork server and the socket to it."""

    def __init__(self, isolation: str, profile: str) -> None:
        """Start it.

        Raises:
            Unavailable: It did not come up.
        """
        self.isolation, self.profile, self.number = isolation, profile, 0
        self.folder = None if isolation == "bubblewrap" else tempfile.mkdtemp(prefix="symposia-")
        self.control, theirs = socket.socketpair()
        with theirs:
            arguments = command(isolation, profile, theirs.fileno(), self.folder)
            if self.folder and os.getuid() == 0:
                given = json.loads(arguments[arguments.index("-c") + 2])
                os.chown(self.folder, given["uid"], given["gid"])
            try:
                self.process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=environment(profile) | ({"PATH": os.environ.get("PATH", os.defpath)} if isolation == "bubblewrap" else {}),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for us
                )
            except OSError as error:
                self._leave()
                raise Unavailable(f"{arguments[0]} cannot be started: {error.strerror}") from None
        LIVE.add(self)
        self.control.settimeout(_START)
        if self._receive() is None:
            said = self._complaint()
            self.close()
            raise Unavailable(said)

    def run(self, job: Job) -> bool:
        """Run a job to its end and keep what it prints; False when the server had ended before."""
        job.isolation = self.isolation
        (out, their_out), (err, their_err) = os.pipe(), os.pipe()
        try:
            try:
                self._send_job(job, their_out, their_err)
            except OSError:
                return False
            finally:
                os.close(their_out)
                os.close(their_err)
            if not job.given_to(self):
                self.stop()
            job.reply = self._listen(job, {out: job.stdout, err: job.stderr})
            return True
        finally:
            job.given_to(None)
            os.close(out)
            os.close(err)

    def _send_job(self, job: Job, stdout: int, stderr: int) -> None:
        with _file(job.code) as code, _file(job.stdin) as stdin:
            body = json.dumps({"run": self.number + 1, "bounds": job.bounds}).encode()
            socket.send_fds(self.control, [struct.pack("!I", len(body)) + body], [code.fileno(), stdin.fileno(), stdout, stderr])
        self.number += 1

    def _listen(self, job: Job, pipes: Mapping[int, bytearray]) -> dict[str, Any] | None:
        """Take what is printed, as far as there is room, until the server says how it ended."""
        most, deadline = job.bounds["output_kib"] << 10, time.monotonic() + job.bounds["wall_seconds"] + _GRACE
        poll = select.poll()
        for fd in (self.control.fileno(), *pipes):
            if fd in pipes:
                os.set_blocking(fd, False)
            poll.register(fd, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(min(left, _LOOK) * 1000)}
            for fd in ready & pipes.keys():
                if not self._take(job, pipes[fd], fd, most):
                    poll.unregister(fd)
            if self.control.fileno() in ready:
                reply = self._receive()
                for fd, kept in pipes.items():
                    while _ready(fd) and self._take(job, kept, fd, most) and not job.too_much:
                        pass  # without end where nothing holds the code and a process that it left goes on printing
                return reply
        return {"status": -9, "why": "timeout", "seconds": job.bounds["wall_seconds"] + _GRACE, "cpu": 0.0, "clean": False}

    def _take(self, job: Job, kept: bytearray, fd: int, most: int) -> bool:
        """Read what there is; False at the end."""
        part = os.read(fd, _CHUNK)
        room = most - len(kept)
        kept += part[:room]
        if len(part) > room and not job.too_much:
            job.too_much = True
            self.stop()
        return bool(part)

    def stop(self) -> None:
        """Tell the server to end the present run."""
        body = json.dumps({"stop": self.number}).encode()
        with suppress(OSError):
            self.control.sendall(struct.pack("!I", len(body)) + body)

    def usable(self) -> bool:
        """Whether it lives and has nothing to say, as it should be between runs."""
        return self.process.poll() is None and not _ready(self.control.fileno())

    def close(self) -> None:
        """End it, and what runs in it, now."""
        LIVE.discard(self)
        self.control.close()  # a server ends when nobody listens; under root's bubblewrap the signal would reach only its parent
        self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        self._leave()

    def _leave(self) -> None:
        self.control.close()
        if self.folder is None:
            return
        try:
            os.rmdir(self.folder)
        except OSError:  # a run left files, perhaps unreadable, perhaps deeper than Python goes
            for tool in (["chmod", "-R", "u+rwx", self.folder], ["rm", "-rf", self.folder]):
                subprocess.run(tool, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _receive(self) -> dict[str, Any] | None:
        """One message; None when the server has ended."""
        read = b""
        try:
            while len(read) < 4 or len(read) < 4 + struct.unpack("!I", read[:4])[0]:
                want = 4 - len(read) if len(read) < 4 else 4 + struct.unpack("!I", read[:4])[0] - len(read)
                part = self.control.recv(want)
                if not part:
                    return None
                read += part
        except OSError:
            return None
        return dict(json.loads(read[4:]))

    def _complaint(self) -> str:
        """The last thing that a server said which did not come up."""
        self.process.kill()
        lines = self.process.stderr.read().decode(errors="replace").split("\n") if self.process.stderr else []
        said = [line for line in lines if line.strip()]
        return shorten(said[-1]) if said else f"it ended with status {self.process.wait()}"


def _ready(fd: int) -> bool:
    """Whether something can be read, or the end; `select` knows no descriptor above 1023, and a batch may have thousands open."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


LIVE: Final[set[Server]] = set()
"""All that were started and not closed."""


def _file(content: bytes) -> Any:
    """A file without a name that holds a text, to be read from its start."""
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("text", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "w+b", buffering=0)
    else:
        file = tempfile.TemporaryFile("w+b", buffering=0)  # noqa: SIM115
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
    file.seek(0)
    if hasattr(os, "memfd_create"):
        import fcntl

        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return file
