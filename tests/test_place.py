"""Places: spelled the same on every execution, different for every effect."""

import asyncio
import operator
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from symposia.execution import NoSaver
from symposia.state.errors import NotRecorded, PlaceError
from symposia.state.graph import StateGraph
from symposia.state.journal import Run, effect, opened
from symposia.state.place import fan, here, node_of, shift, site, step_of, steps_of
from symposia.state.store import Entry

Node = Callable[[Any], Awaitable[Any]]


class State(TypedDict):
    """What the graphs here have: what was answered, and where."""

    out: Annotated[list[Any], operator.add]


class World:
    """Answers every request differently, after a random time, and counts."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self) -> str:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(random.random() * 0.004)
        return f"answer {number}"

    async def call(self, request: str = "the same for all") -> str:
        return str(await effect("test", {"request": request}, self.answer))


@pytest.fixture
def world() -> World:
    return World()


def one_node(node: Any, name: str = "node", graph: Any = StateGraph, **options: Any) -> Any:
    """A graph of one node."""
    builder = graph(State)
    builder.add_node(name, node, **options)
    builder.add_edge(START, name)
    return builder


async def execute(graph: Any, entries: list[Entry] | None = None, *, values: Any = None, thread: str = "t") -> tuple[Any, Run]:
    """Run a graph: live, or strictly from the entries of an earlier run."""
    run = Run("run", None, entries or [], strict=entries is not None)
    async with opened(run):
        out = await graph.ainvoke(values or {"out": []}, {"configurable": {"thread_id": thread}})
    return out, run


async def places(graph: Any, world: World) -> list[str]:
    """The places of a live run, after three replays under other latencies gave the same values without asking anything."""
    out, run = await execute(graph)
    asked = world.asked
    found = sorted(e.place for e in run.live)
    for again in range(3):
        replayed, replay = await execute(graph, run.live, thread=f"replay {again}")
        assert replayed == out
        assert replay.replayed == len(run.live)
    assert world.asked == asked
    assert len({*found}) == len(found)
    return found


# -- inside a node ----------------------------------------


async def test_the_effects_of_a_node_are_counted(world):
    async def node(state: State) -> State:
        return {"out": [await world.call() for _ in range(3)]}

    assert await places(one_node(node).compile(), world) == ["1.node", "1.node.n1", "1.node.n2"]


async def test_samples_with_equal_prompts_keep_their_index(world):
    async def node(state: State) -> State:
        return {"out": await fan([world.call] * 12)}

    graph = one_node(node).compile()
    assert await places(graph, world) == sorted(f"1.node.b{i}" for i in range(12))
    out, run = await execute(graph)
    by_place = {e.place: e.outcome["value"] for e in run.live}
    assert out["out"] == [by_place[f"1.node.b{i}"] for i in range(12)]


async def test_fans_after_one_another_and_within_one_another(world):
    async def thrice() -> list[str]:
        first = await fan([world.call, world.call])
        alone = await world.call()
        return [*first, alone, *await fan([world.call, partial(fan, [world.call])])]  # type: ignore[list-item]

    async def node(state: State) -> State:
        inner = await fan([thrice, thrice])
        return {"out": [*inner, await world.call(), await fan([world.call])]}

    inside = [".b0", ".b1", "", ".f1.b0", ".f1.b1.b0"]
    expected = [*(f"1.node.b{i}{rest}" for i in range(2) for rest in inside), "1.node", "1.node.f1.b0"]
    assert await places(one_node(node).compile(), world) == sorted(expected)


async def test_effects_in_a_bare_gather_are_refused_with_the_remedy(world):
    async def node(state: State) -> State:
        return {"out": await asyncio.gather(world.call(), world.call())}

    with pytest.raises(PlaceError, match=r"two effects have the place 1\.node.*through symposia\.state\.place\.fan"):
        await execute(one_node(node).compile())


async def test_effects_in_tasks_of_a_fans_branch_are_refused_too(world):
    async def twice() -> list[str]:
        return await asyncio.gather(*[asyncio.create_task(world.call()) for _ in range(2)])

    async def node(state: State) -> State:
        return {"out": await fan([twice])}

    with pytest.raises(PlaceError, match=r"1\.node\.b0"):
        await execute(one_node(node).compile())


async def test_a_fan_lets_the_others_end_before_it_raises_the_first_error(world):
    async def fails(text: str) -> str:
        raise ValueError(text)

    async def node(state: State) -> State:
        return {"out": await fan([world.call, partial(fails, "first"), partial(fails, "second"), world.call])}

    run = Run("run")
    async with opened(run):
        with pytest.raises(ValueError, match="first"):
            await one_node(node).compile().ainvoke({"out": []})
    assert sorted(e.place for e in run.live) == ["1.node.b0", "1.node.b3"]


async def test_a_fan_of_nothing(world):
    async def node(state: State) -> State:
        return {"out": await fan([])}

    assert await places(one_node(node).compile(), world) == []


async def test_an_effect_needs_a_run_and_a_place_outside_a_graph_is_said(world):
    with pytest.raises(PlaceError, match="no run is open"):
        await world.call()
    async with opened(Run("run")):
        assert here() == "0.outside"


# -- between nodes ----------------------------------------


async def test_a_loop_has_a_step_for_every_round(world):
    async def node(state: State) -> State:
        return {"out": [await world.call()]}

    builder = one_node(node)
    builder.add_conditional_edges("node", lambda state: "node" if len(state["out"]) < 4 else "__end__", ["node", "__end__"])
    assert await places(builder.compile(), world) == [f"{i}.node" for i in range(1, 5)]


def sending(n: int, node: Any, **options: Any) -> Any:
    """A graph whose first node sends to another one `n` times."""
    builder = StateGraph(State)
    builder.add_node("split", lambda _state: None)
    builder.add_node("part", node, **options)
    builder.add_edge(START, "split")
    builder.add_conditional_edges("split", lambda _state: [Send("part", {"out": [], "i": i}) for i in range(n)], ["part"])
    return builder


async def test_twelve_sends_keep_their_index(world):
    async def part(state: State) -> State:
        return {"out": [await world.call(), await world.call()]}

    found = await places(sending(12, part).compile(), world)
    assert found == sorted(f"2.part.s{i}{n}" for i in range(12) for n in ("", ".n1"))


async def test_sends_to_two_nodes_are_counted_together(world):
    async def part(state: State) -> State:
        return {"out": [await world.call()]}

    def more(state: State) -> list[Send]:
        return [Send("more", {"out": []}) for _ in range(2)]

    builder = sending(2, part)
    builder.add_node("more", part)
    builder.add_conditional_edges("split", more, ["more"])
    found = await places(builder.compile(), world)
    assert sorted(node_of(p) for p in found) == ["more", "more", "part", "part"]
    assert sorted(p.split(".s")[1] for p in found) == ["0", "1", "2", "3"]


async def test_two_nodes_of_one_step_are_told_apart(world):
    async def node(state: State) -> State:
        return {"out": [await world.call()]}

    builder = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, node)
        builder.add_edge(START, name)
    assert await places(builder.compile(), world) == ["1.left", "1.right"]


async def test_a_second_attempt_has_a_place_of_its_own(world):
    async def node(state: State) -> State:
        value = await world.call()
        if value.endswith(" 1"):
            raise ConnectionError("once")
        return {"out": [value, here()]}

    policy = RetryPolicy(initial_interval=0.001, max_attempts=3, jitter=False, retry_on=ConnectionError)
    out, run = await execute(one_node(node, retry_policy=policy).compile())
    assert [e.place for e in run.live] == ["1.node", "1.node~1"]
    assert out["out"] == ["answer 2", "1.node~1"]
    assert (await execute(one_node(node, retry_policy=policy).compile(), run.live))[0] == out


# -- subgraphs ----------------------------------------


def leaf(world: World) -> Any:
    """A graph of two nodes, each of which calls."""

    async def first(state: State) -> State:
        return {"out": [await world.call()]}

    async def second(state: State) -> State:
        return {"out": await fan([world.call] * 2)}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    return builder


LEAF = ("1.first", "2.second.b0", "2.second.b1")


def under(*frames: str) -> list[str]:
    """The places of `leaf`, called at these frames."""
    return sorted(f"{frame}/{place}" for frame in frames for place in LEAF)


SAVERS = ("none", "nothing", "memory", "sqlite")


@pytest.fixture(params=SAVERS)
async def saver(request, tmp_path):
    """No saver, ours that keeps nothing, one in memory and LangGraph's over SQLite."""
    if request.param == "sqlite":
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as opened_saver:
            yield opened_saver
    else:
        yield {"none": None, "nothing": NoSaver(), "memory": InMemorySaver()}[request.param]


