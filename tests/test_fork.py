"""Runs that are forked, paused, asked, killed and replayed: what is bought once is never bought again."""

import asyncio
import gc
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Annotated, Any

import pytest
from langgraph.graph import START
from langgraph.graph import StateGraph as LangGraphStateGraph
from langgraph.types import Send
from pydantic import Field

import symposia
from symposia import registry, runs
from symposia.graphs import magicore
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import REVIEW
from symposia.result import Result
from symposia.state.ask import ask_person
from symposia.state.base import BaseParams, BaseState, Method, Question, Sampling
from symposia.state.channels import grow
from symposia.state.errors import BadInput, RunHeld, SymposiaError, UnknownName, from_record
from symposia.state.graph import StateGraph
from symposia.state.place import fan, here, step_of
from symposia.state.store import Entry, Store, Usage, open_store
from symposia.tools import settings as process
from symposia.tools.llm import ask, prompt

K, ROUNDS = 4, 2
A_ROUND = K * 4
"""Calls of a round of MAgICoRe: review, refine, and two judges a solution."""
ALL = K * 3 + ROUNDS * A_ROUND
STEPS = [
    "intake",
    "solve",
    *["extract", "score", "aggregate", "classify", "review", "refine"] * ROUNDS,
    "extract",
    "score",
    "aggregate",
    "classify",
    "finish",
]
"""STEPS[i] is the node that made the state after step i + 1."""


def unlike(script: Any) -> Callable[[str, list[dict[str, Any]]], str]:
    """Replies that are different at every call, except those of the reviewer; no problem ever looks easy."""

    def answer(node: str, messages: list[dict[str, Any]]) -> str:
        text = messages[-1]["content"]
        if node == "review":
            return "Step 2 follows from nothing."
        if text.startswith("Judge how likely"):
            return f"Thought {script.calls}.\nSCORE: 0.2"
        if text.startswith("Check each numbered"):
            return f"Thought {script.calls}.\nSCORES: 0.3, 0.3"
        return f"Step 1: this is text {script.calls}.\nStep 2: so \\boxed{{{script.calls % 11}}}."

    return answer


@pytest.fixture
def magic(script):
    """The script of a MAgICoRe run."""
    script.answer = unlike(script)
    return script


async def first_run(store: Store, **options: Any) -> Result:
    """A finished MAgICoRe run of 4 samples and 2 rounds."""
    given = {"k": K, "max_rounds": ROUNDS, **options.pop("params", {})}
    result = await symposia.arun("magicore", "q", model="script/any", params=given, store=store, checkpoints="none", **options)
    assert result.error is None
    return result


async def states(store: Store, run_id: str) -> dict[int, dict[str, Any]]:
    """The state after every step, by a replay that must be identical."""
    report, execution = await runs.replay(store, run_id, keep=True)
    assert report["identical"], report
    return {m.step: m.values for m in execution.moments if not m.frame}


async def journal(store: Store, run_id: str) -> dict[str, Any]:
    """What a run has in the journal, by place."""
    return {e.place: e for e in await store.entries(run_id)}


async def everything(store: Store, run_id: str) -> Any:
    """All that the store knows of a run."""
    return await store.run(run_id), await store.entries(run_id), await store.steps(run_id)


def live(result: Result) -> tuple[int, int]:
    return result.calls["live"], result.calls["replayed"]


def after(node: str, occurrence: int = 0) -> int:
    """The step after which a node has run for the n-th time."""
    return [i + 1 for i, name in enumerate(STEPS) if name == node][occurrence]


# -- forks of MAgICoRe ----------------------------------------


async def test_a_fork_without_a_change_calls_nothing_and_ends_alike(magic, store):
    parent = await first_run(store)
    assert live(parent) == (ALL, 0) == (magic.calls, 0)
    for at in (1, after("review"), len(STEPS)):
        child = await runs.fork(store, parent.run_id, at)
        assert live(child) == (0, ALL)
        assert child.parent == {"run": parent.run_id, "at": at, "shifted": False}
        assert await states(store, child.run_id) == await states(store, parent.run_id)
    assert magic.calls == ALL


@pytest.mark.parametrize("at", [1, after("classify", 1), after("classify", 2)])
async def test_one_more_round_calls_exactly_that_round(magic, sqlite, at):
    parent = await first_run(sqlite, seed=7)
    child = await runs.fork(sqlite, parent.run_id, at, params={"max_rounds": 3})
    assert live(child) == (A_ROUND, ALL)
    new = {p: e for p, e in (await journal(sqlite, child.run_id)).items() if not e.copied}
    assert Counter(e.usage.role for e in new.values()) == {"reviewer": K, "refiner": K, "outcome": K, "process": K}
    assert min(step_of(p) for p in new) > after("classify", 2)
    before, now = await states(sqlite, parent.run_id), await states(sqlite, child.run_id)
    assert now[max(now)]["chains"][:3] == before[max(before)]["chains"]
    assert len(now[max(now)]["chains"]) == 4


