"""Files of runs, comparisons and batches: what they carry, what is left out of them, and the commands that make them."""

import asyncio
import base64
import gzip
import json
import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import SCRIPT, Script
from serving import served

from symposia import __version__, artefacts, records, registry, runs
from symposia.api import abatch
from symposia.state.store import Store, open_store
from symposia.tools.providers import litellm
from symposia.viewer import batches as tables
from symposia.viewer import carried, export
from symposia.viewer.export import write_page

SECRET = "Say what half of it is"  # stands in a prompt of one's own
GIVEN = {"model": "script/any", "k": 2, "max_rounds": 1, "calib_mean": 2.0, "confidence_threshold": 1.0}
GRADES = {"reference", "correct", "turning", "judged", "right", "graded", "accuracy", "table", "test"}
KNOWN = "98765"  # a reference that stands nowhere else
VERDICT = {"grader": "judge", "replies": [f"It says 18, and {KNOWN} is right. VERDICT: incorrect"], "verdicts": {"known first": False}}


def answer(node: str, messages: list[dict[str, Any]]) -> str:
    text = messages[-1]["content"]
    if "broken" in text:
        raise litellm().AuthenticationError("no", llm_provider="script", model="any")
    if node == "score":
        return "SCORES: 0.9, 0.0" if "SCORES" in text else "SCORE: 0.4"
    return f"Step 1: so {'long ' * 600}\nStep 2: so \\boxed{{{20 if 'odd' in text else 18}}}"


@dataclass
class Home:
    """A served store with runs and batches by their names."""

    root: str
    folder: Path
    ids: dict[str, str]
    client: httpx.Client

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(f"{self.root}/api{path}", params=params or None)

    def json(self, path: str, **params: Any) -> Any:
        found = self.get(path, **params)
        assert found.status_code == 200, found.text
        return found.json()


async def one(store: Store, question: str, **given: Any) -> str:
    record = runs.new_record("magicore", {**GIVEN, **given}, {"question": question, "task": "number"}, reference=18, checkpoints="none")
    return (await runs.start(store, record)).run_id


async def filled(folder: Path) -> dict[str, str]:
    SCRIPT["now"] = Script()
    SCRIPT["now"].answer = answer
    kinds = ["odd", "even", "broken", "even", "odd"]
    rows = [{"id": f"r{i}", "question": f"{kind} {i}?", "answer": 18} for i, kind in enumerate(kinds)]
    given = {key: value for key, value in GIVEN.items() if key != "model"}
    async with open_store(str(folder / "store.db")) as store:
        ids = {
            "one": await one(store, "odd?"),
            "two": await one(store, "even?", prompts={"reviewer": f"{SECRET}: {{question}} {{annotated}}"}),
        }
        for name, few in (("batch", rows), ("other", rows[:2])):
            ids[name] = (await abatch("magicore", few, folder / f"{name}.jsonl", model="script/any", params=given, store=store))["batch_id"]
        sums = [
            {"id": f"r{n}", "question": f"Milo has {n} marbles and finds {n + 3}. How many has he?", "answer": 2 * n + 3} for n in range(9)
        ]
        made = await abatch(
            "debate_du", sums, folder / "debate.jsonl", model="toy/default?error=0.5", params={"k": 3, "seed": 2}, store=store
        )
        ids["debate"] = made["batch_id"]
        record = runs.new_record("self_consistency", {"k": 2, "model": "toy/default"}, {"question": "3 and 4?", "task": "number"})
        ids["toy"] = (await runs.start(store, record)).run_id
        record = runs.new_record("magicore", GIVEN, {"question": "even?", "task": "number"}, reference=KNOWN, checkpoints="none")
        ids["judged"] = (await runs.start(store, record)).run_id
        await store.put_run({**record, "correct": False, "grader": "judge", "grade": VERDICT})
        learnt = [{"question": f"{n} and {n}?", "task": "number", "answer": int(f"{KNOWN}{n}")} for n in range(2)]
        ids["prepared"] = (await artefacts.prepare(store, "symbolic_moe", learnt, {}))["run_id"]
    del SCRIPT["now"]
    return ids


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("export")
    ids = asyncio.run(filled(folder))
    with served(folder) as found, httpx.Client(timeout=60) as client:
        yield Home(found.root, folder, ids, client)


