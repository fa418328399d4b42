"""The viewer's interface over a real server: what it tells of real runs, what a fork's bill promises, and who is turned away."""

import asyncio
import base64
import gzip
import json
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest
from gated import consultation  # noqa: F401 - a fixture
from langgraph.config import get_config
from serving import served

from symposia import registry, runs
from symposia.api import abatch
from symposia.graphs import magicore
from symposia.records import state_at
from symposia.rows import toy_item
from symposia.serve.guard import Rules
from symposia.state.errors import BadInput, UnknownName
from symposia.state.packing import digest
from symposia.state.show import Show, check_show, review, show_of, shown_as, summary_of, votes
from symposia.state.store import Entry, Store, Usage, open_store
from symposia.tools.providers import litellm
from symposia.tools.settings import configure
from symposia.viewer import reads
from symposia.viewer.bill import asked_of
from symposia.viewer.calls import Calls, index_of
from symposia.viewer.carried import without
from symposia.viewer.copied import copies
from symposia.viewer.desk import Desk
from symposia.viewer.library import Library
from symposia.viewer.live import events
from symposia.viewer.query import read_query
from symposia.viewer.texts import folded
from symposia.viewer.turning import leading, turns

KEY = "a-long-enough-key"
POST = {"X-Symposia": "1"}
HARD = {"k": 4, "max_rounds": 2, "calib_mean": 1.9, "confidence_threshold": 0.9, "model": "toy/default?error=0.5"}
HOSTILE = "<img src=x onerror=alert(1)> \x1b]0;owned\x07 \u202edlo </script>"
LONG = "x" * 5_000
STUB = (
    "at = [word in ('-d', '--data-binary') for word in sys.argv].index(True)\ntext = sys.argv[at + 1]\n"
    "print(json.dumps([sys.argv[1:at], json.loads(sys.stdin.read() if text == '@-' else text)]))\n"
)
POLICY = "require-trusted-types-for 'script'; trusted-types 'none'"


@dataclass
class Home:
    """A served store with runs of toys: their ids by name."""

    root: str
    store: str
    ids: dict[str, str]
    client: httpx.Client

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(f"{self.root}/api{path}", **options)

    def json(self, path: str, **params: Any) -> Any:
        found = self.get(path, params=params)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post(f"{self.root}/api{path}", json=body or {}, headers={**POST, **headers})

    def run(self, name: str) -> Any:
        return self.json(f"/runs/{self.ids[name]}")


class Players(litellm().CustomLLM):  # type: ignore[misc]
    """LiteLLM provider `players/...`: worthless second steps leave every problem hard, and rows that say so fail at once."""

    delay = 0.0

    async def acompletion(self, *args: Any, **options: Any) -> Any:
        await asyncio.sleep(self.delay)
        reply, module = options["model_response"], litellm()
        text = self.said(get_config()["metadata"]["langgraph_node"], options["messages"][-1]["content"])
        reply.choices = [module.Choices(index=0, finish_reason="stop", message=module.Message(role="assistant", content=text))]
        reply.usage = module.Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
        return reply

    def said(self, node: str, asked: str) -> str:
        if "broken" in asked:
            raise litellm().AuthenticationError("no", llm_provider="players", model="any")
        if node == "review":
            return f"Step 2 is wrong. {HOSTILE}"
        if node == "score":
            return "SCORES: 0.9, 0.0" if "SCORES" in asked else "SCORE: 0.4"
        return f"Step 1: so {LONG}\nStep 2: so \\boxed{{{20 if 'odd' in asked else 18}}}"


PLAYERS = Players()
litellm().custom_provider_map.append({"provider": "players", "custom_handler": PLAYERS})
litellm().utils.custom_llm_setup()


async def record_of(store: Store, method: str, given: dict[str, Any], **options: Any) -> str:
    item = toy_item(registry.load(method))
    record = runs.new_record(method, given, item.inputs, reference=item.reference, row=item.id, **options)
    return (await runs.start(store, record)).run_id


async def filled(folder: Path) -> dict[str, str]:
    """A store with one run of each kind."""
    ids = {}
    async with open_store(str(folder / "store.db")) as store:
        for seed in range(3, 20):
            ids["magicore"] = await record_of(store, "magicore", {**HARD, "seed": seed}, checkpoints="none")
            if len(await store.steps(ids["magicore"])) > 12:  # a hard one
                break
        ids["pbt"] = await record_of(store, "pbt", {"seed": 1})
        for seed in range(3, 30):
            given = {"n_tests": 3, "max_rounds": 3, "model": "toy/default?error=0.4", "seed": seed}
            ids["utdebug"] = await record_of(store, "utdebug", given, checkpoints="none")
            _, done = await runs.replay(store, ids["utdebug"])
            if not all(round_["accepted"] for round_ in done.values["history"]):  # one that was rolled back
                break
        gone = runs.new_record("self_consistency", {"model": "gone/none", "k": 2}, {"question": "How many?"})
        ids["failed"] = (await runs.start(store, gone)).run_id
        ids["paused"] = await record_of(store, "magicore", {**HARD, "seed": 1}, pause_before=["solve"])
        given = {"model": "players/any", "k": 2, "max_rounds": 1, "calib_mean": 2.0, "confidence_threshold": 1.0}
        record = runs.new_record("magicore", given, {"question": f"How many? {HOSTILE}", "task": "number"}, reference=18)
        ids["hostile"] = (await runs.start(store, record)).run_id
        rows = [
            {"id": f"r{i}", "question": f"{kind} {i}?", "answer": 18} for i, kind in enumerate(["odd", "even", "broken", "even", "broken"])
        ]
        made = await abatch("magicore", rows, folder / "out.jsonl", model="players/any", params={**given}, store=store)
        ids["batch"] = made["batch_id"]
        again = await abatch("magicore", rows[:2], folder / "two.jsonl", model="players/any", params={**given, "k": 1}, store=store)
        ids["other"] = again["batch_id"]
    return ids


@contextmanager
def at_home(folder: Path, ids: dict[str, str], **options: Any) -> Iterator[Home]:
    with served(folder, **options) as found, httpx.Client(timeout=60) as client:
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # cookies are sent where a test says so
        yield Home(found.root, found.store, ids, client)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("viewer")
    return folder, asyncio.run(filled(folder))


@pytest.fixture(scope="module")
def home(shelf: tuple[Path, dict[str, str]]) -> Iterator[Home]:
    with at_home(*shelf) as found:
        yield found


