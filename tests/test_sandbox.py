"""Running code: what it sees, how its end is named, what becomes of the servers. What it must not reach: `test_sandbox_attacks.py`."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from symposia import cli
from symposia.batches.worker import share, take_share
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.journal import Run, opened
from symposia.tools import sandbox
from symposia.tools.isolation import pool
from symposia.tools.isolation.client import LIVE
from symposia.tools.isolation.paths import ISOLATIONS
from symposia.tools.sandbox import Bounds, execute, run_code, run_in
from symposia.tools.settings import configure, settings

LONG = Bounds(wall_seconds=60)


@pytest.fixture(scope="module", autouse=True)
def ended():
    """Leave no server to the tests that follow."""
    yield
    pool.close()


async def out(code: str, stdin: str = "", **bounds: Any) -> str:
    """What code prints that ends well."""
    result = await run_code(code, stdin, Bounds(**{"wall_seconds": 60, **bounds}))
    assert (result.status, result.error, result.stderr) == ("ok", "", ""), result
    return result.stdout


# -- what code sees ---------------------------------------------------------


async def test_code_is_the_main_module_with_its_stdin():
    code = "import sys\nprint(__name__, sys.argv, input(), sys.stdin.read(), 'é', sys.modules['__main__'].__dict__ is globals())"
    assert await out(code, "first\nsecond ü") == "__main__ ['main.py'] first second ü é True\n"


async def test_nothing_is_there_but_an_empty_folder():
    assert await out("import os\nprint(os.listdir(), dict(os.environ), os.getuid() != 0)") == "[] {} True\n"
    assert (
        await out("open('a', 'w').write('x')\nimport os\nos.mkdir('b')\nprint(sorted(os.listdir()), open('a').read())") == "['a', 'b'] x\n"
    )


async def test_threads_and_exit_handlers_run_to_their_end():
    code = "import atexit, threading, time\natexit.register(print, 'last')\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nprint('body')"
    assert await out(code) == "body\nthread\nlast\n"


async def test_classes_of_the_code_can_be_made_and_pickled_inside():
    code = "import dataclasses, pickle, typing\n@dataclasses.dataclass\nclass A:\n x: 'typing.Any' = 1\n"
    assert await out(code + "print(pickle.loads(pickle.dumps(A(2))), typing.get_type_hints(A))") == "A(x=2) {'x': typing.Any}\n"


async def test_processes_of_its_own_when_it_may_have_some():
    code = "import os\nr, w = os.pipe()\nif not os.fork():\n os.write(w, b'child')\n os._exit(0)\nos.wait()\nprint(os.read(r, 9))"
    if (await run_code("")).isolation == "landlock+seccomp":
        pytest.skip("without namespaces code has one process")
    assert await out(code, processes=2) == "b'child'\n"
    assert (await run_code(code, "", LONG)).error.startswith("BlockingIOError")


async def test_an_event_loop_inside():
    assert await out("import asyncio\nprint(asyncio.run(asyncio.sleep(0, 'awake')))") == "awake\n"


async def test_only_the_numeric_profile_has_numpy():
    code = "import numpy\nprint(numpy.ones(3).sum(), numpy.linalg.det(numpy.eye(2)))"
    assert (await run_code(code, "", LONG)).error == "ModuleNotFoundError: No module named 'numpy'"
    assert (await run_code(code, "", LONG, "numeric")).stdout == "3.0 1.0\n"
    draws = {(await run_code("import numpy\nprint(numpy.random.random())", "", LONG, "numeric")).stdout for _ in range(3)}
    assert len(draws) == 3, "each run has random numbers of its own"


async def test_sets_have_one_order_on_all_servers():
    orders = await asyncio.gather(*(out("print(set('abcdefgh'))") for _ in range(6)))
    assert len(set(orders)) == 1


# -- how it ends ------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("print(1)", "ok", ""),
        ("raise SystemExit", "ok", "SystemExit: 0"),
        ("raise ValueError('one\\ntwo')", "exception", "ValueError: one"),
        ("import warnings\nwarnings.warn('first')\nassert 1 == 2", "exception", "AssertionError"),
        ("try:\n 1 / 0\nexcept ZeroDivisionError as e:\n raise KeyError('k') from e", "exception", "KeyError: 'k'"),
        ("def f(:", "exception", "SyntaxError: invalid syntax"),
        ("x = '\\0'\nimport sys\nprint('noise', file=sys.stderr)\nsys.exit('over')", "exception", "SystemExit: over"),
        ("a = [0] * (1 << 40)", "memory", "MemoryError"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", "killed", "ended by SIGTERM"),
        ("import os\nos._exit(7)", "exception", "ended with exit status 7"),
        ("import time\ntime.sleep(100)", "timeout", "no end within 0.2 s"),
    ],
)
async def test_the_end_has_a_name_and_a_line(code: str, status: str, error: str) -> None:
    result = await run_code(code, "", Bounds(wall_seconds=0.2 if status == "timeout" else 60))
    assert (result.status, result.error) == (status, error)
    assert result.isolation in ISOLATIONS[:-1]
    assert result.seconds > 0


async def test_a_traceback_holds_the_lines_of_the_code_and_none_of_ours():
    result = await run_code("def f(x):\n    return 1 // x\n\nf(0)", "", LONG)
    lines = [line for line in result.stderr.splitlines() if set(line) - set(" ^~")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "main.py", line 4, in <module>',
        "    f(0)",
        '  File "main.py", line 2, in f',
        "    return 1 // x",
        "ZeroDivisionError: integer division or modulo by zero",
    ]


async def test_processor_time_is_a_bound_of_its_own():
    result = await run_code("while True: pass", "", Bounds(wall_seconds=120, cpu_seconds=1))
    assert (result.status, result.error) == ("timeout", "more than 1 s of CPU")


async def test_what_is_printed_is_cut_off_where_it_is_too_much():
    result = await run_code("import sys\nprint('e', file=sys.stderr)\nprint('x' * 5000)", "", Bounds(wall_seconds=60, output_kib=2))
    assert (result.status, result.stdout, result.stderr) == ("output", "x" * 2048, "e\n")
    assert await out("print('x' * 2047)", output_kib=2) == "x" * 2047 + "\n"
    assert (await run_code("import os\nos.write(1, b'\\xff\\xc3')", "", LONG)).stdout == "\ufffd\ufffd", "no text, but it can be stored"


async def test_room_in_a_file_can_be_kept_though_the_kernel_is_not_asked_for_it():
    assert await out("import os\nf = open('a', 'wb')\nos.posix_fallocate(f.fileno(), 0, 9000)\nprint(os.stat('a').st_size)") == "9000\n"


async def test_a_bound_may_be_longer_than_the_kernel_waits_at_once():
    assert await out("print(1)", wall_seconds=1e9, cpu_seconds=1e9) == "1\n"


async def test_what_is_no_bound_and_no_profile():
    with pytest.raises(BadInput, match="wall_seconds of code is 0"):
        Bounds(wall_seconds=0)
    with pytest.raises(BadInput, match="stdlib or numeric"):
        await run_code("", profile="scipy")  # type: ignore[arg-type]


# -- the journal ------------------------------------------------------------


async def test_a_replay_reads_and_runs_nothing(sqlite):
    code = "import time\nprint(time.time_ns())"
    async with opened(Run("r", sqlite)):
        first = await execute(code, "", LONG)
    async with opened(Run("r", sqlite, await sqlite.entries("r"), strict=True)):
        assert await execute(code, "", LONG) == first
    entry = (await sqlite.entries("r"))[0]
    assert (entry.kind, entry.request["code"], entry.request["profile"]) == ("execute", code, "stdlib")
    assert first.status == "ok"


# -- the servers ------------------------------------------------------------


async def test_a_server_is_kept_unless_something_was_left():
    pool.close()
    await run_code("print(1)", "", LONG)
    kept = set(LIVE)
    for code in ("raise ValueError", "import time\ntime.sleep(9)"):
        await run_code(code, "", Bounds(wall_seconds=0.2 if "sleep" in code else 60))
    assert set(LIVE) == kept and len(kept) == 1
    assert await out("import os\nopen('x', 'w').close()\nos.remove('x')") == "", "clean to look at, but touched"
    assert not set(LIVE) & kept


async def test_a_cancelled_run_stops_its_code():
    sleeping = [
        asyncio.create_task(run_code("import time\ntime.sleep(500)", "", Bounds(wall_seconds=400))) for _ in range(pool.processors())
    ]
    while sum(server.number > 0 for server in list(LIVE)) < len(sleeping):
        await asyncio.sleep(0.01)
    for task in sleeping:
        task.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*sleeping, return_exceptions=True))
    async with asyncio.timeout(100):
        assert await out("print('free again')") == "free again\n"


async def test_a_run_that_is_cancelled_while_it_waits_never_begins():
    busy = [asyncio.create_task(run_code("import time\ntime.sleep(0.3)", "", LONG)) for _ in range(pool.processors())]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(run_code("print(1)", "", LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    assert {end.status for end in await asyncio.gather(*busy)} == {"ok"}
    assert waiting.cancelled()


async def test_a_server_that_dies_takes_one_run_with_it():
    task = asyncio.create_task(run_code("import time\nprint('begun', flush=True)\ntime.sleep(500)", "", Bounds(wall_seconds=400)))
    pool.close()
    while not any(server.number for server in list(LIVE)):
        await asyncio.sleep(0.01)
    next(iter(LIVE)).control.shutdown(socket.SHUT_RDWR)
    result = await task
    assert (result.status, result.error) == ("killed", "its fork server ended with it")
    assert await out("print(1)") == "1\n"


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """So many files that this process may open."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_process_that_holds_thousands_of_files_runs_code():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= hard < 2048:
        pytest.skip("this process may not open as many")
    with open_files(2048):
        pool.close()
        held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        assert [await out(f"print({n})") for n in range(2)] == ["0\n", "1\n"]
        pool.close()
        for one in held:
            os.close(one)


