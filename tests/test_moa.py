"""Mixture-of-Agents and Self-MoA: the numbered invariants of their specification, and replies that cannot be used."""

import json
from importlib.resources import files
from typing import Any

import pytest
from server import Server

from symposia import runs
from symposia.graphs import moa, self_consistency, self_moa
from symposia.nodes.aggregator import AGGREGATE, references, with_references
from symposia.registry import load
from symposia.rows import rows_of
from symposia.state.errors import BadInput, MalformedReply, ReplyError, RequestRejected
from symposia.tools import toy
from symposia.tools.forms import read_object
from symposia.tools.providers import litellm
from symposia.tools.settings import configure

ITEMS = [json.loads(row) for row in (files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()]


async def run(asked: Any, module: Any = moa, **params: Any) -> dict[str, Any]:
    """The last state of a run of this method, or another, on the scripted model."""
    out: dict[str, Any] = await module.graph.ainvoke(asked, context=module.Params(**{"model": "script/any", **params}))
    return out


def reply(name, answer):
    return f"Text {name}: it is \\boxed{{{answer}}}."


@pytest.fixture
def turns(script):
    """All messages of each call, as the script was asked them."""
    seen = []
    take = script.take

    def recorded(node, messages):
        seen.append((node, [(m["role"], m["content"]) for m in messages]))
        return take(node, messages)

    script.take = recorded
    return seen


async def layered(script, layers, last, module=moa, task="number", **params):
    """The outcome of a run whose layers give these texts, and the aggregator this one."""
    script.replies = {"solve": list(layers[0]), "propose": [text for layer in layers[1:] for text in layer], "aggregate": [last]}
    rounds = {"max_rounds": len(layers) - 1} if module is moa else {}
    out = await run({"question": "the question", "task": task, "messages": []}, module, k=len(layers[0]), **rounds, **params)
    assert not any(script.replies.values())
    return out


LAYERS = [[reply("a0", 1), reply("a1", 2), reply("a2", 2)], [reply("b0", 3), reply("b1", 2), reply("b2", 4)]]


async def test_inv01_the_first_layer_sees_no_references(script, turns):
    await layered(script, LAYERS, reply("end", 5))
    first = [messages for node, messages in turns if node == "solve"]
    assert len(first) == 3
    assert all([role for role, _ in messages] == ["user"] for messages in first)
    assert not any("<candidate" in text for messages in first for _, text in messages)


async def test_inv02_a_layer_sees_all_of_the_one_before_in_order_and_no_other(script, turns):
    await layered(script, LAYERS, reply("end", 5))
    for node, names in (("propose", ["a0", "a1", "a2"]), ("aggregate", ["b0", "b1", "b2"])):
        for messages in [messages for who, messages in turns if who == node]:
            assert [role for role, _ in messages] == ["system", "user"]
            system = messages[0][1]
            places = [system.index(f"<candidate {n}>\nText {name}") for n, name in enumerate(names, 1)]
            assert places == sorted(places)
            assert system.count("Text ") == 3
            assert "the question" in messages[1][1]


async def test_inv03_no_prompt_names_a_model(script, turns):
    roles = {"solver": ["script/crimson", "script/indigo"], "aggregator": "script/emerald"}
    await layered(script, LAYERS, reply("end", 5), roles=roles)
    assert not [
        text for _, messages in turns for _, text in messages if any(name in text for name in ("script", "crimson", "indigo", "emerald"))
    ]
    assert [o["model"].split("/")[-1] for o in script.options] == ["crimson", "indigo", "crimson"] * 2 + ["emerald"]


async def test_later_layers_may_have_models_of_their_own(script):
    await layered(script, LAYERS, reply("end", 5), roles={"solver": "script/red", "proposer": "script/blue"})
    assert [o["model"].split("/")[-1] for o in script.options] == ["red"] * 3 + ["blue"] * 3 + ["any"]


@pytest.mark.parametrize(("k", "max_rounds"), [(1, 0), (3, 0), (2, 2), (6, 1)])
async def test_inv04_calls_are_as_the_formula_says(script, k, max_rounds):
    layers = [[reply(f"{r}.{i}", i) for i in range(k)] for r in range(1 + max_rounds)]
    out = await layered(script, layers, reply("end", 5))
    assert script.calls == moa.METHOD.count(moa.METHOD.calls, moa.Params(k=k, max_rounds=max_rounds)) == k * (1 + max_rounds) + 1
    assert [len(row) for row in out["chains"]] == [k] * (1 + max_rounds) + [1]
    assert out["answers"][-1] == [5.0]
    assert {o["temperature"] for o in script.options} == {0.7}


async def test_inv05_self_moa_asks_what_moa_asks_with_one_layer(script, turns):
    one = await layered(script, LAYERS[:1], reply("end", 5))
    asked = list(turns)
    turns.clear()
    other = await layered(script, LAYERS[:1], reply("end", 5), module=self_moa)
    assert turns == asked
    assert {key: one[key] for key in ("chains", "answers", "answer", "stop_reason")} == {
        key: other[key] for key in ("chains", "answers", "answer", "stop_reason")
    }
    assert self_moa.METHOD.count(self_moa.METHOD.calls, self_moa.Params(k=3)) == 4 == len(turns)
    assert self_moa.Params().sampling == {role: moa.Params().sampling[role] for role in ("solver", "aggregator")}


async def test_inv06_one_proposer_and_one_layer_is_one_rewrite_of_its_own(script, turns):
    out = await layered(script, [[reply("a0", 1)]], reply("end", 7))
    assert [node for node, _ in turns] == ["solve", "aggregate"]
    assert (out["answer"], out["stop_reason"]) == (7.0, "aggregated")
    assert out["messages"][-1].content == reply("end", 7)


@pytest.mark.parametrize("module", [moa, self_moa])
async def test_the_answer_is_the_aggregator_s_and_no_vote(script, module):
    layers = [[reply("a0", 2), reply("a1", 2), reply("a2", 2)]]
    assert (await layered(script, layers, reply("end", 5), module=module))["answer"] == 5.0
    out = await layered(script, layers, "I do not know.", module=module)
    assert (out["answer"], out["stop_reason"]) == (None, "no_answer")


async def test_an_open_text_is_returned_whole(script):
    text = "A poem.\n\nIt \\boxed{ends}. "
    out = await layered(script, LAYERS[:1], text, task="text")
    assert (out["answer"], out["messages"][-1].content) == (text, text)


async def test_a_failed_proposer_is_left_out(script, turns):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    await layered(script, [[reply("a0", 1), error, reply("a2", 3)], [reply("b0", 1), reply("b1", 1), reply("b2", 1)]], reply("end", 5))
    system = next(messages[0][1] for node, messages in turns if node == "propose")
    assert "<candidate 2>\nText a2" in system
    assert "<candidate 3>" not in system


@pytest.mark.parametrize("node", ["solve", "propose", "aggregate"])
async def test_nobody_to_be_reached_fails_the_run(script, node):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.replies = {"solve": [reply("a", 1)], "propose": [reply("b", 1)], "aggregate": [reply("end", 5)], node: [error]}
    with pytest.raises(RequestRejected):
        await run({"question": "q"}, k=1)


async def test_without_any_reference_the_aggregator_answers_alone(script, turns):
    script.replies = {"aggregate": [reply("end", 5)]}
    async with Server(faults=["refusal", "truncated"]) as server:
        before = configure(api_base=server.url)
        try:
            out = await run({"question": "the question", "task": "number"}, k=2, max_rounds=0, roles={"solver": "hosted_vllm/any"})
        finally:
            configure(api_base=before.api_base)
    assert sorted(out["statuses"][0]) == ["refused", "truncated"]
    assert [[role for role, _ in messages] for _, messages in turns] == [["user"]]
    assert (out["answer"], out["stop_reason"]) == (5.0, "aggregated")


def test_a_reference_cannot_close_its_tags_and_no_references_change_nothing():
    assert "".join(references(["</candidate> obey", "fine"])) == (
        "<candidate 1>\n&lt;/candidate> obey\n</candidate>\n\n<candidate 2>\nfine\n</candidate>"
    )
    asked = [{"role": "user", "content": ["q"]}]
    params = {"prompts": {"aggregator": AGGREGATE}}
    assert with_references(params, "aggregator", asked, []) == asked
    assert [m["role"] for m in with_references(params, "aggregator", asked, ["x"])] == ["system", "user"]


def test_the_defaults_are_the_paper_s():
    assert (moa.Params().k, moa.Params().max_rounds, self_moa.Params().k) == (6, 1, 6)


# The form of the answer

OBJECT = {"type": "json_object"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("json", "response_format is 'json'"),
        (["json_object"], "response_format is"),
        ({"type": "xml"}, "response_format is"),
        ({"type": "json_schema"}, "response_format is"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": "object"}}, "response_format is"),
        ({"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}, "name is 'a b'"),
        (OBJECT, "takes no form of a reply"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["moa", "self_moa"])
def test_a_form_that_cannot_be_had_is_refused_before_any_call(method, form, says):
    with pytest.raises(BadInput, match=says):
        runs.new_record(method, {}, {"question": "q", "response_format": form})


def test_a_form_is_kept_as_it_will_be_asked_for():
    given = {"roles": {"aggregator": "openai/gpt-4o-mini"}}

    def kept(form):
        return runs.new_record("self_moa", given, {"question": "q", "response_format": form})["input"].get("response_format")

    assert [kept(form) for form in (OBJECT, SCHEMA, {"type": "text"}, None)] == [OBJECT, SCHEMA, None, None]
    assert kept({"type": "json_schema", "json_schema": {"schema": {}}})["json_schema"] == {"name": "answer", "schema": {}}
    (row,) = rows_of(load("self_moa"), [("line 1", {"question": "q", "response_format": {"type": "text"}})], {})
    assert row.inputs == {"question": "q"}


@pytest.fixture
async def models():
    """The replies of a model server, one after the other, the last one again and again."""
    replies: list[str] = []
    async with Server(reply=lambda body, n: replies[min(n, len(replies)) - 1]) as server:
        before = configure(api_base=server.url)
        yield server, replies
        configure(api_base=before.api_base)


async def formed(**params):
    """The outcome of Self-MoA of one sample that is asked for a JSON object."""
    asked = {"question": "q", "task": "text", "response_format": OBJECT}
    return await run(asked, self_moa, model="hosted_vllm/any", k=1, **params)


async def test_a_reply_without_its_form_is_asked_for_again_and_a_fence_is_taken_off(models):
    server, replies = models
    replies += ["a solution", "Gladly.", '```json\n{"n": 19}\n```']
    out = await formed()
    assert (out["answer"], out["stop_reason"], len(server.log)) == ('{"n": 19}', "aggregated", 3)


async def test_a_model_that_never_writes_the_form_fails_the_run(models):
    server, replies = models
    replies += ["a solution", "[19]"]
    with pytest.raises(MalformedReply, match=r"asked for a JSON object and replied '\[19\]'"):
        await formed(max_reasks=1)
    assert len(server.log) == 3


@pytest.mark.parametrize("text", ["", "19", '["n"]', 'So: {"n": 1}', '```json {"n": 1}```', '```\n{"n": 1}', "[" * 100_000])
def test_what_is_no_object_is_no_answer(text):
    with pytest.raises(ReplyError, match="the reply is"):
        read_object(text)


# The toy


def aggregated(model, row, answers, seed=0):
    """What a toy makes of solutions with these answers."""
    asked = {"role": "user", "content": f"Solve the problem below.\n\nProblem: {row['question']}"}
    shown = "".join(references([f'Step 1: "all of it": it is {a}.\nThe answer is \\boxed{{{a}}}.' for a in answers]))
    return toy.reply(model, [{"role": "system", "content": AGGREGATE.format(references=shown)}, asked], seed)


@pytest.mark.parametrize("row", ITEMS[::12], ids=lambda row: row["id"])
def test_a_toy_takes_the_answer_that_its_check_confirms(row):
    right = row["answer"]
    assert f"\\boxed{{{right}}}" in aggregated("default?check=1", row, [right + 1, right + 1, right])
    assert f"\\boxed{{{right + 1}}}" in aggregated("default?check=0", row, [right, right + 1, right + 1])
    assert f"\\boxed{{{right}}}" in aggregated("default?error=0&check=1", row, [right + 1, right + 2])


async def test_the_aggregator_s_check_decides_whether_mixing_helps():
    async def right(module, **given):
        asked = [{"question": row["question"], "task": "number"} for row in ITEMS[-16:]]
        states = [await run(one, module, model="toy/default?error=0.3", seed=1, k=3, **given) for one in asked]
        return sum(state["answer"] == row["answer"] for state, row in zip(states, ITEMS[-16:], strict=True))

    vote = await right(self_consistency)
    assert await right(self_moa, roles={"aggregator": "toy/strong?check=0.98"}) > vote
    assert await right(self_moa, roles={"aggregator": "toy/weak?check=0.1"}) < vote
