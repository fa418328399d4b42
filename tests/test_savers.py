"""LangGraph's checkpointers over our stores do what its server asks for: copy a thread, take a run back, prune the past.

The states are a method's own, whose lists are stored as what was written to them, so that a checkpoint is read with those before it.
"""

from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint

import symposia
from symposia.graphs import magicore
from symposia.state.errors import BadInput

GIVEN = magicore.Params(model="toy/default?error=0.5", k=2, max_rounds=1, calib_mean=2, confidence_threshold=1, seed=3)


@pytest.fixture
async def saver(store):
    """A checkpointer over each kind of store."""
    async with store.saver() as saver:
        await saver.setup()
        yield saver


def on(thread: str, run: str = "") -> Any:
    return {"configurable": {"thread_id": thread}, "metadata": {"run_id": run}}


async def answered(saver: Any, thread: str, question: str, run: str) -> Any:
    """A graph that has answered a question on a thread."""
    graph = symposia.graph("magicore").copy({"checkpointer": saver})
    await graph.ainvoke({"messages": [{"role": "user", "content": question}]}, on(thread, run), context=GIVEN)
    return graph


async def names(saver: BaseCheckpointSaver[Any], thread: str) -> list[str]:
    return [each.config["configurable"]["checkpoint_id"] async for each in saver.alist(on(thread))]


async def test_a_thread_is_copied_and_the_copy_goes_its_own_way(saver):
    graph = await answered(saver, "a", "What is 2 + 3?", "r1")
    before = await graph.aget_state(on("a"))
    await saver.acopy_thread("a", "b")
    copy = await graph.aget_state(on("b"))
    assert (copy.values, copy.next, await names(saver, "b")) == (before.values, before.next, await names(saver, "a"))
    assert len([s async for s in graph.aget_state_history(on("b"))]) == len([s async for s in graph.aget_state_history(on("a"))])
    await answered(saver, "b", "What is 4 + 4?", "r2")
    assert len((await graph.aget_state(on("b"))).values["messages"]) == 4
    assert await graph.aget_state(on("a")) == before


async def test_a_run_that_is_taken_back_leaves_what_was_before_it(saver):
    graph = await answered(saver, "a", "What is 2 + 3?", "r1")
    await answered(saver, "other", "What is 2 + 3?", "r3")
    before, elsewhere = await graph.aget_state(on("a")), await names(saver, "other")
    await answered(saver, "a", "What is 4 + 4?", "r2")
    await saver.adelete_for_runs(["r2", "nobody"])
    assert await graph.aget_state(on("a")) == before
    assert await names(saver, "other") == elsewhere
    again = await answered(saver, "a", "What is 4 + 4?", "r4")
    assert len((await again.aget_state(on("a"))).values["messages"]) == 4


async def test_a_run_that_later_ones_are_read_with_cannot_be_torn_out_of_them(saver):
    graph = symposia.graph("magicore").copy({"checkpointer": saver})
    await graph.ainvoke({"question": "What is 2 + 3?"}, on("a", "r1"), context=GIVEN, interrupt_before=["classify"])
    await graph.ainvoke(None, on("a", "r2"), context=GIVEN)
    after = await graph.aget_state(on("a"))
    await saver.adelete_for_runs(["r1"])
    kept = await graph.aget_state(on("a"))
    assert (kept.values, kept.next) == (after.values, ())
    await saver.adelete_for_runs(["r1", "r2"])
    assert await names(saver, "a") == []


async def test_the_past_of_a_thread_is_pruned_and_its_state_stays(saver):
    graph = await answered(saver, "a", "What is 2 + 3?", "r1")
    (first,) = [s async for s in graph.aget_state_history(on("a")) if s.next == ("intake",)]
    await graph.ainvoke({"messages": [{"role": "user", "content": "And 4 + 4?"}]}, first.config, context=GIVEN)
    before, many = await graph.aget_state(on("a")), await names(saver, "a")
    await saver.aprune(["a"])
    few = await names(saver, "a")
    assert (await graph.aget_state(on("a"))).values == before.values
    assert before.config["configurable"]["checkpoint_id"] in few
    assert 0 < len(few) < len(many), "the branch that was left is gone"
    await saver.aprune(["a"])
    assert await names(saver, "a") == few
    await saver.aprune(["a"], strategy="delete")
    assert await names(saver, "a") == []


async def test_a_thread_without_such_lists_is_pruned_to_one_checkpoint(saver):
    place: Any = {"configurable": {"thread_id": "p", "checkpoint_ns": ""}}
    for i in range(3):
        checkpoint: Any = {**empty_checkpoint(), "id": f"0{i}", "channel_values": {"answer": [i]}, "channel_versions": {"answer": f"{i}"}}
        config = await saver.aput(place, checkpoint, {"source": "loop", "step": i}, {"answer": f"{i}"})
        await saver.aput_writes(config, [("answer", i)], "task")
    await saver.aprune(["p"])
    (left,) = [each async for each in saver.alist(on("p"))]
    assert (left.checkpoint["channel_values"], left.pending_writes) == ({"answer": [2]}, [("task", "answer", 2)])


@pytest.mark.parametrize(("threads", "strategy"), [(["a"], "keep_some"), ("a", "delete")])
async def test_what_cannot_be_pruned_is_said(saver, threads, strategy):
    with pytest.raises(BadInput, match="keep_latest or delete"):
        await saver.aprune(threads, strategy=strategy)
