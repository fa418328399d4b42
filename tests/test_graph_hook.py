"""The hook: a graph that is compiled from our `StateGraph` journals, wherever it is called from."""

import asyncio
import operator
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command
from typing_extensions import TypedDict

import symposia
from symposia import runs
from symposia.graphs import magicore
from symposia.state.ask import answer_of, ask_person, question_of
from symposia.state.base import BaseParams
from symposia.state.errors import PlaceError
from symposia.state.graph import JournaledGraph, StateGraph
from symposia.state.journal import RUN, Run, current, effect, opened
from symposia.state.place import BRANCH, FRAMES, here


class State(TypedDict):
    out: Annotated[list[Any], operator.add]


class Params(BaseParams):
    """Parameters of the graphs here."""

    n: int = 1


def one_node(node: Any, name: str = "node", graph: Any = StateGraph, **options: Any) -> Any:
    builder = graph(State, **options)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder


async def thing() -> Any:
    return "done"


async def calling(state: State) -> dict[str, Any]:
    return {"out": [await effect("test", {}, thing), here()]}


async def test_a_plain_invoke_journals_in_memory_and_leaves_nothing_behind():
    graph = one_node(calling).compile()
    assert await graph.ainvoke({"out": []}) == {"out": ["done", "1.node"]}
    assert await graph.abatch([{"out": []}] * 3) == [{"out": ["done", "1.node"]}] * 3
    assert [event["event"] async for event in graph.astream_events({"out": []}, version="v2")][-1] == "on_chain_end"
    assert (RUN.get(), FRAMES.get(), BRANCH.get()) == (None, (), "")
    with pytest.raises(PlaceError, match="no run is open"):
        current()


async def test_one_plain_invoke_is_one_run_also_across_its_steps():
    seen = []

    async def node(state: State) -> dict[str, Any]:
        seen.append(current())
        return {"out": [await effect("test", {}, thing)]}

    builder = one_node(node)
    builder.add_conditional_edges("node", lambda s: "node" if len(s["out"]) < 3 else "__end__", ["node", "__end__"])
    graph = builder.compile()
    await graph.ainvoke({"out": []})
    await graph.ainvoke({"out": []})
    assert len(seen) == 6
    assert len({id(r) for r in seen}) == 2
    assert [e.place for e in seen[0].live] == ["1.node", "2.node", "3.node"]


async def test_who_consumes_a_stream_is_not_inside_the_run():
    graph = one_node(calling).compile()
    run = Run("outer")
    async with opened(run):
        async for _ in graph.astream({"out": []}, stream_mode="updates"):
            assert RUN.get() is run
            assert (FRAMES.get(), here()) == ((), "0.outside")
    async for _ in graph.astream({"out": []}, stream_mode="values"):
        assert RUN.get() is None


async def test_a_stream_that_is_left_early_ends_its_work():
    ended = []

    async def node(state: State) -> dict[str, Any]:
        try:
            await asyncio.sleep(0 if not state["out"] else 60)
        finally:
            ended.append(len(state["out"]))
        return {"out": [1]}

    builder = one_node(node)
    builder.add_edge("node", "node")
    stream = builder.compile().astream({"out": []}, stream_mode="updates")
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    assert ended == [0]
    assert RUN.get() is None


async def test_copies_and_configured_graphs_still_journal():
    graph = one_node(calling).compile(checkpointer=InMemorySaver())
    for i, form in enumerate((graph, graph.copy(), graph.with_config(tags=["x"]))):
        assert type(form) is JournaledGraph
        assert (await form.ainvoke({"out": []}, {"configurable": {"thread_id": str(i)}}))["out"] == ["done", "1.node"]