def held_in(page: str) -> dict[str, Any]:
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed
    found = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    assert isinstance(found, dict)
    return found


def values_of(value: Any, names: set[str]) -> list[Any]:
    """What stands under some names, anywhere in a value, but for what is empty."""
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [item for key, item in value.items() if key in names and item is not None] if isinstance(value, dict) else []
    return own + [found for item in inside for found in values_of(item, names)]


def test_a_comparison_holds_both_runs_and_what_it_says_of_them(home: Home) -> None:
    a, b = home.ids["one"], home.ids["two"]
    answered = home.get("/compare/export", a=a, b=b)
    assert answered.headers["content-disposition"] == f'attachment; filename="compare-{a}-{b}.html"'
    held = held_in(answered.text)
    about = held.pop("/export")
    assert (about["start"], about["version"], about["without"]) == (f"#/compare/{a}/{b}", __version__, [])
    assert about["models"] == ["script/any"] and about["toys"] == []
    assert {f"/runs/{a}", f"/runs/{b}", f"/compare?a={a}&b={b}"} <= held.keys()
    for path, known in held.items():
        assert known == (home.get(path).text if "/text/" in path else home.json(path)), path


def test_a_batch_holds_its_rows_and_those_runs_that_tell_most(home: Home) -> None:
    batch = home.ids["batch"]
    held = held_in(home.get(f"/batches/{batch}/export", runs=2).text)
    rows = home.json(f"/batches/{batch}/rows")
    about = held["/export"]
    assert [row["row"] for row in held[f"/batches/{batch}/rows"]["items"]] == [row["row"] for row in rows["items"]]
    by_id = {row["row"]: row["run"] for row in rows["items"]}
    assert about["runs"] == [by_id["r2"], by_id["r0"]] and about["left"] == 3  # the one that failed, and the one that was wrong
    assert held[f"/runs/{by_id['r2']}"] == home.json(f"/runs/{by_id['r2']}") and f"/runs/{by_id['r1']}" not in held
    assert (about["start"], about["models"]) == (f"#/batches/{batch}", ["script/any"])
    assert home.get(f"/batches/{batch}/export", runs=-1).status_code == home.get(f"/batches/{batch}/export", runs=10**6).status_code == 400
    found = home.json(f"/batches/{batch}/export", **{"as": "json"})
    assert [row["row"] for row in found["rows"]] == ["r0", "r1", "r2", "r3", "r4"] and found["export"]["command"].startswith(
        f"symposia show {batch}"
    )


def test_a_file_of_a_debate_says_which_way_it_moved_answers_and_what_last_states_say(home: Home) -> None:
    base = f"/batches/{home.ids['debate']}"
    held = held_in(home.get(f"{base}/export", runs=0).text)
    told = home.json(f"{base}/facets")
    assert held[f"{base}/facets"] == told and held[base]["facets"] == told["facets"]
    assert told["states"]["done"] == told["states"]["of"] == 9 and told["changes"]["moves"]["right-wrong"]["answers"] > 0
    rows = held[f"{base}/rows"]
    assert rows["keys"] is None and all(row["state"]["task"] == "auto" for row in rows["items"])
    for move, n in told["changes"]["moves"].items():
        assert sum(move in row["moves"] for row in rows["items"]) == n["rows"], move
    assert home.json(f"{base}/export", **{"as": "json"})["changes"] == told["changes"]
    shorn = held_in(home.get(f"{base}/export", runs=0, without="references").text)
    assert shorn[f"{base}/facets"]["changes"] is None and not values_of(shorn, {"moves", *GRADES})
    assert any(facet["key"].startswith("state.") for facet in shorn[f"{base}/facets"]["facets"])
    facts = {"state": {"given.reference": 3, "prompts.solver": "so", "agrees": True}, "moves": {"held": 1}}
    assert carried._shorn(facts, ("prompts", "references")) == {"state": {"agrees": True}} and carried._shorn(facts, ()) == facts


