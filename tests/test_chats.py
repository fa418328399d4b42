"""A chat in a run's record: JSON, with marks in place of images, which stand beside it once."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Overwrite

import symposia
from symposia import runs
from symposia.inputs import check_values
from symposia.registry import load
from symposia.state.chats import without_images
from symposia.state.errors import BadInput

PNG = "data:image/png;base64,iVBORw0KGgo="
PARTS: list[Any] = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PNG}}]
MARKED = "What is this?\n[image 1]"
GIVEN = {"model": "script/any"}


@pytest.mark.parametrize(
    "message", [HumanMessage(PARTS), {"role": "user", "content": PARTS}, ("user", PARTS)], ids=lambda m: type(m).__name__
)
async def test_images_of_a_chat_are_kept_once_in_the_record_of_a_run(script, sqlite, message):
    script.answer = lambda node, messages: "\\boxed{4}"
    made = await symposia.arun("chain_of_thought", inputs={"messages": [AIMessage("Ask."), message]}, params=GIVEN, store=sqlite)
    record = await sqlite.run(made.run_id)
    said = [{"role": "ai", "content": "Ask."}, {"role": "human", "content": MARKED}]
    assert record["input"] == {"messages": said, "question": MARKED, "images": [PNG]}
    assert PNG in str(script.prompts["solve"][0])
    old = {**runs.new_record("chain_of_thought", GIVEN, {"question": "q"}), "input": {"messages": [{"role": "user", "content": PARTS}]}}
    earlier = await runs.start(sqlite, old)  # as runs were recorded before
    for run_id in (made.run_id, earlier.run_id):
        assert (await runs.replay(sqlite, run_id))[0]["identical"]
    first, second = [[e.digest for e in await sqlite.entries(run_id)] for run_id in (made.run_id, earlier.run_id)]
    assert first == second


async def test_a_chat_of_langchain_is_an_input_of_a_run(script, sqlite):
    script.answer = lambda node, messages: "\\boxed{4}"
    chat = [SystemMessage("Hi"), AIMessage("", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}]), HumanMessage("2 + 2?", name="Ada")]
    made = await symposia.arun("chain_of_thought", inputs={"messages": chat}, params=GIVEN, store=sqlite)
    kept = (await sqlite.run(made.run_id))["input"]["messages"]
    assert kept[2] == {"role": "human", "content": "2 + 2?", "name": "Ada"}
    assert kept[1]["tool_calls"][0]["args"] == {"a": 1}
    assert (made.status, (await runs.replay(sqlite, made.run_id))[0]["identical"]) == ("ok", True)


@pytest.mark.parametrize(
    ("method", "messages", "said"),
    [
        ("chain_of_thought", 7, "`messages` is no chat"),
        ("chain_of_thought", [{"content": "x"}], "`messages` is no chat"),
        ("chain_of_thought", [{"role": "root", "content": "x"}], "`messages` is no chat"),
        ("chain_of_thought", [("user", [7])], "`messages` is no chat"),
        ("chain_of_thought", [("user", [{"type": "image_url", "image_url": {"url": "https://127.0.0.1/x"}}])], "nothing is fetched"),
        ("chain_of_thought", [("user", [{"type": "input_image", "image_url": PNG}])], "'input_image' cannot be read"),
        ("chain_of_thought", [ChatMessage(role="critic", content="x")], "`messages` is no chat"),
        ("magicore", [("user", PARTS)], "this method reads none"),
    ],
)
async def test_what_is_no_chat_starts_no_run(sqlite, method, messages, said):
    with pytest.raises(BadInput, match=said):
        await symposia.arun(method, inputs={"messages": messages}, store=sqlite)
    assert await sqlite.runs() == []


async def test_an_edit_of_a_thread_keeps_the_marks_of_images(script):
    script.answer = lambda node, messages: "\\boxed{4}"
    graph = symposia.graph("chain_of_thought").copy({"checkpointer": InMemorySaver()})
    thread: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"question": "q"}, thread, context=GIVEN)
    for written in ([HumanMessage(PARTS)], [("user", PARTS)], Overwrite([HumanMessage(PARTS)])):
        await graph.aupdate_state(thread, {"messages": written})
        values = (await graph.aget_state(thread)).values
        assert values["messages"][-1].content == MARKED
        assert PNG not in str(values)
    await graph.ainvoke(Command(update={"messages": [HumanMessage(PARTS)]}, goto="finish"), thread, context=GIVEN)
    values = (await graph.aget_state(thread)).values
    assert MARKED in [message.content for message in values["messages"][-2:]]
    assert PNG not in str(values)


@pytest.mark.parametrize(
    "written",
    [
        [HumanMessage("a")],
        HumanMessage("a"),
        {"role": "user", "content": "a"},
        "a",
        [{"type": "human", "data": {"content": "a"}}, ("user", "a")],
    ],
    ids=["message", "one message", "one dict", "text", "of both forms"],
)
async def test_a_fork_may_set_messages_in_any_form(script, sqlite, written):
    script.answer = lambda node, messages: "\\boxed{4}"
    made = await symposia.arun("chain_of_thought", "q", params=GIVEN, store=sqlite)
    forked = await symposia.afork(made.run_id, at=1, values={"messages": written}, store=sqlite)
    report, execution = await runs.replay(sqlite, forked.run_id)
    chat = [message.content for message in execution.values["messages"]]
    assert (report["identical"], chat[:-1]) == (True, ["a"] * (len(written) if isinstance(written, list) else 1))


@pytest.mark.parametrize("written", [7, [{"role": "root"}], [{"data": 7}]])
def test_an_edit_that_sets_no_messages_is_refused(written):
    with pytest.raises(BadInput, match="`messages` is no chat"):
        check_values(load("chain_of_thought"), {"messages": written})


def test_an_edit_of_a_run_keeps_the_marks_of_images():
    kept = {"type": "human", "data": {"content": PARTS, "type": "human"}}
    assert check_values(load("moa"), {"messages": [kept], "images": [PNG]}) == {
        "messages": [{"type": "human", "data": {"content": MARKED, "type": "human"}}],
        "images": [PNG],
    }
    others: Any = ["hi", {"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "x"}]}, ("user", "x"), 7]
    assert without_images(others) == others
