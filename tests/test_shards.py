"""Journals of workers beside a SQLite store: merged once and wholly, whoever is killed when."""

import asyncio
import fcntl
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from symposia.state import shards
from symposia.state.errors import StoreError, StoreVersion
from symposia.state.packing import request_digest
from symposia.state.shards import WorkerStore, merge_beside, open_worker_store, shard_path
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Entry, Step, Store, Usage, open_store

LONG = "Step 1: seventeen plus four is twenty-one. " * 30


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "a store.db")


def entry(place: str, value: Any = None, **usage: Any) -> Entry:
    asked = {"place": place, "text": LONG}
    return Entry(place, request_digest("llm", asked, None), "llm", asked, {"value": value}, Usage(**usage))


def record(name: str, status: str) -> dict[str, Any]:
    return {"run_id": name, "started": 1.0, "method": "m", "status": status}


async def places(store: Store, run: str = "run") -> list[str]:
    return [e.place for e in await store.entries(run)]


def files(path: str) -> list[str]:
    return sorted(p.name.removeprefix(Path(path).name) for p in Path(path).parent.iterdir())


async def test_what_a_worker_writes_is_seen_after_a_merge_as_if_it_were_written_here(path):
    async with SqliteStore(path) as main:
        await main.append("run", entry("1.a", LONG))
        await main.put_run(record("old", "ok"))
        async with WorkerStore(path, "t1") as worker:
            assert [e.outcome for e in await worker.entries("run")] == [{"value": LONG}]
            await worker.put_run(record("run", "started"))
            for one in (entry("2.a", LONG, calls=1, usd=0.5, notes={"attempts": [LONG]}), entry("3.a", LONG[::-1])):
                await worker.append("run", one)
            await worker.append_step("run", Step("", 1, b"x" * 16, ["never"]))
            await worker.drop_steps("run")
            await worker.append_step("run", Step("", 1, b"d" * 16, ["a"]))
            await worker.put_run(record("run", "ok"))
            assert await places(main) == ["1.a"]

            await merge_beside(main)
            await merge_beside(main)
            assert await places(main) == ["1.a", "2.a", "3.a"]
            found = (await main.entries("run"))[1]
            assert (found.outcome, found.usage) == ({"value": LONG}, Usage(calls=1, usd=0.5, notes={"attempts": [LONG]}))
            assert await main.steps("run") == [Step("", 1, b"d" * 16, ["a"])]
            assert [(r["run_id"], r["status"]) for r in await main.runs()] == [("old", "ok"), ("run", "ok")]

            await worker.append("run", entry("4.a"))
            await main.put_run(record("run", "failed"))
            await merge_beside(main)
            assert await places(main) == ["1.a", "2.a", "3.a", "4.a"]
            assert (await main.run("run"))["status"] == "failed", "a record merged before does not come back"


async def test_the_log_of_a_living_worker_stays_and_that_of_a_dead_one_goes(path):
    async with SqliteStore(path):
        worker = WorkerStore(path, "t1")
        await worker.open()
        await worker.append("run", entry("1.a"))
        async with open_store(path) as other:
            assert await places(other) == ["1.a"], "whoever opens the store sees it"
        assert ".worker-t1" in files(path)
        await worker.append("run", entry("2.a"))
        await worker.flush()
        await worker.close()
        async with open_store(path) as other:
            assert await places(other) == ["1.a", "2.a"]
        assert not [name for name in files(path) if "worker" in name]


async def test_a_worker_reads_what_it_wrote_itself(path):
    async with SqliteStore(path) as main, WorkerStore(path, "t1") as worker, WorkerStore(path, "t2") as other:
        await worker.put_run(record("run", "started"))
        await worker.append("run", entry("1.a"))
        assert (await worker.run("run"))["status"] == "started"
        await worker.append("run", entry("2.a"))
        assert await places(worker) == await places(other) == ["1.a", "2.a"]
        failed, _ = await worker.entries("run")
        await worker.drop("run", [failed])
        assert await places(worker) == ["2.a"]
        await main.ask_to_stop("run")
        assert await worker.asked_to_stop("run")
        await worker.go_on("run")
        assert not await worker.asked_to_stop("run")


