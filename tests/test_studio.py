"""What LangGraph Studio does, done through `langgraph-sdk` against the real `langgraph dev` with every method and toy models.

What is done there is kept as runs in the store of the folder it was started in, and runs made here are threads there.

The page of Studio is hosted elsewhere; it speaks to this same interface: lists, schemas, drawings, runs, pauses, edits, history, forks.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import server as model_server
from typing_extensions import get_type_hints

import symposia
from symposia import generate, registry, runs
from symposia.execution import thread_of
from symposia.result import Result
from symposia.rows import toy_item
from symposia.state.base import Formed, Illustrated, Question
from symposia.state.store import open_store

pytest.importorskip("langgraph_api", reason="`langgraph dev` is not installed (the extra `studio`)")
sdk = pytest.importorskip("langgraph_sdk", reason="langgraph-sdk is not installed (the extra `test`)")

QUESTION = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
OTHER = "Omar has 45 stamps. He gives 18 stamps to Priya. How many stamps does Omar have left?"
# One solver is always right, one never: their answers differ, so with a threshold of 1 the problem is hard, whatever the scores.
HARD = {
    **{"k": 2, "max_rounds": 1, "seed": 7, "calib_mean": 2, "confidence_threshold": 1},
    "roles": {"solver": ["toy/default?error=0", "toy/default?error=1"]},
}
ONE_ROUND = ["solve", "extract", "score", "aggregate", "classify"]
PATH = ["intake", *ONE_ROUND, "review", "refine", *ONE_ROUND[1:], "finish"]

TOML = """
[params.chain_of_thought]
model = "toy/default?error=0"

[presets.careful]
method = "self_consistency"
model = "toy/default?error=0"
k = 5
"""

BAD: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {  # parameters, input, what the error must say
    "kind": ({"k": "many"}, {"question": "x"}, ["k", "valid integer", "many"]),
    "range": ({"calib_mean": 3}, {"question": "x"}, ["calib_mean", "less than or equal to 2"]),
    "sampling": ({"sampling": {"solver": {"temprature": 1}}}, {"question": "x"}, ["temprature"]),
    "prompt": ({"prompts": {"solver": "Do {it}"}}, {"question": "x"}, ["{it}", "{question}"]),
    "model": ({"model": "absent", "k": 1}, {"question": "x"}, ["ModelNotFound", "absent"]),
    "blank": ({}, {"question": "  "}, ["question is empty", "chat message"]),
    "nothing": ({}, {}, ["question is empty"]),
    "empty chat": ({}, {"messages": [{"role": "user", "content": ""}]}, ["question is empty"]),
    "list": ({}, {"question": ["a", "b"]}, ["question is no text but list"]),
    "task": ({}, {"question": "x", "task": "nmber"}, ["nmber", "did you mean 'number'"]),
}


@pytest.fixture(scope="module")
def models() -> Iterator[str]:
    """Address of an OpenAI-compatible server whose answers are equal only for who can do algebra."""
    with model_server.spawned(seed=1, answers=["x+1", "1+x", "\\frac{1}{2}", "0.5"], models=["test"], strict_models=True) as spawned:
        yield spawned.url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `langgraph dev` is started: a folder of its own with a `symposia.toml`, since it writes there."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "symposia.toml").write_text(TOML, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def studio(models: str, folder: Path) -> Iterator[Any]:
    """A client of `langgraph dev`."""
    command = Path(sys.executable).parent / "langgraph"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SYMPOSIA_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_"))}
    own = {"SYMPOSIA_API_BASE": models, "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
    config = {**generate.langgraph_config(), "dependencies": [str(generate.ROOT)]}  # what test_generated.py finds in langgraph.json
    (folder / "langgraph.json").write_text(json.dumps(config), encoding="utf-8")
    where = ["--config", str(folder / "langgraph.json"), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(command), "dev", "--no-browser", "--no-reload", "--n-jobs-per-worker", "8", *where],
            cwd=folder,
            env={**kept, **own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_until_up(process, f"http://127.0.0.1:{port}/ok", folder / "log")
        with sdk.get_sync_client(url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    pytest.fail(f"langgraph dev did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def assistants(studio: Any) -> dict[str, str]:
    """Ids of the server's own assistants, by method."""
    return {a["graph_id"]: a["assistant_id"] for a in studio.assistants.search(limit=1000, metadata={"created_by": "system"})}


@pytest.fixture(scope="module")
def hard(studio: Any) -> str:
    """An assistant: MAgICoRe with other settings."""
    return str(studio.assistants.create("magicore", context=HARD, name="hard problems")["assistant_id"])


