"""The contract of a method, held for every file in `graphs/`: what it says of itself is so, and every way of running it works.

Nothing here knows a method by name: a new file is under test as soon as it is there. Chance runs are played by the toy models, the longest
course of a method by a script that approves of nothing, writes a new text at every call and reads which form of reply a prompt asks for.
"""

import asyncio
import functools
import inspect
import itertools
import json
import random
import re
from importlib import resources

import pytest
from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send
from typing_extensions import get_type_hints

from symposia import registry, runs
from symposia.execution import plain
from symposia.inputs import row_input
from symposia.params import make_params
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, ModelNotFound
from symposia.state.journal import Run
from symposia.state.place import here, step_of
from symposia.tools.settings import configure

METHODS = registry.names()
SMALL = {
    "k": 4,
    "n_tests": 2,
    "suite_retries": 0,
    "max_rounds": 1,
    "max_sentences": 4,
    "node_budget": 5,
    "branching": 2,
    "ask_all": True,
    "scorer": "likert",
    "code_samples": 2,
}
SCORERS = {"outcome", "process"}
"""Roles whose calls a method counts as scoring."""
TOY = "toy/default?error=0.4"
QUESTION = {"question": "Omar has 45 stamps. He gives 18 stamps to Priya. How many stamps does Omar have left?", "task": "number"}

ASKED = [name for name in METHODS if "question" in get_type_hints(registry.load(name).method.input)]
"""Methods that answer one question; others have their own input."""

every = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(autouse=True)
def no_pauses():
    before = configure(max_wait=0.0)
    yield
    configure(max_wait=before.max_wait)


def small(name, **given):
    """Parameters that keep a run short, of those the method has."""
    return {**{k: v for k, v in SMALL.items() if k in registry.load(name).params.model_fields}, "model": TOY, **given}


def record_of(name, *, inputs=None, **given):
    """A run's record over a bundled item of the method, or over `inputs`."""
    options = {key: given.pop(key) for key in ("pause_before", "checkpoints", "reference") if key in given}
    return runs.new_record(name, small(name, **given), inputs or item(name), **options)


def item(name):
    """The input of a method's first bundled item."""
    loaded = registry.load(name)
    lines = resources.files("symposia").joinpath("items", f"{loaded.method.items}.jsonl").read_text(encoding="utf-8").splitlines()
    return row_input(loaded, json.loads(lines[1]))[0]


def found(pattern, text):
    """The group of a pattern that has to be there."""
    match = re.search(pattern, text)
    assert match is not None, f"no {pattern} in {text[:200]}"
    return match[1]


def entry(prompt):
    """The function that a prompt about a program names."""
    return found(r"Signature: (\w+)", prompt)


def error_of(result):
    """The error that a run has to have ended with."""
    assert result.error is not None
    return result.error


def worst(script):
    """The script's answer that keeps every loop going: a new text at each call, low scores, no approval."""
    number = itertools.count(1)

    def answer(node, messages):
        prompt, n = messages[-1]["content"], next(number)
        if node == "sample_candidate":
            return f"Thought {n}.\nArguments: `{entry(prompt)}(0)`"
        if node == "vote_output":
            return "Output:\n```\n'never'\n```"
        if prompt.startswith("The code fails a unit test."):
            return f"```python\nattempt = {n}\n```"
        if "subtle bug" in prompt:
            return f"```python\ndef {entry(prompt)}(*arguments):\n    return 'variant {n}'\n```"
        if "### Input" in prompt and "\nExpected: " not in prompt:
            return f"### Input\nArguments: `{entry(prompt)}([{n}])`\n\n### Output\nOutput:\n```\n{n}\n```"
        if "<scores><plan>" in prompt:
            steps = int(found(r"each of\nthe (\d+) steps", prompt))
            return f"<scores><plan>{n % 7 + 1}</plan>{'<step>2</step>' * steps}</scores>"
        if "<thought>" in prompt:
            # Of all requests of an expansion the last alone brings a plan, and one only.
            plan = f"<thought>t</thought><plan><step><number>0</number><description>Read log {n}.</description></step></plan>"
            return plan if here().endswith(".f2.b0") else f"Thought {n}."
        if "a line ```python" in prompt:
            return f"```python\nprint({n})\n```"
        if "<critiques>" in prompt:
            return " ".join(f"This is sentence {i} of text {n}." for i in range(4))
        if '"answer": "yes" or "no"' in prompt:
            return json.dumps({"reasoning": f"Thought {n}.", "answer": "no" if n % 2 else "yes"})
        if '"answer": 1}' in prompt:
            return json.dumps({"reasoning": f"Thought {n}.", "answer": 1})
        if '"SCORES: x1' in prompt:
            steps = int(found(r"each of the (\d+) steps", prompt))
            return f"Thought {n}.\nSCORES: {', '.join(['0.3'] * steps)}"
        if '"SCORE: x"' in prompt:
            return f"Thought {n}.\nSCORE: 0.2"
        if '"RATINGS: x, y"' in prompt:
            return f"Thought {n}.\nRATINGS: {n % 7}, 8"
        if '"settled": true' in prompt:
            return '{"settled": false, "side": null, "reason": "Both may be right.", "answer": null}'
        if '"VERDICT: ' in prompt:
            return f"Thought {n}: step 2 is wrong.\nVERDICT: incorrect"
        return f"Step 1: this is text {n}.\nStep 2: so the answer is \\boxed{{{n}}}."

    script.answer = answer