async def test_an_edited_solution_is_reviewed_and_refined_again_and_no_other(magic, store):
    parent = await first_run(store)
    at = after("refine")
    chains = (await states(store, parent.run_id))[at]["chains"]
    edited = [chains[0], [*chains[1][:2], "Step 1: mine.\nStep 2: so \\boxed{99}.", chains[1][3]]]
    child = await runs.fork(store, parent.run_id, at, values={"chains": edited})
    new = {p: e for p, e in (await journal(store, child.run_id)).items() if not e.copied and e.usage.calls}
    assert live(child) == (6, ALL - 6)
    assert Counter(e.usage.role for e in new.values()) == {"reviewer": 1, "refiner": 1, "outcome": 2, "process": 2}
    assert all(".b2" in p for p in new), "only the third chain of four"
    found = await states(store, child.run_id)
    assert found[max(found)]["chains"][:2] == edited
    assert [
        a == b for a, b in zip(found[max(found)]["chains"][2], (await states(store, parent.run_id))[len(STEPS)]["chains"][2], strict=True)
    ] == [
        True,
        True,
        False,
        True,
    ]


async def test_more_samples_keep_those_that_are_there(magic, sqlite):
    parent = await first_run(sqlite, seed=7)
    child = await runs.fork(sqlite, parent.run_id, 1, params={"k": 6})
    assert live(child) == (2 * 3 + ROUNDS * 2 * 4, ALL)
    found = await states(sqlite, child.run_id)
    before = await states(sqlite, parent.run_id)
    for mine, theirs in zip(found[max(found)]["chains"], before[max(before)]["chains"], strict=True):
        assert mine[:K] == theirs
        assert len(mine) == 6


@pytest.mark.parametrize(
    ("params", "role"),
    [
        ({"roles": {"reviewer": "script/other"}}, "reviewer"),
        ({"prompts": {"reviewer": "Briefly.\n" + REVIEW}}, "reviewer"),
        ({"sampling": {"reviewer": {"temperature": 0.1}}}, "reviewer"),
    ],
    ids=["model", "prompt", "sampling"],
)
async def test_a_change_of_a_role_calls_only_that_role(magic, sqlite, params, role):
    parent = await first_run(sqlite)
    child = await runs.fork(sqlite, parent.run_id, 1, params=params)
    new = [e for e in await sqlite.entries(child.run_id) if not e.copied]
    assert {e.usage.role for e in new} == {role}
    assert live(child) == (K * ROUNDS, ALL - K * ROUNDS)
    if "roles" in params:
        assert {e.usage.model for e in new} == {"script/other"}
    if "sampling" in params:
        assert {e.request["temperature"] for e in new} == {0.1}
        assert {e.request["top_p"] for e in new} == {0.95}, "the rest of the sampling stays"


async def test_a_change_in_mid_run_does_not_touch_what_came_before(magic, sqlite):
    parent = await first_run(sqlite)
    child = await runs.fork(sqlite, parent.run_id, after("classify", 1), params={"roles": {"reviewer": "script/other"}})
    assert live(child) == (K, ALL - K)


async def test_stopping_now_calls_nothing(magic, sqlite):
    parent = await first_run(sqlite)
    at = after("classify")
    history = (await states(sqlite, parent.run_id))[at]["history"]
    child = await runs.fork(sqlite, parent.run_id, at, values={"history": [{**history[-1], "is_hard": False}]})
    assert live(child)[0] == 0
    assert (child.status, child.stop_reason) == ("ok", "easy")
    assert max(await states(sqlite, child.run_id)) == at + 2, "the edit, and finish"


async def test_a_fork_of_a_fork(magic, sqlite):
    parent = await first_run(sqlite)
    child = await runs.fork(sqlite, parent.run_id, 1, params={"max_rounds": 3})
    spent = magic.calls
    same = await runs.fork(sqlite, child.run_id, 1)
    assert live(same) == (0, ALL), "without the edit it is the first run again"
    later = await runs.fork(sqlite, child.run_id, after("classify", 2) + 1, params={"roles": {"reviewer": "script/other"}})
    assert live(later) == (K, ALL + A_ROUND - K)
    twice = await runs.fork(sqlite, later.run_id, after("classify", 1) + 1, params={"max_rounds": 2})
    assert live(twice)[0] == 0
    assert magic.calls == spent + K
    for run_id in (child.run_id, same.run_id, later.run_id, twice.run_id):
        assert (await runs.replay(sqlite, run_id))[0]["identical"]


async def test_a_fork_at_the_step_of_its_parents_own_edit(magic, sqlite):
    """Both count the edit as a step, so nothing is moved against the other."""
    parent = await first_run(sqlite)
    child = await runs.fork(sqlite, parent.run_id, 1, params={"max_rounds": 1})
    assert live(child) == (0, ALL - A_ROUND)
    other = await runs.fork(sqlite, child.run_id, 1, params={"max_rounds": 0})
    assert live(other) == (0, 3 * K)