@pytest.fixture
def kept(shelf: tuple[Path, dict[str, str]], home: Home) -> Iterator[Home]:
    """The home, of which nothing may have changed when the test ends."""

    def everything() -> Any:
        found = home.json("/runs", limit=500)["items"]
        return [(row["run"], row["status"], row["calls"]) for row in found]

    before = everything()
    yield home
    assert everything() == before


# -- runs ---------------------------------------------------------------------------------------------------------------------------------


def test_a_run_is_thin_steps_that_say_what_was_written_and_why_it_went_on(home: Home) -> None:
    page = home.run("magicore")
    assert page["states"] == "known" and page["run"]["method"] == "magicore"
    assert page["run"]["toy"].startswith("toy/default?error=0.5") and page["toys"] == ["toy/default?error=0.5"]
    assert [step["nodes"] for step in page["steps"][:3]] == [["intake"], ["solve"], ["extract"]]
    solve, classify = page["steps"][1], page["steps"][5]
    assert (solve["calls"], solve["roles"], solve["failed"]) == (4, {"solver": 4}, 0)
    assert {wrote["key"]: (wrote["op"], wrote["size"]) for wrote in solve["wrote"]}["chains"] == ("append", {"type": "list", "n": 1})
    assert re.fullmatch("[0-9a-f]{32}", solve["digest"])
    assert classify["why"][0]["goto"] == ["review"] and classify["why"][0]["read"]["history[-1].is_hard"] is True
    assert "value" not in json.dumps(page["steps"])
    assert {step["round"] for step in page["steps"]} >= {0, 1}


def test_a_step_costs_what_was_written_there_and_steps_add_up_to_the_state(home: Home) -> None:
    run_id, page = home.ids["magicore"], home.run("magicore")
    values: dict[str, Any] = {}
    for step in page["steps"]:
        for wrote in home.json(f"/runs/{run_id}/steps/{step['n']}")["wrote"]:
            if wrote["op"] == "append":
                assert wrote["at"] == len(values.get(wrote["key"], []))
                values[wrote["key"]] = [*values.get(wrote["key"], []), *wrote["value"]]
            else:
                values[wrote["key"]] = wrote["value"]
    state = home.json(f"/runs/{run_id}/state/{page['steps'][-1]['n']}")
    assert (state["from"], state["diverged"]) == ("replay", False)
    assert {key: state["state"][key] for key in values} == values
    assert values["chains"] and len(values["chains"]) == len(values["answers"]) > 1
    only = home.json(f"/runs/{run_id}/steps/2", keys="statuses")["wrote"]
    assert [wrote["key"] for wrote in only] == ["statuses"]


def test_a_turning_point_needs_a_reference_and_is_where_the_verdict_stays(home: Home) -> None:
    page = home.run("magicore")
    marked = [step for step in page["steps"] if step["turning"]]
    assert [step["turning"] for step in marked] == ["right" if page["run"]["correct"] else "wrong"]


async def test_turning_points() -> None:
    steps = [(1, None), (2, 18), (3, "20"), (4, 18.0), (5, "20"), (6, 20)]
    assert await turns(steps, 18) == {5: "wrong"}
    assert await turns(steps, [20, "21"]) == {5: "right"}
    assert await turns(steps, None) == {3: "changed", 4: "changed", 5: "changed"}
    assert await turns(steps, {"no": "answer"}) == {3: "changed", 4: "changed", 5: "changed"}
    assert await turns([(1, None)], 18) == {} == await turns([], None)


def test_the_leading_answer() -> None:
    ballots = [{"answer": "a", "weight": 1.0, "count": 5}, {"answer": "b", "weight": 2.0, "count": 1}]
    assert leading({"answer": None, "weights": ballots, "answers": ["a"]}, Show()) == "b"
    assert leading({"answers": [["a", "a"], ["c", None, "c", "a"]]}, Show()) == "c"
    assert leading({"answer": "x", "code": "y"}, Show(leading="code")) == "y"
    assert leading({"answers": [], "n": 3}, Show()) is None


def test_subgraphs_have_their_steps_and_places(home: Home) -> None:
    run_id = home.ids["utdebug"]
    suite = next(step for step in home.run("utdebug")["steps"] if step["nodes"] == ["ut_suite"])
    (frame,) = home.json(f"/runs/{run_id}/steps/{suite['n']}")["frames"]
    assert frame["frame"] == f"{suite['n']}.ut_suite"
    assert {"sample_candidate", "vote_output"} <= {node for step in frame["steps"] for node in step["nodes"]}
    assert suite["inside"] == [{"frame": "ut_suite", "ran": [step["nodes"] for step in frame["steps"]]}]
    place = next(call["place"] for call in home.json(f"/runs/{run_id}/calls")["items"] if "/" in call["place"])
    assert home.json(f"/runs/{run_id}/calls/{place}")["place"] == place


def test_a_roll_back_is_in_what_the_steps_wrote(home: Home) -> None:
    history = [
        wrote["value"]
        for step in home.run("utdebug")["steps"]
        if step["nodes"] == ["decide"]
        for wrote in home.json(f"/runs/{home.ids['utdebug']}/steps/{step['n']}", keys="history")["wrote"]
    ]
    assert any(not round_["accepted"] for rounds in history for round_ in rounds)


def test_a_failed_run_opens_at_what_failed(home: Home) -> None:
    page = home.run("failed")
    error = page["run"]["error"]
    assert (page["run"]["status"], error["name"], error["place"]) == ("failed", "ModelNotFound", "2.solve.b0")
    last = page["steps"][-1]
    assert (last["n"], last["source"], last["failed"]) == (2, "open", 2)
    call = home.json(f"/runs/{home.ids['failed']}/calls/{error['place']}")
    assert call["status"] == "failed" and call["outcome"]["error"]["name"] == "ModelNotFound"
    assert home.get(f"/runs/{home.ids['failed']}/state/2").status_code == 400


def test_a_step_that_failed_without_a_call_is_a_step_and_a_run_that_has_only_begun_differs_from_nothing(tmp_path: Path) -> None:
    async def made() -> dict[str, str]:
        async with open_store(str(tmp_path / "store.db")) as store:
            failed = await record_of(store, "self_consistency", {"model": "toy/default", "k": 2}, checkpoints="none")
            error = {"name": "SymposiaError", "message": "no", "node": "vote", "step": 9, "place": "9.vote", "remedy": None}
            await store.put_run({**await store.run(failed), "status": "failed", "error": error})
            begun = runs.new_record("magicore", {"model": "toy/default"}, {"question": "How many?"})
            await store.put_run({**begun, "status": "started"})
            return {"failed": failed, "begun": begun["run_id"]}

    with at_home(tmp_path, asyncio.run(made())) as fresh:
        for quick in (1, 0):
            last = fresh.json(f"/runs/{fresh.ids['failed']}", quick=quick)["steps"][-1]
            assert (last["n"], last["source"], last["nodes"], last["effects"]) == (9, "open", ["vote"], 0), "the page opens there"
        assert fresh.json(f"/runs/{fresh.ids['failed']}/steps/9")["wrote"] == []
        begun = fresh.json(f"/runs/{fresh.ids['begun']}")
        assert (begun["states"], begun["first_divergence"]) == ("known", None)


