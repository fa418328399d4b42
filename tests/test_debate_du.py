"""Multi-agent debate (Du et al.): the numbered invariants of its specification, agents that fall silent, and the toys that play it."""

import asyncio
import json
from collections import defaultdict
from importlib import resources
from itertools import permutations
from typing import Any

import pytest

from symposia.graphs import self_consistency
from symposia.graphs.debate_du import DOUBLE_CHECK, METHOD, Params, graph
from symposia.tools import toy
from symposia.tools.providers import litellm

ASKED = {"question": "the question", "task": "number"}


def text(name, answer):
    return f"Step 1: thought {name}, so \\boxed{{{answer}}}."


async def debated(script, openings, *rounds, **params):
    """The outcome of a debate with these answers, round by round; reply `r.i` is that of agent i in round r."""
    spoken = [[text(f"{r}.{i}", a) for i, a in enumerate(answers)] for r, answers in enumerate([openings, *rounds])]
    script.replies = {"solve": spoken[0], "debate": [t for texts in spoken[1:] for t in texts]}
    given = {"model": "script/any", "k": len(openings), "max_rounds": len(rounds), **params}
    out = await graph.ainvoke(ASKED, context=Params(**given))
    assert not any(script.replies.values())
    return out


@pytest.fixture
def logs(script):
    """Every message list sent, by node, in the order of the agents; the reply names where it was given."""
    found: dict[str, list[Any]] = defaultdict(list)

    def answer(node, messages):
        found[node].append([(m["role"], m["content"]) for m in messages])
        return text(f"{node}{len(found[node]) - 1}", len(found[node]))

    script.answer = answer
    return found


@pytest.mark.parametrize("answers", [(1, 2, 2), (3, 4, 5), (7, 7, 7)])
async def test_inv01_without_a_debate_round_it_is_self_consistency(script, answers):
    out = await debated(script, answers)
    script.replies = {"solve": [text(f"0.{i}", a) for i, a in enumerate(answers)]}
    plain = await self_consistency.graph.ainvoke(ASKED, context=self_consistency.Params(model="script/any", k=3))
    same = ("chains", "statuses", "answers", "vote_weights", "confidence", "answer")
    assert {key: out[key] for key in same} == {key: plain[key] for key in same}
    assert script.prompts["solve"][:3] == script.prompts["solve"][3:]
    assert script.calls == 6


async def test_inv02_an_agent_reads_the_others_replies_of_the_round_before_and_not_its_own(script):
    await debated(script, (1, 2, 3), (4, 5, 6), (7, 8, 9))
    for n, prompt in enumerate(script.prompts["debate"]):
        round_, agent = 1 + n // 3, n % 3
        quoted = {(r, i) for r in range(3) for i in range(3) if f"thought {r}.{i}," in prompt}
        assert quoted == {(round_ - 1, i) for i in range(3) if i != agent}
        assert prompt.count("Solution of another agent:") == 2
        assert "the question" in prompt


async def test_inv02_an_agent_keeps_its_own_conversation_of_two_messages_a_round(logs):
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=3, max_rounds=2))
    assert [len(messages) for messages in logs["solve"] + logs["debate"]] == [1, 1, 1, 3, 3, 3, 5, 5, 5]
    for agent in range(3):
        first, second, third = logs["solve"][agent], logs["debate"][agent], logs["debate"][3 + agent]
        assert second[:2] == [*first, ("assistant", out["chains"][0][agent])]
        assert third[:4] == [*second, ("assistant", out["chains"][1][agent])]
        assert [role for role, _ in third] == ["user", "assistant", "user", "assistant", "user"]


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:])
async def test_inv03_the_order_of_the_agents_inside_a_round_changes_nothing(script, order):
    async def shown(agents):
        script.prompts.clear()
        script.replies = {"solve": [text(f"a{i}", i) for i in agents], "debate": [text(f"b{i}", 5 if i else 6) for i in agents]}
        out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=3, max_rounds=1))
        quoted = [{f"a{i}" for i in range(3) if f"thought a{i}," in prompt} for prompt in script.prompts["debate"]]
        return out["answer"], dict(zip(agents, quoted, strict=True))

    assert await shown(order) == await shown(range(3)) == (5, {i: {f"a{j}" for j in range(3) if j != i} for i in range(3)})


async def test_inv04_one_agent_alone_is_asked_to_check_its_own_solution(script):
    await debated(script, (1,), (2,))
    assert DOUBLE_CHECK in script.prompts["debate"][0]
    assert "another agent" not in script.prompts["debate"][0]
    await debated(script, (1, 1), (2, 2))
    assert not any(DOUBLE_CHECK in prompt for prompt in script.prompts["debate"][1:])