def native(world: World) -> tuple[Any, list[str]]:
    """A subgraph as a node."""
    return one_node(leaf(world).compile(), "sub"), under("1.sub")


def fanned(world: World) -> tuple[Any, list[str]]:
    """Three calls of one subgraph at once, in one node, which also calls by itself."""
    sub = leaf(world).compile()

    async def node(state: State) -> State:
        before = await world.call()
        results = await fan([partial(sub.ainvoke, {"out": []})] * 3)
        return {"out": [before, *(r["out"] for r in results), await world.call()]}

    return one_node(node), sorted(["1.node", "1.node.n1", *under("1.node.b0", "1.node.b1", "1.node.b2")])


def in_sequence(world: World) -> tuple[Any, list[str]]:
    """The same subgraph twice after one another, in one node."""
    sub = leaf(world).compile()

    async def node(state: State) -> State:
        return {"out": [(await sub.ainvoke({"out": []}))["out"] for _ in range(2)]}

    return one_node(node), under("1.node", "1.node.n1")


def sent(world: World) -> tuple[Any, list[str]]:
    """Two Sends at once to a node that calls the subgraph."""
    sub = leaf(world).compile()

    async def part(state: State) -> State:
        return {"out": [(await sub.ainvoke({"out": []}))["out"]]}

    return sending(2, part), under("2.part.s0", "2.part.s1")