def test_every_method_that_ran_tells_every_step_every_call_and_its_graph(home: Home) -> None:
    for name in ("magicore", "pbt", "utdebug", "hostile", "failed", "paused"):
        page, run_id = home.run(name), home.ids[name]
        method = home.json(f"/methods/{page['run']['method']}")
        nodes = {node["id"].rpartition(":")[2] for node in method["graph"]["nodes"]} | set(method["graph"]["subgraphs"])
        for step in page["steps"]:
            home.json(f"/runs/{run_id}/steps/{step['n']}")
            assert set(step["nodes"]) <= nodes
        calls = home.json(f"/runs/{run_id}/calls")["items"]
        assert sum(call["calls"] for call in calls) == page["run"]["calls"]["live"] + page["run"]["calls"]["replayed"]
        for call in calls[:5]:
            assert home.json(f"/runs/{run_id}/calls/{call['place']}")["digest"]
        keys = method["schemas"]["state"]["properties"]
        assert {wrote["key"] for step in page["steps"] for wrote in step["wrote"]} <= set(keys)


def test_quick_tells_the_journal_before_the_states_are_rebuilt(shelf: tuple[Path, dict[str, str]]) -> None:
    with at_home(*shelf) as fresh:
        quick = fresh.json(f"/runs/{fresh.ids['magicore']}", quick=1)
        whole = fresh.run("magicore")
        again = fresh.json(f"/runs/{fresh.ids['magicore']}", quick=1)
    assert (quick["states"], whole["states"], again["states"]) == ("pending", "known", "known")
    same = ("n", "nodes", "calls", "digest", "ms", "cost")
    assert [{k: s[k] for k in same} for s in quick["steps"]] == [{k: s[k] for k in same} for s in whole["steps"]]
    assert not any(step["wrote"] or step["why"] for step in quick["steps"])


def test_changed_code_hides_states_and_leaves_the_journal(shelf: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magicore, "route", lambda state: "finish")
    registry._compiled.cache_clear()
    try:
        with at_home(*shelf) as fresh:
            page = fresh.run("magicore")
            state = fresh.get(f"/runs/{fresh.ids['magicore']}/state/3")
            step = fresh.json(f"/runs/{fresh.ids['magicore']}/steps/2")
            calls = fresh.json(f"/runs/{fresh.ids['magicore']}/calls")["items"]
    finally:
        registry._compiled.cache_clear()
    assert page["states"] == "differs" and page["first_divergence"]["step"] == 6
    assert (state.status_code, state.json()["error"]) == (400, "BadInput")
    assert step["wrote"] == [] and len(step["calls"]) == 4 and len(calls) > 20


# -- texts --------------------------------------------------------------------------------------------------------------------------------


def test_long_texts_are_folded_and_served_whole(home: Home) -> None:
    run_id = home.ids["hostile"]
    (chains,) = home.json(f"/runs/{run_id}/steps/2", keys="chains")["wrote"]
    text = chains["value"][0][0]
    assert set(text) == {"$text", "len", "head"} and text["len"] > 5_000 and len(text["head"]) == 2_000
    found = home.get(f"/runs/{run_id}/text/{text['$text']}")
    assert found.headers["content-type"] == "text/plain; charset=utf-8" and found.headers["x-content-type-options"] == "nosniff"
    assert len(found.text) == text["len"] and found.text.startswith(text["head"])
    assert digest(found.text.encode()).hex() == text["$text"]
    assert home.get(f"/runs/{run_id}/text/{'0' * 32}").status_code == 404
    assert LONG not in home.get(f"/runs/{run_id}").text and LONG not in home.get(f"/runs/{run_id}/calls").text


def test_a_text_is_found_by_its_digest_in_a_server_that_never_gave_it_out(shelf: tuple[Path, dict[str, str]], home: Home) -> None:
    path = f"/runs/{home.ids['hostile']}"
    sha = home.json(f"{path}/steps/2", keys="chains")["wrote"][0]["value"][0][0]["$text"]
    with at_home(*shelf) as fresh:
        assert LONG in fresh.get(f"{path}/text/{sha}").text


def test_nothing_of_a_models_own_passes_for_a_folded_text() -> None:
    kept: dict[str, str] = {}
    assert folded({"$text": "abc", "$$x": [1], "__proto__": LONG}, kept) == {
        "$$text": "abc",
        "$$$x": [1],
        "__proto__": {"$text": next(iter(kept)), "len": 5_000, "head": LONG[:2_000]},
    }


def test_search_finds_prompts_replies_and_states_with_their_addresses(home: Home) -> None:
    found = home.json(f"/runs/{home.ids['hostile']}/search", q="STEP 2 IS wrong")
    assert {hit["in"] for hit in found["items"]} == {"state", "prompt", "reply"}
    reply = next(hit for hit in found["items"] if hit["in"] == "reply")
    assert "is wrong" in home.get(f"/runs/{home.ids['hostile']}/calls/{reply['place']}").text
    assert found["total"] == len(found["items"])
    assert home.json(f"/runs/{home.ids['hostile']}/search", q="nowhere to be found")["items"] == []
    assert home.get(f"/runs/{home.ids['hostile']}/search", params={"q": " "}).status_code == 400


# -- calls --------------------------------------------------------------------------------------------------------------------------------


def test_a_call_knows_the_same_place_in_the_round_before(home: Home) -> None:
    run_id = home.ids["hostile"]
    later = home.json(f"/runs/{run_id}/calls/10.score.b1.b0")
    assert (later["around"]["round_before"], later["around"]["round_after"], later["around"]["round"]) == ("4.score.b1.b0", None, 1)
    assert later["request"]["model"] == "players/any" and later["outcome"]["value"]["choices"][0]["text"] == "SCORE: 0.4"
    assert later["status"] == "ok" and later["from"] == "live"


