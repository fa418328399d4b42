"""`symposia.graph(NAME, store=...)`: a method inside somebody's graph, kept as runs that can be replayed."""

import asyncio
from typing import Any

import litellm
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.types import Command, Send
from server import Server
from test_fork import Params, consulting, counting, method
from typing_extensions import TypedDict

import symposia
from symposia import runs
from symposia.graphs import chain_of_thought, magicore, self_consistency
from symposia.state.errors import ModelNotFound
from symposia.state.graph import StateGraph
from symposia.state.store import Store, open_store
from symposia.tools.settings import configure

__all__ = ["method"]  # a fixture

THREAD: Any = {"configurable": {"thread_id": "t"}}
GIVEN = {"model": "script/any", "k": 2, "seed": 3}


class Chat(TypedDict, total=False):
    question: str
    answer: Any
    said: Any
    note: str


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "kept.db")


@pytest.fixture
async def kept(url):
    """The store that the runs are kept in, as another program opens it."""
    async with open_store(url) as store:
        yield store


@pytest.fixture
def solved(script):
    script.answer = lambda node, messages: f"Step 1: so \\boxed{{{script.calls}}}.\nSCORE: 1\nSCORES: 1"
    return script


def host_of(node: Any, saver: Any = None, graph: Any = LangGraphStateGraph, **options: Any) -> Any:
    builder = graph(Chat, **options)
    builder.add_node("before", lambda state: {"note": "host"}).add_node("method", node)
    builder.add_edge(START, "before").add_edge("before", "method")
    return builder.compile(checkpointer=saver)


async def told(store: Store) -> list[dict[str, Any]]:
    """The records of all runs, the oldest first; each replays to the same states without a call."""
    records = list(reversed(await store.runs()))
    for record in records:
        assert (await runs.replay(store, record["run_id"]))[0]["identical"], record
    return records


@pytest.mark.parametrize("graph", [LangGraphStateGraph, StateGraph])
async def test_a_method_as_a_node_is_a_run_and_its_host_hears_it(solved, url, kept, graph):
    host = host_of(symposia.graph("magicore", store=url), graph=graph, context_schema=magicore.Params)
    nodes, calls, answer = [], [], None
    given = magicore.Params(**GIVEN)
    async for space, mode, chunk in host.astream({"question": "q"}, context=given, stream_mode=["updates", "custom"], subgraphs=True):
        if mode == "custom":
            assert space[0].startswith("method:")
            calls.append(chunk["place"])
        else:
            nodes += list(chunk)
            answer = chunk["method"]["answer"] if "method" in chunk else answer
    assert nodes == ["before", "intake", "solve", "extract", "score", "aggregate", "classify", "finish", "method"]
    assert calls[:2] == ["2.solve.b0", "2.solve.b1"], "places of the run itself, as `symposia show` has them"
    (run,) = await told(kept)
    assert (run["status"], run["answer"], run["calls"], run["input"]) == ("ok", answer, len(calls), {"question": "q"})
    assert solved.calls == len(calls)
    alone = await symposia.arun("magicore", "q", params=GIVEN, store=kept, checkpoints="none")
    found = [sorted((e.place, e.salt) for e in await kept.entries(run_id)) for run_id in (run["run_id"], alone.run_id)]
    assert found[0] == found[1]


@pytest.mark.parametrize("call", [False, True], ids=["node", "call in a node"])
async def test_a_person_answers_through_the_host_and_nothing_is_bought_twice(script, url, kept, method, call):
    counting(script)
    sub = symposia.graph(method("consulting", consulting), store=url)

    async def calling(state: Chat) -> dict[str, Any]:
        first, second = [await sub.ainvoke({"question": q}) for q in ("q", "r")]
        return {"said": [first["said"], second["said"]]}

    host = host_of(calling if call else sub, InMemorySaver(), context_schema=Params)
    given = Params(model="script/any")
    asked = await host.ainvoke({"question": "q"}, THREAD, context=given)
    assert asked["__interrupt__"][0].value["place"] == "2.consult.n1"
    (paused,) = await told(kept)
    assert (paused["status"], paused["waiting"]["ask"]["question"]) == ("paused", "go on?")
    done = await host.ainvoke(Command(resume="yes"), THREAD, context=given)
    if call:
        assert [r["status"] for r in await told(kept)] == ["ok", "paused"]
        done = await host.ainvoke(Command(resume="no"), THREAD, context=given)
    assert done["said"] == ([["text 1", "yes", "text 2"], ["text 3", "no", "text 4"]] if call else ["text 1", "yes", "text 2"])
    records = await told(kept)
    assert [(r["status"], r["calls"], r["input"]["question"]) for r in records] == [("ok", 2, "q"), ("ok", 2, "r")][: len(records)]
    assert (len(records), script.calls) == ((2, 4) if call else (1, 2))