async def values_of(store, run_id):
    """The last state of a run."""
    return (await runs.replay(store, run_id))[1].values


def calls_by(result, roles):
    """Completions of a run by the roles named."""
    return sum(n for role, n in result.calls["by_role"].items() if role in roles)


# What a method says of itself


@every
def test_the_file_has_its_parts_and_its_name(name):
    loaded = registry.load(name)
    assert loaded.method.name == name
    assert issubclass(loaded.params, BaseParams)
    for part in ("graph", "build", "State", "Params"):
        assert hasattr(loaded.module, part), f"graphs/{name}.py has no {part}"
        assert (getattr(loaded.module, part).__doc__ or "").strip()
    assert loaded.method.title
    assert loaded.method.family


@every
def test_the_paper_is_cited(name):
    loaded = registry.load(name)
    text = loaded.module.__doc__ or ""
    links = re.findall(r"https://arxiv\.org/abs/(\d{4}\.\d{4,5})", text)
    assert links, f"graphs/{name}.py links no paper"
    assert links[0] == loaded.method.arxiv
    assert str(loaded.method.year) in text
    assert 0 <= loaded.method.year - (2000 + int(loaded.method.arxiv[:2])) <= 2


def sketched(text):
    """Edges of the Mermaid sketch: (source, target, conditional)."""
    lines = found(r"(?s)```mermaid\n(.*?)```", text).strip().splitlines()
    assert lines[0] == "graph LR"
    edges = set()
    for line in lines[1:]:
        nodes = re.split(r"\s*(?:-\..*?\.->|-->)\s*", line.strip())
        arrows = re.findall(r"(-\..*?\.->|-->)", line)
        for (source, target), arrow in zip(itertools.pairwise(nodes), arrows, strict=True):
            assert re.fullmatch(r"\w+", source), line
            edges.add((source, target, arrow != "-->"))
    return edges


@every
def test_the_sketch_is_the_graph(name):
    module = registry.load(name).module
    names = {"__start__": "START", "__end__": "END"}
    drawn = module.graph.get_graph().edges
    edges = {(names.get(e.source, e.source), names.get(e.target, e.target), e.conditional) for e in drawn}
    nodes = {"START", "END", *(n for n in module.graph.nodes if not n.startswith("__"))}
    sketch = sketched(module.__doc__)
    assert {n for edge in sketch for n in edge[:2]} == nodes
    assert sketch == edges


@every
def test_roles_prompts_and_sampling_fit(name):
    loaded = registry.load(name)
    roles, params = loaded.method.roles, loaded.params()
    assert len(set(roles)) == len(roles) > 0
    assert set(params.prompts) <= set(params.sampling) <= set(roles)
    assert set(params.prompts) == set(roles) - {"embedder"}