def test_an_unreadable_reply_has_the_parsers_complaint() -> None:
    def entry(place: str, messages: list[dict[str, Any]], text: str) -> Entry:
        reply = {"value": {"choices": [{"text": text, "finish": "stop", "refusal": None}]}}
        return Entry(place, b"", "llm", {"model": "m", "messages": messages}, reply, Usage("judge", "m", 1, 1))

    first = [{"role": "user", "content": ["Judge ", "this."]}]
    again = [*first, {"role": "assistant", "content": ["well"]}, {"role": "user", "content": ["That could not be read: no score."]}]
    calls = index_of(
        [entry("2.judge.b0", first, "well"), entry("2.judge.b0.n1", again, "SCORE: 1"), entry("2.judge.b1", first, "SCORE: 1")]
    )
    assert [call["status"] for call in calls] == ["unreadable", "ok", "ok"]
    entries = [entry("2.judge.b0", first, "well"), entry("2.judge.b0.n1", again, "well, well"), entry("2.judge.b1", first, "SCORE: 1")]
    record = {"error": {"name": "ReplyError", "message": "no score", "node": "judge", "step": 2}}
    assert [call["status"] for call in index_of(entries, record)] == ["unreadable", "unreadable", "ok"], "the run failed on the second"
    assert Calls(entries, record=record).call("2.judge.b0.n1", {})["complaint"] == "no score"  # type: ignore[index]


