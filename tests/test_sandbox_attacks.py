"""What code in the sandbox tries and must not reach, in each isolation, as root and as an ordinary user.

Each attack prints `breach` for whatever it reached. They run in processes of their own, one for each isolation and user, which plant what
is to be stolen, listen where nobody may connect, and look after each attack whether the next run is as clean as the first:

    python tests/test_sandbox_attacks.py ISOLATION
"""

import asyncio
import ctypes
import json
import os
import platform
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from symposia.tools.isolation import filters, pool
from symposia.tools.isolation.client import Unavailable
from symposia.tools.isolation.paths import ISOLATIONS
from symposia.tools.sandbox import Bounds, run_in

HELD = ISOLATIONS[:-1]
SECRET = "a-planted-secret"
SHORT = Bounds(wall_seconds=0.3)
FAMILY = Bounds(wall_seconds=0.3, processes=8)


@dataclass
class Attack:
    """Code, and how it may end."""

    code: str
    status: str = "ok"
    bounds: Bounds = field(default_factory=Bounds)
    stdin: str = ""


def syscalls(*calls: tuple[str, str]) -> str:
    """Code that makes system calls through ctypes, and prints which of them went through."""
    column = filters.MACHINES.get(platform.machine(), ("", 0))[1]
    later = {"io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "pidfd_getfd": 438, "clone3": 435, "memfd_secret": 447, "mseal": 462}
    lines = ["import ctypes, os", "call = ctypes.CDLL(None).syscall", "buffer = ctypes.create_string_buffer(4096)"]
    for name, arguments in calls:
        number = later[name] if name in later else filters._NUMBERS[name][column]
        lines += [f"if call({number}, {arguments}) >= 0: print('breach {name}')"] if number >= 0 else []
    return "\n".join(lines)


TRY = """
def attempt(what, *arguments, **more):
    try:
        print("breach", getattr(what, "__name__", what), arguments, what(*arguments, **more))
    except (OSError, ValueError, AttributeError) as error:
        pass
import ctypes, fcntl, json, os, pickle, resource, shutil, signal, socket, struct, sys
places = json.loads(sys.stdin.readline())
parents = (os.getppid() or 1, 1, places["pid"])
"""

ATTACKS: dict[str, Attack] = {
    "descriptors that were left open": Attack(
        "import os\nfor fd in range(3, 1024):\n try: print('breach', fd, os.fstat(fd))\n except OSError: pass\n"
        "for fd, what in ((0, os.write), (1, os.read), (2, os.read)):\n try: print('breach', what(fd, 1 if fd else b'x'))\n"
        " except OSError: pass"
    ),
    "memory of the run before": Attack(
        "import ctypes, gc\nsaid = b'assert os.' + b'listdir() == []'\nreserve = ctypes.CDLL(None).malloc\n"
        "reserve.restype = ctypes.c_void_p\nfor size in (64, 512, 4096, 65536, 1 << 20):\n for _ in range(20):\n"
        "  if said in ctypes.string_at(reserve(ctypes.c_size_t(size)), size): print('breach', size)\n"
        "for one in gc.get_objects():\n if isinstance(one, dict) and said.decode() in map(str, one.values()): print('breach', one)"
    ),
    "limits raised": Attack(
        "import resource\nfor name in ('AS', 'NPROC', 'CPU', 'FSIZE', 'NOFILE', 'MEMLOCK', 'CORE'):\n"
        " try: print('breach', name, resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (-1, -1)))\n"
        " except (ValueError, OSError): pass"
    ),
    "a child of the server": Attack(syscalls(("clone", "0x8000 | 17, 0, 0, 0, 0"))),
    "fork bomb": Attack("import os\nwhile True: os.fork()", "exception"),
    "fork bomb among a few": Attack(
        "import os, time\nwhile True:\n try:\n  if not os.fork(): os.write(1, b'f')\n except OSError: time.sleep(0.01)", "timeout", FAMILY
    ),
    "thread bomb": Attack(
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()", "exception"
    ),
    "memory bomb": Attack("kept = []\nwhile True: kept.append(bytearray(1 << 24))", "memory", Bounds(wall_seconds=20, memory_mib=256)),
    "endless loop": Attack("while True: pass", "timeout", SHORT),
    "endless loop deaf to signals": Attack(
        "import signal, time\nfor n in range(1, 32):\n try: signal.signal(n, signal.SIG_IGN)\n except OSError: pass\n"
        "while True: time.sleep(1)",
        "timeout",
        SHORT,
    ),
    "stopped": Attack("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timeout", SHORT),
    "endless output": Attack("while True: print('x' * 1000)", "output"),
    "endless errors": Attack("import os\nwhile True: os.write(2, b'x' * 1000)", "output"),
    "files of the host": Attack(
        TRY + "for path in ['/etc/passwd', '/etc/shadow', '/home', '/var', places['secret'], '/etc/hostname']:\n"
        " attempt(open, path)\n attempt(os.listdir, path)\n attempt(shutil.copy, path, 'copy')"
    ),
    "environment": Attack(
        TRY + "print(dict(os.environ))\nlibc = ctypes.CDLL(None)\nlibc.getenv.restype = ctypes.c_char_p\nprint(libc.getenv(b'SECRET'))\n"
        "for pid in ('self', 'thread-self', *parents): attempt(open, f'/proc/{pid}/environ')"
    ),
    "network": Attack(
        TRY + "def stream(family, where):\n with socket.socket(family) as s: s.connect(where)\n"
        "attempt(stream, socket.AF_INET, ('127.0.0.1', places['port']))\nattempt(stream, socket.AF_UNIX, places['socket'])\n"
        "attempt(stream, socket.AF_UNIX, '\\0' + places['abstract'])\nattempt(socket.socket, socket.AF_INET, socket.SOCK_DGRAM)\n"
        "attempt(socket.socket, socket.AF_INET6)\nattempt(socket.socket, socket.AF_NETLINK)\nattempt(socket.socket, socket.AF_UNIX)\n"
        "attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "for one in socket.socketpair():\n attempt(one.connect, places['socket'])\n attempt(one.bind, 'mine')"
    ),
    "writing outside": Attack(
        TRY + "for folder in ['/', '/tmp', '/usr', '/usr/lib', '/dev/shm', '/dev', os.path.dirname(os.__file__), places['folder'], '..']:\n"
        " attempt(open, folder + '/breach', 'w')\n attempt(os.mkdir, folder + '/breach')\n attempt(os.symlink, 'x', folder + '/breach')\n"
        "attempt(open, places['open'], 'a')\nattempt(os.remove, places['open'])\nattempt(os.rename, places['open'], 'mine')\n"
        "attempt(os.truncate, places['open'], 0)\nattempt(os.link, places['open'], 'mine')"
    ),
    "changing what stands outside": Attack(
        TRY + "for path in (places['open'], places['folder'], os.__file__, sys.executable):\n attempt(os.chmod, path, 0o777)\n"
        " attempt(os.utime, path, (0, 0))\n attempt(os.chown, path, os.getuid(), os.getgid())\n"
        " attempt(os.setxattr, path, 'user.breach', b'x')\n"
        "with open(os.__file__) as own: attempt(os.fchmod, own.fileno(), 0o777)"
    ),
    "killing others": Attack(
        TRY
        + "for pid in (*parents, places['group']):\n for number in (9, 19, 15, 2): attempt(os.kill, pid, number) if abs(pid) > 1 else 0\n"
        "for number in (19, 9):\n"
        " try: os.kill(1, number)\n except OSError: pass\n try: os.kill(-1, number)\n except OSError: pass\n"
        "fd, other = os.pipe()\nattempt(fcntl.fcntl, fd, 8, parents[0])\nattempt(fcntl.fcntl, fd, 10, 9)"
    ),
    "killing itself": Attack("import os\nos.kill(0, 9)\nos.kill(os.getpid(), 9)", "killed"),
    "limits and rank of others": Attack(
        TRY + "for pid in parents:\n attempt(resource.prlimit, pid, resource.RLIMIT_CPU, (0, 0))\n"
        " attempt(os.setpriority, os.PRIO_PROCESS, pid, 19)\n attempt(os.sched_setaffinity, pid, {0})\n"
        "attempt(resource.setrlimit, resource.RLIMIT_AS, (-1, -1))\nattempt(resource.setrlimit, resource.RLIMIT_NPROC, (-1, -1))"
    ),
    "proc": Attack(
        TRY + "for pid in parents:\n for name in ('mem', 'environ', 'root/etc/passwd', 'cwd/main.py', 'maps', 'fd'):\n"
        "  attempt(open, f'/proc/{pid}/{name}', 'rb')\n  attempt(os.listdir, f'/proc/{pid}/{name}')\n"
        " attempt(open, f'/proc/{pid}/mem', 'r+b')\nattempt(open, '/proc/self/exe', 'r+b')\nattempt(open, '/proc/self/mem', 'r+b')\n"
        "for name in ('proc/sys/kernel/core_pattern', 'proc/sysrq-trigger', 'sys/kernel/uevent_helper'): attempt(open, '/' + name, 'w')"
    ),
    "calls of the kernel": Attack(
        syscalls(
            ("mount", "b'none', b'/work', b'tmpfs', 0, None"),
            ("unshare", "0x10000000"),
            ("clone", "0x10000011, None, None, None, None"),
            ("clone3", "buffer, 88"),
            ("setns", "0, 0"),
            ("chroot", "b'.'"),
            ("ptrace", "16, os.getppid() or 1, 0, 0"),
            ("ptrace", "0, 0, 0, 0"),
            ("process_vm_readv", "os.getppid() or 1, buffer, 1, buffer, 1, 0"),
            ("pidfd_getfd", "0, 3, 0"),
            ("bpf", "0, buffer, 64"),
            ("keyctl", "0, -3, 1"),
            ("add_key", "b'user', b'left', b'secret', 6, -3"),
            ("perf_event_open", "buffer, 0, -1, -1, 0"),
            ("userfaultfd", "1"),
            ("io_uring_setup", "1, buffer"),
            ("fsopen", "b'tmpfs', 0"),
            ("memfd_secret", "0"),
            ("mseal", "None, 0, 0"),
            ("shmget", "1, 4096, 0o1666"),
            ("msgget", "1, 0o1666"),
            ("semget", "1, 1, 0o1666"),
            ("mq_open", "b'left', 0o102, 0o666, None"),
            ("memfd_create", "b'left', 0"),
            ("open_by_handle_at", "-100, buffer, 0"),
            ("inotify_init1", "0"),
            ("personality", "0x40000"),
            ("kcmp", "1, 1, 0, 0, 0"),
            ("fallocate", "os.open('room', os.O_CREAT | os.O_RDWR), 0, ctypes.c_long(0), ctypes.c_long(1 << 20)"),
        )
    ),
    "forged reports": Attack(
        TRY + "word = json.dumps({'run': 1, 'status': 86, 'why': '', 'seconds': 0.0, 'cpu': 0.0, 'clean': True}).encode()\n"
        "word = struct.pack('!I', len(word)) + word\n"
        "for fd in (0, *range(3, 1024)): attempt(os.write, fd, word)\n"
        "class Trap:\n def __reduce__(self): return os.mkdir, (places['folder'] + '/breach',)\n"
        "sys.stdout.buffer.write(pickle.dumps(Trap()) + word)\nsys.stderr.buffer.write(word)\n"
        "frame = sys._getframe()\n"
        "while frame:\n"
        " for value in list(frame.f_locals.values()):\n"
        "  if hasattr(value, 'control'): attempt(value.control.sendall, word)\n"
        " frame = frame.f_back\n"
        "os._exit(0)",
        "exception",
    ),
    "daemon": Attack(
        "import os, time\nif not os.fork():\n os.setsid()\n if not os.fork():\n  for n in range(3): os.close(n)\n"
        "  while True:\n   time.sleep(0.01)\n   open('left', 'w').write('x')\n os._exit(0)\nos.wait()",
        "ok",
        FAMILY,
    ),
    "devices that are there": Attack(
        "import os\nopen(os.devnull, 'w').write('x')\nopen('/dev/urandom', 'rb').read(1)\n"
        "assert open('/dev/zero', 'rb').read(2) == bytes(2)"
    ),
    "exit": Attack("import sys\nsys.exit()"),
    "exit with a status": Attack("import sys\nsys.exit(3)", "exception"),
    "exit at once": Attack("import os\nos._exit(0)", "exception"),
    "another program": Attack("import os, sys\nos.execv(sys.executable, [sys.executable, '-S', '-c', 'pass'])", "exception"),
    "deep recursion": Attack("def f(): f()\nf()", "exception"),
    "recursion beyond the stack": Attack(
        "import sys\nsys.setrecursionlimit(1 << 30)\na = []\nfor _ in range(1 << 19): a = [a]\nrepr(a)", "killed", Bounds(wall_seconds=20)
    ),
    "streams closed and others in their place": Attack(
        "import os, sys\nfor n in range(3): os.close(n)\nfor n in range(3): assert os.open('left', os.O_CREAT | os.O_RDWR) == n\n"
        "print('breach ')\nprint('breach ', file=sys.stderr)"
    ),
    "crash": Attack("import ctypes\nctypes.string_at(0)", "killed"),
    "missing import": Attack("import numpy_is_not_called_so", "exception"),
    "our own code": Attack("import symposia.state", "exception"),
    "stdin": Attack("import sys\nprint(len(sys.stdin.read()))", stdin="x" * 300_000),
    "writing to stdin": Attack(TRY + "attempt(os.write, 0, b'x')\nattempt(os.ftruncate, 0, 1 << 40)"),
    "huge file": Attack("with open('big', 'wb') as f:\n while True: f.write(bytes(1 << 20))", "exception"),
    "many large files": Attack("n = 0\nwhile True:\n n += 1\n open(f'f{n}', 'wb').write(bytes(8 << 20))", "exception output"),
    "many files": Attack("import os\nn = 0\nwhile True:\n n += 1\n os.mkdir(str(n))", "exception output", Bounds(wall_seconds=20)),
    "unreadable folders": Attack("import os\nfor _ in range(300):\n os.mkdir('d', 0o700)\n os.chdir('d')\nos.mkdir('closed', 0)"),
    "links": Attack(
        TRY + "os.symlink(places['folder'], 'folder')\nos.symlink('/', 'root')\nos.symlink('/etc/passwd', 'passwd')\n"
        "for path in ('folder/open', 'root/etc/passwd', 'passwd'): attempt(open, path)\nattempt(open, 'folder/breach', 'w')\n"
        "attempt(os.link, places['secret'], 'secret')"
    ),
    "poison": Attack(
        "import builtins, os, json, sys, random\nbuiltins.print = None\njson.dumps = None\nos.fork = None\nsys.modules.clear()\n"
        "open('left', 'w').close()"
    ),
}

NEXT = "import os, json\nassert os.listdir() == [], os.listdir()\nprint(json.dumps([2]), len(os.environ))"


class Prey:
    """What the attacks are after, in this process."""

    def __init__(self, folder: Path) -> None:
        os.environ["SECRET"] = SECRET
        self.folder = folder
        (folder / "open").write_text("as it was")
        (folder / "secret").write_text(SECRET)
        self.sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        self.sockets[1].bind(str(folder / "socket"))
        self.sockets[2].bind(f"\0symposia-{os.getpid()}")
        for one in self.sockets:
            one.listen()
            one.setblocking(False)
        self.canary = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.before = self.state()

    def places(self) -> str:
        names = {one: str(self.folder / one) for one in ("open", "secret", "socket")}
        where = {"port": self.sockets[0].getsockname()[1], "abstract": f"symposia-{os.getpid()}", "folder": str(self.folder)}
        return json.dumps({**names, **where, "pid": self.canary.pid, "group": -self.canary.pid}) + "\n"

    def state(self) -> list[Any]:
        """What no attack may change."""
        path = self.folder / "open"
        files = [(p.name, p.stat().st_mode, p.stat().st_mtime_ns) for p in sorted(self.folder.iterdir())]
        return [files, path.read_text(), self.canary.poll(), [self._connected(one) for one in self.sockets]]

    def _connected(self, listening: socket.socket) -> bool:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self.canary.kill()
        self.canary.wait()
        for one in self.sockets:
            one.close()


async def one(isolation: str, attack: Attack, prey: Prey) -> dict[str, Any]:
    """An attack, what it changed, and a run after it."""
    stdin = prey.places() if attack.code.startswith(TRY) else attack.stdin
    result = await run_in(isolation, attack.code, stdin, attack.bounds, "stdlib")
    after = await run_in(isolation, NEXT, "", Bounds(wall_seconds=10), "stdlib")
    return {**asdict(result), "intact": prey.state() == prey.before, "next": asdict(after)}


async def suite(isolation: str) -> dict[str, Any]:
    """All attacks, on one server at a time, and then the processes that are left."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # what loses its parent becomes a child of this process
    try:
        pool.start(isolation, "stdlib").close()
    except Unavailable as error:
        return {"unavailable": str(error)}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # the servers' own folders are made in it
        tempfile.tempdir = folder
        prey = Prey(Path(tempfile.mkdtemp()))
        try:
            results = {name: await one(isolation, attack, prey) for name, attack in ATTACKS.items()}
        finally:
            prey.close()
            pool.close()
        left = [path.name for path in Path(folder).iterdir() if path != prey.folder]
    return {"results": results, "left": left, "childless": childless()}


def childless() -> bool:
    """Whether no process is left, alive or dead, a moment after the servers were ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.02)
        except ChildProcessError:
            return True
    return False