async def test_a_fork_stands_alone_and_its_parent_is_untouched(magic, store):
    parent = await first_run(store)
    before = await everything(store, parent.run_id)
    child = await runs.fork(store, parent.run_id, 1, params={"max_rounds": 1})
    assert await everything(store, parent.run_id) == before
    for table, column in (("entries", "run"), ("steps", "run"), ("runs", "id")):
        await store.write([(f"DELETE FROM {table} WHERE {column} = ?", [(parent.run_id,)])])
    spent = magic.calls
    report, _ = await runs.replay(store, child.run_id)
    assert report["identical"]
    assert report["calls"] == {"live": 0, "replayed": ALL - A_ROUND}
    assert magic.calls == spent


@pytest.mark.parametrize(
    ("at", "options", "complaint"),
    [
        (0, {}, "has the steps 1 to 19, not 0"),
        (20, {}, "has the steps 1 to 19, not 20"),
        (3, {"values": {"chain": []}}, "unknown state key 'chain'; did you mean 'chains'"),
        (3, {"params": {"rounds": 1}}, "magicore has no parameter rounds"),
        (3, {"params": {"k": 0}}, "k: input should be greater than or equal to 1, got 0"),
        (3, {"params": {"roles": {"critic": "x"}}}, "unknown role 'critic'"),
    ],
)
async def test_a_fork_that_cannot_be_is_said_before_anything_is_called(magic, sqlite, at, options, complaint):
    parent = await first_run(sqlite)
    known = await sqlite.runs()
    with pytest.raises(BadInput, match=complaint.replace("(", r"\(")):
        await runs.fork(sqlite, parent.run_id, at, **options)
    assert await sqlite.runs() == known
    assert magic.calls == ALL


# -- small methods ----------------------------------------


class Params(BaseParams):
    """Parameters of the small methods here."""

    n: int = Field(5, ge=1)
    prompts: dict[str, str] = Field({"solver": "Say something about {question}."})
    sampling: dict[str, Sampling] = Field({"solver": Sampling()})


class State(BaseState):
    """Their state."""

    said: Annotated[list[Any], grow]
    note: str


def builder(*nodes: Any) -> Any:
    """A graph of intake and these nodes in a row."""
    graph = StateGraph(State, Params, input_schema=Question)
    names = ["intake", *(n.__name__ for n in nodes)]
    for name, node in zip(names, (intake, *nodes), strict=True):
        graph.add_node(name, node)
    for a, b in zip([START, *names], names, strict=False):
        graph.add_edge(a, b)
    return graph


@pytest.fixture
def method(monkeypatch):
    """Registers a graph as a method of this name."""

    def register(name: str, build: Callable[[], Any]) -> str:
        module: Any = ModuleType(f"symposia.graphs.{name}")
        module.METHOD = Method(name, name, "0000.00000", 2026, "test", ("solver",), "n")
        module.Params, module.build, module.graph = Params, build, build().compile()
        known = registry.names()
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(registry, "names", lambda: (*known, name))
        forget()
        return name

    yield register
    forget()


def forget() -> None:
    """Have methods loaded and compiled anew."""
    registry.load.cache_clear()
    registry._compiled.cache_clear()


@pytest.fixture
def altered(monkeypatch):
    """Alters the code of a method."""

    def alter(module: Any, name: str, value: Any) -> None:
        monkeypatch.setattr(module, name, value)
        forget()

    yield alter
    forget()


async def say(state: State) -> str:
    """One call whose prompt is always the same."""
    return (await ask(state["params"], "solver", prompt(state["params"], "solver", question=state["question"])))["text"]


def finish(state: State) -> dict[str, Any]:
    return conclude(len(state["said"]), "done")


async def repeat(state: State) -> dict[str, Any]:
    return {"said": [await say(state)]}


def self_loop() -> Any:
    graph = builder(repeat)
    graph.add_node("finish", finish)
    graph.add_conditional_edges("repeat", lambda s: "repeat" if len(s["said"]) < s["params"]["n"] else "finish", ["repeat", "finish"])
    return graph


def counting(script: Any) -> None:
    script.answer = lambda node, messages: f"text {script.calls}"


async def begin(store: Store, name: str, **options: Any) -> Result:
    options = {"model": "script/any", "checkpoints": "none", **options}
    return await symposia.arun(name, "q", store=store, **options)


async def said(store: Store, run_id: str) -> list[Any]:
    found = await states(store, run_id)
    return list(found[max(found)]["said"])