async def test_two_who_merge_at_once_do_it_once(path, monkeypatch):
    monkeypatch.setattr(shards, "CHUNK", 7)
    async with SqliteStore(path) as main, SqliteStore(path) as other:
        async with WorkerStore(path, "t1") as worker:
            await asyncio.gather(*(worker.append("run", entry(f"{i}.a", i)) for i in range(40)))
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            both = asyncio.gather(merge_beside(main), merge_beside(other))
            await asyncio.sleep(0.05)  # both have read what is to be done, and wait for the lock
            holder.execute("COMMIT")
            holder.close()
            await both
        await asyncio.gather(merge_beside(main), merge_beside(other))
        assert await places(main) == [f"{i}.a" for i in range(40)]


WORKER = """
import asyncio, sys
from symposia.state.packing import request_digest
from symposia.state.shards import WorkerStore
from symposia.state.store import Entry, Usage

async def main():
    async with WorkerStore(sys.argv[1], sys.argv[2]) as store:
        for i in range(100000):
            asked = {"text": f"{i} the same texts " * 20}
            await store.append("run", Entry(f"{i}.a", request_digest("llm", asked, None), "llm", asked, {"value": i}, Usage()))
            print(i, flush=True)

asyncio.run(main())
"""
MERGER = """
import asyncio, sys
from symposia.state import shards
from symposia.state.store import open_store

shards.CHUNK = 3
async def main():
    async with open_store(sys.argv[1]):
        pass

print(flush=True)
asyncio.run(main())
"""