def nested(world: World) -> tuple[Any, list[str]]:
    """A subgraph that calls one twice, itself called twice, with calls in between."""
    sub = leaf(world).compile()

    async def middle(state: State) -> State:
        return {"out": [(await sub.ainvoke({"out": []}))["out"] for _ in range(2)]}

    between = one_node(middle, "middle").compile()

    async def node(state: State) -> State:
        out = [await world.call()]
        for _ in range(2):
            out += [(await between.ainvoke({"out": []}))["out"], await world.call()]
        return {"out": out}

    frames = [f"1.node{n}/1.middle{m}" for n in ("", ".n1") for m in ("", ".n1")]
    return one_node(node), sorted(["1.node", "1.node.n1", "1.node.n2", *under(*frames)])


def looped(world: World) -> tuple[Any, list[str]]:
    """A subgraph as a node of a loop."""
    builder = one_node(leaf(world).compile(), "sub")
    builder.add_conditional_edges("sub", lambda state: "sub" if len(state["out"]) < 9 else "__end__", ["sub", "__end__"])
    return builder, under("1.sub", "2.sub")


@pytest.mark.parametrize("make", [native, fanned, in_sequence, sent, nested, looped], ids=lambda f: f.__name__)
async def test_calls_of_subgraphs_are_told_apart_with_every_saver(world, saver, make):
    builder, expected = make(world)
    assert await places(builder.compile(checkpointer=saver), world) == expected


async def test_a_subgraph_of_langgraphs_own_class_is_refused_with_the_remedy(world):
    async def node(state: State) -> State:
        return {"out": [await world.call()]}

    foreign = one_node(node, "inner", graph=LangGraphStateGraph).compile()

    async def calling(state: State) -> Any:
        return await foreign.ainvoke({"out": []})

    for builder in (one_node(foreign, "sub"), one_node(calling, "sub")):
        with pytest.raises(PlaceError, match=r"'inner' runs in a subgraph.*build the subgraph with symposia\.state\.graph\.StateGraph"):
            await execute(builder.compile())
    assert world.asked == 0