@pytest.mark.parametrize("seed", [None, 3])
async def test_a_node_that_repeats_takes_its_own_samples_after_an_edit(script, store, method, seed):
    """Every step asks the same thing at the same node, so only the step tells the samples apart."""
    counting(script)
    name = method("loop", self_loop)
    parent = await begin(store, name, params={"n": 5}, seed=seed)
    assert await said(store, parent.run_id) == [f"text {i}" for i in range(1, 6)]
    edited = await runs.fork(store, parent.run_id, 3, values={"note": "an edit that changes no request"})
    assert edited.calls["live"] == 0
    assert await said(store, edited.run_id) == [f"text {i}" for i in range(1, 6)]
    longer = await runs.fork(store, edited.run_id, 2, params={"n": 7})
    assert longer.calls["live"] == 2
    assert (await said(store, longer.run_id))[:5] == [f"text {i}" for i in range(1, 6)]
    shorter = await runs.fork(store, longer.run_id, 5, values={"said": ["text 1", "x"]})
    assert await said(store, shorter.run_id) == ["text 1", "x", *(f"text {i}" for i in range(4, 8)), "text 8"]
    assert shorter.calls["live"] == 1, "the rounds after the edit are the parent's, and one more"


# -- a person's answer ----------------------------------------


async def consult(state: State) -> dict[str, Any]:
    before = await say(state)
    opinion = await ask_person({"question": "go on?", "draft": before})
    return {"said": [before, opinion, await say(state)]}


def consulting() -> Any:
    return builder(consult, finish)


@pytest.mark.parametrize("checkpoints", ["none", "each"])
async def test_a_person_is_asked_once_and_the_call_before_the_question_is_not_bought_again(script, store, method, checkpoints):
    counting(script)
    run = await begin(store, method("consulting", consulting), checkpoints=checkpoints)
    assert (run.status, script.calls) == ("paused", 1)
    assert run.waiting == {
        "step": 1,
        "next": ["consult"],
        "ask": {"place": "2.consult.n1", "question": "go on?", "draft": "text 1"},
    }
    assert (await runs.replay(store, run.run_id))[0]["identical"], "also while it waits"
    with pytest.raises(BadInput, match=r"waits for an answer to .*go on"):
        await runs.resume(store, run.run_id)
    done = await runs.resume(store, run.run_id, answer={"verdict": ["yes", "ä"]}, answered=True)
    assert (done.status, live(done), script.calls) == ("ok", (1, 1), 2)
    assert await said(store, run.run_id) == ["text 1", {"verdict": ["yes", "ä"]}, "text 2"]
    with pytest.raises(BadInput, match="asks nobody anything"):
        await runs.resume(store, run.run_id, answer="again", answered=True)
    assert script.calls == 2


async def test_two_who_go_on_with_a_run_at_once_buy_it_once(script, store, store_url, method):
    counting(script)
    run = await begin(store, method("consulting", consulting))
    async with open_store(store_url) as other:
        store.hold_wait = other.hold_wait = 0
        ends = await asyncio.gather(
            *(runs.resume(each, run.run_id, answer="yes", answered=True) for each in (store, other, store)), return_exceptions=True
        )
    (done,) = [end for end in ends if not isinstance(end, Exception)]
    assert all(isinstance(end, RunHeld) for end in ends if end is not done)
    assert (done.status, script.calls) == ("ok", 2)
    assert (await runs.replay(store, run.run_id))[0]["identical"]


async def test_a_fork_keeps_a_persons_answer(script, store, method):
    counting(script)
    run = await begin(store, method("consulting", consulting))
    await runs.resume(store, run.run_id, answer=None, answered=True)
    child = await runs.fork(store, run.run_id, 1, values={"note": "x"})
    assert (child.status, live(child)) == ("ok", (0, 2))
    assert await said(store, child.run_id) == ["text 1", None, "text 2"]


async def test_a_fork_that_changes_what_is_asked_about_asks_again(script, sqlite, method):
    counting(script)
    run = await begin(sqlite, method("consulting", consulting))
    await runs.resume(sqlite, run.run_id, answer="old", answered=True)
    child = await runs.fork(sqlite, run.run_id, 1, params={"prompts": {"solver": "Else: {question}"}})
    assert (child.status, child.waiting["ask"]["draft"]) == ("paused", "text 3")  # type: ignore[index]
    done = await runs.resume(sqlite, child.run_id, answer="new", answered=True)
    assert await said(sqlite, done.run_id) == ["text 3", "new", "text 4"]


def split(state: State) -> list[Send]:
    return [Send("consult", {**state, "question": f"part {i}"}) for i in range(3)]


def sending() -> Any:
    async def consult_second(state: State) -> dict[str, Any]:
        return await consult(state) if state["question"] == "part 1" else {"said": [await say(state)]}

    graph = builder()
    graph.add_node("consult", consult_second)
    graph.add_node("finish", finish)
    graph.add_conditional_edges("intake", split, ["consult"])
    graph.add_edge("consult", "finish")
    return graph