def thread(studio: Any) -> str:
    return str(studio.threads.create()["thread_id"])


def params(studio: Any, thread_id: str) -> dict[str, Any]:
    found: dict[str, Any] = studio.threads.get_state(thread_id)["values"]["params"]
    return found


def post(models: str, what: str, **told: Any) -> None:
    """Change how the model server behaves."""
    request = urllib.request.Request(
        f"{models.removesuffix('/v1')}/{what}", json.dumps(told).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()


def store_of(folder: Path) -> Any:
    return open_store(str(folder / ".symposia" / "store.db"))


def kept(folder: Path, place: str) -> list[dict[str, Any]]:
    """The records of the runs of a thread, the oldest first; each of them replays without a call to the same states."""

    async def read() -> list[dict[str, Any]]:
        async with store_of(folder) as store:
            found = [record for record in reversed(await store.runs(1000)) if record.get("thread") == place]
            for record in found:
                report, _ = await runs.replay(store, record["run_id"])
                assert report["identical"], (record, report)
            return found

    return asyncio.run(read())


def test_every_method_is_an_assistant(assistants: dict[str, str]) -> None:
    assert sorted(assistants) == list(registry.names())


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("xray", [False, True], ids=["flat", "xray"])
def test_the_drawing_is_the_graph(studio: Any, assistants: dict[str, str], name: str, xray: bool) -> None:
    drawn = studio.assistants.get_graph(assistants[name], xray=xray)
    ours = registry.load(name).module.graph.get_graph(xray=xray)
    assert {node["id"] for node in drawn["nodes"]} == set(ours.nodes)
    edges = {(edge["source"], edge["target"], edge.get("conditional", False)) for edge in drawn["edges"]}
    assert edges == {(edge.source, edge.target, edge.conditional) for edge in ours.edges}


@pytest.mark.parametrize("name", registry.names())
def test_the_question_is_a_form_and_parameters_are_settings(studio: Any, assistants: dict[str, str], name: str) -> None:
    schemas = studio.assistants.get_schemas(assistants[name])
    assert all(schemas[f"{kind}_schema"] for kind in ("input", "output", "state", "config", "context"))
    form = schemas["input_schema"]
    hints = get_type_hints(registry.load(name).method.input)
    assert list(form["properties"]) == list(hints)
    first = next(iter(hints))
    assert form["properties"][first]["type"] == "string"
    assert first == "question" or "question" not in hints
    assert all(field["title"] and field["description"] for field in form["properties"].values())
    assert not form.get("required"), "a form asks for the question alone, a chat for messages alone"
    settings = schemas["context_schema"]["properties"]
    fields = registry.load(name).params.model_fields
    assert list(settings) == list(fields)
    for key, setting in settings.items():
        assert setting["title"]
        assert setting["description"], key
        assert "default" in setting, key
    loaded = registry.load(name).params()
    assert settings["prompts"]["default"] == loaded.prompts
    assert settings["sampling"]["default"] == loaded.model_dump()["sampling"]
    assert schemas["output_schema"]["properties"].keys() >= {"answer", "stop_reason", "messages"}


def test_an_assistant_runs_and_streams(studio: Any, hard: str) -> None:
    updates: list[str] = []
    values: list[dict[str, Any]] = []
    said: list[str] = []
    calls: list[dict[str, Any]] = []
    modes = ["updates", "values", "messages", "custom"]
    for event in studio.runs.stream(thread(studio), hard, input={"question": QUESTION}, stream_mode=modes):
        assert event.event != "error", event.data
        if event.event == "updates":
            updates += event.data
        elif event.event == "values":
            values.append(event.data)
        elif event.event == "custom":
            calls.append(event.data)
        elif event.event == "messages/complete":
            said += [message["content"] for message in event.data]
    assert updates == PATH
    assert [len(v["chains"]) for v in values] == sorted(len(v["chains"]) for v in values)
    last = values[-1]
    assert last["history"][0]["is_hard"]
    assert len(last["chains"]) == 2
    assert {**last["params"], **HARD} == last["params"]
    assert last["stop_reason"] in ("easy", "max_rounds")
    assert said == [last["answer"]]
    assert [call["name"] for call in calls if call["kind"] == "llm"].count("solver") == 2
    assert {call["name"] for call in calls} >= {"solver", "outcome", "process", "reviewer", "refiner"}
    assert all(call["live"] and call["place"] and call["error"] is None for call in calls)
    assert any("boxed" in call["text"] for call in calls if call["name"] == "solver")


@pytest.mark.parametrize("name", registry.names())
def test_every_method_answers_with_its_own_assistant_and_is_kept(studio: Any, assistants: dict[str, str], folder: Path, name: str) -> None:
    """As Agent Chat UI runs it where the input is a question: a message in, values, messages and events back."""
    context = {"model": "toy/default?error=0&check=1", "seed": 3, **({"k": 3} if "k" in registry.load(name).params.model_fields else {})}
    asks = registry.load(name).method.input in (Question, Illustrated, Formed)
    message = {"id": "5bf4b5f5-14aa-4aca-9c2b-a74313cf4914", "type": "human", "content": QUESTION}
    given = {"messages": [message]} if asks else toy_item(registry.load(name)).inputs
    place = thread(studio)
    modes = ["values", "messages-tuple", "custom"]
    told: dict[str, list[Any]] = {mode: [] for mode in ("values", "messages", "custom", "error")}
    for event in studio.runs.stream(place, assistants[name], input=given, context=context, stream_mode=modes, on_disconnect="cancel"):
        told.setdefault(event.event, []).append(event.data)
    assert not told["error"]
    values = told["values"][-1]
    assert float(values["answer"]) == 19 if asks else values["answer"]
    roles = registry.load(name).method.roles
    assert told["custom"], "an event for each call"
    assert all(call["name"] and call["place"] and call["kind"] for call in told["custom"])
    assert {call["name"] for call in told["custom"] if call["kind"] == "llm"} <= set(roles)
    last = values["messages"][-1]
    assert (last["type"], last["tool_calls"]) == ("ai", [])
    assert last["content"]
    assert {each["id"] for each, _ in told["messages"]} == {last["id"]}, "a stream of messages holds the answer alone"
    assert not asks or values["messages"][:-1] == [{**values["messages"][0], **message}]
    (record,) = kept(folder, place)
    assert (record["method"], record["status"], record["answer"]) == (name, "ok", values["answer"])


def test_a_message_is_edited_and_an_answer_given_again_on_branches(studio: Any, hard: str, folder: Path) -> None:
    """What Agent Chat UI's two buttons do: they go on from the checkpoint before the one that a message is first seen in."""
    place = thread(studio)

    def say(text: str, checkpoint: Any = None) -> Any:
        return studio.runs.wait(place, hard, input={"messages": [{"type": "human", "content": text}]}, checkpoint=checkpoint)

    def before(message: Any) -> Any:
        past = studio.threads.get_history(place, limit=1000)
        return next(s for s in reversed(past) if message["id"] in [m["id"] for m in s["values"].get("messages", [])])["parent_checkpoint"]

    first, second = say(QUESTION), say(OTHER)
    again = studio.runs.wait(place, hard, input=None, checkpoint=before(second["messages"][3]))
    assert again["messages"] == second["messages"]
    edited = say(OTHER.replace("45", "55"), before(second["messages"][2]))
    assert edited["messages"][:2] == first["messages"]
    assert [m["type"] for m in edited["messages"]] == ["human", "ai", "human", "ai"]
    assert "37" in edited["answers"][0]
    anew = say(QUESTION.replace("12", "22"), before(first["messages"][0]))
    assert [m["content"] for m in anew["messages"]] == [QUESTION.replace("12", "22"), str(anew["answer"])]
    found = studio.threads.search(metadata={"assistant_id": hard}, limit=100)
    assert next(each for each in found if each["thread_id"] == place)["values"]["messages"] == anew["messages"]
    runs_kept = kept(folder, place)
    assert [record["input"]["messages"][-1]["content"] for record in runs_kept] == [
        m["content"]
        for m in (first["messages"][0], second["messages"][2], second["messages"][2], edited["messages"][2], anew["messages"][0])
    ]
    assert [bool(record["parent"]) for record in runs_kept] == [False, False, True, False, False]


def test_commands_and_copies_of_a_thread_are_kept_as_forks(studio: Any, hard: str, folder: Path) -> None:
    place = thread(studio)
    context = {**HARD, "max_rounds": 0}
    studio.runs.wait(place, hard, input={"question": QUESTION}, context=context)
    studio.runs.wait(place, hard, command={"goto": "review", "update": {"answer": "kept"}})
    copy = studio.threads.copy(place) or studio.threads.search(limit=1)[0]
    states = [studio.threads.get_state(each)["values"] for each in (place, copy["thread_id"])]
    assert states[0] == states[1]
    studio.threads.update_state(copy["thread_id"], {"answer": "99"})
    run, fork = kept(folder, place)
    (edited,) = kept(folder, copy["thread_id"])
    assert fork["marks"][0]["command"] == {"update": [["answer", "kept"]], "goto": ["review"]}
    assert [each["parent"]["run"] for each in (fork, edited)] == [run["run_id"], fork["run_id"]]
    assert edited["answer"] == "99"


def test_a_run_that_is_rolled_back_leaves_the_thread_as_it_was(studio: Any, hard: str, models: str) -> None:
    place = thread(studio)
    studio.runs.wait(place, hard, input={"question": QUESTION})
    before = studio.threads.get_state(place)
    post(models, "_set", hold=True)
    try:
        run = studio.runs.create(place, hard, input={"question": OTHER}, context={**HARD, "roles": {"solver": "test"}})
        for _ in range(600):
            if studio.threads.get_state(place)["next"] == ["solve"]:
                break
            time.sleep(0.05)
        assert studio.threads.get_state(place)["values"]["question"] == OTHER
        studio.runs.cancel(place, run["run_id"], action="rollback", wait=True)
    finally:
        post(models, "_set", hold=False)
        post(models, "_release")
    after = studio.threads.get_state(place)
    assert (after["values"], after["checkpoint"]) == (before["values"], before["checkpoint"])


def test_settings_and_presets_of_symposia_toml_are_assistants(studio: Any, assistants: dict[str, str]) -> None:
    for _ in range(600):
        found = studio.assistants.search(graph_id="self_consistency", limit=100)
        careful = next((each for each in found if each["name"] == "careful"), None)
        if careful:
            break
        time.sleep(0.05)
    assert careful["context"] == {"model": "toy/default?error=0", "k": 5}
    values = studio.runs.wait(thread(studio), careful["assistant_id"], input={"messages": [{"type": "human", "content": QUESTION}]})
    assert (len(values["answers"][0]), float(values["answer"])) == (5, 19)
    own = studio.assistants.get(assistants["chain_of_thought"])
    assert own["context"] == {"model": "toy/default?error=0"}
    values = studio.runs.wait(thread(studio), "chain_of_thought", input={"question": QUESTION}, context={"seed": 2})
    assert (values["params"]["model"], values["params"]["seed"]) == ("toy/default?error=0", 2)


def test_a_chat_asks_its_last_message_turn_by_turn(studio: Any, hard: str, folder: Path) -> None:
    talk = thread(studio)
    counts = []
    for question, right in ((QUESTION, "19"), (OTHER, "27"), (QUESTION, "19")):
        values = studio.runs.wait(talk, hard, input={"messages": [{"role": "user", "content": question}]})
        assert values["question"] == question
        assert right in values["answers"][0]
        assert values["messages"][-2]["content"] == question
        assert values["messages"][-1]["type"] == "ai"
        assert values["messages"][-1]["content"] == str(values["answer"])
        counts.append((len(values["chains"]), len(values["history"]), len(values["messages"])))
    assert counts == [(2, 2, 2), (2, 2, 4), (2, 2, 6)]
    assert [record["input"]["question"] for record in kept(folder, talk)] == [QUESTION, OTHER, QUESTION]


def test_pause_look_edit_resume_history_and_fork(studio: Any, hard: str, folder: Path) -> None:
    place = thread(studio)
    studio.runs.wait(place, hard, input={"question": QUESTION}, interrupt_before=["review"])
    paused = studio.threads.get_state(place)
    assert paused["next"] == ["review"]
    assert paused["values"]["history"][0]["is_hard"]
    assert paused["values"]["feedback"] == []
    # The router reads the edited parameters: without a round left it goes to the end.
    studio.threads.update_state(place, {"params": {**params(studio, place), "max_rounds": 0}})
    assert studio.threads.get_state(place)["next"] == ["finish"]
    studio.threads.update_state(place, {"params": {**params(studio, place), "max_rounds": 1}})
    assert studio.threads.get_state(place)["next"] == ["review"]
    done = studio.runs.wait(place, hard, input=None)
    assert len(done["feedback"]) == 1
    assert len(done["chains"]) == 2
    assert done["chains"][0] == paused["values"]["chains"][0]
    assert studio.threads.get_state(place)["next"] == []

    past = studio.threads.get_history(place, limit=100)
    nodes = [node for state in reversed(past) if state["metadata"]["source"] != "update" for node in state["next"]]
    assert nodes == ["__start__", *PATH]
    assert sum(state["metadata"]["source"] == "update" for state in past) == 2
    before = next(state for state in reversed(past) if state["next"] == ["classify"])

    again = studio.runs.wait(place, hard, input=None, checkpoint=before["checkpoint"])
    assert len(again["chains"]) == 2
    assert again["chains"][0] == done["chains"][0]
    changed = {**before["values"]["params"], "max_rounds": 0}
    fork = studio.threads.update_state(place, {"params": changed}, checkpoint=before["checkpoint"])
    forked = studio.runs.wait(place, hard, input=None, checkpoint=fork["checkpoint"])
    assert forked["stop_reason"] == "max_rounds"
    assert (len(forked["chains"]), forked["feedback"]) == (1, [])

    run, same, other = kept(folder, place)
    assert [record["parent"] for record in (run, same)] == [None, {"run": run["run_id"], "at": 5, "shifted": False}]
    assert other["parent"] == {"run": run["run_id"], "at": 5, "shifted": True}
    assert same["inherited"] == same["calls"] == run["calls"]
    assert [mark["at"] for mark in run["marks"]] == [6]
    assert other["marks"][0]["values"] == {"params": changed}


def test_runs_made_here_are_threads_there_and_go_on(studio: Any, hard: str, folder: Path) -> None:
    async def made() -> list[Result]:
        async with store_of(folder) as store:
            options: dict[str, Any] = {"params": HARD, "store": store}
            return [
                await symposia.arun("magicore", QUESTION, **options, checkpoints="none"),
                await symposia.arun("magicore", QUESTION, **options, pause_before=["review"]),
            ]

    done, paused = asyncio.run(made())
    for _ in range(600):
        found = studio.threads.search(metadata={"symposia_run": paused.run_id})
        if found:
            break
        time.sleep(0.05)
    assert [each["thread_id"] for each in found] == [thread_of(paused.run_id)]
    past = studio.threads.get_history(thread_of(done.run_id), limit=100)
    assert [node for state in reversed(past) for node in state["next"]] == ["__start__", *PATH]
    assert past[0]["values"]["answer"] == done.answer
    assert studio.threads.get_state(thread_of(paused.run_id))["next"] == ["review"]
    values = studio.runs.wait(thread_of(paused.run_id), hard, input=None)
    (record,) = kept(folder, thread_of(paused.run_id))
    assert (record["run_id"], record["status"], record["answer"]) == (paused.run_id, "ok", values["answer"])


def test_step_by_step_equals_a_run_in_one_go(studio: Any, hard: str) -> None:
    context = {**HARD, "max_rounds": 0}
    whole = studio.runs.wait(thread(studio), hard, input={"question": QUESTION}, context=context)
    stepped = thread(studio)
    seen: list[list[str]] = []
    pending: dict[str, str] | None = {"question": QUESTION}
    while not seen or seen[-1]:
        values = studio.runs.wait(stepped, hard, input=pending, context=context, interrupt_before=["solve", "score", "finish"])
        seen.append(studio.threads.get_state(stepped)["next"])
        pending = None
    assert seen == [["solve"], ["score"], ["finish"], []]
    assert {**values, "messages": 0} == {**whole, "messages": 0}


def test_a_served_model_and_symbolic_answers_do_not_block_the_server(studio: Any, assistants: dict[str, str]) -> None:
    context = {"model": "test", "k": 12}
    run = {"input": {"question": "Which?", "task": "math"}, "context": context}
    values = studio.runs.wait(thread(studio), assistants["self_consistency"], **run)
    assert len(values["answers"][0]) == 12
    assert len(set(values["answers"][0])) == 2


@pytest.fixture(scope="module")
def failures(studio: Any) -> dict[str, tuple[str, str]]:
    """Status of the thread and text of the error of each bad run; they run side by side."""
    started = {}
    for name, (context, given, _) in BAD.items():
        place = thread(studio)
        started[name] = place, studio.runs.create(place, "magicore", input=given, context=context)["run_id"]
    for place, run in started.values():
        studio.runs.join(place, run)
    ended = {name: studio.threads.get(place) for name, (place, _) in started.items()}
    return {name: (end["status"], json.dumps(end["error"], ensure_ascii=False)) for name, end in ended.items()}


@pytest.mark.parametrize("name", BAD)
def test_an_error_says_what_is_wrong(failures: dict[str, tuple[str, str]], name: str) -> None:
    status, text = failures[name]
    assert status == "error"
    assert all(part in text for part in BAD[name][2]), text
    assert "internal error" not in text
