"""Reducers: ids of messages, lists that grow, values that are replaced."""

import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.types import Overwrite, Send
from typing_extensions import TypedDict

from symposia.state.channels import chat, grow, settled
from symposia.state.graph import StateGraph


def test_messages_get_the_same_ids_every_time_and_different_ones_by_position_role_and_text():
    writes = [HumanMessage("a"), AIMessage("a"), HumanMessage("a"), ("user", "b"), {"role": "user", "content": "c"}]
    ids = [m.id for m in chat([], writes)]
    assert ids == [m.id for m in chat([], writes)]
    assert None not in ids
    assert len(set(ids)) == len(writes)


def test_a_message_of_a_known_id_replaces_it_in_its_position():
    talk = chat([], [HumanMessage("a", id="1"), AIMessage("b", id="2"), HumanMessage("c")])
    talk = chat(talk, AIMessage("better", id="2"))
    assert [m.text for m in talk] == ["a", "better", "c"]
    assert [m.text for m in chat(talk, [AIMessage("x", id="3"), AIMessage("y", id="3")])] == ["a", "better", "c", "y"]


def test_messages_may_come_one_by_one_or_together():
    parts = [HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    together = chat([], parts)
    singly: list[Any] = []
    for part in parts:
        singly = chat(singly, part)
    assert singly == together


def test_the_reducer_leaves_its_arguments_as_they_are():
    first = chat([], [HumanMessage("a")])
    kept, new = list(first), HumanMessage("b")
    chat(first, [new])
    assert first == kept
    assert new.id is None


def test_a_message_that_no_store_could_keep_is_made_fit():
    [message] = chat([], [HumanMessage("broken \ud800 sign")])
    assert message.content == "broken \ufffd sign"
    [named] = chat([], [HumanMessage([{"type": "text", "text": "\udc80"}], id="1")])
    assert named.content == [{"type": "text", "text": "\ufffd"}]


class Lists(TypedDict):
    grown: Annotated[list[Any], grow]
    added: Annotated[list[Any], operator.add]
    last: Annotated[dict[str, Any], settled]
    messages: Annotated[list[AnyMessage], chat]


def doubling(rounds: int):
    """A loop whose node appends what it finds, twice as much each time."""

    def node(state: Lists) -> dict[str, Any]:
        new = [f"item {len(state['grown']) + i}" for i in range(len(state["grown"]) + 1)]
        return {"grown": new, "added": new, "last": {"n": len(new)}, "messages": [AIMessage(new[-1])]}

    def more(state: Lists) -> str:
        return "node" if len(state["grown"]) < 2**rounds - 1 else "__end__"

    builder = StateGraph(Lists)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", more, ["node", "__end__"])
    return builder


@pytest.mark.parametrize("saver", [None, InMemorySaver])
async def test_grow_is_operator_add(saver):
    graph = doubling(5).compile(checkpointer=saver() if saver else None)
    out = await graph.ainvoke({"grown": [], "messages": []}, {"configurable": {"thread_id": "t"}})
    assert out["grown"] == out["added"] == [f"item {i}" for i in range(31)]
    assert out["last"] == {"n": 16}
    assert [m.text for m in out["messages"]] == ["item 0", "item 2", "item 6", "item 14", "item 30"]


async def test_lists_start_empty_and_settled_as_a_dict():
    seen = {}
    builder = StateGraph(Lists)
    builder.add_node("look", lambda state: seen.update(state))
    builder.add_edge(START, "look")
    await builder.compile().ainvoke({"messages": []})
    assert seen == {"grown": [], "added": [], "last": {}, "messages": []}


async def test_what_many_sends_write_in_one_step_stands_in_their_order():
    async def one(state: dict[str, Any]) -> dict[str, Any]:
        return {"grown": [state["i"], -state["i"]]}

    builder = StateGraph(Lists)
    builder.add_node("split", lambda _state: None)
    builder.add_node("one", one)
    builder.add_edge(START, "split")
    builder.add_conditional_edges("split", lambda _state: [Send("one", {"i": i}) for i in range(1, 6)], ["one"])
    out = await builder.compile().ainvoke({"grown": [0], "messages": []})
    assert out["grown"] == [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5]


async def test_an_edit_replaces_a_list_that_only_grows():
    graph = doubling(4).compile(checkpointer=InMemorySaver(), interrupt_before="*")
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"grown": [], "messages": []}, config)
    await graph.ainvoke(None, config)
    await graph.aupdate_state(config, {"grown": Overwrite(["mine"]), "last": {"n": 9}})
    state = (await graph.aget_state(config)).values
    assert (state["grown"], state["last"]) == (["mine"], {"n": 9})
    await graph.ainvoke(None, config)
    assert (await graph.aget_state(config)).values["grown"] == ["mine", "item 1", "item 2"]


async def test_a_store_of_checkpoints_holds_each_item_once():
    saver = InMemorySaver()
    graph = doubling(6).compile(checkpointer=saver)
    await graph.ainvoke({"grown": [], "messages": []}, {"configurable": {"thread_id": "t"}})
    kept = b"".join(str(value).encode() for value in saver.writes.values()) + str(saver.blobs).encode()
    assert kept.count(b"item 40") <= 3, "once as grown, once or twice as added"
