"""The engine `ray`: a real cluster of two nodes, PostgreSQL, and a worker that is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from server import Spawned, spawned

ROWS, K, AT_ONCE = 12, 2, 4
NEEDED = ROWS * K

# Ray leaves warnings, and this suite takes none: the cluster is brought up, and the batch run, in processes of their own.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000})
cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which Ray asks for a token, writes into a folder of its own, and phones nobody."""
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"r{i}", "question": f"What is {i} plus {i}?", "answer": "18"} for i in range(ROWS)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYMPOSIA_", "RAY_"))}
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7" * 64, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
    return {**kept, **ray, "SYMPOSIA_API_KEY": "sk-of-this-test"}


@pytest.fixture
def cluster(environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of two nodes with a CPU each."""
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address
        yield address
        process.communicate("")


@pytest.fixture
def database(postgres_server: str) -> str:
    """The URL of an empty database."""
    with psycopg.connect(postgres_server, autocommit=True) as db:
        db.execute("CREATE DATABASE for_ray")
    base, _, query = postgres_server.partition("?")
    return base.rsplit("/", 1)[0] + "/for_ray" + (f"?{query}" if query else "")


@pytest.fixture
def server() -> Iterator[Spawned]:
    """A server whose replies depend on nothing but the request, and that wants the key; it holds them back until it is told."""
    with spawned(deterministic=True, delay_s=0.2, hold=True, key="sk-of-this-test") as found:
        yield found


def batch(server: Spawned, environment: dict[str, str], engine: str, store: str, **more: str) -> dict[str, Any]:
    """The summary of a batch."""
    where = ["-o", f"{engine}.jsonl", "--store", store, "--engine", engine, "--concurrency", str(AT_ONCE), "--json"]
    model = ["--model", "test-model", "--api-base", server.url, "--seed", "7", "-p", f"k={K}"]
    command = [sys.executable, "-m", "symposia.cli", "batch", "self_consistency", "rows.jsonl", *where, *model]
    done = subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def lines(engine: str) -> list[dict[str, Any]]:
    """What a batch wrote, in the order of the rows, without ids and times."""
    found = [json.loads(line) for line in Path(f"{engine}.jsonl").read_text().splitlines()]
    same = ("id", "row", "status", "answer", "correct", "calls", "requests", "usage", "error")
    return sorted(({key: line[key] for key in same} for line in found), key=lambda line: line["row"])


def ask(server: Spawned, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{server.root}{path}", data), timeout=120) as reply:
        return json.loads(reply.read() or b"null")


def actors(doing: bytes = b"") -> list[int]:
    """The processes of crews on this machine's clusters, all or those that are doing something."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes().startswith(b"ray::Host" + doing):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_two_nodes_do_what_one_process_does_and_a_worker_may_be_killed(database, cluster, environment, server):
    killed: list[int] = []

    def kill() -> None:
        late = time.monotonic() + 110
        while len(actors(b".exchange")) < 2 and time.monotonic() < late:
            time.sleep(0.05)
        ask(server, "/_set", {"hold": False})
        ask(server, "/_release", {})
        ask(server, f"/_wait?answered={NEEDED // 3}&timeout=110")
        killed.extend(actors())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    summary = batch(server, environment, "ray", database, RAY_ADDRESS=cluster)
    killer.join()
    count = ask(server, "/_count")
    assert len(killed) == 2, "one worker on each node"
    assert (summary["rows"]["left"], summary["rows"]["failed"]) == (0, 0)
    assert NEEDED <= count["received"] <= NEEDED + AT_ONCE
    assert count["max_in_flight"] <= AT_ONCE
    assert summary["spent_in_all"]["calls"] == NEEDED, "no reply is in the journal twice"
    batch(server, environment, "local", "local.db")
    assert lines("ray") == lines("local")
    assert len(lines("ray")) == ROWS
    assert not actors(), "they end with the batch, not with the cluster"


def test_a_file_is_no_store_for_many_machines(environment, server):
    with pytest.raises(AssertionError, match=r"--engine ray needs a PostgreSQL store, and ray\.db is a file"):
        batch(server, environment, "ray", "ray.db")
