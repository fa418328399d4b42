"""Both kinds of store: what comes back, how it is grouped, how many bytes it takes, and what goes wrong with which words."""

import asyncio
import json
import random
import re
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import START

import symposia
from symposia import registry, runs
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.state.base import BaseParams, BaseState, Method, Question
from symposia.state.channels import grow
from symposia.state.errors import RunHeld, StoreError, StoreLocked, StoreVersion, UnknownName
from symposia.state.graph import StateGraph
from symposia.state.journal import Outcome, effect
from symposia.state.packing import request_digest
from symposia.state.place import fan
from symposia.state.postgres import PostgresStore
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Entry, Step, Store, Usage, open_store

LONG = "Step 1: seventeen plus four is twenty-one. " * 30


def entry(place: str, request: dict[str, Any] | None = None, value: Any = None, **usage: Any) -> Entry:
    asked = request or {"place": place}
    return Entry(place, request_digest("llm", asked, None), "llm", asked, {"value": value}, Usage(**usage))


def chat(*texts: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user" if i % 2 == 0 else "assistant", "content": t} for i, t in enumerate(texts)]}


async def counts(store: Store) -> tuple[int, int]:
    """Numbers of entries and blobs."""
    [(entries,)] = await store.read("SELECT count(*) FROM entries")
    [(blobs,)] = await store.read("SELECT count(*) FROM blobs")
    return entries, blobs


# -- what is written comes back ----------------------------------------


async def test_entries_come_back_as_they_were(store, store_url):
    written = [
        entry(
            "1.a",
            chat([LONG, "?"]),
            {"choices": [{"text": LONG[::-1], "finish": "stop", "refusal": None}]},
            role="solver",
            model="m",
            calls=1,
        ),
        entry(
            "2.a.b0",
            chat([LONG], [LONG, "x"], ["ä 日本 🙂 \x00"]),
            "\x00" * 100,
            requests=3,
            usd=0.25,
            ms=12.34,
            notes={"attempts": [{"waited": LONG}]},
        ),
        Entry(
            "3.b~1.n2",
            b"d" * 16,
            "reward",
            {"a": [1, 2.5, None, True, {"messages": []}]},
            {"error": {"name": "X", "message": LONG}},
            Usage(),
            2**31 - 1,
            True,
        ),
        entry("4.c", {"text": "'; DROP TABLE entries; --"}, [[], {}, "", 0, -1, 1e-300], prompt_tokens=10**6, completion_tokens=7),
    ]
    for one in written:
        await store.append("run", one)
    await store.append("other", entry("1.a"))
    async with open_store(store_url) as again:
        found = await again.entries("run")
    assert [e.seq for e in found] == sorted(e.seq for e in found)
    for one, back in zip(written, found, strict=True):
        back.seq = 0
        assert back == one


async def test_no_entries_and_a_thousand(store):
    assert await store.entries("run") == []
    await asyncio.gather(*(store.append("run", entry(f"{i}.a", chat([LONG, f"question {i}"]), f"answer {i} {LONG}")) for i in range(1000)))
    found = await store.entries("run")
    assert [(e.place, e.outcome["value"]) for e in found] == [(f"{i}.a", f"answer {i} {LONG}") for i in range(1000)]
    await store.drop("run", found[1:])
    assert [e.place for e in await store.entries("run")] == ["0.a"]
    await store.drop("run", [])


async def test_steps_runs_artefacts_and_words_to_stop(store):
    for step in (
        Step("", 2, b"c" * 16, ["b", "ä"]),
        Step("", 1, b"a" * 16, ["x"]),
        Step("1.a/2.b", 1, b"b" * 16, []),
        Step("", 1, b"d" * 16, ["y"]),
    ):
        await store.append_step("run", step)
    assert await store.steps("run") == [
        Step("", 1, b"d" * 16, ["y"]),
        Step("", 2, b"c" * 16, ["b", "ä"]),
        Step("1.a/2.b", 1, b"b" * 16, []),
    ]
    await store.drop_steps("run")
    assert await store.steps("run") == []

    for i, name in enumerate(("abc1", "abd2", "xyz3")):
        await store.put_run(
            {"run_id": name, "started": float(i), "method": "m", "status": "started", "input": {"question": "lone \ud800 sign"}}
        )
    await store.put_run({**await store.run("xyz3"), "status": "ok"})
    assert [(r["run_id"], r["status"]) for r in await store.runs()] == [("xyz3", "ok"), ("abd2", "started"), ("abc1", "started")]
    assert [r["run_id"] for r in await store.runs(1)] == ["xyz3"]
    assert (await store.run("abc"))["run_id"] == "abc1"
    for unknown in ("", "abc11", "%", "_", "nothing"):
        with pytest.raises(UnknownName, match="unknown run"):
            await store.run(unknown)
    with pytest.raises(UnknownName, match="several runs begin with 'ab'"):
        await store.run("ab")

    await store.put_artefact("id", "magicore", {"content": {"mean": 1.5}})
    await store.put_artefact("id", "magicore", {"content": "never the second one"})
    assert await store.artefact("id") == {"content": {"mean": 1.5}}
    with pytest.raises(UnknownName, match="unknown artefact 'di'"):
        await store.artefact("di")

    assert not await store.asked_to_stop("run")
    await store.ask_to_stop("run")
    await store.ask_to_stop("run")
    assert await store.asked_to_stop("run")
    await store.go_on("run")
    assert not await store.asked_to_stop("run")


@pytest.mark.parametrize("prefix", ["20261122a", "20261122z", "202611229"])
async def test_the_range_of_a_batch_is_the_ids_that_begin_with_its_own(store, prefix):
    others = ["202611221", "20261122", "20261122b00", "20261123000"]
    for run_id in (prefix, f"{prefix}00", f"{prefix}zz", *others):
        await store.put_run({"run_id": run_id, "started": 0.0, "method": "m", "status": "ok"})
        await store.append(run_id, entry("1.a", calls=1))
    assert set(await store.statuses(prefix)) == {prefix, f"{prefix}00", f"{prefix}zz"}
    assert (await store.spent(prefix)).calls == 3


def test_the_range_on_a_server_is_by_bytes_whatever_its_collation():
    for url, ordered in (("postgresql://host/name", 'run COLLATE "C"'), ("a.db", "run")):
        assert open_store(url).beginning_with("run", "ab9") == (f"{ordered} >= ? AND {ordered} < ?", ("ab9", "ab:"))


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_the_range_on_a_server_is_served_by_an_index(store):
    await store.write([("SET enable_seqscan = off", [()])])
    for table, column in (("runs", "id"), ("entries", "run")):
        where, args = store.beginning_with(column, "ab9")
        plan = await store.read(f"EXPLAIN SELECT 1 FROM {table} WHERE {where}", args)
        assert f"{table}_{column}_bytewise" in str(plan) and "Index Cond" in str(plan)


async def test_changes_under_a_name_are_numbered_without_a_gap_and_a_key_counts_once(store, store_url):
    assert await store.updates("b") == [] == await store.updated_names()
    assert await store.add_update("b", "k", {"a": [1, "ä\x00"]}) == (1, {"a": [1, "ä\x00"]})
    assert await store.add_update("b", "k", {"a": 2}) == (1, {"a": [1, "ä\x00"]})
    assert await store.add_update("other", "k", {}) == (1, {})
    async with open_store(store_url) as second:
        made = await asyncio.gather(*((store, second)[i % 2].add_update("b", f"{i // 2}", {"i": i // 2}) for i in range(40)))
    assert sorted(version for version, _ in made) == sorted([*range(2, 22)] * 2)
    assert all(made[i] == made[i + 1] for i in range(0, 40, 2))
    assert await store.updates("b", after=1) == sorted(made[::2])
    assert await store.updated_names() == ["b", "other"]


async def test_a_store_may_be_opened_again_and_again_and_at_once(store_url):
    async def use(i: int) -> None:
        async with open_store(store_url) as one:
            await one.append("run", entry(f"{i}.a"))

    await asyncio.gather(*(use(i) for i in range(4)))
    async with open_store(store_url) as again:
        assert sorted(e.place for e in await again.entries("run")) == ["0.a", "1.a", "2.a", "3.a"]
        await again.flush()


async def test_lone_surrogates_of_a_model_or_a_user_do_not_stop_a_run(script, sqlite):
    script.answer = lambda node, messages: "broken \ud800 sign, \ud83d\ude42 and \\boxed{4}"
    result = await symposia.arun("chain_of_thought", "What\udfff is 2 + 2?", model="script/any", store=sqlite)
    assert (result.status, result.answer) == ("ok", "4")
    report, execution = await runs.replay(sqlite, result.run_id, keep=True)
    assert report["identical"]
    assert "broken \ufffd sign, 🙂 and" in json.dumps(execution.moments[-1].values, default=str, ensure_ascii=False)
    assert "What\ufffd is" in script.prompts["solve"][0]


# -- each text once ----------------------------------------


async def test_images_of_a_question_and_of_edits_are_blobs_that_a_listing_leaves_out(store):
    image = "data:image/png;base64," + "iVBORw0KGgo" * 500
    marks = [
        {"at": 1, "values": {"images": [image, image]}},
        {"at": 2, "values": {"images": ["x", 1]}},
        {"at": 3, "values": {"images": [{"blob": "?"}]}},
    ]
    record = {"run_id": "r", "started": 0.0, "method": "m", "status": "ok", "input": {"images": [image]}, "marks": marks}
    await store.put_run(record)
    assert await store.run("r") == record
    (listed,) = await store.runs()
    assert image not in str(listed)
    assert (await counts(store), listed["marks"][1:]) == ((0, 1), marks[1:])


async def test_equal_prompts_are_stored_once(store):
    for i in range(8):
        await store.append("run", entry(f"1.solve.b{i}", chat([LONG, "question " * 20]), i))
    assert await counts(store) == (8, 4), "two texts, the link of the conversation, and the request"


async def test_a_conversation_that_grows_by_a_turn_stores_the_turn(store):
    texts = [[LONG]]
    await store.append("run", entry("1.a", chat(*texts)))
    _, before = await counts(store)
    for i in range(1, 10):
        texts.append([f"reply {i} " * 20])
        await store.append("run", entry(f"{i + 1}.a", chat(*texts)))
        _, now = await counts(store)
        assert now - before == 3, "the text, its link, and the request that names it"
        before = now
    assert (await store.entries("run"))[-1].request == chat(*texts)


async def test_a_reply_that_is_quoted_is_stored_once_also_by_another_run_or_process(store, store_url):
    await store.append("run", entry("1.a", value=LONG))
    _, before = await counts(store)
    await store.append("other", entry("1.a", {"quoted": LONG, "and": [LONG]}, LONG))
    async with open_store(store_url) as again:
        await again.append("third", entry("1.a", {"quoted": LONG, "and": [LONG]}, LONG))
    assert (await counts(store))[1] == before + 1, "the request"


async def test_blobs_of_a_failed_commit_are_sent_again(sqlite):
    broken = sqlite.write([("INSERT INTO no_such_table VALUES (1)", [()])])
    failed = sqlite.append("run", entry("1.a", value=LONG))
    with pytest.raises(StoreError):
        await failed
    with pytest.raises(StoreError):
        await broken
    await sqlite.append("run", entry("1.a", value=LONG))
    assert [e.outcome["value"] for e in await sqlite.entries("run")] == [LONG]


async def test_what_one_pass_of_the_loop_appends_is_one_transaction(sqlite):
    statements: list[str] = []
    sqlite._connection.set_trace_callback(statements.append)
    await asyncio.gather(
        *(sqlite.append("run", entry(f"{i}.a", value=LONG)) for i in range(50)), sqlite.append_step("run", Step("", 1, b"", []))
    )
    assert [s for s in statements if s.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    statements.clear()
    for i in range(3):
        await sqlite.append("run", entry(f"{i}.b"))
    assert sum(s == "COMMIT" for s in statements) == 3
    sqlite._connection.set_trace_callback(None)


# -- how many bytes ----------------------------------------


def wordy(seed: int) -> Any:
    """Texts of 0.6 to 1.2 KB, of words of a vocabulary of a few thousand."""
    rng = random.Random(seed)
    syllables = [c + v for c in "bcdfghklmnprstvw" for v in ("a", "e", "i", "o", "u", "an", "er", "is")]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(4000)]
    weights = [1 / (i + 5) for i in range(len(vocabulary))]

    def text() -> str:
        size, words = rng.randint(600, 1200), ""
        while len(words) < size:
            words += " ".join(rng.choices(vocabulary, weights, k=12)).capitalize() + ". "
        return words[:size]

    return text


AGENTS, DEBATE_ROUNDS = 8, 64


class DebateState(BaseState):
    """Replies by round."""

    said: Annotated[list[list[str]], grow]


def debate(script: Any) -> Any:
    """Every agent reads what all the others said last; the calls are effects of the form that `tools.completion` gives them."""

    async def one(question: str, last: list[str], i: int) -> str:
        others = [part for j, text in enumerate(last) if j != i for part in (f"Agent {j}: ", text, "\n\n")]
        content = ["Problem: ", question, "\n\nWhat the others say:\n", *others, "\n\nYour view:"]
        request = {"model": "script/any", "messages": [{"role": "user", "content": content}], "temperature": 0.8, "max_tokens": 1000}

        async def perform() -> Outcome:
            text = script.take("speak", [{"content": "".join(content)}])
            usage = Usage("solver", "script/any", calls=1, requests=1, prompt_tokens=2000, completion_tokens=250)
            return Outcome({"choices": [{"text": text, "finish": "stop", "refusal": None}]}, usage)

        return str((await effect("llm", request, perform))["choices"][0]["text"])

    async def speak(state: DebateState) -> dict[str, Any]:
        last = state["said"][-1] if state["said"] else []
        return {"said": [await fan([partial(one, state["question"], last, i) for i in range(AGENTS)])]}

    graph = StateGraph(DebateState, BaseParams, input_schema=Question)
    graph.add_node("intake", intake)
    graph.add_node("speak", speak)
    graph.add_node("finish", lambda state: conclude("done", "max_rounds"))
    graph.add_edge(START, "intake")
    graph.add_edge("intake", "speak")
    graph.add_conditional_edges("speak", lambda s: "speak" if len(s["said"]) < DEBATE_ROUNDS else "finish", ["speak", "finish"])
    return graph


@pytest.fixture
def debating(monkeypatch, script):
    """The debate as a method."""
    module: Any = type(sys)("symposia.graphs.debating")
    module.METHOD = Method("debating", "", "0000.00000", 2026, "test", ("solver",), "0")
    module.Params, module.build = BaseParams, lambda: debate(script)
    module.graph = module.build().compile()
    known = registry.names()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(registry, "names", lambda: (*known, "debating"))
    yield "debating"
    registry.load.cache_clear()
    registry._compiled.cache_clear()


BOUND = {"none": 2.5, "each": 8.0}


async def bytes_per_text(script: Any, path: Path, method: str, params: dict[str, Any], checkpoints: str) -> float:
    """Bytes of the store over bytes of text that the models produced."""
    text, produced = wordy(7), 0

    def answer(node: str, messages: list[dict[str, Any]]) -> str:
        nonlocal produced
        asked, said = messages[-1]["content"], text()
        if "SCORES:" in asked:
            said += "\nSCORES: " + ", ".join(["0.3"] * len(re.findall(r"(?m)^Step \d", asked)))
        elif "SCORE:" in asked:
            said += "\nSCORE: 0.2"
        elif node in ("solve", "refine"):
            third = len(said) // 3
            said = f"Step 1: {said[:third]}\nStep 2: {said[third : 2 * third]}\nStep 3: {said[2 * third :]} \\boxed{{{script.calls}}}"
        produced += len(said.encode())
        return said

    script.answer = answer
    async with SqliteStore(str(path)) as store:
        result = await symposia.arun(method, text(), model="script/any", params=params, store=store, checkpoints=checkpoints)
        assert result.status == "ok", result.error
        assert result.calls["live"] == script.calls
    assert produced > 100_000
    return path.stat().st_size / produced


@pytest.mark.parametrize("checkpoints", ["none", "each"])
async def test_a_run_of_magicore_takes_few_bytes_per_byte_of_text(script, tmp_path, checkpoints):
    ratio = await bytes_per_text(script, tmp_path / "store.db", "magicore", {"k": 8, "max_rounds": 4}, checkpoints)
    assert script.calls == 8 * (1 + 2 * 4) + 2 * 8 * 5
    assert 0.5 < ratio < BOUND[checkpoints]


@pytest.mark.parametrize("checkpoints", ["none", "each"])
async def test_a_long_debate_takes_few_bytes_per_byte_of_text(script, tmp_path, debating, checkpoints):
    ratio = await bytes_per_text(script, tmp_path / "store.db", debating, {}, checkpoints)
    assert script.calls == AGENTS * DEBATE_ROUNDS
    assert 0.5 < ratio < BOUND[checkpoints]


# -- SQLite in trouble ----------------------------------------


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.db")


async def test_a_lock_that_stays_is_said_and_one_that_goes_is_waited_out(path):
    async with SqliteStore(path, lock_wait=0.3) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        waiting = [store.append("run", entry(f"{i}.a")) for i in range(3)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(r) for r in results] == [StoreLocked] * 3
        assert "has been locked by another process for 0.3 s" in str(results[0])
        assert "end that process, or give this one a store of its own" in str(results[0])
        assert await store.entries("run") == []

        waiting = [store.append("run", entry(f"{i}.b")) for i in range(3)]
        await asyncio.sleep(0.1)
        assert not any(w.done() for w in waiting)
        waiting += [store.append("run", entry("3.b"))]
        other.execute("COMMIT")
        other.close()
        await asyncio.gather(*waiting)
        assert [e.place for e in await store.entries("run")] == ["0.b", "1.b", "2.b", "3.b"]


async def test_a_locked_store_cannot_be_opened_and_closing_waits_for_what_is_pending(path):
    store = SqliteStore(path, lock_wait=1.0)
    await store.open()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLocked, match=r"for 0\.05 s"):
        await SqliteStore(path, lock_wait=0.05).open()
    last = store.append("run", entry("1.a"))
    asyncio.get_running_loop().call_later(0.1, other.execute, "COMMIT")
    await store.close()
    await last
    other.close()
    async with SqliteStore(path) as again:
        assert [e.place for e in await again.entries("run")] == ["1.a"]


async def test_a_checkpoint_still_being_written_when_the_saver_is_closed_leaves_no_lock(path):
    async with SqliteStore(path, lock_wait=0.5) as store:
        async with store.saver() as saver:
            await saver.setup()
            commit, written = saver.conn.commit, asyncio.Event()

            async def slow_commit() -> None:
                written.set()
                await asyncio.sleep(0.1)
                await commit()

            saver.conn.commit = slow_commit
            place = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
            putting = asyncio.create_task(saver.aput(place, empty_checkpoint(), {}, {}))
            await written.wait()
        await store.append("run", entry("0.a"))
        await putting


async def test_a_checkpoint_that_is_cancelled_before_its_commit_leaves_no_lock(path):
    async with SqliteStore(path, lock_wait=0.5) as store, store.saver() as saver:
        await saver.setup()
        commit, written = saver.conn.commit, asyncio.Event()

        async def no_commit() -> None:
            written.set()
            await asyncio.sleep(60)

        saver.conn.commit = no_commit
        place = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        putting = asyncio.create_task(saver.aput(place, empty_checkpoint(), {}, {}))
        await written.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        await store.append("run", entry("0.a"))
        saver.conn.commit = commit
        assert await saver.aget_tuple(place) is None


async def test_a_full_disk_fails_everyone_who_waits_and_nobody_hangs(path):
    async with SqliteStore(path) as store:
        await store.append("run", entry("1.a"))
        [(pages,)] = await store.read("PRAGMA page_count")
        await store.read(f"PRAGMA max_page_count={pages + 2}")
        noise = random.Random(1).randbytes(50_000).hex()
        waiting = [store.append("run", entry(f"{i}.b", value=noise[i:])) for i in range(5)]
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert [type(r) for r in results] == [StoreError] * 5
        assert "no space left on the disk" in str(results[0])
        assert "free some space and start the same command again" in str(results[0])
        await store.read(f"PRAGMA max_page_count={pages + 1000}")
        await store.append("run", entry("2.a", value=noise))
        assert [e.place for e in await store.entries("run")] == ["1.a", "2.a"]


async def test_a_store_that_cannot_be_opened_is_no_full_disk_whatever_its_path_says(tmp_path):
    (tmp_path / "full").write_text("a file, where a folder should be")
    with pytest.raises(StoreError, match="cannot be opened for writing") as caught:
        await SqliteStore(str(tmp_path / "full" / "store.db")).open()
    assert "no space" not in str(caught.value)


async def test_a_value_that_sqlite_cannot_take_fails_and_nobody_hangs(path):
    async with SqliteStore(path) as store:
        for bad in (entry("1.a", prompt_tokens=10**30), entry("1.a", role="\ud800")):
            waiting = [store.append("run", bad), store.append("run", entry("2.a"))]
            results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
            assert [type(r) for r in results] == [StoreError] * 2
        await store.append("run", entry("3.a"))
        assert [e.place for e in await store.entries("run")] == ["3.a"]


async def test_a_store_that_is_not_open_says_so(path):
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="is not open"):
        await store.read("SELECT 1")
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is not open"):
        await asyncio.wait_for(store.append("run", entry("1.a")), 10)


async def test_a_store_that_cannot_be_written_is_said(path, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="name another one with --store"):
        await SqliteStore(str(tmp_path / "file" / "store.db")).open()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        await SqliteStore(str(tmp_path)).open()
    async with SqliteStore(path) as store:
        await store.read("PRAGMA query_only=ON")
        with pytest.raises(StoreError, match="cannot be written"):
            await store.append("run", entry("1.a"))


async def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes " * 1000)
    with pytest.raises(StoreError, match=r"notes\.txt is no SQLite file"):
        await SqliteStore(str(file)).open()
    assert file.read_text() == "my notes " * 1000


@pytest.mark.parametrize(
    "change", ["UPDATE symposia_format SET version = 0", "DELETE FROM symposia_format", "UPDATE symposia_format SET version = 99"]
)
async def test_another_version_of_the_format_is_refused_with_the_remedy(store, store_url, change):
    await store.put_run({"run_id": "r", "started": 0.0, "method": "m", "status": "ok"})
    await store.write([(change, [()])])
    with pytest.raises(StoreVersion, match=r"has format \d+, this version of Symposia reads format \d+.*--store or SYMPOSIA_STORE"):
        await open_store(store_url).open()
    assert (await store.run("r"))["status"] == "ok"


WRITER = """
import asyncio, sys
from symposia.state.packing import request_digest
from symposia.state.store import Entry, Usage, open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        for i in range(60):
            asked = {"text": f"the same texts {i % 7} " * 20}
            for_all = (b"d" * 16, "llm", asked)
            many = [Entry(f"{i}.{sys.argv[2]}.b{j}", *for_all, {"value": f"{sys.argv[2]} {i} {j} " * 20}, Usage()) for j in range(5)]
            await asyncio.gather(*(store.append("run", e) for e in many))
        await store.flush()

asyncio.run(main())
"""


async def test_two_processes_that_write_at_once_lose_nothing(store, store_url):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, store_url, name]) for name in ("a", "b")]
    while any(w.poll() is None for w in writers):
        await store.append("mine", entry("1.a", value=LONG))
        await asyncio.sleep(0.01)
    assert [w.returncode for w in writers] == [0, 0]
    found = await store.entries("run")
    assert sorted(e.place for e in found) == sorted(f"{i}.{name}.b{j}" for i in range(60) for j in range(5) for name in "ab")
    assert all(e.outcome["value"].startswith(f"{e.place.split('.')[1]} ") for e in found)