@every
def test_every_parameter_is_described(name):
    for field, info in registry.load(name).params.model_fields.items():
        assert info.description, f"{name}: {field}"
        assert not info.is_required(), f"{name}: {field} has no default"
    assert registry.load(name).params.__doc__


@every
def test_parameters_survive_json(name):
    loaded = registry.load(name)
    role = loaded.method.roles[0]
    changes = {
        **small(name, seed=7, quorum=2, use_n=True, max_reasks=0),
        "roles": {role: ["a/b", "c/d"]},
        "prompts": {role: loaded.params().prompts[role] + " Go on."},
        "sampling": {role: {"temperature": 0.1, "top_p": None, "stop": ["END"]}},
    }
    for params in (loaded.params(), make_params(loaded, changes)):
        plain = json.loads(json.dumps(params.model_dump(mode="json")))
        assert loaded.params.model_validate(plain) == params
        assert loaded.params.model_validate_json(params.model_dump_json()) == params
        assert make_params(loaded, plain) == params
    with pytest.raises(BadInput, match="no_such"):
        make_params(loaded, {"no_such": 1})


@every
def test_the_formulas_give_numbers_on_the_defaults(name):
    method, params = registry.load(name).method, registry.load(name).params()
    assert method.count(method.calls, params) >= 1
    assert method.count(method.scoring, params) >= 0
    assert (method.count(method.scoring, params) > 0) is bool(SCORERS & set(method.roles))


# Calls and states


@every
@pytest.mark.parametrize("given", [{}, {"k": 1, "max_rounds": 0}, {"k": 5, "max_rounds": 2}], ids=["small", "least", "other"])
async def test_the_longest_course_takes_the_calls_that_the_formula_says(name, given, script, sqlite):
    worst(script)
    loaded = registry.load(name)
    given = {k: v for k, v in given.items() if k in loaded.params.model_fields}
    record = record_of(name, model="script/any", **given)
    result = await runs.start(sqlite, record)
    assert result.status == "ok", result.error
    params = make_params(loaded, record["params"])
    assert calls_by(result, set(loaded.method.roles) - SCORERS) == loaded.method.count(loaded.method.calls, params)
    assert calls_by(result, SCORERS) == loaded.method.count(loaded.method.scoring, params)
    assert set(result.calls["by_role"]) <= set(loaded.method.roles)
    assert script.calls == result.calls["live"] == result.requests


@every
@pytest.mark.parametrize("seed", range(2))
async def test_no_course_takes_more_calls_than_the_formulas_say(name, seed, sqlite):
    loaded = registry.load(name)
    record = record_of(name, seed=seed)
    result = await runs.start(sqlite, record)
    params = make_params(loaded, record["params"])
    assert result.status == "ok"
    assert 1 <= calls_by(result, set(loaded.method.roles) - SCORERS) <= loaded.method.count(loaded.method.calls, params)
    assert calls_by(result, SCORERS) <= loaded.method.count(loaded.method.scoring, params)


@every
async def test_every_key_a_node_returns_is_a_key_of_the_state(name, script):
    """LangGraph drops others without a word."""
    worst(script)
    builder = registry.load(name).module.build()
    seen = set()

    def check(node, update):
        for item in update if isinstance(update, list) else [update]:
            if isinstance(item, Command):
                check(node, item.update or {})
            elif not isinstance(item, Send):
                unknown = set(item or {}) - set(builder.channels)
                assert not unknown, f"{node} returns {unknown}, which the state of {name} lacks"
        seen.add(node)
        return update

    def traced(node, function):
        @functools.wraps(function)
        async def run(*args, **options):
            done = function(*args, **options)
            return check(node, await done if inspect.isawaitable(done) else done)

        return run

    for node, spec in builder.nodes.items():
        runnable = spec.runnable
        runnable.afunc = traced(node, runnable.func or runnable.afunc)
    params = make_params(registry.load(name), small(name, model="script/any"))
    await builder.compile().ainvoke(item(name), context=params)
    assert seen == set(builder.nodes)