async def test_a_machine_without_files_to_open_is_told_of():
    await out("print(1)")
    pool.close()
    os.close(lowest := os.dup(0))
    with open_files(lowest), pytest.raises(SymposiaError, match=r"Too many open files.*ulimit -n"):
        await run_code("print(1)")
    assert await out("print(2)") == "2\n"


class Raced(list[Any]):
    """A list whose last item another thread takes between the look and the taking."""

    def __bool__(self) -> bool:
        return True


async def test_a_server_that_another_thread_takes_first_is_no_fault(monkeypatch):
    isolation = (await run_code("", "", LONG)).isolation
    monkeypatch.setattr(pool, "_idle", {(isolation, "stdlib"): Raced()})
    assert await out("print(1)") == "1\n"
    pool.close()


def test_threads_that_ask_at_once_get_one_pool_of_threads(monkeypatch):
    both, made = threading.Barrier(2), []

    class Slow(ThreadPoolExecutor):
        def __init__(self, *given: Any, **named: Any) -> None:
            made.append(self)
            threading.Event().wait(0.1)
            super().__init__(*given, **named)

    def ask() -> None:
        both.wait()
        pool._threads()

    monkeypatch.setattr(pool, "_executor", None)
    monkeypatch.setattr(pool, "ThreadPoolExecutor", Slow)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_any_loop_may_ask_also_side_by_side():
    found: list[str] = []

    def ask(text: str) -> None:
        found.append(asyncio.run(out(f"print({text!r})")))

    threads = [threading.Thread(target=ask, args=(f"{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask("again")
    assert sorted(found) == ["0\n", "1\n", "2\n", "3\n", "again\n"]


QUIET = """
import asyncio, os
from symposia.tools.sandbox import run_code
print(asyncio.run(run_code("print(1)")).status, flush=True)
child = os.fork()
print(asyncio.run(run_code("print(2)")).status, flush=True)
if child:
    assert os.wait()[1] == 0
"""


def test_neither_a_warning_nor_a_process_at_the_end_nor_after_a_fork():
    done = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", QUIET], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\nok\nok\n", "")


KILLED = """
import asyncio
from symposia.tools.isolation import pool
from symposia.tools.isolation.client import LIVE
from symposia.tools.sandbox import Bounds, run_code
async def main():
    task = asyncio.create_task(run_code("import time\\ntime.sleep(500)", "", Bounds(wall_seconds=400)))
    while not any(server.number for server in list(LIVE)):
        await asyncio.sleep(0.01)
    print("begun", flush=True)
    await task
asyncio.run(main())
"""
HEIR = """
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
process = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
assert process.stdout.readline() == b"begun\\n"
process.kill()
deadline = time.monotonic() + 60
try:
    while time.monotonic() < deadline:
        os.waitpid(-1, os.WNOHANG)[0] or time.sleep(0.02)
except ChildProcessError:
    print("nobody is left")
"""


def test_the_servers_die_with_a_process_that_is_killed():
    done = subprocess.run([sys.executable, "-c", HEIR, KILLED], capture_output=True, text=True, timeout=120)
    assert done.stdout == "nobody is left\n", done.stderr


# -- without isolation ------------------------------------------------------


async def test_what_holds_nothing_is_refused_unless_it_is_allowed(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(pool, "landlock_version", lambda: 0)
    monkeypatch.setattr(pool, "_chosen", None)
    with pytest.raises(BadInput, match=r"bubblewrap.*Landlock") as refused:
        await run_code("print(1)")
    assert "apt install bubblewrap" in (refused.value.remedy or "") and "--unsafe-exec" in (refused.value.remedy or "")
    before = sandbox.allow_unsafe(True)
    try:
        result = await run_code("print(1)", "", LONG)
        timed = await run_code("while True: pass", "", Bounds(wall_seconds=0.2))
    finally:
        sandbox.allow_unsafe(before)
    assert (result.status, result.isolation, result.stdout, timed.status, before) == ("ok", "none", "1\n", "timeout", False)
    with pytest.raises(BadInput):
        await run_code("print(1)")


async def test_a_process_that_was_left_and_prints_without_end_holds_nobody_up():
    daemon = "end = time.time() + 20\n  while time.time() < end: os.write(1, b'x' * 4096)"
    code = f"import os, time\nif not os.fork():\n os.setsid()\n if not os.fork():\n  {daemon}\n os._exit(0)\nos.wait()"
    async with asyncio.timeout(15):
        result = await run_in("none", code, "", Bounds(wall_seconds=60, processes=64), "stdlib")
    assert result.status in ("output", "ok")  # ok where the process rested just then


def test_the_command_line_allows_it_and_workers_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = configure()
    try:
        for more, allowed in (([], False), (["--unsafe-exec"], True)):
            with pytest.raises(SystemExit, match="0"):
                cli.main(["run", "chain_of_thought", "What is 1 + 1?", "--model", "toy/default", *more])
            assert settings().unsafe_exec == allowed
        told = share(2)
        configure(unsafe_exec=False)
        take_share(told)
        assert settings().unsafe_exec
    finally:
        configure(**vars(before))
    assert os.environ.get("SYMPOSIA_UNSAFE_EXEC") is None
    capsys.readouterr()