def test_a_file_has_room_for_so_much_of_the_states_and_waits_for_them_so_long(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"/batches/{home.ids['debate']}"
    monkeypatch.setattr(carried, "_FACTS", 10)
    held = held_in(home.get(f"{base}/export", runs=0).text)
    keys = held[f"{base}/rows"]["keys"]
    assert keys and [f"state.{key}" for key in keys] == [f["key"] for f in held[base]["facets"] if f["key"].startswith("state.")]
    assert all(set(row["state"]) <= set(keys) for row in held[f"{base}/rows"]["items"])

    async def hasty() -> None:
        async with open_store(str(home.folder / "store.db")) as store:
            await write_page(store, home.ids["debate"], folder / "hasty.html", most=0)

    monkeypatch.setattr(tables, "_UNASKED", 0)  # a command line rebuilds the states of a large batch too
    for seconds, done in ((0.0, False), (60.0, True)):
        monkeypatch.setattr(export, "_ALONE", seconds)
        asyncio.run(hasty())
        states = held_in((folder / "hasty.html").read_text(encoding="utf-8"))[f"{base}/facets"]["states"]
        assert (states["done"] == states["of"]) is done and states["of"] == 9 and states["going"] is False
        assert ("last states" in capsys.readouterr().err) is not done


def test_batches_are_compared_in_a_file_too(home: Home) -> None:
    a, b = home.ids["batch"], home.ids["other"]
    held = held_in(home.get("/compare/export", a=a, b=b).text)
    assert held[f"/compare?a={a}&b={b}"] == home.json("/compare", a=a, b=b)
    assert f"/batches/{a}/rows" in held and not any(path.startswith("/runs/") for path in held)
    found = home.json("/compare/export", a=a, b=b, **{"as": "json"})
    assert found["table"] == held[f"/compare?a={a}&b={b}"]["table"] and found["export"]["start"] == f"#/compare/{a}/{b}"
    assert home.get("/compare/export", a=a, b=home.ids["one"]).status_code == 400
    assert home.get("/compare/export", a=home.ids["one"], b="gone").status_code == 404


@pytest.mark.parametrize("form", ["html", "json"])
def test_prompts_and_references_are_left_out_of_every_kind_of_file(home: Home, form: str) -> None:
    ids = home.ids
    for path, query in (
        (f"/runs/{ids['two']}/export", {}),
        ("/compare/export", {"a": ids["one"], "b": ids["two"]}),
        (f"/batches/{ids['batch']}/export", {"runs": "4"}),
        ("/compare/export", {"a": ids["batch"], "b": ids["other"]}),
    ):
        whole = home.get(path, **query, **{"as": form}).text
        shorn = home.get(path, **query, **{"as": form, "without": "prompts,references"}).text
        value = held_in(shorn) if form == "html" else json.loads(shorn)
        methods = [value.pop(key) for key in list(value) if key.startswith("/methods/")]
        assert not values_of(value, GRADES - {"right", "graded", "test", "table"} | {"request", "copy"}), path
        if "batch" in path or query.get("a") == ids["batch"]:
            assert not values_of({key: item for key, item in value.items() if "/runs/" not in key}, GRADES)
        said = json.dumps(value)
        assert SECRET not in said and "Solve the problem below" not in said and all(SECRET not in json.dumps(one) for one in methods)
        about = value["/export"] if form == "html" else value["export"]
        assert about["without"] == ["prompts", "references"] and "--without prompts,references" in about["command"]
        told = held_in(whole) if form == "html" else json.loads(whole)
        assert values_of(told, {"reference", "table"}) or (form == "json" and query.get("a") == ids["one"]), path


def test_no_part_of_a_methods_state_goes_with_the_references() -> None:
    for name in registry.names():
        keys = dict.fromkeys(registry.load(name).compile().channels, "kept")
        assert carried.without(keys, ("references",)) == keys, name


def test_a_file_names_its_toys_and_the_command_that_makes_it_again(home: Home, symposia: Any, folder: Path) -> None:
    store = ("--store", home.folder / "store.db")
    exported = {
        "run": home.get(f"/runs/{home.ids['toy']}/export"),
        "batch": home.get(f"/batches/{home.ids['batch']}/export", without="prompts"),
        "compare": home.get("/compare/export", a=home.ids["one"], b=home.ids["two"]),
    }
    assert held_in(exported["run"].text)["/export"]["toys"] == ["toy/default"]
    for found in exported.values():
        held = held_in(found.text)
        words = shlex.split(held["/export"]["command"])
        assert words[0] == "symposia" and symposia(*words[1:], *store).code == 0
        (file,) = folder.glob("*.html")
        again = held_in(file.read_text(encoding="utf-8"))
        file.unlink()
        assert {**again, "/export": {**again["/export"], "made": 0}} == {**held, "/export": {**held["/export"], "made": 0}}
    for words in (
        ("show", home.ids["toy"], "--html", "no/such/folder.html"),
        ("show", home.ids["toy"], "--html", "a.html", "--without", "all"),
    ):
        assert symposia(*words, *store).code != 0
    assert list(folder.glob("*.html")) == []


def test_the_graph_of_a_run_is_a_picture_and_other_forms_are_refused(home: Home) -> None:
    picture = home.get(f"/runs/{home.ids['toy']}/export", **{"as": "svg"})
    assert picture.headers["content-type"].startswith("image/svg+xml") and ">solve<" in picture.text
    assert home.get(f"/batches/{home.ids['batch']}/export", **{"as": "svg"}).status_code == 400
    assert home.get("/compare/export", a="x", b="y", **{"as": "pdf"}).status_code == 400


@pytest.mark.parametrize("form", ["html", "json"])
def test_nothing_tells_of_references_that_are_left_out(home: Home, form: str) -> None:
    for name in ("judged", "prepared"):
        whole, shorn = (home.get(f"/runs/{home.ids[name]}/export", without=without, **{"as": form}).text for without in ("", "references"))
        if form == "html":
            whole, shorn = json.dumps(held_in(whole)), json.dumps(held_in(shorn))
        assert KNOWN in whole and KNOWN not in shorn and "VERDICT" not in shorn, name
    a, b = home.ids["prepared"], home.ids["judged"]
    compared = home.get("/compare/export", a=a, b=b, without="references", **{"as": form}).text
    assert KNOWN not in (json.dumps(held_in(compared)) if form == "html" else compared)


def test_the_order_of_the_runs_in_a_file_tells_nothing_of_references_that_are_left_out(home: Home) -> None:
    base = f"/batches/{home.ids['batch']}"
    rows = {row["run"]: row["row"] for row in home.json(f"{base}/rows")["items"]}
    for without, order in (("", "r2 r0 r4 r1 r3"), ("references", "r2 r0 r1 r3 r4")):
        held = held_in(home.get(f"{base}/export", runs=5, without=without).text)["/export"]["runs"]
        assert [rows[run_id] for run_id in held] == order.split()


def test_runs_are_replayed_in_their_own_thread_for_every_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    plain = runs.replay

    async def noted(*args: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        return await plain(*args, **options)

    monkeypatch.setattr(records, "replay", noted)
    monkeypatch.setattr(runs, "replay", noted)
    a, b = home.ids["one"], home.ids["two"]
    home.get(f"/batches/{home.ids['batch']}/export", runs=2)
    for form in ("html", "json"):
        home.get("/compare/export", a=a, b=b, **{"as": form})
    home.json("/compare", a=a, b=b)
    assert home.client.post(f"{home.root}/api/runs/{a}/replay", json={}, headers={"X-Symposia": "1"}).json()["identical"]
    assert len(threads) >= 12 and set(threads) == {"symposia viewer replays"}
