"""Finding in runs, what is known of a call, and what is still told of a run whose code has changed, over a real server."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from changed_method import NAME, Wayfarer, recorded, wayfarer
from commands import Server
from serving import served

from symposia import registry, runs
from symposia.rows import toy_item
from symposia.state.sqlite import SqliteStore
from symposia.state.store import Store, open_store
from symposia.tools.settings import configure
from symposia.viewer import find
from symposia.viewer.copied import copies
from symposia.viewer.flight import flight_of
from symposia.viewer.took import spans_of

NASTY = "it's \"quoted\" $HOME `id` \\n %s\n\x1b[2J tab\there 'ä' \u202e \U0001f600 EOF\nJSON\n"


async def made(store: Store, method: str, given: dict[str, Any], **options: Any) -> str:
    item = toy_item(registry.load(method))
    record = runs.new_record(method, given, item.inputs, reference=item.reference, row=item.id, **options)
    return (await runs.start(store, record)).run_id


async def filled(folder: Path) -> dict[str, str]:
    async with open_store(str(folder / "store.db")) as store:
        given = {"k": 4, "max_rounds": 2, "calib_mean": 1.9, "confidence_threshold": 0.9, "model": "toy/default?error=0.5", "seed": 4}
        ids = {"magicore": await made(store, "magicore", given, checkpoints="none")}
        for seed in (1, 2, 3):
            ids[f"sc{seed}"] = await made(store, "self_consistency", {"k": 3, "seed": seed, "model": "toy/default"}, checkpoints="none")
    return ids


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("find")
    ids = asyncio.run(filled(folder))
    with served(folder) as found:
        yield f"{found.root}/api", ids


def got(address: str, **params: Any) -> Any:
    answer = httpx.get(address, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- finding ------------------------------------------------------------------------------------------------------------------------------


def test_a_text_is_found_in_all_runs_with_addresses_and_the_newest_first(home: tuple[str, dict[str, str]]) -> None:
    root, ids = home
    found = got(f"{root}/search", q="Score")
    assert {hit["run"] for hit in found["items"]} == {ids["magicore"]}
    assert (found["next"], found["looked"], found["of"]) == (None, 4, 4) and found["total"] > 3 == len(found["items"])
    hit = found["items"][0]
    assert hit["more"] == found["total"] - 3 and "score" in hit["head"].lower()
    assert "score" in httpx.get(f"{root}/runs/{hit['run']}/calls/{hit['place']}").text.lower()
    newest = got(f"{root}/search", q="step 1")["items"]
    assert [hit["run"] for hit in newest][::3] == [ids[name] for name in ("sc3", "sc2", "sc1", "magicore")]


def test_a_search_goes_on_where_it_stopped(home: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    root, ids = home
    monkeypatch.setattr(find, "_LONGEST", 0.0)
    after, order, looked = "", [], []
    while after is not None:
        found = got(f"{root}/search", q="step 1", after=after)
        order += [hit["run"] for hit in found["items"]]
        looked.append(found["looked"])
        after = found["next"]
    assert looked == [1, 2, 3, 4] and list(dict.fromkeys(order)) == list(reversed(ids.values()))
    assert httpx.get(f"{root}/search", params={"q": "x", "after": "gone"}).status_code == 404
    assert httpx.get(f"{root}/search", params={"q": " "}).status_code == 400


# -- time ---------------------------------------------------------------------------------------------------------------------------------


def line(place: str, ms: float, status: str = "ok", source: str = "live") -> dict[str, Any]:
    return {"place": place, "ms": ms, "status": status, "from": source}


def test_branches_in_flight() -> None:
    lines = [
        line("2.solve.b0", 10.04),
        line("2.solve.b0.n1", 5),
        line("2.solve.b1", 1234.5, "failed"),
        line("2.solve.b2", 9, source="replayed"),
    ]
    assert flight_of(lines) == {"n": 3, "ms": [15, 1230, 0], "odd": [1]}
    assert flight_of([]) is None
    many = flight_of([line(f"2.solve.b{i}", i, "refused" if i % 2 else "ok") for i in range(1000)])
    assert many is not None and (many["n"], len(many["ms"]), many["odd"]) == (1000, 48, 500)
    assert (many["ms"][0], many["ms"][-1]) == (999, 0) and many["ms"] == sorted(many["ms"], reverse=True)


# -- calls --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "taken"),
    [
        ("first 18, then\nSCORE: 0.4", 0.4, ["0.4"]),
        ("18 and so \\boxed{18}", "18", ["18"]),
        ("1,200 in all", 1200.0, ["1,200"]),
        ("sure: 90%", 0.9, ["90%"]),
        ("SCORES: 0.9, 0.2, 0.9", [0.9, 0.2, 0.9], ["0.9", "0.2", "0.9"]),
        ('Here: {"label": "wrong", "step": 2} so', {"label": "wrong", "step": 2}, ['{"label": "wrong", "step": 2}']),
        ("Verdict: wrong, step 2", {"label": "wrong", "step": 2}, ["wrong", "2"]),
        ("\U0001f600 so 7", 7, ["7"]),
        ("nothing of it", 0.5, []),
        ("True", True, []),
        ("the whole", "the whole", []),
        ("", "", []),
        ("{" * 5_000, {"a": 1}, []),
    ],
)
def test_what_was_taken_out_of_a_reply_is_where_it_stands(text: str, value: Any, taken: list[str]) -> None:
    units = text.encode("utf-16-le")
    assert [units[2 * start : 2 * end].decode("utf-16-le") for start, end in spans_of(text, value)] == taken


def test_the_last_place_is_what_was_taken() -> None:
    assert spans_of("18 apples, so 18", 18) == [[14, 16]]


def test_a_call_tells_what_its_parser_took_and_the_call_of_its_role_before(home: tuple[str, dict[str, str]]) -> None:
    root, ids = home
    base = f"{root}/runs/{ids['magicore']}"
    calls = got(f"{base}/calls")["items"]
    scored = got(f"{base}/calls/{next(c['place'] for c in calls if c['node'] == 'score')}")
    reply = scored["outcome"]["value"]["choices"][0]["text"]
    assert scored["took"]["by"] == "parser"
    parts = [reply[start:end] for start, end in scored["took"]["spans"]]
    assert parts and (scored["took"]["value"] == float(parts[0]) or scored["took"]["value"] == [float(part) for part in parts])
    solved = got(f"{base}/calls/2.solve.b1")
    text, (span,) = solved["outcome"]["value"]["choices"][0]["text"], solved["took"]["spans"]
    assert solved["took"]["by"] == "answer" and float(text[slice(*span)]) == solved["took"]["value"]
    assert solved["around"]["role_before"] == "2.solve.b0" and got(f"{base}/calls/2.solve.b0")["around"]["role_before"] is None
    reviewed = next(c["place"] for c in calls if c["node"] == "review")
    assert got(f"{base}/calls/{reviewed}")["took"] is None  # whose text is the value


def test_copied_calls_send_again_exactly_what_was_sent(folder: Path, models: Server, symposia: Any) -> None:
    models.post("_set", deterministic=True, record_bodies=True)
    done = symposia("run", "chain_of_thought", NASTY, "--seed", 3, "--json", "--store", "store.db", *models.options)
    run_id = done.json["run_id"]
    configure(api_base=models.at.url)
    with served(folder) as found:
        call = got(f"{found.root}/api/runs/{run_id}/calls/2.solve.b0")
    made, key = call["copy"], "sk-'quoted' $key"
    own = {**os.environ, "OPENAI_API_KEY": key}
    by_curl = subprocess.run(["bash", "-c", made["curl"]], capture_output=True, text=True, check=True, env=own)
    by_python = subprocess.run([sys.executable, "-c", made["python"]], capture_output=True, text=True, check=True, env=own, cwd=folder)
    sent = [row["body"] for row in models.get("_log")]
    assert len(sent) == 3 and NASTY in sent[0]["messages"][0]["content"]
    assert sent[1] == sent[0] and {name: sent[2].get(name) for name in sent[0]} == sent[0]
    said = call["outcome"]["value"]["choices"][0]["text"]
    assert json.loads(by_curl.stdout)["choices"][0]["message"]["content"] == said == by_python.stdout.removesuffix("\n")
    assert key not in made["curl"] + made["python"]


def test_a_body_that_is_too_long_for_an_argument_is_copied_too(models: Server) -> None:
    models.post("_set", record_bodies=True)
    configure(api_base=models.at.url)
    long = NASTY * 8_000
    made = copies({"model": "openai/test-model", "messages": [{"role": "user", "content": long}]}, None)
    assert made["curl"] is not None
    subprocess.run(["bash"], input=made["curl"], capture_output=True, text=True, check=True, env={**os.environ, "OPENAI_API_KEY": "k"})
    assert models.get("_log")[-1]["body"]["messages"][0]["content"] == long


# -- what is wrong is said ----------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_not_there_is_answered_with_the_nearest(home: tuple[str, dict[str, str]]) -> None:
    root, ids = home
    wrong = ids["sc1"][:-1] + ("0" if ids["sc1"][-1] != "0" else "1")
    found = httpx.get(f"{root}/runs/{wrong}")
    assert found.status_code == 404 and f"did you mean '{ids['sc1']}'" in found.json()["message"]
    assert "symposia runs" in found.json()["remedy"]


def test_a_locked_store_is_read_on_and_says_who_must_let_go_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = asyncio.run(filled_with_one(tmp_path))
    monkeypatch.setattr(SqliteStore.__init__, "__defaults__", (0.2,))
    with served(tmp_path) as found, closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        base, fork = f"{found.root}/api/runs", {"headers": {"X-Symposia": "1"}, "json": {"at": 2}, "timeout": 60}
        other.execute("BEGIN IMMEDIATE")
        unread = httpx.get(base, timeout=60)
        assert (unread.status_code, unread.json()["error"]) == (503, "StoreLocked") and unread.json()["remedy"]
        other.execute("ROLLBACK")
        assert got(base)["total"] == 1
        other.execute("BEGIN IMMEDIATE")
        assert got(base)["total"] == 1 and got(f"{base}/{run_id}")["states"] == "known"
        refused = httpx.post(f"{base}/{run_id}/fork", **fork)  # type: ignore[arg-type]
        assert (refused.status_code, refused.json()["error"]) == (503, "StoreLocked")
        assert "locked by another process" in refused.json()["message"] and "end that process" in refused.json()["remedy"]
        other.execute("ROLLBACK")
        assert httpx.post(f"{base}/{run_id}/fork", **fork).status_code == 201  # type: ignore[arg-type]


async def filled_with_one(folder: Path) -> str:
    async with open_store(str(folder / "store.db")) as store:
        return await made(store, "chain_of_thought", {"model": "toy/default"}, checkpoints="none")


@pytest.fixture
def way(tmp_path: Path) -> Iterator[tuple[Wayfarer, Path, str]]:
    """A method's file, and a run of it with LangGraph's checkpoints."""
    with wayfarer(tmp_path / "methods") as found:
        yield found, tmp_path, asyncio.run(recorded(tmp_path))


def test_code_that_has_changed_leaves_the_journal_and_the_checkpoints(way: tuple[Wayfarer, Path, str]) -> None:
    found, folder, run_id = way
    with served(folder) as server:
        before = got(f"{server.root}/api/runs/{run_id}")
        states = [got(f"{server.root}/api/runs/{run_id}/state/{n}") for n in (1, 2, 3, 4)]
    assert before["states"] == "known" and {state["from"] for state in states} == {"replay"}
    found.change('{"notes": ["as it was"]}', '{"notes": ["as it has become"]}')
    with served(folder) as server:
        base = f"{server.root}/api/runs/{run_id}"
        page = got(base)
        assert (page["states"], page["first_divergence"]["step"], page["saved"]) == ("differs", 2, True)
        assert page["run"]["version"] and [step["digest"] for step in page["steps"]] == [step["digest"] for step in before["steps"]]
        for n, known in enumerate(states, 1):
            state = got(f"{base}/state/{n}")
            assert (state["from"], state["diverged"]) == ("checkpoint", True)
            assert state["state"] == known["state"], n
        call = got(f"{base}/calls/3.judge")
        assert call["outcome"] == before_call(folder, run_id) and call["status"] == "ok"
        assert httpx.get(f"{base}/state/9").status_code == 400


def before_call(folder: Path, run_id: str) -> Any:
    async def read() -> Any:
        async with open_store(str(folder / "store.db")) as store:
            return next(entry.outcome for entry in await store.entries(run_id) if entry.place == "3.judge")

    return asyncio.run(read())


def test_a_changed_prompt_is_a_difference_at_its_call(way: tuple[Wayfarer, Path, str]) -> None:
    found, folder, run_id = way
    found.change("question=state[", "question='now ' + state[")
    with served(folder) as server:
        page = got(f"{server.root}/api/runs/{run_id}")
        assert page["states"] == "differs" and page["first_divergence"]["step"] == 3
        assert page["first_divergence"]["place"] == "3.judge"
        assert got(f"{server.root}/api/runs/{run_id}/state/4")["from"] == "checkpoint"


def test_the_journal_of_a_method_that_is_gone_is_shown_as_it_is(way: tuple[Wayfarer, Path, str]) -> None:
    found, folder, run_id = way
    found.remove()
    with served(folder) as server:
        base = f"{server.root}/api/runs/{run_id}"
        page = got(base)
        assert (page["states"], page["known_method"], page["saved"]) == ("gone", False, False)
        assert f"unknown method '{NAME}'" in page["cannot_replay"]["message"]
        assert [step["nodes"] for step in page["steps"]] == [["intake"], ["note"], ["judge"], ["finish"]]
        assert got(f"{base}/calls/3.judge")["status"] == "ok" and got(f"{base}/search", q="SCORE")["total"] >= 2
        assert got(f"{base}/steps/2")["wrote"] == []
        assert httpx.get(f"{base}/state/2").json()["remedy"]
        assert [row["run"] for row in got(f"{server.root}/api/runs")["items"]] == [run_id]
        assert "<html" in httpx.get(f"{base}/export").text


def test_many_at_once_read_a_run_whose_code_has_changed(way: tuple[Wayfarer, Path, str]) -> None:
    found, folder, run_id = way
    found.change("as it was", "as it is now, and longer")
    with served(folder) as server:
        heard: list[str] = []
        asked = [
            threading.Thread(target=lambda n=n: heard.append(got(f"{server.root}/api/runs/{run_id}/state/{n}")["from"]))  # type: ignore[misc]
            for n in (1, 2, 3, 4)
        ]
        for one in asked:
            one.start()
        for one in asked:
            one.join()
        assert heard == ["checkpoint"] * 4
