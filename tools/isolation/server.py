"""The fork server inside of the isolation: one run at a time, each in a child. Standard library only.

It never reads what the code is or prints: these go through files that its parent passes on, so nothing of one run is left in the memory
that the next one inherits. It is process 1 of its namespace where there is one: no signal of its children reaches it, all their orphans
do, and one `kill(-1)` ends them all. It runs as the same user as they do, but cannot be traced or read, and its limits cannot be set.

Messages are JSON behind four bytes of length, on a socket that no child keeps.
"""

import gc
import importlib
import json
import os
import platform
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from symposia.tools.isolation import filters, kernel
from symposia.tools.isolation.runner import become

_WARM: Final = (
    *(
        "array",
        "bisect",
        "cmath",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "fractions",
        "functools",
    ),
    *("hashlib", "heapq", "io", "itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "threading"),
    *("traceback", "typing"),
)
"""Modules that are there at once, being what programs import most."""
_LOOK: Final = 0.1  # seconds between two looks at the files of a run


class Server:
    """The loop and what it knows of its isolation."""

    def __init__(self, control: socket.socket, given: Mapping[str, Any]) -> None:
        """Confine this process as it is told to."""
        self.control = control
        self.given = given
        self.isolation: str = given["isolation"]
        self.alone = os.getpid() == 1  # in a namespace of our own: all other processes are runs
        self.machine = platform.machine()
        self.tasks = self._others()
        os.chdir(given["folder"])
        _load(given)
        self._confine()
        self.empty = self._folder_state()

    def _others(self) -> int:
        """How many of the tasks that count against a run's limit are none of it, this process left out."""
        if self.isolation == "bubblewrap" or self.given["was_root"]:
            return 0  # a user namespace, or a user, of our own
        return 1 if self.alone else _tasks_of_user()  # the one who waits for process 1; everything the user runs

    def _confine(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL if self.alone else signal.SIG_IGN)
        if self.isolation == "none":
            return
        kernel.drop_privileges(self.given["uid"], self.given["gid"])
        kernel.die_with_parent()  # which a change of user undoes
        kernel.hide()
        rules: tuple[filters.Rule, ...] = filters.HOST
        if self.isolation != "bubblewrap":
            kernel.restrict_files(self.given["readable"], self.given["listable"], self.given["devices"], self.given["folder"])
            rules += filters.FILES
        kernel.refuse(filters.compiled(self.machine, rules, later=True))
        os.listdir(os.path.dirname(os.__file__))  # fails here, and not in every run, where the user cannot reach the interpreter

    def serve(self) -> None:
        """Answer requests until the parent is gone or a run has left something behind."""
        gc.collect()
        gc.freeze()
        self._send({"ready": self.isolation})
        while (request := self._receive()) is not None:
            message, files = request
            if "run" not in message:  # the stop of a run that ended by itself
                continue
            reply = self._run(message, files)
            self._send(reply)
            if not reply["clean"]:
                return

    def _run(self, message: Mapping[str, Any], files: list[int]) -> dict[str, Any]:
        """Fork, wait, and end all that is left of it."""
        bounds = {**message["bounds"], "tasks": self.tasks}
        began = time.monotonic()
        child = os.fork()
        if not child:
            become(bounds, files, self._filters_of_run(bounds))
        for one in files:
            os.close(one)
        why = self._wait(child, message["run"], began + bounds["wall_seconds"])
        seconds = time.monotonic() - began
        status, cpu, clean = self._end(child, why)
        clean = clean and self._folder_state() == self.empty
        return {"run": message["run"], "status": status, "why": why, "seconds": seconds, "cpu": cpu, "clean": clean}

    def _filters_of_run(self, bounds: Mapping[str, Any]) -> list[bytes]:
        """Made in the child, whose number the last one holds."""
        if self.isolation == "none":
            return []
        rules: tuple[filters.Rule, ...] = ()
        if bounds["processes"] <= 1 or not self.alone:
            rules += filters.NO_PROCESSES
        if not self.alone:
            rules += filters.signals_to(os.getpid())
        return [filters.compiled(self.machine, rules)] if rules else []

    def _wait(self, child: int, number: int, deadline: float) -> str:
        """Until it ended (""), its time is over, its files are too large, it is stopped or nobody listens any more ("stop")."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        pidfd = _pidfd(child)
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
        step = _LOOK if pidfd is not None else 0.005
        try:
            while (left := deadline - time.monotonic()) > 0:
                ready = {fd for fd, _ in poll.poll(min(left, step) * 1000)}
                if pidfd in ready or (pidfd is None and _ended(child)):
                    return ""
                if self.control.fileno() in ready:
                    request = self._receive()
                    if request is None or request[0].get("stop") == number:
                        return "stop"
                elif self.isolation != "none" and _too_much(self.given["folder"]):
                    return "files"
            return "timeout"
        finally:
            if pidfd is not None:
                os.close(pidfd)

    def _end(self, child: int, why: str) -> tuple[int, float, bool]:
        """Exit status (negative for a signal), CPU seconds, and whether the child was the last of its processes."""
        if why or not self.alone:
            self._kill(child)
        _, waited, used = os.wait4(child, 0)
        last = _no_children()
        while not _no_children():
            self._kill(child)
            with suppress(ChildProcessError):
                os.waitpid(-1, 0)
        return os.waitstatus_to_exitcode(waited), used.ru_utime + used.ru_stime, last

    def _kill(self, child: int) -> None:
        """End a run; where no namespace holds its processes together, no other can have been started, or nothing was promised."""
        with suppress(ProcessLookupError, PermissionError):
            if self.alone:
                os.kill(-1, signal.SIGKILL)
            elif child:
                os.kill(child, signal.SIGKILL)
                os.killpg(child, signal.SIGKILL)

    def _folder_state(self) -> tuple[int, ...]:
        """Changes with everything that is made, removed or changed in the folder."""
        now = os.stat(self.given["folder"])
        return now.st_ctime_ns, now.st_mtime_ns, stat.S_IMODE(now.st_mode)

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps(message).encode()
        with suppress(OSError):  # nobody listens: the next receive says so
            self.control.sendall(struct.pack("!I", len(body)) + body)

    def _receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next message and the files that came with it; None when the parent is gone."""
        read, files = b"", list[int]()
        while len(read) < 4 or len(read) < 4 + struct.unpack("!I", read[:4])[0]:
            want = 4 - len(read) if len(read) < 4 else 4 + struct.unpack("!I", read[:4])[0] - len(read)
            try:
                part, more, _, _ = socket.recv_fds(self.control, want, 4)
            except OSError:
                return None
            if not part:
                return None
            read, files = read + part, files + list(more)
        return json.loads(read[4:]), files


def _load(given: Mapping[str, Any]) -> None:
    """Import what programs use most, so that a run finds it loaded."""
    sys.path += given["paths"]
    for name in (*_WARM, *given["modules"]):
        importlib.import_module(name)
    for name in list(os.environ):
        del os.environ[name]
    for name in [one for one in sys.modules if one.startswith("symposia")]:
        del sys.modules[name]  # code that imports us finds nothing


def _too_much(folder: str) -> bool:
    """Whether the files of a run are more, or larger, than it may have."""
    size, number, left = 0, 0, [folder]
    try:
        while left:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    number += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if number > kernel.FOLDER_FILES or size > kernel.FOLDER_BYTES:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
    except FileNotFoundError:
        return False  # removed while we looked
    except OSError:
        return True  # made unreadable, or a path too long to look at
    return False


def _no_children() -> bool:
    """Whether no process is left of a run; collects those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def _pidfd(child: int) -> int | None:
    """A descriptor that becomes readable when the child ends, where the system has such."""
    try:
        return os.pidfd_open(child)
    except (AttributeError, OSError):
        return None


def _ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _tasks_of_user() -> int:
    """How many threads the user has, who has them in common with the runs."""
    total = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        with suppress(OSError):
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                total += len(os.listdir(f"/proc/{name}/task"))
    return total


def _as_first_process(given: Mapping[str, Any], control: socket.socket) -> None:
    """Enter namespaces and go on as their process 1; the caller's process waits for it and ends with it."""
    kernel.enter_namespaces(given["uid"], given["gid"])
    first = os.fork()
    if first:
        control.close()
        os.waitpid(first, 0)
        os._exit(0)
    kernel.die_with_parent()
    kernel.own_folder(given["folder"], given["uid"], given["gid"])


def main(given: Mapping[str, Any]) -> None:
    """Serve on the socket whose descriptor is given."""
    control = socket.socket(fileno=given["control"])
    if platform.system() == "Linux":
        kernel.die_with_parent()
    if given["isolation"].endswith("namespaces"):
        _as_first_process(given, control)
    Server(control, given).serve()