ROOT = os.getuid() == 0
USERS = ["root", "user"] if ROOT else ["user"]
SEEN_BY_ALL = """
mount -t tmpfs -o mode=755 none /mnt
mkdir -p /mnt/python /mnt/site /mnt/repository /mnt/import/symposia
mount --bind "$1" /mnt/python
mount --bind "$2" /mnt/site
mount --bind "$3" /mnt/repository
ln -s /mnt/repository/symposia/* /mnt/import/symposia
for part in graphs nodes tools state; do ln -s /mnt/repository/$part /mnt/import/symposia; done
export PYTHONPATH=/mnt/import:/mnt/site PYTHONDONTWRITEBYTECODE=1 HOME=/nonexistent
cd /
shift 3
exec "$@"
"""


def started(user: str, isolation: str) -> subprocess.Popen[bytes]:
    """The attacks in a process; where root keeps the interpreter from others, in a mount namespace that shows it to them."""
    if not ROOT or (user == "root" and isolation == "bubblewrap"):
        command = [sys.executable, __file__, isolation]
    else:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        become = [] if user == "root" else ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
        trees = [sys.base_prefix, site.getsitepackages()[0], str(Path(__file__).parent.parent)]
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", SEEN_BY_ALL, "sh", *trees, *become]
        command += [f"/mnt/python/bin/python{version}", f"/mnt/repository/tests/{Path(__file__).name}", isolation]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def processes() -> Iterator[dict[tuple[str, str], Any]]:
    """All processes, begun at once."""
    begun = {(user, isolation): started(user, isolation) for user in USERS for isolation in HELD}
    yield begun
    for process in begun.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module", params=[(u, i) for u in USERS for i in HELD], ids=lambda one: f"{one[0]}-{one[1]}")
