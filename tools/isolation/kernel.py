"""What Linux gives a process to hold itself with: namespaces, Landlock, seccomp. Standard library only, through ctypes."""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER_BYTES: Final = 64 << 20
"""What the files of a run may take in all, in bytes."""
FOLDER_FILES: Final = 1_000
"""How many files and folders a run may make."""

_PARENT_DEATH, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVILEGES = 1, 4, 22, 38  # of prctl
_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000
_NEW_OTHERS: Final = 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # names of the host, IPC, processes, network
_PRIVATE, _NO_SETUID, _NO_DEVICES = 1 << 18 | 1 << 14, 2, 4  # of mount; recursively
_CAPABILITIES: Final = 0x20080522  # the version of the two structures

_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE, _READ, _LIST, _MAKE_DEVICES, _MAKE_SOCKETS = 1, 2, 4, 8, 1 << 6 | 1 << 11, 1 << 9
_RIGHTS: Final = ((1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (5, 0xFFFF))  # of files, by the version that has them
_OF_FILES: Final = _EXECUTE | _WRITE | _READ | 1 << 14  # the rights that a single file can have


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> int:
    """A function of the C library that answers -1 when it fails."""
    result = int(getattr(_libc(), name)(*arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _prctl(option: int, *arguments: Any) -> None:
    _call("prctl", option, *[one if isinstance(one, ctypes.c_void_p) else ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)][:4])


def die_with_parent() -> None:
    """End when the thread that started this process does."""
    _prctl(_PARENT_DEATH, 9)


def hide() -> None:
    """Let no process of the same user look into this one: memory, descriptors, trace."""
    _prctl(_DUMPABLE, 0)


def enter_namespaces(uid: int, gid: int) -> None:
    """Leave the host's network, processes, IPC and mounts; the next child is process 1. An ordinary user needs a user namespace for it.

    Args:
        uid: what the user is called inside.
        gid: what the group is called inside.

    Raises:
        OSError: The kernel or its configuration does not allow it.
    """
    outer, outer_group = os.getuid(), os.getgid()
    _call("unshare", _NEW_OTHERS | _NEW_MOUNTS | (_NEW_USER if outer else 0))
    _call("sethostname", b"sandbox", ctypes.c_size_t(7))
    if outer:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {outer} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {outer_group} 1")


def own_folder(folder: str, uid: int, gid: int) -> None:
    """Mount an empty file system of bounded size on a folder, which no process outside of this namespace sees."""
    _call("mount", b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None)
    options = f"size={FOLDER_BYTES},nr_inodes={FOLDER_FILES},mode=0700,uid={uid},gid={gid}"
    _call("mount", b"work", folder.encode(), b"tmpfs", ctypes.c_ulong(_NO_SETUID | _NO_DEVICES), options.encode())


def drop_privileges(uid: int, gid: int) -> None:
    """Become an ordinary user without any capability, and never more than that."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _call("capset", struct.pack("Ii", _CAPABILITIES, 0), bytes(24))
    _prctl(_NO_NEW_PRIVILEGES, 1)


def refuse(code: bytes) -> None:
    """Put a compiled filter on this process and all it starts, for good."""
    text = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(text)))
    _prctl(_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(program)))


def landlock_version() -> int:
    """The version of Landlock, 0 without."""
    if platform.system() != "Linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULES, None, ctypes.c_size_t(0), 1)))


def restrict_files(readable: Iterable[str], listable: Iterable[str], devices: Iterable[str], folder: str) -> None:
    """Leave this process and all it starts only these files, no TCP, and no way to processes or sockets outside.

    Args:
        readable: files, and folders with all that is in them; those that are not there are passed over.
        listable: folders whose names may be listed.
        devices: what may be read and written.
        folder: where everything may be done that makes no device and no socket.

    Raises:
        OSError: The kernel has no Landlock.
    """
    version = landlock_version()
    rights = max((mask for since, mask in _RIGHTS if version >= since), default=0)
    wanted = struct.pack("QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _call("syscall", _CREATE_RULES, wanted, ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            with suppress(FileNotFoundError, PermissionError):
                _allow(rules, path, _READ | _LIST | _EXECUTE)
        for path in listable:
            with suppress(FileNotFoundError, PermissionError):
                _allow(rules, path, _LIST)
        for path in devices:
            with suppress(FileNotFoundError, PermissionError):
                _allow(rules, path, _READ | _WRITE)
        _allow(rules, folder, rights & ~(_EXECUTE | _MAKE_DEVICES | _MAKE_SOCKETS))
        _call("syscall", _RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        allowed = rights if Path(path).is_dir() else rights & _OF_FILES
        _call("syscall", _ADD_RULE, rules, 1, struct.pack("=Qi", allowed, place), 0)
    finally:
        os.close(place)
