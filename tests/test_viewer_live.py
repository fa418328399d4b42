"""Following runs over HTTP: how they stand, what many share, and that an answer is taken once."""

import asyncio
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gated import GATES, aside, asked, asking, consultation, going  # noqa: F401 - a fixture among them
from serving import served

from symposia import runs
from symposia.api import abatch
from symposia.state.errors import StoreError
from symposia.state.store import open_store
from symposia.viewer import live
from symposia.viewer.desk import Desk
from symposia.viewer.live import batch_events, events

POST = {"X-Symposia": "1"}
Told = tuple[str, int, Any]


def told(text: str) -> list[Told]:
    """Events as (kind, id, data)."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if lines:
            found.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return found


def now(root: str, run_id: str) -> Any:
    """How a run stands."""
    return next(data for kind, _, data in told(httpx.get(f"{root}/api/runs/{run_id}/events?once=1").text) if kind == "now")


def until(root: str, run_id: str, done: Any) -> Any:
    """How a run stands once that is as a test wants it."""
    for _ in range(400):
        found = now(root, run_id)
        if done(found):
            return found
        time.sleep(0.03)
    raise AssertionError(f"it did not come to that: {found}")


def test_a_run_that_goes_on_says_what_is_open_of_how_much(tmp_path: Path) -> None:
    with served(tmp_path) as server, going(tmp_path) as run_id:
        first = until(server.root, run_id, lambda n: n["in_flight"] == 4)
        assert first["nodes"] == [{"node": "solve", "done": 0, "of": 4}] and first["step"] == 2
        assert (first["here"], first["calls"], first["most"], first["queued"], first["pauses"]) == (True, 0, 4, 0, [])
        GATES.free.add("solve.b2")
        second = until(server.root, run_id, lambda n: n["calls"] == 1)
        assert second["nodes"] == [{"node": "solve", "done": 1, "of": 4}] and second["in_flight"] == 3
        assert second["tokens"] == 15 and second["seconds"] > 0
        lines = httpx.get(f"{server.root}/api/runs/{run_id}/calls?step=2").json()["items"]
        assert [line["place"] for line in lines] == ["2.solve.b2"]
        assert httpx.get(f"{server.root}/api/runs/{run_id}/calls?step=1").json()["total"] == 0


def test_the_most_calls_of_a_run_are_those_of_its_scorers_too(tmp_path: Path) -> None:
    given = {"model": "gated/any", "k": 2, "max_rounds": 1}
    with served(tmp_path) as server, going(tmp_path, "magicore", given) as run_id:
        assert now(server.root, run_id)["most"] == 2 * (1 + 2) + 2 * 2 * (1 + 1)


def test_a_pause_that_an_endpoint_asks_for_is_told_with_its_seconds(tmp_path: Path) -> None:
    GATES.limited = {"solve.b0", "solve.b1", "solve.b2", "solve.b3"}
    with served(tmp_path) as server, going(tmp_path) as run_id:
        found = until(server.root, run_id, lambda n: n["pauses"] and n["pauses"][0]["n"] == 4)
        pause = found["pauses"][0]
        assert pause["why"] == "RateLimited" and 0 < pause["seconds"] <= 600 and found["in_flight"] == 0
        assert httpx.post(f"{server.root}/api/runs/{run_id}/cancel", json={}, headers=POST).status_code == 202
        ended = told(httpx.get(f"{server.root}/api/runs/{run_id}/events", timeout=30).text)[-1]
        assert ended[0] == "done" and ended[2]["status"] == "stopped"


def test_a_run_of_another_process_says_that_its_calls_show_when_they_end(tmp_path: Path) -> None:
    async def left() -> str:
        async with open_store(str(tmp_path / "store.db")) as store:
            record = runs.new_record("self_consistency", {"model": "gated/any"}, {"question": "q"})
            await store.put_run(record)
            return str(record["run_id"])

    run_id = asyncio.run(left())
    with served(tmp_path) as server:
        found = now(server.root, run_id)
        assert (found["here"], found["in_flight"], found["seconds"], found["nodes"]) == (False, None, None, [])


@contextmanager
def following(folder: Path) -> Iterator[Desk]:
    """A desk of the running loop."""
    yield Desk(str(folder / "store.db"), lambda: pytest.fail("nothing is started"))


async def test_what_many_follow_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[str] = []
    plain = live.standing_of

    async def counted(store: Any, run_id: str) -> Any:
        readings.append(run_id)
        return await plain(store, run_id)

    monkeypatch.setattr(live, "standing_of", counted)
    run_id = await asyncio.to_thread(lambda: asyncio.run(paused(tmp_path)))
    with following(tmp_path) as desk:
        try:
            streams = [events(desk, run_id, 0) for _ in range(20)]
            first = await asyncio.gather(*(anext(stream) for stream in streams))
            assert len(set(first)) == 1 and first[0].startswith(b"event: step")
            rest = [await asyncio.gather(*(anext(stream) for stream in streams)) for _ in range(2)]
            assert [one[0].split(b"\n")[0] for one in rest] == [b"event: interrupt", b"event: now"]
            assert readings == [run_id]
            for stream in streams:
                await stream.aclose()
            assert not desk.lookout._watches
        finally:
            await desk.close()


async def paused(folder: Path) -> str:
    """A run that waits before its second node."""
    async with open_store(str(folder / "store.db")) as store:
        record = runs.new_record("self_consistency", {"model": "toy/default", "k": 2}, {"question": "2 + 2?"}, pause_before=["solve"])
        return (await runs.start(store, record)).run_id


async def test_a_store_that_cannot_be_read_ends_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await paused(tmp_path)
    with following(tmp_path) as desk:
        try:
            stream = events(desk, run_id, 0)
            while not (await anext(stream)).startswith(b"event: now"):
                pass

            async def broken(*_: Any) -> Any:
                raise OSError("the disk is gone")

            store = await desk.library.ask(_itself)
            monkeypatch.setattr(store, "read", broken)
            with pytest.raises(OSError, match="the disk is gone"):
                await anext(stream)
        finally:
            monkeypatch.undo()
            await desk.close()


async def test_a_run_that_is_removed_ends_its_stream(tmp_path: Path) -> None:
    run_id = await paused(tmp_path)
    with following(tmp_path) as desk:
        try:
            stream = events(desk, run_id, 0)
            while not (await anext(stream)).startswith(b"event: now"):
                pass
            async with open_store(str(tmp_path / "store.db")) as store:
                await store.forget(run_id)
            async with asyncio.timeout(20):
                assert [said async for said in stream] == []
        finally:
            await desk.close()


async def test_who_leaves_a_watch_that_failed_leaves_the_new_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await paused(tmp_path)
    with following(tmp_path) as desk:
        try:
            old = desk.lookout.at(run_id)
            with monkeypatch.context() as patch:

                async def broken(*_: Any) -> Any:
                    raise OSError("the disk is gone")

                patch.setattr(desk.library, "ask", broken)
                with pytest.raises(OSError, match="the disk is gone"):
                    await old.__enter__().after(0, 30)
            with desk.lookout.at(run_id) as new:
                old.__exit__(None, None, None)
                assert desk.lookout._watches == {run_id: new}
                await new.after(0, 30)
                assert new.version == 1
        finally:
            await desk.close()


async def test_streams_that_are_open_end_with_the_desk_and_open_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def standing(store: Any, batch_id: str) -> Any:
        return {"ended": False, "counts": {}}

    monkeypatch.setattr(live, "batch_standing", standing)
    run_id = await paused(tmp_path)
    with following(tmp_path) as desk:
        early, late, batch = events(desk, run_id, 0), events(desk, run_id, 0), batch_events(desk, "b")
        await anext(early)
        while not (await anext(late)).startswith(b"event: now"):
            pass
        await anext(batch)
        await desk.close()
        async with asyncio.timeout(20):  # one that does not end goes on for ever
            left = [said for stream in (early, late, batch) for said in [said async for said in stream]]
        assert not any(said.startswith(b"event: now") for said in left) and desk.library._thread is None


async def test_a_run_that_cannot_be_opened_still_waits_and_says_why(
    tmp_path: Path,
    consultation: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = await asked(tmp_path, consultation)
    async with open_store(str(tmp_path / "store.db")) as store:
        desk = Desk(store.url, lambda: store)

        async def full(*_: Any) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(store, "append", full)
        with pytest.raises(StoreError, match="the disk is full"):
            await desk.go_on(run_id, {"answer": "left", "answered": True})
        assert (await store.run(run_id))["status"] == "paused"
        await desk.close()


def test_a_fork_for_which_there_is_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = asyncio.run(paused(tmp_path))
    with served(tmp_path) as server:
        address = f"{server.root}/api/runs"
        monkeypatch.setattr("symposia.viewer.desk._MOST", 0)
        assert httpx.post(f"{address}/{run_id}/fork", json={"at": 1}, headers=POST).status_code == 429
        assert [run["run"] for run in httpx.get(address).json()["items"]] == [run_id]
        monkeypatch.undo()
        made = httpx.post(f"{address}/{run_id}/fork", json={"at": 1}, headers=POST)
        assert made.status_code == 201 and httpx.get(f"{address}/{made.json()['run_id']}?quick=1").status_code == 200


async def _itself(store: Any) -> Any:
    return store


def test_once_answered_a_run_reads_as_running_and_is_not_answered_twice(tmp_path: Path, consultation: str) -> None:  # noqa: F811
    run_id = asyncio.run(asked(tmp_path, consultation))
    with served(tmp_path) as server, ThreadPoolExecutor(4) as many:
        address = f"{server.root}/api/runs/{run_id}"
        sent = [many.submit(httpx.post, f"{address}/answer", json={"answer": "left"}, headers=POST) for _ in range(4)]
        assert sorted(one.result().status_code for one in sent) == [202, 400, 400, 400]
        assert httpx.get(f"{address}?quick=1").json()["run"]["status"] != "paused"
        found = told(httpx.get(f"{address}/events", timeout=30).text)[-1]
        assert found[0] == "done" and found[2]["answer"] == "left"


def test_an_answer_to_what_is_not_asked_any_more_is_refused(tmp_path: Path, consultation: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("gated.consult", asking(2))
    run_id = asyncio.run(asked(tmp_path, consultation))
    with served(tmp_path) as server:
        address = f"{server.root}/api/runs/{run_id}"
        waits = httpx.get(f"{address}?quick=1").json()["run"]["waiting"]
        mine = {"answer": "left", "at": waits["ask"]["place"]}
        assert httpx.post(f"{address}/answer", json=mine, headers=POST).status_code == 202
        found = told_of_next(server.root, run_id, mine["at"])
        late = httpx.post(f"{address}/answer", json=mine, headers=POST)
        assert late.status_code == 400 and f"waits at {found['ask']['place']} by now, not at {mine['at']}" in late.json()["message"]
        assert httpx.get(f"{address}?quick=1").json()["run"]["waiting"] == found
        last = {"answer": "right", "at": found["ask"]["place"]}
        assert httpx.post(f"{address}/answer", json=last, headers=POST).status_code == 202
        assert told(httpx.get(f"{address}/events", timeout=30).text)[-1][2]["answer"] == "left, right"


def told_of_next(root: str, run_id: str, place: str) -> Any:
    """What a run asks next, after the question at a place."""
    for _ in range(400):
        heard = told(httpx.get(f"{root}/api/runs/{run_id}/events?once=1").text)
        asks = [data for kind, _, data in heard if kind == "interrupt" and data["ask"]["place"] != place]
        if asks:
            return asks[-1]
        time.sleep(0.03)
    raise AssertionError("it asks nothing more")


def test_a_batch_tells_its_counts_and_what_is_left_of_its_budget(tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "question": f"{i} + 2?"} for i in range(3)]
    given: dict[str, Any] = {"model": "gated/any", "params": {"k": 1}, "budget_tokens": 1000}
    work = abatch("self_consistency", rows, tmp_path / "out.jsonl", store=str(tmp_path / "store.db"), **given)
    with served(tmp_path) as server, aside(work) as thread:
        batch_id = ""
        while not batch_id and thread.is_alive():
            batch_id = next((b["id"] for b in httpx.get(f"{server.root}/api/batches").json()["items"]), "")
            time.sleep(0.02)
        found = told(httpx.get(f"{server.root}/api/batches/{batch_id}/events?once=1").text)
        assert [kind for kind, _, _ in found] == ["now"]
        assert (found[0][2]["rows"], found[0][2]["tokens_budget"], found[0][2]["ended"]) == (3, 1000, False)
        GATES.free.add("all")
        last = told(httpx.get(f"{server.root}/api/batches/{batch_id}/events", timeout=60).text)[-1]
        assert last[0] == "done" and sum(last[2]["counts"].values()) == 3 and last[2]["calls"] == 3 and last[2]["tokens"] == 45
        assert httpx.get(f"{server.root}/api/batches/nosuch/events").status_code == 404


async def test_batches_that_are_followed_side_by_side_keep_their_rests(tmp_path: Path) -> None:
    looks: list[str] = []

    async def look(batch_id: str) -> str:
        looks.append(batch_id)
        return batch_id

    with following(tmp_path) as desk:
        try:
            for _ in range(3):
                for batch_id in ("a", "b"):
                    assert await desk.lookout.batch(batch_id, lambda _, name=batch_id: look(name)) == batch_id  # type: ignore[misc]
            assert looks == ["a", "b"]
        finally:
            await desk.close()


def test_calls_of_a_step_that_goes_on_are_in_the_run_that_was_rebuilt_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symposia.viewer.library._REST", 0)
    with served(tmp_path) as server, going(tmp_path) as run_id:
        address = f"{server.root}/api/runs/{run_id}"
        for n, branch in enumerate(("b2", "b0"), start=1):
            GATES.free.add(f"solve.{branch}")
            until(server.root, run_id, lambda now: now["calls"] == n)  # noqa: B023
            page = httpx.get(address).json()
            assert page["states"] == "known" and [step["calls"] for step in page["steps"]] == [0, n]


async def test_a_batch_is_looked_at_once_for_all_who_follow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    async def counted(store: Any, batch_id: str) -> Any:
        looks.append(batch_id)
        return {"ended": False, "counts": {}}

    monkeypatch.setattr(live, "batch_standing", counted)
    with following(tmp_path) as desk:
        try:
            streams = [batch_events(desk, "b") for _ in range(10)]
            await asyncio.gather(*(anext(stream) for stream in streams))
            assert looks == ["b"]
        finally:
            await desk.close()