async def test_one_of_three_sends_asks_and_the_others_are_not_bought_again(script, store, method):
    script.answer = lambda node, messages: f"{messages[-1]['content'][-7:-1]}: text {script.calls}"
    run = await begin(store, method("sending", sending))
    assert (run.status, script.calls) == ("paused", 3)
    assert run.waiting["ask"]["place"] == "2.consult.s1.n1"  # type: ignore[index]
    done = await runs.resume(store, run.run_id, answer="fine", answered=True)
    assert live(done) == (1, 3)
    found = await said(store, run.run_id)
    assert [str(t).split(":")[0] for t in found] == ["part 0", "part 1", "fine", "part 1", "part 2"]
    assert (await runs.replay(store, run.run_id))[0]["calls"]["live"] == 0
    assert script.calls == 4


async def test_all_of_three_sends_ask_one_after_the_other(script, sqlite, method):
    counting(script)

    def build() -> Any:
        graph = builder()
        graph.add_node("consult", consult)
        graph.add_node("finish", finish)
        graph.add_conditional_edges("intake", split, ["consult"])
        graph.add_edge("consult", "finish")
        return graph

    run = await begin(sqlite, method("all_ask", build))
    asked = set()
    for _ in range(3):
        place = run.waiting["ask"]["place"]  # type: ignore[index]
        asked.add(place)
        run = await runs.resume(sqlite, run.run_id, answer=place, answered=True)
    assert asked == {f"2.consult.s{i}.n1" for i in range(3)}
    assert (run.status, script.calls) == ("ok", 6)
    assert (await said(sqlite, run.run_id))[1::3] == sorted(asked)


async def test_a_question_in_a_fan_and_in_a_subgraph(script, sqlite, method):
    counting(script)

    def build() -> Any:
        inner = StateGraph(State)
        inner.add_node("consult", consult)
        inner.add_edge(START, "consult")
        sub = inner.compile()

        async def both(state: State) -> dict[str, Any]:
            async def one() -> Any:
                return (await sub.ainvoke(state))["said"]

            return {"said": await fan([one, one])}

        return builder(both, finish)

    run = await begin(sqlite, method("deep", build))
    assert run.waiting["ask"]["place"] == "2.both.b0/1.consult.n1"  # type: ignore[index]
    for i in range(2):
        assert run.status == "paused"
        run = await runs.resume(sqlite, run.run_id, answer=i, answered=True)
    assert (run.status, script.calls) == ("ok", 4)
    assert [part[1] for part in await said(sqlite, run.run_id)] == [0, 1]


# -- pauses ----------------------------------------


@pytest.mark.parametrize("checkpoints", ["none", "each"])
async def test_a_run_pauses_at_each_round_is_looked_at_and_goes_on_with_an_edit(magic, store, checkpoints):
    given = {"k": K, "max_rounds": 3}
    run = await symposia.arun(
        "magicore", "q", model="script/any", params=given, store=store, pause_before=["review"], checkpoints=checkpoints
    )
    spent = 3 * K
    assert (run.status, run.waiting, magic.calls) == ("paused", {"step": 6, "next": ["review"]}, spent)
    report, execution = await runs.replay(store, run.run_id, keep=True)
    assert report["identical"]
    assert len(execution.moments[-1].values["chains"]) == 1

    run = await runs.resume(store, run.run_id)
    spent += A_ROUND
    assert (run.status, run.waiting["step"], magic.calls, live(run)) == ("paused", 12, spent, (A_ROUND, 3 * K))  # type: ignore[index]

    chains = (await states(store, run.run_id))[12]["chains"]
    mine = [chains[0], ["Step 1: mine.\nStep 2: \\boxed{5}.", *chains[1][1:]]]
    run = await runs.resume(store, run.run_id, values={"chains": mine})
    spent += A_ROUND
    assert (run.status, run.waiting["step"], magic.calls) == ("paused", 19, spent)  # type: ignore[index]
    assert (await states(store, run.run_id))[19]["chains"][:2] == mine

    run = await runs.resume(store, run.run_id)
    spent += A_ROUND
    assert (run.status, magic.calls, live(run)) == ("ok", spent, (A_ROUND, spent - A_ROUND))
    report, _ = await runs.replay(store, run.run_id)
    assert report["identical"]
    assert report["calls"] == {"live": 0, "replayed": spent}
    assert magic.calls == spent
    with pytest.raises(BadInput, match="is ok, not paused"):
        await runs.resume(store, run.run_id, values={"chains": []})


async def test_a_resume_with_an_unknown_key_changes_nothing(magic, sqlite):
    run = await symposia.arun("magicore", "q", model="script/any", params={"k": K}, store=sqlite, pause_before=["review"])
    before = await everything(sqlite, run.run_id)
    with pytest.raises(UnknownName, match="unknown state key 'chian'; did you mean 'chains'"):
        await runs.resume(sqlite, run.run_id, values={"chian": []})
    assert await everything(sqlite, run.run_id) == before