def outcome(request: pytest.FixtureRequest, processes: dict[tuple[str, str], Any]) -> Any:
    """What the attacks came to in one isolation."""
    user, isolation = request.param
    out, err = processes[user, isolation].communicate(timeout=120)
    assert out, err.decode()
    found = json.loads(out)
    if "unavailable" in found:
        pytest.skip(f"this machine gives {user} no {isolation}: {found['unavailable']}")
    assert err == b""
    return {**found, "isolation": isolation}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_held_and_named(outcome: Any, name: str) -> None:
    """It ends as it should, reaches nothing, changes nothing, and the next run knows nothing of it."""
    got = outcome["results"][name]
    alone = outcome["isolation"] == "landlock+seccomp"  # where no process can be started, a daemon cannot either
    expected = (
        "exception" if name == "daemon" and alone else "killed exception" if name == "killing itself" and alone else ATTACKS[name].status
    )
    assert got["status"] in expected.split(), got
    assert got["isolation"] == outcome["isolation"]
    assert "breach " not in got["stdout"] and SECRET not in got["stdout"] + got["stderr"], got
    assert "fork server" not in got["error"]
    assert bool(got["error"]) == (got["status"] != "ok" or name == "exit")
    assert got["intact"]
    assert (got["next"]["status"], got["next"]["stdout"]) == ("ok", "[2] 0\n"), got["next"]


def test_nothing_is_left_of_them(outcome: Any) -> None:
    """Neither processes, alive or dead, nor folders."""
    assert outcome["childless"]
    assert outcome["left"] == []


def test_a_few_processes_are_a_few(outcome: Any) -> None:
    """A fork bomb among eight processes makes seven."""
    made = outcome["results"]["fork bomb among a few"]["stdout"].count("f")
    assert made == (0 if outcome["isolation"] == "landlock+seccomp" else 7)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(suite(sys.argv[1]))))
