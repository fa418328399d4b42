"""The engine `processes`: the same results as one process, limits and budgets that hold across workers, and any of them may be killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Spawned, spawned

from symposia import cli
from symposia.batches.worker import MARK
from symposia.tools.settings import configure

ROWS, K, AT_ONCE = 12, 3, 6
NEEDED = ROWS * K
Batch = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a data set to stand in, no setting from outside, and no worker left at the end."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SYMPOSIA_") and name != "SYMPOSIA_NO_SKIPS"]:
        monkeypatch.delenv(name)
    rows = [{"id": f"r{i}", "question": f"What is {i} plus {i}?", "answer": "18"} for i in range(ROWS)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = configure()
    yield tmp_path
    configure(**vars(before))
    assert not workers(os.getpid())


@pytest.fixture
def server() -> Iterator[Spawned]:
    """A server whose replies depend on nothing but the request."""
    with spawned(deterministic=True, delay_s=0.1) as found:
        yield found


def command(server: Spawned, name: str, engine: str, *more: str) -> list[str]:
    """The arguments of a batch with a store and an output file of its own."""
    where = ["-o", f"{name}.jsonl", "--store", f"{name}.db", "--engine", engine, "--concurrency", str(AT_ONCE)]
    model = ["--model", "test-model", "--api-base", server.url, "--seed", "7", "-p", f"k={K}"]
    return ["batch", "self_consistency", "rows.jsonl", *where, *model, "--json", *more]


@pytest.fixture
def batch(server: Spawned, capsys: pytest.CaptureFixture[str]) -> Batch:
    """A batch run by the command line in this process: its exit code and its summary."""

    def run(name: str, engine: str, *more: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(command(server, name, engine, *more))
        out, err = capsys.readouterr()
        assert "Traceback" not in err, err
        assert isinstance(end.value.code, int)
        return end.value.code, json.loads(out)

    return run


def ask(server: Spawned, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.root}{path}", data), timeout=60) as reply:
        return json.loads(reply.read() or b"null")


def workers(parent: int) -> list[int]:
    """The worker processes of a process."""
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"symposia.batches.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found


def lines(name: str) -> list[dict[str, Any]]:
    """What a batch wrote, in the order of the rows, without ids and times."""
    found = [json.loads(line) for line in Path(f"{name}.jsonl").read_text().splitlines()]
    same = ("id", "row", "status", "answer", "correct", "calls", "requests", "usage", "error")
    return sorted(({key: line[key] for key in same} for line in found), key=lambda line: line["row"])


def files(name: str) -> list[str]:
    return sorted(path.name for path in Path().glob(f"{name}.db*"))


NOISE = """
import sys, threading, time

def talk():
    while True:
        print("noise\\nand half a line of it", end="", flush=True)
        time.sleep(0.01)

if "symposia.batches.worker" in sys.orig_argv:
    threading.Thread(target=talk, daemon=True).start()
"""


def test_workers_do_what_one_process_does_and_one_may_be_killed(server, batch, monkeypatch):
    assert batch("local", "local")[0] == 0
    expected = lines("local")
    assert len(expected) == ROWS
    assert len({line["answer"] for line in expected}) > 1

    Path("noise").mkdir()
    Path("noise/sitecustomize.py").write_text(NOISE)
    monkeypatch.setenv("PYTHONPATH", str(Path("noise").absolute()), prepend=os.pathsep)  # what a library prints spoils nothing
    ask(server, "/_reset", {})
    killed: list[int] = []

    def kill() -> None:
        ask(server, f"/_wait?answered={NEEDED // 3}&timeout=110")
        killed.extend(workers(os.getpid())[:1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    code, summary = batch("processes", "processes", "--workers", "2")
    killer.join()
    count = ask(server, "/_count")
    assert killed
    assert code == 0
    assert lines("processes") == expected
    assert NEEDED <= count["received"] <= NEEDED + AT_ONCE, "what was in flight in the killed worker is all that may be asked for twice"
    assert count["max_in_flight"] <= AT_ONCE
    assert (summary["rows"]["ok"], summary["rows"]["left"]) == (sum(line["status"] == "ok" for line in expected), 0)
    assert summary["spent_in_all"]["calls"] == NEEDED, "no reply is in the journal twice"
    assert files("processes") == ["processes.db"], "the workers' journals are merged and gone"


def test_a_budget_holds_across_workers_and_more_of_it_goes_on(server, batch):
    tokens = 3000
    code, summary = batch("budget", "processes", "--workers", "2", "--budget-tokens", str(tokens))
    assert (code, summary["stopped"]) == (1, "the budget in tokens is used up")
    spent = sum(summary["usage"].values())
    calls = summary["calls"]["live"]
    assert 0 < spent <= tokens + AT_ONCE * spent / calls
    assert spent > tokens / 2, "a budget is for using"
    assert ask(server, "/_count")["answered"] == calls
    assert summary["rows"]["left"] == ROWS - len(lines("budget")) > 0

    code, summary = batch("budget", "local")
    assert (code, summary["rows"]["left"]) == (0, 0)
    assert len(lines("budget")) == ROWS
    assert ask(server, "/_count")["received"] == NEEDED


def test_when_the_parent_is_killed_its_workers_end_and_nothing_is_lost(server, batch):
    started = [sys.executable, "-m", "symposia.cli", *command(server, "orphans", "processes", "--workers", "2")]
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        ask(server, f"/_wait?answered={NEEDED // 3}&timeout=110")
        children = workers(parent.pid)
        parent.kill()
    assert len(children) == 2
    code, summary = batch("orphans", "local")
    while any(map(alive, children)):  # they end by themselves, or this test never does
        time.sleep(0.1)
    count = ask(server, "/_count")
    assert (code, summary["rows"]["left"]) == (0, 0)
    assert NEEDED <= count["received"] <= NEEDED + AT_ONCE
    assert summary["spent_in_all"]["calls"] == NEEDED
    assert Counter(line["id"] for line in lines("orphans")) == Counter(f"r{i}" for i in range(ROWS))
    assert files("orphans") == ["orphans.db"]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_worker_says_why_it_cannot_work_and_ends():
    start = {"store": str(Path("none.db").absolute()), "token": "t", "terms": {}, "settings": {"limits": {}, "prices": {}}}
    process = subprocess.Popen(
        [sys.executable, "-m", "symposia.batches.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = process.communicate(json.dumps(start).encode() + b"\n", timeout=60)
    assert json.loads(out.strip().removeprefix(MARK))["error"]["name"] == "StoreError"
    assert process.returncode == 0


def test_a_store_in_memory_is_no_store_for_workers(batch):
    code, said = batch("memory", "processes", "--store", ":memory:")
    assert (code, said["error"]["name"], said["error"]["remedy"]) == (2, "BadInput", "name a file with --store")