def plain_json(value, path="state"):
    """Fail where a value is none of the types of JSON, exactly."""
    if type(value) is dict:
        for key, inner in value.items():
            assert type(key) is str, f"{path} has the key {key!r}"
            plain_json(inner, f"{path}.{key}")
    elif type(value) is list:
        for i, inner in enumerate(value):
            plain_json(inner, f"{path}[{i}]")
    else:
        assert value is None or type(value) in (str, int, float, bool), f"{path} is a {type(value).__name__}"


@every
@pytest.mark.parametrize("player", ["script", "toy"])
async def test_it_runs_without_a_store_and_its_state_is_plain(name, player, script):
    worst(script)
    loaded = registry.load(name)
    params = make_params(loaded, small(name, model="script/any") if player == "script" else small(name, seed=1))
    state = await loaded.module.graph.ainvoke(item(name), context=params)
    assert state["answer"] is not None
    assert state["stop_reason"]
    messages = state.pop("messages")
    assert messages
    assert all(isinstance(m, BaseMessage) and m.id for m in messages)
    plain_json(state)
    assert json.loads(json.dumps(state)) == state
    assert loaded.params.of(state) == params
    assert {key: state[key] for key in item(name)} == item(name)


# Runs on a store


@every
async def test_a_replay_is_identical_and_calls_nothing(name, store, script):
    worst(script)
    for given in ({"model": "script/any"}, {"seed": 3}):
        result = await runs.start(store, record_of(name, **given))
        assert (result.status, result.error) == ("ok", None)
        made, script.answer = script.calls, None  # a call would fail the test
        report, execution = await runs.replay(store, result.run_id)
        assert report["identical"], report["first_divergence"]
        assert report["calls"] == {"live": 0, "replayed": result.calls["live"]}
        assert script.calls == made
        assert (execution.values["answer"], execution.values["stop_reason"]) == (result.answer, result.stop_reason)
        steps = await store.steps(result.run_id)
        assert report["checkpoints"] == len(steps)


@every
async def test_a_seed_makes_a_run_repeatable(name, sqlite):
    first, second, other = [await runs.start(sqlite, record_of(name, seed=seed)) for seed in (3, 3, 4)]
    states = [await values_of(sqlite, r.run_id) for r in (first, second, other)]
    assert states[0] == states[1]
    made = [[e for e in await sqlite.entries(r.run_id) if e.usage.calls] for r in (first, second, other)]
    entries = [{(e.place, e.digest): e.outcome for e in one} for one in made]
    assert entries[0] == entries[1]
    assert not set(entries[0]) & set(entries[2])


async def forked(store, script, name, ran, params):
    """A run, and its fork after the first step that `ran` with some parameters changed; the parent's books are compared."""
    worst(script)
    parent = await runs.start(store, record_of(name, model="script/any", seed=1))
    _, execution = await runs.replay(store, parent.run_id, keep=True)
    at = next(m.step for m in execution.moments if m.ran == [ran])
    books = [await store.run(parent.run_id), await store.entries(parent.run_id), await store.steps(parent.run_id)]
    fork = await runs.fork(store, parent.run_id, at, params=params)
    assert [await store.run(parent.run_id), await store.entries(parent.run_id), await store.steps(parent.run_id)] == books
    assert fork.status == "ok"
    assert fork.parent == {"run": parent.run_id, "at": at, "shifted": True}
    before, after = [[s for s in await store.steps(run) if s.step <= at and not s.frame] for run in (parent.run_id, fork.run_id)]
    assert before == after
    report, _ = await runs.replay(store, fork.run_id)
    assert report["identical"], report["first_divergence"]
    return parent, fork


@every
async def test_a_fork_with_another_seed_samples_anew(name, script, sqlite):
    parent, fork = await forked(sqlite, script, name, "intake", {"seed": 2})
    assert fork.calls["replayed"] == 0
    assert fork.calls["live"] >= 1
    mine, theirs = await values_of(sqlite, fork.run_id), await values_of(sqlite, parent.run_id)
    assert mine["params"]["seed"] == 2
    assert {**mine, "params": None} != {**theirs, "params": None}