async def test_a_stop_inside_the_method_is_one_run(solved, url, kept):
    sub = symposia.graph("magicore", store=url).copy({"interrupt_before_nodes": ["score", "finish"]})
    host = host_of(sub, InMemorySaver(), context_schema=magicore.Params)
    given = magicore.Params(**GIVEN)
    await host.ainvoke({"question": "q"}, THREAD, context=given)
    assert [(r["status"], r["waiting"]) for r in await told(kept)] == [("paused", {"step": 3, "next": ["score"]})]
    await host.ainvoke(None, THREAD, context=given)
    assert [(r["status"], r["waiting"]["next"]) for r in await told(kept)] == [("paused", ["finish"])]
    done = await host.ainvoke(None, THREAD, context=given)
    (run,) = await told(kept)
    assert (run["status"], run["answer"], run["calls"]) == ("ok", done["answer"], solved.calls)


async def test_parallel_and_repeated_calls_are_runs_of_their_own(solved, url, kept):
    sub = symposia.graph("self_consistency", store=url)

    async def part(state: Chat) -> dict[str, Any]:
        for _ in range(2):
            await sub.ainvoke({"question": state["question"]}, context=GIVEN)
        return {}

    builder = LangGraphStateGraph(Chat)
    builder.add_node("part", part)
    builder.add_conditional_edges(START, lambda state: [Send("part", {"question": f"q{i}"}) for i in range(3)], ["part"])
    await builder.compile().ainvoke({"question": "q"})
    records = await told(kept)
    assert sorted(r["input"]["question"] for r in records) == ["q0", "q0", "q1", "q1", "q2", "q2"]
    assert {len(await kept.entries(r["run_id"])) for r in records} == {2}


async def test_a_failure_reaches_the_host_and_the_run_can_be_resumed(script, url, kept):
    script.replies = {"solve": [litellm.NotFoundError("gone", model="any", llm_provider="script")]}
    host = host_of(symposia.graph("chain_of_thought", store=url), context_schema=chain_of_thought.Params)
    with pytest.raises(ModelNotFound):
        await host.ainvoke({"question": "q"}, context=chain_of_thought.Params(model="script/any"))
    (run,) = await told(kept)
    assert (run["status"], run["error"]["name"]) == ("failed", "ModelNotFound")
    script.replies = {"solve": ["\\boxed{4}"]}
    assert (await runs.resume(kept, run["run_id"])).answer == "4"


async def test_a_host_that_is_left_stops_the_run_which_can_be_resumed(url, kept):
    async with Server(hold=True) as server:
        before = configure(api_base=server.url, api_key="none")
        host = host_of(symposia.graph("self_consistency", store=url), context_schema=self_consistency.Params)
        task = asyncio.create_task(host.ainvoke({"question": "q"}, context=self_consistency.Params(model="test", k=2)))
        while server.count()["held"] < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (run,) = await kept.runs()
        assert (run["status"], server.count()["answered"]) == ("stopped", 0)
        server.set(hold=False)
        assert (await runs.resume(kept, run["run_id"])).calls["live"] == 2
        configure(api_base=before.api_base, api_key=before.api_key)


async def test_by_itself_it_is_a_run_as_well(solved, url, kept):
    graph = symposia.graph("chain_of_thought", store=url)
    await graph.ainvoke({"question": "q"}, context={"model": "script/any"})
    threaded = graph.copy({"checkpointer": InMemorySaver()})
    for question in ("q", "r"):
        await threaded.ainvoke({"question": question}, THREAD, context={"model": "script/any"})
    assert [(r["status"], r["input"]["question"]) for r in await told(kept)] == [("ok", "q"), ("ok", "q"), ("ok", "r")]
    assert await symposia.graph("chain_of_thought").ainvoke({"question": "q"}, context={"model": "script/any"})
    assert len(await kept.runs()) == 3, "without a store nothing is kept"


async def test_what_the_host_edits_inside_is_left_to_memory(script, url, kept, method):
    counting(script)
    host = host_of(symposia.graph(method("consulting", consulting), store=url), InMemorySaver(), context_schema=Params)
    await host.ainvoke({"question": "q"}, THREAD, context=Params(model="script/any"))
    inside = (await host.aget_state(THREAD, subgraphs=True)).tasks[0].state.config
    await host.aupdate_state(inside, {"note": "edited"})
    await host.ainvoke(None, THREAD, context=Params(model="script/any"))
    assert [r["status"] for r in await told(kept)] == ["paused"]