async def test_a_fork_of_a_run_that_was_edited_at_a_pause(magic, sqlite):
    run = await symposia.arun(
        "magicore", "q", model="script/any", params={"k": K, "max_rounds": 1}, store=sqlite, pause_before=["review"], checkpoints="none"
    )
    chains = (await states(sqlite, run.run_id))[6]["chains"]
    run = await runs.resume(sqlite, run.run_id, values={"chains": [["Step 1: mine.\nStep 2: \\boxed{5}.", *chains[0][1:]]]})
    assert run.status == "ok"
    spent = magic.calls
    child = await runs.fork(sqlite, run.run_id, 8, params={"max_rounds": 2})
    assert live(child) == (A_ROUND, spent)
    assert (await states(sqlite, child.run_id))[7]["chains"][0][0].startswith("Step 1: mine.")


# -- replay finds the first difference ----------------------------------------


async def test_a_router_that_stops_too_early_is_named(magic, sqlite, altered):
    run = await first_run(sqlite)
    kept = magicore.route
    rounds = iter(["review", "finish"])
    altered(magicore, "route", routing(lambda state: next(rounds)))
    report, _ = await runs.replay(sqlite, run.run_id)
    first = report["first_divergence"]
    assert not report["identical"]
    assert (first["step"], first["node"]) == (12, "classify")
    assert (first["expected"]["next"], first["got"]["next"]) == (["review"], ["finish"])
    assert first["expected"]["place"].startswith("13.review.b")
    assert first["expected"]["request"]["messages"][0]["content"][0].startswith("You are a teacher")
    altered(magicore, "route", kept)
    assert (await runs.replay(sqlite, run.run_id))[0]["identical"]
    assert magic.calls == ALL


def routing(choose: Callable[[Any], str]) -> Any:
    """A router of MAgICoRe's form."""

    def route(state: Any) -> Any:
        return choose(state)

    route.__annotations__["return"] = magicore.route.__annotations__["return"]
    return route


async def test_a_router_that_goes_on_too_long_is_named(magic, sqlite, altered):
    run = await first_run(sqlite, params={"max_rounds": 0})
    altered(magicore, "route", routing(lambda state: "review"))
    report, _ = await runs.replay(sqlite, run.run_id)
    first = report["first_divergence"]
    assert (first["step"], first["node"]) == (6, "classify")
    assert (first["expected"]["next"], first["got"]["next"]) == (["finish"], ["review"])
    assert first["got"]["place"].startswith("7.review.b")
    assert first["got"]["request"]["model"] == "script/any"
    assert magic.calls == 3 * K


async def test_a_prompt_that_changed_is_named_with_both_requests(magic, sqlite, monkeypatch):
    run = await first_run(sqlite)
    monkeypatch.setattr("symposia.nodes.refiner.REFINE_DEMO", "another demonstration")
    first = (await runs.replay(sqlite, run.run_id))[0]["first_divergence"]
    assert (first["step"], first["node"]) == (8, "refine")
    assert first["place"].startswith("8.refine.b")
    assert first["expected"]["request"] != first["got"]["request"]
    assert "another demonstration" in first["got"]["request"]["messages"][0]["content"]


async def test_a_node_that_computes_something_else_is_named(magic, sqlite, altered):
    run = await first_run(sqlite)
    altered(magicore, "aggregate", changed(magicore.aggregate))
    first = (await runs.replay(sqlite, run.run_id))[0]["first_divergence"]
    assert (first["step"], first["node"], first["place"]) == (5, "aggregate", "5.aggregate")
    assert first["expected"]["digest"] != first["got"]["digest"]


def changed(node: Any) -> Any:
    def aggregate(state: Any) -> Any:
        return {**node(state), "answer": "another"}

    return aggregate


async def test_a_subgraph_of_langgraphs_own_class_does_not_disturb_the_steps(script, store, method):
    """It can hold no effects, and has no frame for its states."""
    counting(script)

    def build() -> Any:
        inner = LangGraphStateGraph(State)
        names = [f"part{i}" for i in range(6)]
        for before, name in zip([START, *names], names, strict=False):
            inner.add_node(name, lambda state: {"note": state.get("note", "") + "x"})
            inner.add_edge(before, name)
        sub = inner.compile()

        async def notes(state: State) -> dict[str, Any]:
            return {"note": (await sub.ainvoke({"question": "q", "messages": []}))["note"]}

        return builder(repeat, notes, finish)

    run = await begin(store, method("foreign", build))
    assert [(s.frame, s.step) for s in await store.steps(run.run_id)] == [("", i) for i in range(-1, 5)]
    assert (await runs.replay(store, run.run_id))[0]["identical"]