async def test_an_error_of_a_node_closes_the_run():
    async def fails(state: State) -> dict[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await one_node(fails).compile().ainvoke({"out": []})
    assert RUN.get() is None


# -- parameters ----------------------------------------


async def told(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    return {"out": [getattr(runtime.context, "n", None)]}


@pytest.mark.parametrize("context", [None, {}, {"n": 5}, Params(n=5)])
async def test_parameters_have_their_defaults_without_any_context(context):
    graph = one_node(told, context_schema=Params).compile()
    assert (await graph.ainvoke({"out": []}, context=context))["out"] == [5 if context else 1]


@pytest.mark.parametrize("host", [StateGraph, LangGraphStateGraph])
async def test_a_subgraph_takes_the_callers_parameters_when_they_are_of_its_kind(host):
    sub = one_node(told, "told", context_schema=Params).compile()

    async def call(state: State) -> Any:
        return await sub.ainvoke({"out": []})

    async def call_with(state: State) -> Any:
        return await sub.ainvoke({"out": []}, context=Params(n=9))

    for node, n in ((sub, 7), (call, 7), (call_with, 9)):
        graph = one_node(node, "sub", host, context_schema=Params).compile()
        assert (await graph.ainvoke({"out": []}, context=Params(n=7)))["out"][-1] == n
    for other in ({}, {"context_schema": dict}, {"context_schema": TypedDict("Foreign", {"n": int})}):  # type: ignore[operator]
        graph = one_node(sub, "sub", host, **other).compile()
        assert (await graph.ainvoke({"out": []}, **({"context": {"n": 7}} if other else {})))["out"][-1] == 1


async def test_a_method_as_a_node_of_a_host_graph(script):
    script.answer = lambda node, messages: "Step 1: so \\boxed{4}.\nSCORE: 1\nSCORES: 1"

    class Host(TypedDict):
        question: str
        answer: Any

    builder = LangGraphStateGraph(Host, context_schema=magicore.Params)
    builder.add_node("method", symposia.graph("magicore"))
    builder.add_edge(START, "method")
    out = await builder.compile().ainvoke({"question": "q"}, context=magicore.Params(model="script/any", k=3))
    assert out["answer"] == "4"
    assert script.calls == 9


async def test_a_run_started_inside_a_node_replays_outside_of_it(script, sqlite):
    script.answer = lambda node, messages: f"Step 1: {script.calls}, so \\boxed{{{script.calls}}}."
    results = []

    async def node(state: State) -> dict[str, Any]:
        results.append(await symposia.arun("self_consistency", "q", model="script/any", params={"k": 3}, store=sqlite, checkpoints="none"))
        return {"out": [results[-1].answer]}

    for graph in (StateGraph, LangGraphStateGraph):
        out = await one_node(node, graph=graph).compile().ainvoke({"out": []})
        assert out["out"] == [results[-1].answer]
        run_id = results[-1].run_id
        assert {e.place.split(".b")[0] for e in await sqlite.entries(run_id) if e.usage.calls} == {"2.solve"}
        assert (await runs.replay(sqlite, run_id))[0]["identical"]
    assert script.calls == 6


async def test_a_chat_in_is_a_chat_out_with_the_same_ids_every_time(script):
    script.answer = lambda node, messages: "\\boxed{4}"
    graph = symposia.graph("chain_of_thought")
    outs = [await graph.ainvoke({"messages": [HumanMessage("What is 2 + 2?")]}, context={"model": "script/any"}) for _ in range(2)]
    assert outs[0]["messages"] == outs[1]["messages"]
    assert [m.type for m in outs[0]["messages"]] == ["human", "ai"]
    assert "What is 2 + 2?" in script.prompts["solve"][0]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ([{"type": "response", "args": "yes"}], "yes"),
        ([{"type": "response", "args": ' {"verdict": "yes"}'}], {"verdict": "yes"}),
        ([{"type": "response", "args": "{no JSON"}], "{no JSON"),
        ([{"type": "ignore", "args": None}], [{"type": "ignore", "args": None}]),
        (["yes"], ["yes"]),
        ({"type": "response", "args": "yes"}, {"type": "response", "args": "yes"}),
    ],
)
def test_an_answer_from_the_agent_inbox_is_its_text(given, answer):
    assert answer_of(given) == answer


# -- digests of steps ----------------------------------------


def test_a_state_is_noted_once_and_compared_on_replay():
    run = Run("r")
    assert run.note_step((), 1, "loop", ["a"], {"x": [1]})
    assert run.note_step((), 1, "loop", ["a"], {"x": [1]})
    assert run.note_step(("1.sub",), 1, "loop", [], {"x": [2]})
    replay = Run("r", None, steps=list(run.steps.values()), strict=True)
    assert replay.note_step((), 1, "loop", ["a"], {"x": [1]})
    assert replay.note_step(("1.sub",), 1, "loop", [], {"x": [2]})
    for step, source, names, values in (
        (2, "loop", ["a"], {"x": [1]}),
        (1, "update", ["a"], {"x": [1]}),
        (1, "loop", ["b"], {"x": [1]}),
        (1, "loop", ["a"], {"x": [1.5]}),
        (1, "loop", ["a"], {"x": [1], "y": None}),
    ):
        assert not Run("r", None, steps=list(run.steps.values()), strict=True).note_step((), step, source, names, values)