@every
async def test_a_fork_in_the_middle_keeps_what_came_before(name, script, sqlite):
    nodes = registry.load(name).module.graph.nodes
    ran = next(
        n for n in ("extract", "detect", "read_answer", "discuss", "ground", "tally", "run_suite", "judge_tests", "label") if n in nodes
    )
    parent, fork = await forked(sqlite, script, name, ran, {"seed": 2})
    at = fork.parent["at"]
    solving = [e for e in await sqlite.entries(parent.run_id) if step_of(e.place) <= at and e.usage.calls]
    total = sum(e.usage.calls for e in await sqlite.entries(parent.run_id))
    assert fork.calls["replayed"] == len(solving)
    assert fork.calls["live"] == total - len(solving)  # the course of the script is always the longest


SOLVING = [n for n in METHODS if "k" in registry.load(n).params.model_fields and "solver" in registry.load(n).method.roles]


@pytest.mark.parametrize("name", SOLVING)
async def test_a_fork_with_one_sample_more_asks_for_one(name, script, sqlite):
    parent, fork = await forked(sqlite, script, name, "intake", {"k": SMALL["k"] + 1})
    mine, theirs = await values_of(sqlite, fork.run_id), await values_of(sqlite, parent.run_id)
    assert mine["chains"][0][:-1] == theirs["chains"][0]
    fresh = [e for e in await sqlite.entries(fork.run_id) if e.usage.role == "solver" and not e.copied]
    assert len(fresh) == 1


@every
@pytest.mark.parametrize("seed", range(3))
async def test_a_stopped_run_goes_on_and_buys_nothing_twice(name, seed, sqlite):
    store = sqlite
    whole = await runs.start(store, record_of(name, seed=5))
    total = whole.calls["live"]
    cut = random.Random(f"{name} {seed}").randrange(total)
    heard = itertools.count(1)
    opened: list[Run] = []

    def listen(event):
        if event["type"] == "effect" and next(heard) > cut:
            opened[0].stop("enough")

    record = record_of(name, seed=5)
    first = await runs.start(store, record, on_event=listen, on_open=opened.append)
    assert first.status == "stopped" or first.calls["live"] == total
    result = first
    if first.status == "stopped":
        assert error_of(first)["name"] == "Stopped"
        result = await runs.resume(store, first.run_id)
        assert result.calls["replayed"] == first.calls["live"]
        assert first.calls["live"] + result.calls["live"] == total
    entries = await store.entries(result.run_id)
    assert len({(e.place, e.digest) for e in entries}) == len(entries)
    assert sum(e.usage.calls for e in entries) == total
    assert await values_of(store, result.run_id) == await values_of(store, whole.run_id)
    assert (result.status, result.answer) == (whole.status, whole.answer)


@every
@pytest.mark.parametrize("checkpoints", ["each", "none"])
async def test_a_run_can_pause_before_every_node(name, checkpoints, sqlite):
    whole = await runs.start(sqlite, record_of(name, seed=5))
    nodes = [n for n in registry.load(name).module.graph.nodes if not n.startswith("__")]
    result = await runs.start(sqlite, record_of(name, seed=5, pause_before=nodes, checkpoints=checkpoints))
    waited = []
    while result.status == "paused":
        assert result.waiting is not None
        waited.append(result.waiting["next"])
        assert len(waited) < 100
        result = await runs.resume(sqlite, result.run_id)
    assert (result.status, result.answer, result.stop_reason) == (whole.status, whole.answer, whole.stop_reason)
    steps = [s for s in await sqlite.steps(whole.run_id) if s.next and s.step >= 0 and not s.frame]
    assert waited == [s.next for s in steps]
    entries = await sqlite.entries(result.run_id)
    assert sum(e.usage.calls for e in entries) == whole.calls["live"]
    assert (await runs.replay(sqlite, result.run_id))[0]["identical"]


@every
async def test_runs_side_by_side_do_not_disturb_each_other(name, sqlite):
    alone = [await runs.start(sqlite, record_of(name, seed=seed)) for seed in range(2)]
    together = await asyncio.gather(*(runs.start(sqlite, record_of(name, seed=seed)) for seed in range(2)))
    for one, other in zip(alone, together, strict=True):
        assert await values_of(sqlite, one.run_id) == await values_of(sqlite, other.run_id)


# Input and failures