async def test_a_fork_after_a_step_of_two_nodes(script, store, method):
    """Two nodes ran side by side; the edit stands as if both had written it, and what follows both runs once."""
    counting(script)

    async def left(state: State) -> dict[str, Any]:
        return await repeat(state)

    async def right(state: State) -> dict[str, Any]:
        return await repeat(state)

    def build() -> Any:
        graph = builder()
        for node in (left, right, repeat, finish):
            graph.add_node(node.__name__, node)
        graph.add_edge("intake", "left")
        graph.add_edge("intake", "right")
        graph.add_edge(["left", "right"], "repeat")
        graph.add_edge("repeat", "finish")
        return graph

    parent = await begin(store, method("side_by_side", build))
    assert script.calls == 3
    child = await runs.fork(store, parent.run_id, 2, values={"note": "x"})
    assert (child.status, live(child)) == ("ok", (0, 3))
    assert await said(store, child.run_id) == await said(store, parent.run_id)


async def test_a_subgraph_called_again_and_again_does_not_disturb_the_steps(script, store, method):
    counting(script)

    def build() -> Any:
        inner = self_loop().compile()

        async def calls(state: State) -> dict[str, Any]:
            async def one() -> Any:
                return (await inner.ainvoke({"question": "q"}, context=Params.of(state)))["said"]

            return {"said": [await one(), *await fan([one, one]), await one()]}

        return builder(calls, finish)

    run = await begin(store, method("again", build), params={"n": 4})
    assert (run.status, script.calls) == ("ok", 16)
    frames = {(s.frame, s.step) for s in await store.steps(run.run_id)}
    outside = {step for frame, step in frames if not frame}
    assert outside == {-1, 0, 1, 2, 3}
    inside = {frame for frame, _ in frames if frame}
    assert inside == {"2.calls", "2.calls.n1", "2.calls.b0", "2.calls.b1"} or inside == {
        "2.calls",
        "2.calls.n1",
        "2.calls.f1.b0",
        "2.calls.f1.b1",
    }
    report, _ = await runs.replay(store, run.run_id)
    assert report["identical"]
    assert report["checkpoints"] == len(frames)


# -- crashes ----------------------------------------


# LiteLLM makes the coroutine of a call a moment before it awaits it; a cancellation may come in between.
@pytest.mark.filterwarnings("ignore:coroutine 'Scripted.acompletion' was never awaited")
async def test_a_cancelled_run_goes_on_where_it_was(magic, store):
    loop = asyncio.get_running_loop()
    magic.delay = lambda: 0.002
    result, cancelled = None, 0
    record = runs.new_record("magicore", {"k": K, "max_rounds": ROUNDS, "model": "script/any"}, {"question": "q"}, checkpoints="none")
    await store.put_run(record)
    while result is None:
        bought = {e.place for e in await store.entries(record["run_id"])}
        before = magic.calls
        task = loop.create_task(runs.resume(store, record["run_id"]))
        if cancelled < 3:
            while magic.calls < before + 9 and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled += 1
            assert (await store.run(record["run_id"]))["status"] == "stopped"
        else:
            result = await task
        assert bought <= {e.place for e in await store.entries(record["run_id"])}
    assert result.status == "ok"
    entries = [e for e in await store.entries(record["run_id"]) if e.kind == "llm"]
    assert len(entries) == len({e.place for e in entries}) == ALL
    assert ALL <= magic.calls <= ALL + 3 * 2 * K, "at most what was in flight at each of the three"
    assert (await runs.replay(store, record["run_id"]))[0]["identical"]
    gc.collect()


def work(path: str, run_id: str) -> None:
    """Go on with a run, in a process of its own."""

    async def go() -> None:
        async with open_store(path) as store:
            await runs.resume(store, run_id)

    try:
        asyncio.run(go())
    finally:
        os._exit(0)


# A copy of this process needs none of its threads: what they would do is over.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_killed_run_goes_on_where_it_was(magic, tmp_path):
    path, log = str(tmp_path / "store.db"), tmp_path / "calls"
    answer = unlike(magic)

    def logged(node: str, messages: list[dict[str, Any]]) -> str:
        with log.open("a") as lines:
            lines.write(here() + "\n")
        return answer(node, messages)

    async def new() -> str:
        async with open_store(path) as store:
            record = runs.new_record(
                "magicore", {"k": K, "max_rounds": ROUNDS, "model": "script/any"}, {"question": "q"}, checkpoints="none"
            )
            await store.put_run(record)
            return str(record["run_id"])

    async def look() -> tuple[list[str], str, dict[str, Any]]:
        async with open_store(path) as store:
            entries = [e.place for e in await store.entries(run_id) if e.kind == "llm"]
            return entries, (await store.run(run_id))["status"], (await runs.replay(store, run_id))[0]

    magic.answer, magic.delay = logged, lambda: 0.02
    run_id, held, called, status, kills = asyncio.run(new()), [], [], "started", 0
    while status != "ok":
        worker = os.fork()
        if worker == 0:
            work(path, run_id)
        if kills < 4:
            kills += 1
            enough = len(called) + random.randint(1, 3 * K)
            while not log.exists() or len(log.read_text().split()) < enough:
                time.sleep(0.001)
            time.sleep(random.random() * 0.04)
            os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        now, status, report = asyncio.run(look())
        new_calls = log.read_text().split()[len(called) :]
        assert not set(new_calls) & set(held), "what was committed is not called again"
        assert set(held) <= set(now)
        assert len(new_calls) - (len(now) - len(held)) <= 2 * K, "lost: at most what was in flight"
        held, called = now, [*called, *new_calls]
    assert kills > 1, "on a busy machine a worker may end before it is killed"
    assert len(held) == len(set(held)) == ALL
    assert report["identical"]
    assert report["calls"] == {"live": 0, "replayed": ALL}