async def test_whoever_is_killed_nothing_is_lost_and_nothing_doubled(path):
    async with SqliteStore(path):
        pass
    worker = subprocess.Popen([sys.executable, "-c", WORKER, path, "t1"], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    acknowledged = -1
    for line in worker.stdout:
        acknowledged = int(line)
        if acknowledged == 3000:
            worker.kill()
    worker.wait()
    worker.stdout.close()

    rng, merged = random.Random(1), []
    for _ in range(3):
        merger = subprocess.Popen([sys.executable, "-c", MERGER, path], stdout=subprocess.PIPE)
        assert merger.stdout is not None
        merger.stdout.readline()
        time.sleep(rng.uniform(0.05, 0.3))
        merger.kill()
        merger.wait()
        merger.stdout.close()
        with sqlite3.connect(path) as db:
            merged.append(db.execute("SELECT count(*) FROM entries").fetchone()[0])
    assert any(0 < n < acknowledged for n in merged), f"no kill fell into a merge: {merged}"
    async with open_store(path) as main:
        found = await places(main)
        assert found[: acknowledged + 1] == [f"{i}.a" for i in range(acknowledged + 1)]
        assert len(found) == len(set(found))
        assert [e.outcome["value"] for e in await main.entries("run")] == list(range(len(found)))
    assert not [name for name in files(path) if "worker" in name]


ORPHAN = """
import asyncio, os, subprocess, sys
from symposia.state.packing import request_digest
from symposia.state.shards import WorkerStore
from symposia.state.store import Entry, Usage

if len(sys.argv) == 2:
    child = subprocess.Popen([sys.executable, __file__, sys.argv[1], "child"], stdout=subprocess.PIPE)
    child.stdout.readline()
    os._exit(0)

async def main():
    parent = os.getppid()
    async with WorkerStore(sys.argv[1], "t1") as store:
        print(flush=True)
        while os.getppid() == parent:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        await store.append("run", Entry("1.a", b"d" * 16, "llm", {"text": "late"}, {"value": 1}, Usage()))

asyncio.run(main())
"""


async def test_a_worker_whose_parent_was_killed_gets_a_moment_to_end(path, tmp_path):
    async with SqliteStore(path):
        pass
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    await asyncio.to_thread(subprocess.run, [sys.executable, str(script), path], check=True)
    async with open_store(path) as main:
        assert await places(main) == ["1.a"]
    assert not [name for name in files(path) if "worker" in name]


async def test_a_lock_that_was_taken_for_a_dead_workers_is_taken_again(path):
    async with SqliteStore(path) as main:
        lock = Path(f"{shard_path(path, 't1')}-lock")
        remover = lock.open("a")
        fcntl.flock(remover, fcntl.LOCK_EX)
        opened, ended = threading.Event(), threading.Event()

        async def work() -> None:
            async with WorkerStore(path, "t1") as worker:
                opened.set()
                await asyncio.to_thread(ended.wait)
                await worker.append("run", entry("1.a"))

        thread = threading.Thread(target=lambda: asyncio.run(work()))
        thread.start()
        while "flock" not in Path("/proc/locks").read_text().lower() or not blocked():
            await asyncio.sleep(0.01)
        lock.unlink()
        remover.close()
        await asyncio.to_thread(opened.wait)
        await merge_beside(main)
        assert lock.exists(), "the worker lives"
        ended.set()
        await asyncio.to_thread(thread.join)
        await merge_beside(main)
        assert await places(main) == ["1.a"]


def blocked() -> bool:
    """Whether a thread of this process waits for a lock of a file."""
    return any("->" in line and f" {os.getpid()} " in line for line in Path("/proc/locks").read_text().splitlines())


async def test_what_the_store_would_refuse_is_refused_by_the_worker(path):
    async with SqliteStore(path) as main, WorkerStore(path, "t1") as worker:
        for bad in (entry("1.a", prompt_tokens=2**63), entry("1.a", prompt_tokens=10**30), entry("1.a", role="\ud800")):
            with pytest.raises(StoreError):
                await worker.append("run", bad)
        await worker.append("run", entry("2.a", prompt_tokens=2**63 - 1))
        with pytest.raises(StoreError, match="a worker does not write this"):
            await worker.put_artefact("id", "m", {})
        await merge_beside(main)
        assert await places(main) == ["2.a"]


async def test_a_full_disk_is_said_by_worker_and_by_merge_and_nothing_is_lost(path):
    noise = os.urandom(100_000).hex()
    async with SqliteStore(path) as main, WorkerStore(path, "t1") as worker:
        await worker.append("run", entry("1.a", noise))
        [(pages,)] = await main.read("PRAGMA page_count")
        await main.read(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StoreError, match="no space left on the disk"):
            await merge_beside(main)
        assert await places(main) == []
        await main.read("PRAGMA max_page_count=100000")
        worker._connection.execute(f"PRAGMA max_page_count={worker._connection.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(StoreError, match=r"no space left.*start the same command again"):
            await worker.append("run", entry("2.a", noise[::-1]))
        await merge_beside(main)
        assert await places(main) == ["1.a"]


@pytest.mark.parametrize("text", [b"", b"my notes " * 1000], ids=["empty", "notes"])
async def test_a_file_that_is_no_log(path, text):
    async with SqliteStore(path):
        pass
    shard_path(path, "t1").write_bytes(text)
    if not text:
        async with open_store(path):
            assert files(path) == ["", "-shm", "-wal"], "a worker that was killed before its first write"
        return
    with pytest.raises(StoreError, match=r"worker-t1, cannot be read.*move the file away"):
        await open_store(path).open()
    assert shard_path(path, "t1").read_bytes() == text


async def test_the_log_of_another_version_is_left_alone(path):
    async with SqliteStore(path):
        worker = WorkerStore(path, "t1")
        await worker.open()
        worker._connection.execute("UPDATE symposia_format SET version = 99")
        await worker.close()
    with pytest.raises(StoreVersion, match=r"worker-t1, has format 99.*with the version that wrote it"):
        await open_store(path).open()


async def test_a_worker_needs_a_store_that_is_there(path, store_url):
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        await WorkerStore(path, "t1").open()
    assert files(path) == []
    async with open_store(store_url) as main:
        async with open_worker_store(store_url, "t1") as worker:
            await worker.append("run", entry("1.a", json.dumps({"a": 1})))
        if isinstance(main, SqliteStore):
            await merge_beside(main)
        assert await places(main) == ["1.a"]
