"""Who executes a run, where the store is a file: one at a time, on one machine.

A byte of a file beside the store stands for each run. The kernel lets go of what a process has locked there when it ends, however it ends;
but also when it closes the file even once, so it is open once in a process, for as long as anything is held in it.
"""

import fcntl
import os
import threading
from dataclasses import dataclass, field

_BYTES = 2**62


@dataclass
class _Held:
    """What this process holds of a file."""

    fd: int
    bytes: set[int] = field(default_factory=set)


_FILES: dict[str, _Held] = {}
_CHANGING = threading.Lock()
os.register_at_fork(after_in_child=_FILES.clear)  # a copy of the process holds nothing


def take(path: str, key: int) -> bool:
    """Hold what a key stands for; False if another process, or another part of this one, holds it.

    Raises:
        OSError: The file cannot be written, or its file system knows no locks.
    """
    with _CHANGING:
        file = _FILES.get(path) or _Held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
        _FILES[path] = file
        place = key % _BYTES
        taken = place not in file.bytes and _lock(file.fd, place)
        if taken:
            file.bytes.add(place)
        _close_unused(path)
        return taken


def let_go(path: str, key: int) -> None:
    """Let others hold it."""
    with _CHANGING:
        file = _FILES[path]
        fcntl.lockf(file.fd, fcntl.LOCK_UN, 1, key % _BYTES)
        file.bytes.discard(key % _BYTES)
        _close_unused(path)


def _lock(fd: int, place: int) -> bool:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _close_unused(path: str) -> None:
    if not _FILES[path].bytes:
        os.close(_FILES.pop(path).fd)