@every
async def test_a_chat_is_input_enough(name, sqlite):
    given = {key: value for key, value in item(name).items() if isinstance(value, str) and key != "task"}
    text = given.get("question") or "\n\n".join(f"{key.capitalize()}:\n{value}" for key, value in given.items())
    beside = {key: value for key, value in item(name).items() if not isinstance(value, str)}
    chat = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "What is it?"}, {"role": "user", "content": text}]
    params = make_params(registry.load(name), small(name, seed=1))
    state = await registry.load(name).module.graph.ainvoke({"messages": chat, **beside}, context=params)
    assert {key: state[key] for key in given} == given
    assert [m.type for m in state["messages"]] == ["human", "ai", "human", "ai"]
    assert str(state["messages"][-1].content)
    result = await runs.start(sqlite, record_of(name, inputs={"messages": chat, **beside}, seed=1))
    assert (result.status, result.answer) == ("ok", state["answer"])
    assert (await runs.replay(sqlite, result.run_id))[0]["identical"]


@every
@pytest.mark.parametrize(
    "inputs", [{}, {"question": ""}, {"question": " \n"}, {"messages": []}], ids=["none", "empty", "blank", "no message"]
)
async def test_an_empty_question_is_bad_input(name, inputs, script):
    if name not in ASKED:
        params = make_params(registry.load(name), small(name, model="script/any"))
        with pytest.raises(BadInput, match="is missing"):
            await registry.load(name).module.graph.ainvoke(inputs, context=params)
        return
    with pytest.raises(BadInput, match="question is empty"):
        record_of(name, inputs={**inputs} or {"question": ""})
    params = make_params(registry.load(name), small(name, model="script/any"))
    with pytest.raises(BadInput, match="question is empty"):
        await registry.load(name).module.graph.ainvoke({**inputs, "task": "number"}, context=params)
    assert script.calls == 0


@every
@pytest.mark.parametrize("use_n", [False, True])
async def test_when_all_samples_fail_the_run_fails_by_name(name, use_n, sqlite):
    result = await runs.start(sqlite, record_of(name, model="nobody/has-this", use_n=use_n))
    assert (result.status, result.answer, result.stop_reason) == ("failed", None, None)
    assert error_of(result)["name"] == ModelNotFound.__name__
    assert error_of(result)["remedy"]
    assert error_of(result)["node"]
    report, _ = await runs.replay(sqlite, result.run_id)
    assert report["identical"], report["first_divergence"]


@every
async def test_a_failed_run_goes_on_when_the_fault_is_gone(name, script, sqlite):
    def fail(node, messages):
        raise ConnectionError("out of order")

    script.answer = fail
    before = configure(attempts=1)
    try:
        failed = await runs.start(sqlite, record_of(name, model="script/any"))
    finally:
        configure(attempts=before.attempts)
    assert failed.status == "failed"
    assert error_of(failed)["name"] == "EndpointDown"
    worst(script)
    result = await runs.resume(sqlite, failed.run_id)
    assert (result.status, result.error) == ("ok", None)
    assert (await runs.replay(sqlite, result.run_id))[0]["identical"]


@pytest.mark.parametrize("name", ASKED)
async def test_without_any_answer_the_run_ends_so(name, script, sqlite):
    worst(script)
    with_answer = script.answer
    script.answer = lambda node, messages: (
        re.sub(r"Step \d:", "Then", with_answer(node, messages)).replace("\\boxed", "").replace("```", "")
    )
    result = await runs.start(sqlite, record_of(name, inputs={**item(name), **QUESTION}, model="script/any"))
    assert (result.status, result.answer, result.stop_reason, result.error) == ("no_answer", None, "no_answer", None)
    assert (await runs.replay(sqlite, result.run_id))[0]["identical"]


@every
async def test_the_reference_is_shown_to_nobody(name, script, sqlite):
    worst(script)
    result = await runs.start(sqlite, record_of(name, model="script/any", reference="reference-4711"))
    assert result.status == "ok"
    assert "4711" not in json.dumps(plain(await values_of(sqlite, result.run_id)))
    assert not [p for prompts in script.prompts.values() for p in prompts if "4711" in p]