async def test_digests_of_steps_are_committed_when_they_are_settled(store):
    run = Run("r", store)
    for i in range(20):
        run.note_step((), i, "loop", [], {"i": i})
    await run.settle()
    assert [s.step for s in await store.steps("r")] == list(range(20))


def test_namespaces_of_langgraph_stand_for_the_calls_of_a_task_in_turn():
    run = Run("r")
    for frames in (("1.a",), ("1.a.n1",), ("1.a.n2",)):
        run.enter("a:uuid", frames)
    assert run.frames == {"a:uuid": ("1.a",), "a:uuid|1": ("1.a.n1",), "a:uuid|2": ("1.a.n2",)}
    run.begin()
    run.enter("a:uuid", ("2.a",))
    assert run.frames["a:uuid"] == ("2.a",), "a node that is run again counts anew"


# -- a method inside somebody's graph ----------------------------------------


class Chat(TypedDict):
    question: str
    answer: Any
    note: str


def host_of(node: Any, saver: Any = None) -> Any:
    """A graph of LangGraph's own class around a method."""
    builder = LangGraphStateGraph(Chat, context_schema=magicore.Params)
    builder.add_node("before", lambda state: {"note": "host"}).add_node("method", node).add_edge(START, "before").add_edge(
        "before", "method"
    )
    return builder.compile(checkpointer=saver)


async def test_a_host_hears_the_updates_and_custom_events_of_a_method_inside_it(script):
    script.answer = lambda node, messages: "Step 1: so \\boxed{4}.\nSCORE: 1\nSCORES: 1"
    graph, given = host_of(symposia.graph("magicore")), magicore.Params(model="script/any", k=2)
    updates, calls = [], []
    async for namespace, mode, chunk in graph.astream({"question": "q"}, context=given, stream_mode=["updates", "custom"], subgraphs=True):
        assert bool(namespace) == (mode == "custom" or next(iter(chunk)) not in ("before", "method"))
        if mode == "custom":
            assert namespace[0].startswith("method:")
            calls.append((chunk["name"], chunk["kind"], chunk["live"], chunk["place"].split("/")[0]))
        else:
            updates += list(chunk)
    assert updates == ["before", "intake", "solve", "extract", "score", "aggregate", "classify", "finish", "method"]
    assert calls[:2] == [("solver", "llm", True, "2.method")] * 2
    assert {name for name, *_ in calls} == {"solver", "outcome", "process"}


async def test_what_a_host_is_told_of_a_call_is_what_the_journal_has(script):
    script.answer = lambda node, messages: "\\boxed{4}"
    graph = symposia.graph("chain_of_thought")
    (told,) = [chunk async for chunk in graph.astream({"question": "q"}, context={"model": "script/any"}, stream_mode="custom")]
    assert told.pop("ms") >= 0
    assert told == {
        **{"name": "solver", "kind": "llm", "place": "2.solve.b0", "model": "script/any", "live": True, "error": None},
        **{"prompt_tokens": 10, "completion_tokens": 5, "cost_usd": None, "text": "\\boxed{4}"},
    }


async def test_a_pause_and_a_question_inside_a_method_pass_through_its_host(script):
    async def asking(state: State) -> dict[str, Any]:
        before = await effect("test", {"n": len(state["out"])}, thing)
        return {"out": [before, await ask_person({"question": "go on?"}), await effect("test", {}, thing)]}

    sub = one_node(asking, "ask").compile()
    host = one_node(sub, "inner", LangGraphStateGraph).compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    asked = await host.ainvoke({"out": []}, thread)
    (question,) = asked["__interrupt__"]
    assert question_of(question.value) == {"place": "1.inner/1.ask.n1", "question": "go on?"}
    assert question.value["description"] == question.value["question"] == "go on?"
    state = await host.aget_state(thread, subgraphs=True)
    assert state.tasks[0].state.next == ("ask",)
    done = await host.ainvoke(Command(resume="yes"), thread)
    assert done["out"] == ["done", "yes", "done"]

    script.answer = lambda node, messages: "Step 1: so \\boxed{4}.\nSCORE: 1\nSCORES: 1"
    graph, given = host_of(symposia.graph("magicore"), InMemorySaver()), magicore.Params(model="script/any", k=2)
    await graph.ainvoke({"question": "q"}, thread, context=given, interrupt_before=["method"])
    assert (await graph.aget_state(thread)).next == ("method",)
    assert (await graph.ainvoke(None, thread, context=given))["answer"] == "4"