HOLDER = """
import asyncio
import sys

from symposia.state.store import open_store

async def main():
    async with open_store(sys.argv[1]) as store, store.held("run"):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_run_is_held_by_one_until_the_end_of_the_block_or_of_the_process(store, store_url):
    store.hold_wait = 0.05
    async with open_store(store_url) as other:
        other.hold_wait = 0.05
        async with store.held("run"), other.held("another"):
            for second in (store, other):
                with pytest.raises(RunHeld, match="run run is being executed") as held:
                    async with second.held("run"):
                        pass
                assert "symposia cancel run" in str(held.value.remedy)
        async with other.held("run"):
            pass
    with subprocess.Popen([sys.executable, "-c", HOLDER, store_url], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(RunHeld):
            async with store.held("run"):
                pass
        holder.kill()
    store.hold_wait = 20  # a server needs a moment to hear of it
    async with store.held("run"):
        pass


async def test_a_run_is_let_go_whenever_its_holder_is_cancelled(store, store_url):
    async def hold(inside: asyncio.Event) -> None:
        async with store.held("run"):
            inside.set()
            await asyncio.sleep(60)

    async with open_store(store_url) as other:
        store.hold_wait = other.hold_wait = 5
        for passes in range(6):
            inside = asyncio.Event()
            holder = asyncio.create_task(hold(inside))
            if passes:
                await inside.wait()
            for _ in range(passes or 1):  # before it holds, once, and while it lets go, again and again
                await asyncio.sleep(0)
                holder.cancel()
            await asyncio.gather(holder, return_exceptions=True)
            for each in (other, store):
                async with each.held("run"):
                    pass


async def test_a_run_in_memory_is_held_too():
    async with open_store(":memory:") as store, store.held("run"):
        store.hold_wait = 0.05
        with pytest.raises(RunHeld):
            async with store.held("run"):
                pass


# -- PostgreSQL in trouble ----------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hidden@127.0.0.1:1/db",
        "postgresql://me@127.0.0.1:1/db?password=hidden",
        "postgresql://me:un@hidden@127.0.0.1:1/db",
        "postgresql://me:un%zzhidden@127.0.0.1:1/db",
        "postgresql://me:un hidden@127.0.0.1:1/db",
        "postgresql://me:hidden@127.0.0.1:port/db",
    ],
)
async def test_a_server_that_is_down_is_said_without_the_password(url):
    store = open_store(url)
    assert "hidden" not in store.url
    with pytest.raises(StoreError, match="check that the server runs and the URL names user, host and database") as caught:
        await store.open()
    assert "hidden" not in str(caught.value)
    await store.close()


async def test_a_wrong_password_is_said_without_it(own_postgres):
    async with await psycopg.AsyncConnection.connect(own_postgres, autocommit=True) as db:
        await db.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        [hba] = await (await db.execute("SHOW hba_file")).fetchone()  # type: ignore[misc]
        before = Path(hba).read_text()
        Path(hba).write_text("local all locked scram-sha-256\n" + before)
        await db.execute("SELECT pg_reload_conf()")
        url = own_postgres.replace("postgres:@", "locked:hidden@")
        try:
            async with asyncio.timeout(20):
                while True:  # the server reads its rules again when it comes to it
                    with pytest.raises(StoreError) as caught:
                        await PostgresStore(url).open()
                    if "password authentication failed for user" in str(caught.value):
                        break
                    await asyncio.sleep(0.05)
        finally:
            Path(hba).write_text(before)
            await db.execute("SELECT pg_reload_conf()")
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_a_connection_that_is_lost_fails_everyone_who_waits(store_url):
    store = PostgresStore(store_url)
    await store.open()
    async with await psycopg.AsyncConnection.connect(store_url, autocommit=True) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    for _ in range(2):
        waiting = [store.append("run", entry(f"{i}.a")) for i in range(3)]
        results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert [type(r) for r in results] == [StoreError] * 3
    await asyncio.wait_for(store.close(), 10)
    with pytest.raises(StoreError, match="is not open"):
        await asyncio.wait_for(store.append("run", entry("1.a")), 10)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_a_value_that_postgres_cannot_take_fails_and_the_next_is_kept(store_url):
    async with PostgresStore(store_url) as store:
        for bad in (entry("1.a", prompt_tokens=10**30), entry("1.a", role="\ud800"), entry("1.a", role="a\x00b")):
            with pytest.raises(StoreError):
                await asyncio.wait_for(store.append("run", bad), 10)
        await store.append("run", entry("2.a"))
        assert [e.place for e in await store.entries("run")] == ["2.a"]


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_machines_that_write_the_same_texts_in_two_orders_do_not_block_each_other(store_url):
    async with PostgresStore(store_url) as one, PostgresStore(store_url) as other:
        for i in range(10):
            texts = [f"text {i} {j} " * 8 for j in range(200)]
            await asyncio.gather(one.append("a", entry(f"{i}.a", {"t": texts})), other.append("b", entry(f"{i}.b", {"t": texts[::-1]})))
        assert len(await one.entries("a")) == len(await one.entries("b")) == 10


def test_postgresql_without_its_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "symposia.state.postgres", None)
    with pytest.raises(StoreError, match="driver is not installed"):
        open_store("postgresql://host/name")