def test_copies_run_as_they_are_and_hold_no_key(tmp_path: Path) -> None:
    nasty = "it's \"quoted\" $HOME `id` \\n\n\x1b[2J 'ä' \u202e"
    made = copies({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": nasty}], "temperature": 0.5}, 7)
    assert made["curl"] and made["python"] and "OPENAI_API_KEY" in made["curl"]
    words = shlex.split(made["curl"])
    body = json.loads(words[words.index("-d") + 1])
    assert body["messages"][0]["content"] == nasty and (body["seed"], body["temperature"]) == (7, 0.5)
    assert made["python"].isascii() and made["curl"].isascii()
    (tmp_path / "litellm.py").write_text(
        "import json\nclass R: pass\ndef completion(**given):\n    print(json.dumps(given))\n    m = R(); m.content = 'fine'\n"
        "    c = R(); c.message = m\n    r = R(); r.choices = [c]\n    return r\n"
    )
    done = subprocess.run([sys.executable, "-c", made["python"]], cwd=tmp_path, capture_output=True, text=True, check=True)
    sent, said = done.stdout.splitlines()
    assert json.loads(sent)["messages"][0]["content"] == nasty and said == "fine"
    for model in ("toy/default", "local/any"):
        assert copies({"model": model, "messages": []}, None) == {"curl": None, "python": None}
    for model in ("anthropic/claude", "claude-any", "hosted_vllm/any"):  # of another interface, or nobody knows where
        assert copies({"model": model, "messages": []}, None)["curl"] is None
    for model in ("my-model", "meta-llama/Llama-3.1-8B"):  # of a server whose address is not configured now
        bare = copies({"model": model, "messages": []}, None)
        assert "${OPENAI_BASE_URL:-" in str(bare["curl"]) and f"model='openai/{model}'" in str(bare["python"])
    unsent = {"logprobs": True, "top_logprobs": 5, "min_tokens": 3}  # as of a call that failed: min_tokens was not noted
    assert not set(unsent) & set(re.findall(r"\w+", str(copies({"model": "gpt-4o", "messages": [], **unsent}, None, ["top_logprobs"]))))
    pictured = [{"role": "user", "content": f"[image {'ab' * 32}] What is it?"}]
    assert copies({"model": "gpt-4o", "messages": pictured}, None) == {"curl": None, "python": None}


@pytest.mark.parametrize("long", [False, True], ids=["argument", "here document"])
def test_curl_sends_what_was_sent_through_a_real_shell(tmp_path: Path, long: bool) -> None:
    nasty = "it's \"quoted\" $HOME `id` \\n\nJSON\n\x1b[2J 'ä' \u202e" + "x" * (200_000 if long else 0)
    messages = [{"role": "user", "content": nasty}]
    request: dict[str, Any] = {
        "model": "any",
        "messages": messages,
        "min_tokens": 3,
        "response_format": {"type": "json_object"},
    }
    before = vars(configure())
    configure(api_base="http://me:secret@127.0.0.1:1/v1/?key=secret", api_key="k")
    try:
        made = copies(request, 7, ["response_format"])
        other = copies({**request, "model": "anthropic/claude"}, 7)
    finally:
        configure(**before)
    assert made["curl"] and made["python"] and "secret" not in str(made)
    (tmp_path / "curl").write_text(f"#!{sys.executable}\nimport json, sys\n{STUB}")
    (tmp_path / "curl").chmod(0o755)
    here = {"PATH": f"{tmp_path}:/usr/bin:/bin", "OPENAI_API_KEY": "mine"}
    (tmp_path / "call.sh").write_text(made["curl"])  # as it would be pasted; as an argument of bash it would be too long
    told = subprocess.run(["bash", str(tmp_path / "call.sh")], env=here, capture_output=True, check=True)
    words, body = json.loads(told.stdout)
    assert words[:2] == ["-s", "http://127.0.0.1:1/v1/chat/completions"] and "Authorization: Bearer mine" in words
    assert body == {"model": "any", "messages": messages, "min_tokens": 3, "seed": 7}, "what the provider does not know is left out"
    assert "extra_body={'min_tokens': 3}" in made["python"] and "model='openai/any'" in made["python"]
    assert other["curl"] is None and "api_base" not in str(other["python"]), "it goes to its own provider"


# -- lists and filters --------------------------------------------------------------------------------------------------------------------


def test_runs_come_newest_first_in_pages_without_a_gap(home: Home) -> None:
    whole = home.json("/runs", limit=500)
    seen: list[str] = []
    after = ""
    while True:
        page = home.json("/runs", limit=4, after=after)
        seen += [row["run"] for row in page["items"]]
        assert page["total"] == whole["total"]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == [row["run"] for row in whole["items"]] and len(seen) == whole["total"]
    starts = [row["started"] for row in whole["items"]]
    assert starts == sorted(starts, reverse=True)


def test_a_batch_counts_its_failures_by_error_and_node(home: Home) -> None:
    batch = home.json(f"/batches/{home.ids['batch']}")
    assert batch["counts"] == {"ok": 3, "failed": 2} and (batch["right"], batch["graded"]) == (2, 5), "failed is wrong"
    (group,) = batch["errors"]
    assert (group["name"], group["node"], group["count"]) == ("MissingKey", "solve", 2)
    assert home.json(f"/runs/{group['run']}")["run"]["error"]["place"].startswith("2.solve")
    visited = next(facet for facet in batch["facets"] if facet["key"] == "visited")
    assert {"value": "refine", "n": 3, "graded": 3, "right": 2} in visited["values"]
    assert "/" not in batch["output"]
    listed = {one["id"]: one["counts"] for one in home.json("/batches")["items"]}
    assert listed == {home.ids["batch"]: batch["counts"], home.ids["other"]: {"ok": 2}}


@pytest.mark.parametrize(
    ("q", "rows"),
    [
        ("", ["r0", "r1", "r2", "r3", "r4"]),
        ("correct:no visited:refine", ["r0"]),
        ("correct:yes", ["r1", "r3"]),
        ("correct:no,unknown", ["r0", "r2", "r4"]),
        ("error:MissingKey node:solve", ["r2", "r4"]),
        ("error:none answer:20", ["r0"]),
        ("round>=1 -correct:yes", ["r0"]),
        ("-visited:refine", ["r2", "r4"]),
        ("status:ok,failed calls>12", ["r0", "r1", "r3"]),
        ("broken", ["r2", "r4"]),
        ('"even 3"', ["r3"]),
        ("cost>0.01", []),
    ],
)
def test_the_typed_filter(home: Home, q: str, rows: list[str]) -> None:
    found = home.json(f"/batches/{home.ids['batch']}/rows", q=q)
    assert [row["row"] for row in found["items"]] == rows
    assert (found["total"], found["of"], found["next"]) == (len(rows), 5, None)


def test_the_filter_works_over_all_runs_and_says_what_it_does_not_know(home: Home) -> None:
    found = home.json("/runs", q="method:utdebug", limit=1)
    assert found["items"][0]["method"] == "utdebug" and found["total"] >= 1
    for q, remedy in (("colour:red", "visited"), ("cost>much", "cost>0.01"), ("status>ok", "status:ok"), ("correct:perhaps", "correct:no")):
        refused = home.get("/runs", params={"q": q})
        assert refused.status_code in (400, 404) and remedy in refused.json()["remedy"], refused.text


def test_a_term_keeps_its_sign() -> None:
    query = read_query('cost<=0.5 -status:failed "two words"')
    assert len(query.tests) == 3 and not query.needs_paths
    row = {"run": "a", "status": "ok", "cost": 0.5, "question": "Two words"}
    assert query.keeps(row) and not query.keeps({**row, "cost": 0.6}) and not query.keeps({**row, "cost": None})


def test_two_batches_are_joined_on_their_rows(home: Home) -> None:
    found = home.json("/compare", a=home.ids["batch"], b=home.ids["other"])
    assert (found["of"], found["shared"], found["only_a"], found["only_b"]) == ("batches", 2, 3, 0)
    assert found["table"] == {"right_right": 1, "right_wrong": 0, "wrong_right": 0, "wrong_wrong": 1} and found["same_method"]
    assert found["rows"] == [] and found["test"]["p"] == 1
    assert home.get("/compare", params={"a": home.ids["batch"], "b": home.ids["magicore"]}).status_code == 400


def test_a_large_batch_comes_in_windows_with_the_filter_done_here(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "_WHOLE", 4)
    monkeypatch.setattr(reads, "_WINDOW", 2)
    first = home.json(f"/batches/{home.ids['batch']}/rows", q="correct:no")
    rest = home.json(f"/batches/{home.ids['batch']}/rows", q="correct:no", after=first["next"])
    assert [row["row"] for page in (first, rest) for row in page["items"]] == ["r0", "r2", "r4"]
    assert (first["total"], first["next"], rest["next"]) == (3, 2, None)


async def test_both_kinds_of_store_are_read_alike(store_url: str, tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "question": f"{kind}?", "answer": 18} for i, kind in enumerate(["odd", "broken"])]
    given = {"k": 2, "max_rounds": 0}
    async with open_store(store_url) as store:
        made = await abatch("magicore", rows, tmp_path / "out.jsonl", model="players/any", params=given, store=store)
        desk = Desk(store_url, lambda: store)
        try:
            first = await desk.library.ask(lambda store: reads.runs(desk, store, q="", after="", limit=1))
            rest = await desk.library.ask(lambda store: reads.runs(desk, store, q="", after=first["next"], limit=1))
            assert {row["row"] for page in (first, rest) for row in page["items"]} == {"r0", "r1"}
            found = await desk.library.ask(lambda store: reads.runs(desk, store, q="visited:finish", after="", limit=9))
            assert [row["row"] for row in found["items"]] == ["r0"]
            batch = await desk.library.ask(lambda store: reads.batch(desk, store, batch_id=made["batch_id"]))
            assert batch["counts"] == {"ok": 1, "failed": 1}
            assert (await desk.library.ask(lambda store: reads.batches(desk, store)))["total"] == 1
            heard = [event async for event in events(desk, found["items"][0]["run"], 0)]
            assert heard[0].startswith(b"event: call") and heard[-1].startswith(b"event: done")
        finally:
            await desk.close()


# -- forks --------------------------------------------------------------------------------------------------------------------------------


def ended(home: Home, run_id: str, *going: str) -> Any:
    """A run once it has ended; `going`: statuses that it still has when it was just told to go on."""
    for _ in range(600):
        run = home.json(f"/runs/{run_id}", quick=1)["run"]
        if run["status"] not in ("started", *going):
            return run
        time.sleep(0.05)
    raise AssertionError("the run did not end")


def test_a_bill_is_what_the_fork_then_reuses_and_buys(home: Home) -> None:
    run_id = home.ids["magicore"]
    before = home.get(f"/runs/{run_id}").text
    change: dict[str, Any] = {"at": 6, "prompts": {"reviewer": "Look again: {annotated}"}}
    bill = home.post(f"/runs/{run_id}/fork?dry=1", change).json()
    assert (bill["certain"], bill["step"], bill["ends"]) == (4, 8, False) and bill["reused"] == 12
    assert bill["models"] == [{"model": "toy/default?error=0.5", "known": True, "key": None}]
    made = home.post(f"/runs/{run_id}/fork", change)
    assert made.status_code == 201
    child = ended(home, made.json()["run_id"])
    assert child["calls"]["replayed"] >= bill["reused"]
    assert bill["certain"] <= child["calls"]["live"] <= bill["at_most"]
    assert child["parent"] == {"run": run_id, "at": 6, "shifted": True}
    assert home.get(f"/runs/{run_id}").text == before
    compared = home.json("/compare", a=run_id, b=child["run_id"])
    assert compared["first"]["nodes"] == ["review"] and (compared["first"]["a"], compared["first"]["b"]) == (7, 8)
    changed = next(place for place in compared["places"] if place["how"] == "changed")
    assert (changed["a"]["place"], changed["b"]["place"]) == ("7.review.b0", "8.review.b0")
    assert compared["params"]["prompts.reviewer"][1] == change["prompts"]["reviewer"]


def test_a_bill_writes_nothing_and_a_fork_without_a_change_buys_nothing(kept: Home) -> None:
    bill = kept.post(f"/runs/{kept.ids['magicore']}/fork?dry=1", {"at": 3}).json()
    assert (bill["certain"], bill["at_most"], bill["ends"]) == (0, 0, True)
    assert bill["cost"] == {"certain": 0.0, "at_most": 0.0}
    assert bill["reused"] == kept.run("magicore")["run"]["calls"]["live"]


def test_the_command_beside_a_bill_makes_an_equal_fork(home: Home, symposia: Any, folder: Path) -> None:
    run_id = home.ids["magicore"]
    text = 'It\'s "so": {annotated}\n$HOME'
    bill = home.post(f"/runs/{run_id}/fork?dry=1", {"at": 6, "prompts": {"reviewer": text}, "params": {"max_rounds": 1}}).json()
    _, *words = shlex.split(bill["command"])
    done = symposia(*words, "--store", home.store, "--json")
    assert done.code == 0
    child = home.json(f"/runs/{done.json['run_id']}")
    assert child["changed"]["max_rounds"] == 1 and child["changed"]["prompts.reviewer"] == text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"at": "6"},
        {"at": True},
        {"at": 999},
        {"at": 3, "set": {"nothing": 1}},
        {"at": 3, "params": {"k": -1}},
        {"at": 3, "prompts": {"reviewer": "{unknown}"}},
        {"at": 3, "roles": {"nobody": "toy/default"}},
        {"at": 3, "roles": {"solver": "openai/http://example.org"}},
        {"at": 3, "params": {"k": 10_000}},
        {"at": 3, "more": 1},
        {"at": 3, "set": []},
    ],
)
def test_a_fork_that_cannot_be_is_refused_and_leaves_nothing(kept: Home, body: dict[str, Any]) -> None:
    for path in ("fork", "fork?dry=1"):
        refused = kept.post(f"/runs/{kept.ids['magicore']}/{path}", body)
        assert refused.status_code in (400, 404), refused.text
        assert set(refused.json()) == {"error", "message", "remedy"}


