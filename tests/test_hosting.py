"""What a host does with our graphs on its threads is recorded as runs: one per question, resumed or forked as somebody goes on.

`langgraph dev` is one host (test_studio.py); here it is a plain program, which does the same with LangGraph's own interface.
"""

import asyncio
import base64
import random
from typing import Any
from unittest.mock import ANY

import litellm
import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langgraph.types import Command, Send
from test_fork import consulting, counting, method, said

import symposia
from symposia import hosting, registry, runs
from symposia.execution import thread_of
from symposia.state.errors import UnknownName
from symposia.state.graph import JournaledGraph
from symposia.state.store import Store, open_store

__all__ = ["method"]  # a fixture

HARD = {"model": "script/any", "k": 2, "max_rounds": 1, "calib_mean": 2, "confidence_threshold": 1}
STEPS = [
    "intake",
    "solve",
    "extract",
    "score",
    "aggregate",
    "classify",
    "review",
    "refine",
    *["extract", "score", "aggregate", "classify"],
    "finish",
]


@pytest.fixture
def url(request, tmp_path):
    """The address of an empty store; `both` asks for one of each kind."""
    return request.getfixturevalue("postgres_server") if getattr(request, "param", "") == "postgres" else str(tmp_path / "store.db")


both = pytest.mark.parametrize("url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
async def saver(url, monkeypatch):
    """A checkpointer under which runs are kept."""
    monkeypatch.setenv("SYMPOSIA_STORE", url)
    async with hosting.checkpointer() as saver:
        yield saver
    assert JournaledGraph.host is None


@pytest.fixture
async def kept(saver, url):
    """The store the runs are kept in, as another program opens it."""
    async with open_store(url) as store:
        yield store


@pytest.fixture
def magic(script):
    """A script for MAgICoRe whose replies all differ."""

    def answer(node: str, messages: Any) -> str:
        if node in ("review", "score"):
            return "SCORE: 0.2\nSCORES: 0.3, 0.3" if node == "score" else f"Step 2 follows from nothing ({script.calls})."
        return f"Step 1: this is text {script.calls}.\nStep 2: so \\boxed{{{script.calls}}}."

    script.answer = answer
    return script


def hosted(saver: Any, name: str = "magicore") -> Any:
    return symposia.graph(name).copy({"checkpointer": saver})


def on(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def told(store: Store) -> list[dict[str, Any]]:
    """The records of all runs, the oldest first; each of them replays to the same states without a call."""
    records = list(reversed(await store.runs()))
    for record in records:
        assert record["status"] != "stopped", record
        report, _ = await runs.replay(store, record["run_id"])
        assert report["identical"], f"{record} {report}"
    return records


async def history(graph: Any, thread: str) -> list[Any]:
    return [state async for state in graph.aget_state_history(on(thread))]


async def test_a_question_is_a_run_and_the_next_one_another(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context=HARD)
    calls = magic.calls
    second = await graph.ainvoke({"messages": [HumanMessage("What now?")]}, on("t"), context=HARD)
    assert magic.calls == 2 * calls, "what is written down of a run costs no call"
    first, other = await told(kept)
    assert [(r["status"], r["calls"], r["parent"], r["thread"]) for r in (first, other)] == [("ok", calls, None, "t")] * 2
    assert (other["input"]["question"], other["answer"]) == ("What now?", second["answer"])
    assert [m["content"] for m in other["input"]["messages"]] == [str(first["answer"]), "What now?"]
    places = [{entry.place for entry in await kept.entries(r["run_id"])} for r in (first, other)]
    assert places[0] == places[1], "steps are counted from the question, not from the beginning of the thread"


async def test_runs_are_what_symposia_run_makes_of_the_same(magic, saver, kept):
    await hosted(saver).ainvoke({"question": "q"}, on("t"), context={**HARD, "seed": 5})
    ours = await symposia.arun("magicore", "q", params={**HARD, "seed": 5}, store=kept, checkpoints="none")
    theirs = (await kept.runs())[-1]["run_id"]
    found = [[(e.place, e.salt, e.kind) for e in sorted(await kept.entries(r), key=lambda e: e.place)] for r in (theirs, ours.run_id)]
    assert found[0] == found[1]
    assert [s.next for s in await kept.steps(theirs)] == [s.next for s in await kept.steps(ours.run_id)]


async def test_a_pause_an_edit_and_going_on_are_one_run(magic, saver, kept):
    graph = hosted(saver)
    given = {**HARD, "seed": 5}
    await graph.ainvoke({"question": "q"}, on("t"), context=given, interrupt_before=["review"])
    (paused,) = await told(kept)
    assert (paused["status"], paused["waiting"]["next"]) == ("paused", ["review"])
    values = (await graph.aget_state(on("t"))).values
    await graph.aupdate_state(on("t"), {"params": {**values["params"], "max_rounds": 2}})
    await graph.aupdate_state(on("t"), {"params": {**values["params"], "max_rounds": 1}})
    await graph.ainvoke(None, on("t"), interrupt_before=["refine"])
    await graph.aupdate_state(on("t"), {"params": {**values["params"], "max_rounds": 2}})
    await graph.ainvoke(None, on("t"))
    (run,) = await told(kept)
    assert (run["status"], run["run_id"], len(run["legs"])) == ("ok", paused["run_id"], 3)
    assert [(m["at"], list(m["values"])) for m in run["marks"]] == [(6, []), (7, ["params"])]
    assert run["calls"] == magic.calls == 2 * 3 + 2 * (2 + 2 + 4)
    whole = await symposia.arun("magicore", "q", params={**given, "max_rounds": 2}, store=kept, checkpoints="none")
    salts = [sorted(e.salt for e in await kept.entries(r) if e.salt) for r in (run["run_id"], whole.run_id)]
    assert salts[0] == salts[1], "seeds of a run that was interrupted are those of one that was not"


@both
async def test_going_back_on_a_thread_makes_a_chain_of_forks(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context=HARD)
    calls = magic.calls
    before = next(s for s in reversed(await history(graph, "t")) if s.next == ("classify",))
    await graph.ainvoke(None, before.config)
    assert magic.calls == calls, "what did not change is the parent's"
    edited = await graph.aupdate_state(before.config, {"params": {**before.values["params"], "max_rounds": 0}})
    done = await graph.ainvoke(None, edited)
    assert (done["stop_reason"], magic.calls) == ("max_rounds", calls)
    last = next(s for s in await history(graph, "t") if s.next == ("finish",))
    assert (await graph.ainvoke(None, await graph.aupdate_state(last.config, {"answer": "99"})))["answer"] == "99"
    prompts = before.values["params"]["prompts"]
    reworded = {**before.values["params"], "prompts": {**prompts, "reviewer": "Other words. " + prompts["reviewer"]}}
    await graph.ainvoke(None, await graph.aupdate_state(before.config, {"params": reworded}))
    assert magic.calls == 2 * calls - 6
    root, again, shorter, answered, other = await told(kept)
    assert [r["parent"] for r in (root, again)] == [None, {"run": root["run_id"], "at": 5, "shifted": False}]
    assert shorter["parent"] == {"run": root["run_id"], "at": 5, "shifted": True}
    assert answered["parent"] == {"run": shorter["run_id"], "at": 7, "shifted": True}
    assert (again["inherited"], shorter["inherited"]) == (calls, 6)
    assert (other["calls"], other["inherited"]) == (calls, 6), "review and what follows is bought again, the first round is not"
    assert {"thread": "t"}.items() <= answered.items()


async def test_an_edit_that_stands_for_another_node_is_done_again_as_that(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    before = next(s for s in await history(graph, "t") if s.next == ("classify",))
    await graph.ainvoke(None, await graph.aupdate_state(before.config, {"answer": "x"}, as_node="extract"))
    _, fork = await told(kept)
    assert [mark["as_node"] for mark in fork["marks"]] == [["extract"]]
    assert (fork["status"], fork["calls"], fork["inherited"]) == ("ok", 2 + 2 * 2 + 2 * 2, 2 + 2 * 2), "it scored once more"


async def test_step_by_step_and_a_stop_after_a_node_are_one_run_each(magic, saver, kept):
    graph = hosted(saver)
    given: Any = {"question": "q"}
    for _ in range(9):
        await graph.ainvoke(given, on("a"), context={**HARD, "max_rounds": 0}, interrupt_before="*")
        given = None
    await graph.ainvoke({"question": "q"}, on("b"), context={**HARD, "max_rounds": 0}, interrupt_after=["solve"])
    first, second = await told(kept)
    assert (first["status"], [m["at"] for m in first["marks"]]) == ("ok", [0, 1, 2, 3, 4, 5, 6])
    assert (second["status"], second["waiting"]) == ("paused", {"step": 2, "next": ["extract"]})
    await graph.ainvoke(None, on("b"))
    assert [r["status"] for r in await told(kept)] == ["ok", "ok"]


async def test_a_person_answers_through_the_host(script, saver, kept, method):
    counting(script)
    graph = hosted(saver, method("consulting", consulting))
    asked = await graph.ainvoke({"question": "q"}, on("t"), context={"model": "script/any"})
    assert asked["__interrupt__"][0].value["question"] == "go on?"
    (paused,) = await told(kept)
    assert (paused["status"], paused["waiting"]["ask"]["place"]) == ("paused", "2.consult.n1")
    boxed = [{"type": "response", "args": '{"verdict": "yes"}'}]  # what Agent Chat UI's box sends
    done = await graph.ainvoke(Command(resume=boxed), on("t"))
    assert done["said"] == ["text 1", {"verdict": "yes"}, "text 2"]
    (run,) = await told(kept)
    assert (run["status"], run["run_id"], script.calls) == ("ok", paused["run_id"], 2)
    assert await said(kept, run["run_id"]) == done["said"]


async def test_a_run_made_here_is_a_thread_there(script, saver, kept, magic):
    result = await symposia.arun("magicore", "q", params=HARD, store=kept, pause_before=["review"])
    graph = hosted(saver)
    state = await graph.aget_state(on(thread_of(result.run_id)))
    assert (state.next, state.values["question"]) == (("review",), "q")
    await graph.ainvoke(None, on(thread_of(result.run_id)))
    (run,) = await told(kept)
    assert (run["run_id"], run["status"], run["calls"]) == (result.run_id, "ok", magic.calls)
    past = [s for s in reversed(await history(graph, thread_of(result.run_id)))]
    assert [node for s in past for node in s.next] == ["__start__", *STEPS]


async def test_a_failure_is_recorded_and_can_be_resumed_on_either_side(magic, saver, kept):
    good = magic.answer

    def fails(node: str, messages: Any) -> str:
        if node == "solve":
            raise litellm.BadRequestError("no such thing", "any", "script")
        return str(good(node, messages))

    magic.answer = fails
    graph = hosted(saver)
    with pytest.raises(Exception, match="no such thing"):
        await graph.ainvoke({"question": "q"}, on("t"), context=HARD)
    (failed,) = await kept.runs()
    assert failed["status"] == "failed"
    assert failed["error"]["node"] == "solve"
    magic.answer = good
    done = await graph.ainvoke(None, on("t"))
    (run,) = await told(kept)
    assert (run["status"], run["run_id"], run["answer"]) == ("ok", failed["run_id"], done["answer"])


async def test_an_invocation_that_is_cancelled_can_be_resumed_here(magic, saver, kept):
    good, begun = magic.answer, asyncio.Event()

    def answer(node: str, messages: Any) -> str:
        if node == "review":
            begun.set()
        return str(good(node, messages))

    magic.answer, magic.delay = answer, lambda: 30.0 if begun.is_set() else 0.0
    task = asyncio.create_task(hosted(saver).ainvoke({"question": "q"}, on("t"), context=HARD))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (stopped,) = await kept.runs()
    assert (stopped["status"], stopped["calls"]) == ("stopped", 6)
    magic.delay = None
    result = await runs.resume(kept, stopped["run_id"])
    assert (result.status, result.calls["replayed"]) == ("ok", 6)
    await told(kept)


async def test_what_is_no_run_of_a_method_on_a_thread_is_not_kept(magic, saver, kept):
    await symposia.graph("magicore").ainvoke({"question": "q"}, context=HARD)
    with pytest.raises(Exception, match="question is empty"):
        await hosted(saver).ainvoke({"question": " "}, on("t"), context=HARD)
    with pytest.raises(Exception, match="kk"):
        await hosted(saver).ainvoke({"question": "q"}, on("u"), context={"kk": 1})
    assert await kept.runs() == []
    assert hosting.method_of(registry.load("magicore").module.graph) is registry.load("magicore")
    assert hosting.method_of(symposia.graph("magicore").with_config(tags=["x"])) is registry.load("magicore")


# -- what else LangGraph can do with a thread ----------------------------------------


async def test_a_command_that_goes_somewhere_and_writes_something_is_a_fork(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    calls = magic.calls
    done = await graph.ainvoke(Command(goto="review", update={"answer": "kept"}), on("t"))
    run, fork = await told(kept)
    (mark,) = fork["marks"]
    assert mark == {"at": 7, "values": {}, "command": {"update": [["answer", "kept"]], "goto": ["review"]}}
    assert (fork["parent"], fork["status"]) == ({"run": run["run_id"], "at": 7, "shifted": False}, "ok")
    assert fork["calls"] - calls == magic.calls - calls > 0, "it reviewed, refined and scored once more"
    assert [step.next for step in await kept.steps(fork["run_id"])][8:10] == [[], ["refine"]]
    again = await runs.fork(kept, fork["run_id"], 9)
    assert (again.status, again.answer) == ("ok", done["answer"])
    await told(kept)


async def test_a_command_where_a_run_waits_is_that_run_also_after_an_edit(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context=HARD, interrupt_before=["review"])
    before = (await graph.aget_state(on("t"))).values["params"]
    await graph.aupdate_state(on("t"), {"params": {**before, "max_rounds": 0}}, as_node="solve")
    await graph.ainvoke(Command(goto=[Send("finish", before)], update={"messages": [HumanMessage("Well?")]}), on("t"))
    (run,) = await told(kept)
    (mark,) = run["marks"]
    assert (mark["at"], list(mark["values"]), mark["as_node"]) == (6, ["params"], ["solve"])
    assert mark["command"]["goto"] == [{"node": "finish", "input": before}]
    assert mark["command"]["update"][0][1][0]["data"]["content"] == "Well?"
    assert "Well?" in [m.content for m in (await graph.aget_state(on("t"))).values["messages"]]


async def test_a_person_answers_and_writes_in_one(script, saver, kept, method):
    counting(script)
    graph = hosted(saver, method("consulting", consulting))
    await graph.ainvoke({"question": "q"}, on("t"), context={"model": "script/any"})
    done = await graph.ainvoke(Command(resume="yes", update={"question": "another"}), on("t"))
    assert (done["question"], done["said"][1]) == ("another", "yes")
    (run,) = await told(kept)
    assert run["status"] == "ok"
    assert await said(kept, run["run_id"]) == done["said"]


async def test_a_command_cannot_name_what_the_method_lacks(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    with pytest.raises(UnknownName, match="did you mean 'review'"):
        await graph.ainvoke(Command(goto="revew"), on("t"))
    with pytest.raises(UnknownName, match="did you mean 'answer'"):
        await graph.ainvoke(Command(update={"anser": "1"}), on("t"))
    assert len(await told(kept)) == 1


async def test_the_last_edit_says_which_node_it_stands_for(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context=HARD, interrupt_before=["review"])
    params = (await graph.aget_state(on("t"))).values["params"]
    await graph.aupdate_state(on("t"), {}, as_node="extract")
    await graph.aupdate_state(on("t"), {"params": {**params, "max_rounds": 0}})
    (follows,) = (await graph.aget_state(on("t"))).next
    await graph.ainvoke(None, on("t"))
    (run,) = await told(kept)
    assert (follows, run["status"], "as_node" in run["marks"][0]) == ("finish", "ok", False)


async def test_a_copied_checkpoint_is_forked_also_when_the_copy_is_edited(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    calls = magic.calls
    before = next(s for s in await history(graph, "t") if s.next == ("classify",))
    await graph.ainvoke(None, await graph.aupdate_state(before.config, None, as_node="__copy__"))
    # What Studio does for an edit of a step: a copy of the checkpoint before it, in which nodes have written something else.
    edited = await graph.aupdate_state(before.config, [({"history": [{"is_hard": False}]}, "classify")], as_node="__copy__")
    assert (await graph.aget_state(edited)).next == ("finish",)
    await graph.ainvoke(None, edited)
    run, copy, other = await told(kept)
    assert (magic.calls, copy["inherited"]) == (calls, calls)
    assert copy["parent"] == {"run": run["run_id"], "at": 5, "shifted": False}
    assert other["parent"] == {"run": run["run_id"], "at": 5, "shifted": True}
    assert other["marks"][0]["as_node"] == ["classify"]


async def test_an_edit_of_what_a_run_came_to_is_a_fork_at_its_end(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    calls = magic.calls
    await graph.aupdate_state(on("t"), {"answer": "99"})
    run, fork = await told(kept)
    assert (fork["answer"], fork["status"], fork["calls"], fork["inherited"]) == ("99", "ok", calls, calls)
    assert fork["parent"] == {"run": run["run_id"], "at": 7, "shifted": True}
    assert magic.calls == calls


async def test_a_question_put_on_a_thread_and_gone_on_with_is_a_run(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context={**HARD, "max_rounds": 0})
    await graph.aupdate_state(on("t"), {"question": "another"}, as_node="__input__")
    done = await graph.ainvoke(None, on("t"), context={**HARD, "max_rounds": 0})
    _, second = await told(kept)
    assert (second["input"]["question"], second["parent"], second["answer"]) == ("another", None, done["answer"])


async def test_going_on_on_a_copied_thread_is_a_fork(magic, saver, kept):
    graph = hosted(saver)
    await graph.ainvoke({"question": "q"}, on("t"), context=HARD, interrupt_before=["review"])
    await saver.acopy_thread("t", "u")
    for thread in ("u", "t"):
        await graph.ainvoke(None, on(thread))
    run, fork = await told(kept)
    assert (run["thread"], fork["thread"]) == ("t", "u")
    assert fork["parent"]["run"] == run["run_id"]
    assert [r["status"] for r in (run, fork)] == ["ok", "ok"]


# -- images ----------------------------------------

PICTURE = "data:image/png;base64," + base64.b64encode(random.Random(2).randbytes(750_000)).decode()
SEEN = HumanMessage([{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PICTURE}}])
MARK = "Look at [image 1] again."


async def test_a_question_on_a_thread_has_none_of_the_images_before_and_replays(script, saver, kept):
    script.answer = lambda node, messages: "\\boxed{4}"
    graph = hosted(saver, "chain_of_thought")
    given = {"model": "script/any"}
    await graph.ainvoke({"question": "See [image 1].", "images": ["data:image/png;base64,iVBORw0KGgo="]}, on("t"), context=given)
    await graph.ainvoke({"question": MARK}, on("t"), context=given)
    await graph.aupdate_state(on("t"), {"question": "Once more: " + MARK}, as_node="__input__")
    await graph.ainvoke(None, on("t"), context=given)
    assert ["iVBORw0KGgo" in str(prompt) for prompt in script.prompts["solve"]] == [True, False, False]
    assert [r["input"].get("images") for r in await told(kept)] == [[{"blob": ANY}], [], []]


async def test_an_image_of_a_chat_is_kept_once_beside_its_mark(script, saver, kept):
    script.answer = lambda node, messages: "\\boxed{4}"
    graph = hosted(saver, "chain_of_thought")
    await graph.ainvoke({"messages": [SEEN]}, on("t"), context={"model": "script/any"})
    (listed,) = await told(kept)
    record = await kept.run(listed["run_id"])
    assert (record["input"]["images"], record["input"]["messages"][0]["content"]) == ([PICTURE], "What?\n[image 1]")
    assert PICTURE[-100:] not in str(listed)
    values = (await graph.aget_state(on("t"))).values
    assert (values["images"], values["messages"][0].content) == ([PICTURE], "What?\n[image 1]")


async def test_a_chat_with_calls_of_tools_before_the_question_is_kept(script, saver, kept):
    """As a host's own agent leaves it; the last message alone is the question."""
    script.answer = lambda node, messages: "\\boxed{4}"
    calls = [{"name": "f", "args": {"a": 1}, "id": "1"}]
    said = [
        HumanMessage("Do it."),
        AIMessageChunk(content="", tool_calls=calls),
        ToolMessage("done", tool_call_id="1"),
        HumanMessage("2 + 2?"),
    ]
    await hosted(saver, "chain_of_thought").ainvoke({"messages": said}, on("t"), context={"model": "script/any"})
    (record,) = await told(kept)
    assert record["status"] == "ok"
    assert [each["role"] for each in record["input"]["messages"]] == ["human", "ai", "tool", "human"]