async def test_ours_inside_a_host_of_langgraphs_own_class(world):
    """Without a run of its own it journals in memory, however deep it stands."""
    host = one_node(leaf(world).compile(), "sub", graph=LangGraphStateGraph).compile()
    deeper = one_node(one_node(host, "b", graph=LangGraphStateGraph).compile(), "a", graph=LangGraphStateGraph).compile()
    assert len((await host.ainvoke({"out": []}))["out"]) == 3
    assert len((await deeper.ainvoke({"out": []}))["out"]) == 3

    async def node(state: State) -> State:
        return {"out": [here(), *(await fan([partial(host.ainvoke, {"out": []})] * 2))]}

    assert world.asked == 6
    seen = await one_node(node, graph=LangGraphStateGraph).compile().ainvoke({"out": []})
    assert world.asked == 12
    assert len(seen["out"]) == 3


async def test_a_run_opened_inside_another_graphs_node_has_places_of_its_own(world):
    inner = leaf(world).compile()
    found: list[str] = []

    async def node(state: State) -> State:
        mine = await world.call()
        _out, run = await execute(inner)
        found.extend(e.place for e in run.live)
        return {"out": [mine, await world.call(), here()]}

    out, run = await execute(one_node(node).compile())
    assert sorted(found) == sorted(LEAF)
    assert [e.place for e in run.live] == ["1.node", "1.node.n1"]
    assert out["out"][-1] == "1.node"


async def test_an_interrupt_in_a_subgraph_reads_what_came_before_it(world):
    async def asking(state: State) -> State:
        before = await world.call()
        return {"out": [before, interrupt("go on?"), await world.call()]}

    sub = one_node(asking, "asking").compile()

    async def node(state: State) -> State:
        return {"out": [await world.call(), (await sub.ainvoke({"out": []}))["out"]]}

    graph = one_node(node).compile(checkpointer=InMemorySaver())
    run = Run("run")
    async with opened(run):
        config: Any = {"configurable": {"thread_id": "t"}}
        out = await graph.ainvoke({"out": []}, config)
        assert out["__interrupt__"][0].value == "go on?"
        run.begin()
        out = await graph.ainvoke(Command(resume="yes"), config)
    assert out["out"] == ["answer 1", ["answer 2", "yes", "answer 3"]]
    assert [e.place for e in run.live] == ["1.node", "1.node/1.asking", "1.node/1.asking.n1"]


async def test_a_course_that_differs_from_the_record_is_noticed(world):
    wanted = ["a"]

    async def node(state: State) -> State:
        return {"out": [await world.call(wanted[0])]}

    graph = one_node(node).compile()
    _out, run = await execute(graph)
    wanted[0] = "b"
    with pytest.raises(NotRecorded, match=r"test at 1\.node is not in the journal"):
        await execute(graph, run.live)


# -- spelling ----------------------------------------


@pytest.mark.parametrize(
    ("place", "steps", "node", "where", "moved"),
    [
        ("8.refine.b3", (8,), "refine", "refine.b3", "10.refine.b3"),
        ("5.suite.s1/2.vote_output.b4", (5, 2), "vote_output", "suite.s1/vote_output.b4", "7.suite.s1/2.vote_output.b4"),
        ("12.a.s3~2.f1.b0.b11.n4/3.b.n1/1.c~1", (12, 3, 1), "c", "a.s3~2.f1.b0.b11.n4/b.n1/c~1", "14.a.s3~2.f1.b0.b11.n4/3.b.n1/1.c~1"),
    ],
)
def test_the_parts_of_a_place(place, steps, node, where, moved):
    assert steps_of(place) == steps
    assert step_of(place) == steps[0]
    assert node_of(place) == node
    assert site(place) == where
    assert shift(place, 2) == moved