def test_models_that_the_server_may_not_use_are_refused(shelf: tuple[Path, dict[str, str]]) -> None:
    with at_home(*shelf, models=("toy/*",)) as strict:
        refused = strict.post(f"/runs/{strict.ids['magicore']}/fork", {"at": 3, "roles": {"solver": "gpt-4o"}})
    assert refused.status_code == 400 and refused.json()["remedy"] == "allowed: toy/*"


def test_fields_of_a_fork() -> None:
    asked = asked_of({"at": 3, "params": {"k": 2, "roles": {"a": "x"}}, "roles": {"b": "y"}})
    assert asked.changes == {"k": 2, "roles": {"a": "x", "b": "y"}}


# -- acts ---------------------------------------------------------------------------------------------------------------------------------


def test_replay_answers_as_the_command_does(kept: Home) -> None:
    report = kept.post(f"/runs/{kept.ids['utdebug']}/replay").json()
    assert report["identical"] is True and report["calls"]["live"] == 0


def test_only_what_goes_can_be_cancelled_and_only_what_waits_be_answered(kept: Home) -> None:
    assert kept.post(f"/runs/{kept.ids['magicore']}/cancel").status_code == 400
    assert kept.post(f"/runs/{kept.ids['magicore']}/answer", {"answer": 1}).status_code == 400
    assert kept.post(f"/runs/{kept.ids['paused']}/answer", {"answer": 1}).status_code == 400
    assert kept.post(f"/runs/{kept.ids['paused']}/answer", {"set": {"nothing": 1}}).status_code == 404


def read_events(home: Home, run_id: str, after: int = 0) -> list[tuple[str, int, Any]]:
    with httpx.stream("GET", f"{home.root}/api/runs/{run_id}/events", params={"after": after}, timeout=60) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream") and "content-encoding" not in stream.headers
        text = stream.read().decode()
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if lines:
            found.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
    return found