async def test_a_run_of_which_nothing_is_left_but_the_record_starts_anew(magic, sqlite):
    record = runs.new_record("magicore", {"k": 2, "max_rounds": 0, "model": "script/any"}, {"question": "q"})
    await sqlite.put_run(record)
    result = await runs.resume(sqlite, record["run_id"][:6])
    assert (result.status, live(result)) == ("ok", (6, 0))


async def test_a_failed_call_is_tried_again_when_the_run_is_resumed(script, store, method, monkeypatch):
    monkeypatch.setattr(process, "_settings", replace(process.settings(), attempts=1))
    script.replies = {"must_say": [ConnectionError("down")]}
    name = method("failing", lambda: builder(must_say, finish))
    run = await begin(store, name)
    assert (run.status, run.error["name"]) == ("failed", "EndpointDown")  # type: ignore[index]
    assert (await runs.replay(store, run.run_id))[0]["identical"], "a failure is replayed as one"
    assert script.calls == 1
    counting(script)
    again = await runs.resume(store, run.run_id)
    assert (again.status, again.error) == ("ok", None)
    assert (await runs.replay(store, run.run_id))[0]["identical"]


async def must_say(state: State) -> dict[str, Any]:
    reply = await ask(state["params"], "solver", prompt(state["params"], "solver", question=state["question"]))
    if reply["status"] != "ok":
        raise from_record(reply["error"])
    return {"said": [reply["text"]]}


async def test_an_unknown_run_is_named(sqlite):
    for call in (runs.resume(sqlite, "nothing"), runs.replay(sqlite, "nothing"), runs.fork(sqlite, "nothing", 1)):
        with pytest.raises(SymposiaError, match="unknown run 'nothing'"):
            await call


async def test_a_fork_that_was_interrupted_takes_no_entry_of_its_parent_twice(sqlite):
    def entry(place: str, text: str, copied: bool = False) -> Entry:
        return Entry(place, b"d" * 16, "llm", {"q": "same"}, {"value": text}, Usage(role="solver"), copied=copied)

    for place, text in (("2.a", "first"), ("4.a", "second")):
        await sqlite.append("parent", entry(place, text))
    record = {"parent": {"run": "parent", "at": 1, "shifted": False}}
    taken_before = [entry("7.a", "first", copied=True)]
    parent = await runs._parent(sqlite, record, taken_before)
    assert parent.take("9.a", b"d" * 16).outcome == {"value": "second"}
    assert parent.take("11.a", b"d" * 16) is None


async def test_a_person_may_answer_with_half_a_sign():
    assert runs.person({"place": "2.ask", "question": "which?"}, ["half \ud800"]).outcome == {"value": ["half \ufffd"]}


async def test_a_resumed_run_is_asked_to_stop_no_longer(script, sqlite):
    script.answer = lambda node, messages: "\\boxed{4}"
    record = runs.new_record("chain_of_thought", {"model": "script/any"}, {"question": "What is 2 + 2?"}, checkpoints="none")
    await sqlite.put_run(record)  # killed before its first call, and cancelled by somebody who took it for running
    await sqlite.ask_to_stop(record["run_id"])
    assert (await runs.resume(sqlite, record["run_id"])).status == "ok"
    assert not await sqlite.asked_to_stop(record["run_id"])


async def test_what_is_set_on_a_paused_run_is_fit_to_be_stored(script, sqlite):
    script.answer = lambda node, messages: "SCORE: 0.1" if "SCORE:" in messages[-1]["content"] else "Step 1: so \\boxed{1}"
    record = runs.new_record("magicore", {"k": 1, "model": "script/any"}, {"question": "q"}, pause_before=["finish"])
    paused = await runs.start(sqlite, record)
    done = await runs.resume(sqlite, paused.run_id, values={"answer": "half \ud800"})
    assert (done.status, done.answer) == ("ok", "half \ufffd")
    assert (await runs.replay(sqlite, paused.run_id))[0]["identical"]
