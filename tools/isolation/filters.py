"""Seccomp filters: the system calls that code is refused, compiled to the kernel's packet filter. Standard library only.

A list of what is refused rather than of what is allowed: a Python that prints a number needs over a hundred calls, and which ones changes
with its version and the C library's. Of the calls from number 424 on, where all architectures count alike, only the named ones are there,
so that what a later kernel adds is refused too.
"""

import errno
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MACHINES: Final = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By machine: the name the kernel has for it, and the column of `_NUMBERS`."""

_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000  # what a filter can answer; an error number is added to the last
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06  # instructions
_X32: Final = 0x40000000  # x86's second table of the same calls
_SHARED: Final = 424  # from here on a call has the same number everywhere

# Names and numbers on x86_64 and aarch64; -1 where there is none.
_NUMBERS: Final = {
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272)},
    **{"perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282), "lookup_dcookie": (212, 18)},
    **{"keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "personality": (135, 92)},
    **{"mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268)},
    **{"socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "socketpair": (53, 199)},
    **{"shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180), "memfd_create": (319, 279)},
    **{"kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273)},
    **{"delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89)},
    **{"quotactl": (179, 60), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "syslog": (103, 116)},
    **{"fanotify_init": (300, 262), "inotify_init": (253, -1), "inotify_init1": (294, 26), "vhangup": (153, 58)},
    **{"sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122)},
    **{"setpriority": (141, 140), "ioprio_set": (251, 30), "prlimit64": (302, 261), "prctl": (157, 167)},
    **{"mbind": (237, 235), "migrate_pages": (256, 238), "move_pages": (279, 239), "set_mempolicy": (238, 237)},
    **{"settimeofday": (164, 170), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "clock_settime": (227, 112)},
    **{"sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1)},
    **{"chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, -1), "lchown": (94, -1), "fchown": (93, 55)},
    **{"fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15)},
    **{"fremovexattr": (199, 16), "truncate": (76, 45), "clone": (56, 220), "fork": (57, -1), "vfork": (58, -1)},
    **{"fcntl": (72, 25), "ioctl": (16, 29), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131)},
    **{"rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "fallocate": (285, 47)},
}
_LATER: Final = (434, 436, 437, 439, 441, 449)  # pidfd_open, close_range, openat2, faccessat2, epoll_pwait2, futex_waitv

_SIGNALS: Final = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_METADATA: Final = (
    *("chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat", "utime", "utimes", "futimesat", "utimensat"),
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr", "truncate"),
)
_CONDITIONAL: Final = {
    *("clone", "fork", "vfork", "socketpair", "prlimit64", "prctl", "fcntl", "ioctl", "tkill", "fallocate"),
    *_SIGNALS,
    *_METADATA,
}


@dataclass(frozen=True)
class Rule:
    """Calls that fail: always, or by the value of an argument, of which the lower 32 bits count."""

    names: Iterable[str]
    error: int = errno.EPERM
    argument: int | None = None
    mask: int = 0xFFFFFFFF
    among: Sequence[int] = ()
    others: bool = False
    """Fail for all values but those in `among`, instead of for those."""


_NEW_NAMESPACE, _THREAD = 0x7E020000, 0x10000  # flags of `clone`

HOST: Final = (
    Rule(sorted(_NUMBERS.keys() - _CONDITIONAL)),
    Rule(["fallocate"], errno.EOPNOTSUPP),  # would take a disk's whole room between two looks at it; the C library writes instead
    Rule(["clone"], argument=0, mask=_NEW_NAMESPACE, among=[0], others=True),
    Rule(
        ["socketpair"], argument=1, mask=0xF, among=[1], others=True
    ),  # a stream's partner is fixed; a datagram can be sent to any address
    Rule(["prlimit64"], argument=0, among=[0], others=True),  # the limits of other processes
    Rule(["fcntl"], argument=1, among=[8, 10, 15, 1031]),  # signals to others by way of a descriptor; larger pipes
    Rule(["ioctl"], argument=1, among=[0x5412, 0x541C, 0x8901, 0x8902]),  # typing into a terminal; signals again
)
"""What no code may do, however it is held otherwise."""

FILES: Final = (Rule(_METADATA),)
"""What Landlock leaves open: owner, mode, times and attributes of any file that the user owns."""

NO_PROCESSES: Final = (
    Rule(["fork", "vfork"], errno.EAGAIN),
    Rule(["clone"], errno.EAGAIN, argument=0, mask=_THREAD, among=[0]),
)
"""Threads, but no process of one's own."""


def signals_to(pid: int) -> tuple[Rule, ...]:
    """Signals to nobody but this process, and it keeps the one that ends it with its parent."""
    return Rule(_SIGNALS, argument=0, among=[pid], others=True), Rule(["tkill"]), Rule(["prctl"], argument=0, among=[1])


def compiled(machine: str, rules: Iterable[Rule], *, later: bool = False) -> bytes:
    """The filter as the kernel reads it; with `later` the calls that newer kernels have are refused too.

    Raises:
        KeyError: We do not know this machine's numbers.
    """
    name, column = MACHINES[machine]
    code = [_step(_LOAD, 4), _step(_EQUAL, name, 1, 0), _step(_RETURN, _KILL), _step(_LOAD, 0)]
    code += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, _FAIL | errno.ENOSYS)]
    for rule in rules:
        for number in (_NUMBERS[one][column] for one in rule.names):
            code += _refusal(rule, number) if number >= 0 else []
    if later:
        for number in _LATER:
            code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
        code += [_step(_AT_LEAST, _SHARED, 0, 1), _step(_RETURN, _FAIL | errno.ENOSYS)]
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _refusal(rule: Rule, number: int) -> list[bytes]:
    """The steps for one call; a comparison names how many steps to jump when it holds and when it does not."""
    fail = _step(_RETURN, _FAIL | rule.error)
    if rule.argument is None:
        return [_step(_EQUAL, number, 0, 1), fail]
    n = len(rule.among)
    body = [_step(_LOAD, 16 + 8 * rule.argument), _step(_AND, rule.mask)]
    if rule.others:
        body += [_step(_EQUAL, value, n - i, 0) for i, value in enumerate(rule.among)] + [fail]
    else:
        body += [_step(_EQUAL, value, n - i - 1, 0 if i < n - 1 else 1) for i, value in enumerate(rule.among)] + [fail]
    return [_step(_EQUAL, number, 0, len(body) + 1), *body, _step(_LOAD, 0)]


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)