def test_events_of_a_run_that_goes_on_follow_its_journal_to_the_end(home: Home) -> None:
    parent = home.ids["paused"]
    child = home.post(f"/runs/{parent}/fork", {"at": 1, "params": {"seed": 5}}).json()["run_id"]
    found = read_events(home, child)
    run = ended(home, child)
    assert found[-1][0] == "done" and found[-1][2]["answer"] == run["answer"]
    places = [call["place"] for kind, _, data in found if kind == "call" for call in data["items"]]
    calls = home.json(f"/runs/{child}/calls")["items"]
    assert sorted(places) == sorted(call["place"] for call in calls) and len(places) == len(set(places))
    heads = {call["place"]: call["head"] for kind, _, data in found if kind == "call" for call in data["items"]}
    assert heads == {call["place"]: call["head"] for call in calls}
    ids = [seq for _, seq, _ in found]
    assert ids == sorted(ids)
    steps = [step["n"] for kind, _, data in found if kind == "step" for step in data["items"]]
    assert steps == [*range(1, steps[-1] + 1)] and steps[-1] >= 7
    middle = sorted(call["seq"] for call in calls)[len(calls) // 2]
    rest = [call["seq"] for kind, _, data in read_events(home, child, middle) if kind == "call" for call in data["items"]]
    assert sorted(rest) == sorted(call["seq"] for call in calls if call["seq"] > middle)  # of what comes at once, by place


def test_a_paused_run_tells_what_it_waits_for_and_goes_on(home: Home) -> None:
    run_id = home.ids["paused"]
    assert home.run("paused")["run"]["waiting"]["next"] == ["solve"]
    with httpx.stream("GET", f"{home.root}/api/runs/{run_id}/events", timeout=60) as stream:
        lines = stream.iter_lines()
        while next(lines) != "event: interrupt":
            pass
        assert home.post(f"/runs/{run_id}/answer", {}).status_code == 202
        while next(lines) != "event: done":
            pass
    assert ended(home, run_id)["status"] in ("ok", "no_answer")


def test_many_who_follow_one_run_see_it_end(home: Home) -> None:
    child = home.post(f"/runs/{home.ids['magicore']}/fork", {"at": 1, "params": {"seed": 11}}).json()["run_id"]
    ends: list[str] = []
    threads = [threading.Thread(target=lambda: ends.append(read_events(home, child)[-1][0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ends == ["done"] * 8


def test_a_persons_answer_goes_into_the_journal(shelf: tuple[Path, dict[str, str]], consultation: str) -> None:  # noqa: F811
    folder, ids = shelf

    async def asked() -> str:
        async with open_store(str(folder / "store.db")) as store:
            return (await runs.start(store, runs.new_record(consultation, {}, {"question": "q"}))).run_id

    run_id = asyncio.run(asked())
    with at_home(folder, ids) as home:
        page = home.json(f"/runs/{run_id}")
        assert page["run"]["waiting"]["ask"] == {"place": "2.consult", "question": "which?"}
        for body in ({}, {"set": {"opinion": "x"}}, {"answer": 1, "more": 2}, {"answer": 1, "set": {}}):
            refused = home.post(f"/runs/{run_id}/answer", body)
            assert refused.status_code == 400, body
        assert home.post(f"/runs/{run_id}/answer", {"answer": "the left one"}).status_code == 202
        assert ended(home, run_id, "paused")["answer"] == "the left one"
        call = home.json(f"/runs/{run_id}/calls/2.consult")
        assert (call["kind"], call["outcome"], call["copy"]) == ("person", {"value": "the left one"}, None)
        assert home.post(f"/runs/{run_id}/answer", {"answer": "again"}).status_code == 400
        assert home.post(f"/runs/{run_id}/replay").json()["identical"]


def test_a_run_that_goes_on_is_cancelled_and_keeps_what_it_paid_for(
    shelf: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PLAYERS, "delay", 0.05)
    with at_home(*shelf) as home:
        change = {"at": 1, "params": {"max_rounds": 30, "seed": 1}}
        run_id = home.post(f"/runs/{home.ids['hostile']}/fork", change).json()["run_id"]
        while home.json(f"/runs/{run_id}", quick=1)["run"]["calls"]["live"] < 4:
            time.sleep(0.02)
        live = home.json(f"/runs/{run_id}")
        assert (live["run"]["status"], live["states"]) == ("started", "known")
        assert home.post(f"/runs/{run_id}/cancel").status_code == 202
        found = ended(home, run_id)
        assert found["status"] == "stopped" and found["calls"]["live"] == len(home.json(f"/runs/{run_id}/calls")["items"]) >= 4
        assert read_events(home, run_id)[-1][0] == "done"


# -- export -------------------------------------------------------------------------------------------------------------------------------


def test_exports_are_attachments(home: Home) -> None:
    path = f"/runs/{home.ids['hostile']}/export"
    found = home.get(path, params={"as": "json"})
    assert found.headers["content-disposition"] == f'attachment; filename="magicore-{home.ids["hostile"]}.json"'
    assert found.json()["run"]["reference"] == 18 and "Solve the problem below" in found.text
    shorn = home.get(path, params={"as": "json", "without": "prompts,references"})
    assert shorn.json()["run"]["reference"] is None and "Solve the problem below" not in shorn.text
    picture = home.get(path, params={"as": "svg"})
    assert picture.headers["content-type"].startswith("image/svg+xml") and "<svg" in picture.text
    assert home.get(path, params={"as": "pdf"}).status_code == 400
    assert home.get(path, params={"as": "json", "without": "replies"}).status_code == 400


def held_in(page: str) -> dict[str, Any]:
    """The answers that an exported page carries."""
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed
    found = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    assert isinstance(found, dict)
    return found


def test_an_exported_page_holds_what_the_endpoints_answer(home: Home) -> None:
    run_id = home.ids["hostile"]
    held = held_in(home.get(f"/runs/{run_id}/export", params={"as": "html"}).text)
    assert held["/export"]["start"] == f"#/runs/{run_id}" and held["/export"]["without"] == []
    for path, answer in held.items():
        if "/text/" in path:
            assert home.get(path).text == answer
        elif path != "/export":
            assert home.json(path) == answer, path
    assert {f"/runs/{run_id}/calls/{call['place']}" for call in held[f"/runs/{run_id}/calls"]["items"]} <= held.keys()
    assert any(LONG in answer for path, answer in held.items() if "/text/" in path)
    shorn = held_in(home.get(f"/runs/{run_id}/export", params={"as": "html", "without": "prompts"}).text)
    assert "Solve the problem below" not in json.dumps({path: answer for path, answer in shorn.items() if "/methods/" not in path})


def test_what_is_left_out_is_left_out_everywhere() -> None:
    assert without({"a": [{"request": 1, "reference": 2}], "run": {"correct": True}}, ("references",)) == {
        "a": [{"request": 1, "reference": None}],
        "run": {"correct": None},
    }


# -- who may ask --------------------------------------------------------------------------------------------------------------------------

CROSS = {"Origin": "https://example.org"}
SITE = {"Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.org"},
        {"Host": "localhost.example.org:80"},
        CROSS,
        {"Origin": "null"},
        SITE,
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"X-Symposia": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
    ids=str,
)
def test_a_page_elsewhere_changes_nothing(kept: Home, headers: dict[str, str]) -> None:
    for path, body in (("fork", {"at": 3}), ("answer", {}), ("cancel", {}), ("replay", {})):
        refused = kept.post(f"/runs/{kept.ids['paused']}/{path}", body, **headers)
        assert refused.status_code in (403, 415), (path, refused.text)
        assert set(refused.json()) == {"error", "message", "remedy"}


def test_a_page_elsewhere_reads_nothing(home: Home) -> None:
    for headers in ({"Host": "example.org"}, CROSS, SITE):
        refused = home.get("/runs", headers=headers)
        assert refused.status_code == 403 and "access-control-allow-origin" not in refused.headers
    own = home.root.removeprefix("http://")
    assert home.get("/runs", headers={"Origin": f"http://{own}", "Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_origins_that_may_ask_for_answers_may_not_ask_the_viewer(shelf: tuple[Path, dict[str, str]]) -> None:
    with at_home(*shelf, rules=Rules(origins=("*",))) as open_:
        assert open_.get("/runs", headers=CROSS).status_code == 403


def test_a_key_is_a_bearer_or_a_cookie_that_is_not_the_key(shelf: tuple[Path, dict[str, str]]) -> None:
    with at_home(*shelf, rules=Rules(keys=(KEY,))) as locked:
        refused = locked.get("/runs")
        assert (refused.status_code, refused.json()["error"]) == (401, "KeyNeeded") and KEY not in refused.text
        assert locked.json("/session")["key"] == "needed"
        assert locked.client.get(f"{locked.root}/").status_code == 200
        assert locked.get("/runs", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        assert locked.get("/runs", headers={"Authorization": f"Bearer {KEY}x"}).status_code == 401
        assert locked.post("/login", {"key": "another-long-key"}).status_code == 401
        given = locked.post("/login", {"key": KEY})
        cookie = given.headers["set-cookie"]
        assert given.status_code == 204 and KEY not in cookie
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
        jar = {"Cookie": cookie.split(";")[0]}
        assert locked.get("/runs", headers=jar).status_code == 200
        assert locked.get("/session", headers=jar).json()["key"] == "given"
        assert locked.get("/runs", headers={"Cookie": f"{jar['Cookie']}0"}).status_code == 401
        assert locked.get("/runs", headers={"Cookie": f"symposia_session={KEY}"}).status_code == 401
        assert locked.post("/login", {"key": KEY}, Origin="https://example.org").status_code == 403
        assert "Max-Age=0" in locked.post("/logout", **jar).headers["set-cookie"]
        assert locked.client.get(f"{locked.root}/v1/models", headers=jar).status_code == 401, "the cookie opens the viewer only"


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2f..%2fetc%2fpasswd",
        "/runs/%00",
        "/runs/%25",
        "/runs/_",
        "/runs/a'%20OR%20'1'='1",
        "/runs/" + "a" * 300,
        "/runs/nosuch/steps/1",
        "/runs/nosuch/calls/..%2f..",
        "/runs/nosuch/events",
        "/runs/nosuch/export",
        "/batches/nosuch",
        "/batches/%00/rows",
        "/batches/_/rows",
        "/methods/..%2fmagicore",
        "/methods/__init__",
        "/compare?a=nosuch&b=nosuch",
        "/nothing",
    ],
)
def test_hostile_ids_find_nothing(kept: Home, path: str) -> None:
    refused = kept.get(path)
    assert refused.status_code == 404, refused.text
    assert set(refused.json()) == {"error", "message", "remedy"} and "Traceback" not in refused.text


def test_hostile_places_and_numbers_find_nothing(kept: Home) -> None:
    run = f"/runs/{kept.ids['magicore']}"
    assert kept.get(f"{run}/calls/2.solve.b0%00").status_code == 404
    assert kept.get(f"{run}/calls/../../../../etc/passwd").status_code == 404
    assert kept.get(f"{run}/steps/999999999999999999999999").status_code == 400
    assert kept.get(f"{run}/steps/x").status_code == 400
    assert kept.get(f"{run}/state/-5").status_code == 400
    assert kept.get("/runs", params={"after": "nosuch"}).status_code == 404
    assert kept.post(f"{run}/fork", [1]).status_code == 400


def test_files_of_the_page_are_looked_up_and_never_joined(home: Home) -> None:
    for path in ("/static/../records.py", "/static/..%2frecords.py", "/static/%2e%2e/api.py", "/static//etc/passwd", "/static/nosuch.js"):
        assert home.client.get(f"{home.root}{path}").status_code == 404, path


def test_headers_of_every_answer(home: Home) -> None:
    urls = [f"{home.root}/", *(f"{home.root}/api{path}" for path in ("/runs", "/runs/nosuch", "/session", "/methods/magicore"))]
    for url in urls:
        headers = home.client.get(url).headers
        assert POLICY in headers["content-security-policy"] and "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        if "/api/" in url:
            assert headers["cache-control"] == "no-store"
    refused = home.client.request("PUT", f"{home.root}/api/runs")
    assert refused.status_code == 405 and "content-security-policy" in refused.headers


def test_a_tag_spares_what_is_known_and_large_answers_are_packed(home: Home) -> None:
    path = f"{home.root}/api/runs/{home.ids['magicore']}"
    with home.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as stream:
        raw = b"".join(stream.iter_raw())
        assert stream.headers["content-encoding"] == "gzip"
    plain = home.client.get(path, headers={"Accept-Encoding": "identity"})
    assert json.loads(gzip.decompress(raw)) == plain.json() and len(raw) < len(plain.content) / 3
    again = home.client.get(path, headers={"If-None-Match": plain.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_body_that_is_too_large_is_refused(shelf: tuple[Path, dict[str, str]]) -> None:
    with at_home(*shelf, rules=Rules(most_bytes=1_000)) as small:
        refused = small.post(f"/runs/{small.ids['magicore']}/fork", {"at": 3, "set": {"question": "x" * 5_000}})
    assert (refused.status_code, refused.json()["error"]) == (413, "TooLarge")


# -- hints --------------------------------------------------------------------------------------------------------------------------------


def test_hints_are_data_and_are_held_against_the_graph() -> None:
    kinds = {"answers": votes(weight="vote_weights"), "feedback": review(of="chains")}
    show = Show(kinds, {"finish": "share {share:.2f}"}, ("extract",))
    assert json.loads(json.dumps(show.to_json()))["kinds"]["answers"] == {"kind": "votes", "keys": {"weight": "vote_weights"}, "fields": {}}
    graph = magicore.graph
    keys, nodes = [*graph.channels, "share"], list(graph.nodes)
    check_show(show, keys, nodes)
    for broken in (Show({"nothing": votes()}), Show({"answers": votes(weight="no")}), Show(fold=("no",)), Show(leading="no")):
        with pytest.raises(UnknownName, match="unknown"):
            check_show(broken, keys, nodes)
    with pytest.raises(UnknownName, match="unknown kind"):
        shown_as("chart")
    assert summary_of(show, "finish", {"share": 0.5}) == "share 0.50"
    assert summary_of(show, "finish", {}) is None and summary_of(show, "finish", {"share": None}) is None
    with pytest.raises(BadInput, match="summary of finish"):
        summary_of(Show(summary={"finish": "{"}), "finish", {})


def test_the_hints_of_every_method_name_what_there_is() -> None:
    for name in registry.names():
        loaded = registry.load(name)
        graph = loaded.module.graph
        check_show(show_of(getattr(loaded.module, "SHOW", None)), list(graph.channels), list(graph.nodes))


async def test_the_library_rebuilds_a_run_once(shelf: tuple[Path, dict[str, str]]) -> None:
    folder, ids = shelf
    library = Library(str(folder / "store.db"))
    try:
        one, two = await asyncio.gather(*(library.ask(lambda store: library.book(store, ids["utdebug"])) for _ in range(2)))
        assert one is two and state_at(one.seen, 3)
        prefix = await library.ask(lambda store: library.book(store, ids["utdebug"][:8]))
        assert prefix is one
    finally:
        await library.close()