async def test_inv05_three_agents_and_two_rounds_are_the_default_and_take_six_calls(logs, script):
    await graph.ainvoke(ASKED, context=Params(model="script/any"))
    assert script.calls == METHOD.count(METHOD.calls, Params()) == 6
    assert [len(logs["solve"]), len(logs["debate"])] == [3, 3]


async def test_inv06_the_vote_is_over_the_last_round_alone(script):
    out = await debated(script, (1, 1, 1), (1, 2, 2))
    assert (out["answer"], out["stop_reason"]) == (2, "voted")
    assert [(v["answer"], v["count"]) for v in out["vote_weights"]] == [(1, 1), (2, 2)]


async def test_equal_votes_go_to_the_agent_met_first(script):
    assert (await debated(script, (1, 2, 3), (9, 7, 8)))["answer"] == 9


async def test_agreement_stops_the_debate_only_when_asked_for(script):
    out = await debated(script, (4, 4), (4, 4), max_rounds=1)
    assert (len(out["chains"]), out["stop_reason"]) == (2, "agreed")
    out = await debated(script, (4, 4), max_rounds=3, stop_on_agreement=True)
    assert (len(out["chains"]), out["answer"], out["stop_reason"]) == (1, 4, "agreed")
    out = await debated(script, (4, 5), (5, 5), max_rounds=3, stop_on_agreement=True)
    assert (len(out["chains"]), out["answer"]) == (2, 5)


async def test_agents_that_all_give_no_answer_do_not_agree(script):
    script.replies = {"solve": ["no idea", "none"], "debate": ["no idea", text("1.1", 3)]}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=2, stop_on_agreement=True))
    assert (out["answers"], out["answer"], out["stop_reason"]) == ([[None, None], [None, 3]], 3, "voted")


async def test_an_agent_that_failed_is_quoted_to_nobody_and_goes_on(logs, script):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.replies = {"solve": [text("0.0", 1), error, text("0.2", 3)]}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any"))
    assert out["statuses"] == [["ok", "failed", "ok"], ["ok"] * 3]
    assert [len(messages) for messages in logs["debate"]] == [3, 1, 3]
    assert [messages[-1][1].count("another agent:") for messages in logs["debate"]] == [1, 2, 1]


async def test_agent_i_is_played_by_the_ith_model_in_every_round(script):
    models = ["script/a", "script/b", "script/c"]
    await debated(script, (1, 2, 3), (1, 2, 3), roles={"solver": models, "debater": models})
    assert [o["model"].removeprefix("script/") for o in script.options] == list("abcabc")
    assert not any("temperature" in o for o in script.options)


PROBLEM = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
RIGHT, WRONG = "Step 1: 12 + 7 = 19.\nSo \\boxed{19}.", "Step 1: 12 - 7 = 5.\nSo \\boxed{5}."


async def heard(settings, own, *others):
    """What a toy debater with its own solution says when it is shown others'."""
    said = [part for text in others for part in ("\nSolution of another agent:\n", text, "\n")]
    asked = Params().prompts["debater"].format(advice="Compare.", answer_format="Box it.", question=PROBLEM, others="".join(said))
    chat = [{"role": "user", "content": "Solve."}, {"role": "assistant", "content": own}, {"role": "user", "content": asked}]
    return toy.reply(f"default?{settings}", chat, 0)


@pytest.mark.parametrize(("persuade", "adopts"), [(0, False), (1, True)])
async def test_a_toy_adopts_an_answer_that_its_check_confirms_if_it_lets_itself_be_persuaded(persuade, adopts):
    said = await heard(f"check=1&error=1&persuade={persuade}", WRONG, RIGHT)
    assert ("boxed{19}" in said) is adopts
    assert RIGHT in await heard(f"check=1&persuade={persuade}", RIGHT, WRONG, WRONG)


async def test_a_toy_that_always_misjudges_gives_up_the_right_answer():
    assert WRONG in await heard("check=0&persuade=1", RIGHT, WRONG)


async def test_a_debate_of_toys_is_right_more_often_than_its_openings():
    lines = resources.files("symposia").joinpath("items", "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    runs = [graph.ainvoke({"question": r["question"], "task": "number"}, context=Params(seed=0)) for r in rows]
    done = await asyncio.gather(*runs)
    opened = [a == r["answer"] for r, out in zip(rows, done, strict=True) for a in out["answers"][0]]
    ended = [out["answer"] == r["answer"] for r, out in zip(rows, done, strict=True)]
    assert sum(ended) / len(ended) > sum(opened) / len(opened) + 0.1
