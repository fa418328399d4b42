"""ReConcile: the numbered invariants of its specification, replies that cannot be read, and the toys that play it."""

import json
import re

import pytest

from symposia.graphs.reconcile import METHOD, Params, confidence_of, graph, weight_of
from symposia.tools import toy
from symposia.tools.providers import litellm

ASKED = {"question": "the question", "task": "number"}


def opinion(name, answer, sure=None):
    line = "" if sure is None else f"\nCONFIDENCE: {sure}"
    return f"Step 1: thought {name}, so \\boxed{{{answer}}}.{line}"


async def discussed(script, *rounds, **params):
    """The outcome of rounds of (answer, confidence) pairs; reply `r.i` is that of agent i in round r."""
    spoken = [[opinion(f"{r}.{i}", *pair) for i, pair in enumerate(pairs)] for r, pairs in enumerate(rounds)]
    script.replies = {"solve": spoken[0], "discuss": [text for texts in spoken[1:] for text in texts]}
    given = {"model": "script/any", "k": len(rounds[0]), "max_rounds": len(rounds) - 1, **params}
    out = await graph.ainvoke(ASKED, context=Params(**given))
    assert not any(script.replies.values())
    return out


SPLIT = [(1, 0.7), (2, 0.7), (3, 0.7)]


async def test_inv01_agreement_at_once_takes_three_calls(script):
    out = await discussed(script, [(4, 0.2), (4, 0.9), (4.0, 1)], max_rounds=2)
    assert script.calls == 3
    assert (out["answer"], out["stop_reason"], out["team"]) == (4, "agreed", [4])


async def test_inv01_agreement_after_a_discussion_ends_it(script):
    out = await discussed(script, SPLIT, [(2, 0.7)] * 3, max_rounds=2)
    assert (script.calls, out["answer"], out["stop_reason"], out["team"]) == (6, 2, "agreed", [1, 2])


@pytest.mark.parametrize("max_rounds", [0, 1, 2])
async def test_inv01_without_agreement_the_calls_are_those_of_the_formula(script, max_rounds):
    out = await discussed(script, *[SPLIT] * (1 + max_rounds))
    assert script.calls == 3 + 3 * max_rounds == METHOD.count(METHOD.calls, Params(max_rounds=max_rounds))
    assert (out["answer"], out["stop_reason"]) == (1, "max_rounds")
    assert METHOD.count(METHOD.calls, Params()) == 9


async def test_inv02_an_agent_never_gets_its_own_examples(script):
    examples = [[{"question": f"q{i}.{n}", "explanation": f"e{i}.{n}", "answer": f"a{i}.{n}"} for n in range(4)] for i in range(3)]
    await discussed(script, SPLIT, SPLIT, examples=examples)
    for prompts in (script.prompts["solve"], script.prompts["discuss"]):
        for agent, prompt in enumerate(prompts):
            for part in "qea":
                shown = re.findall(rf"\b{part}(\d)\.(\d)", prompt)
                assert shown == [(str(i), str(n)) for i in range(3) if i != agent for n in range(4)]


@pytest.mark.parametrize(("sure", "winner", "masses"), [(0.6, 1, (1.0, 0.2)), (0.9, 2, (1.0, 1.6))])
async def test_inv03_one_certain_agent_beats_two_at_60_percent_and_not_two_at_90(script, sure, winner, masses):
    out = await discussed(script, [(1, 1.0), (2, sure), (2, sure)])
    assert out["answer"] == winner
    assert tuple(v["weight"] for v in out["vote_weights"]) == pytest.approx(masses)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("CONFIDENCE: 90%", 0.9),
        ("**Confidence:** 0.85.", 0.85),
        ("CONFIDENCE: 9 / 10", 0.9),
        ("CONFIDENCE: .5\nOn reflection\nCONFIDENCE: 0.25", 0.25),
        ("I am sure.", 0.0),
        ("CONFIDENCE: high", 0.0),
        ("CONFIDENCE: 1/0", 0.0),
        ("CONFIDENCE: 1.5", 1.0),
        ("CONFIDENCE: 250%", 1.0),
    ],
)
def test_inv04_and_inv05_how_a_confidence_is_read(text, read):
    assert confidence_of(text) == pytest.approx(read)


async def test_inv04_a_missing_confidence_is_0_and_is_not_asked_for_again(script):
    out = await discussed(script, [(1, "90%"), (2, None)])
    assert out["confidences"] == [[0.9, 0.0]]
    assert [v["weight"] for v in out["vote_weights"]] == [0.8, 0.1]
    assert script.calls == 2


async def test_inv05_a_confidence_above_1_is_clipped(script):
    out = await discussed(script, [(1, 1.5), (2, 1)])
    assert (out["confidences"], out["answer"]) == ([[1.0, 1.0]], 1)


@pytest.mark.parametrize(
    ("confidence", "weight"),
    [(0, 0.1), (0.6, 0.1), (0.61, 0.3), (0.79, 0.3), (0.8, 0.5), (0.89, 0.5), (0.9, 0.8), (0.99, 0.8), (1, 1.0)],
)
def test_the_weight_of_a_confidence(confidence, weight):
    assert weight_of(confidence) == weight


async def test_inv06_without_a_discussion_it_is_the_weighted_vote_of_the_opening(script):
    out = await discussed(script, [(1, 0.5), (2, 0.95), (3, 0.7)], max_rounds=0)
    assert (out["answer"], out["team"], out["stop_reason"]) == (2, [2], "max_rounds")
    assert [(v["answer"], v["weight"]) for v in out["vote_weights"]] == [(1, 0.1), (2, 0.8), (3, 0.3)]


async def test_the_vote_is_over_the_last_round_and_a_tie_goes_to_the_first_agent(script):
    out = await discussed(script, [(7, 1), (7, 1), (8, 1)], [(9, 0.7), (8, 0.7), (7, 0.5)])
    assert (out["answer"], out["team"]) == (9, [7, 9])


async def test_all_agents_read_the_same_blocks_one_for_each_answer_of_the_round_before(script):
    opening = [(5, 0.9), (6, 0.25), (5, 0.4), (7, 1)]
    await discussed(script, opening, [(1, 1), (2, 1), (3, 1), (4, 1)], [(1, 1)] * 4)
    first, second = script.prompts["discuss"][:4], script.prompts["discuss"][4:]
    assert len(set(first)) == len(set(second)) == 1
    assert re.findall(r"^Answer (\S+), held by (\d) of 4 agents:", first[0], re.M) == [("5", "2"), ("6", "1"), ("7", "1")]
    assert re.findall(r"confidence (\S+)\):\nStep 1: thought (\S+),", first[0]) == [
        ("0.90", "0.0"),
        ("0.40", "0.2"),
        ("0.25", "0.1"),
        ("1.00", "0.3"),
    ]
    assert re.findall(r"thought (\S+),", second[0]) == ["1.0", "1.1", "1.2", "1.3"]
    assert "the question" in second[0]


async def test_a_reply_without_answer_is_asked_for_again_and_then_has_no_vote(script):
    script.replies = {"solve": ["I am lost."] * 3, "discuss": []}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=1, max_rounds=0))
    assert (script.calls, out["answers"], out["confidences"], out["stop_reason"]) == (3, [[None]], [[0.0]], "no_answer")
    script.replies = {"solve": ["I am lost.", opinion("x", 3, 0.9), opinion("y", 3, 0.9)], "discuss": []}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=2, max_rounds=0, max_reasks=0))
    assert (out["answers"], out["answer"], out["stop_reason"]) == ([[None, 3]], 3, "max_rounds")


async def test_agents_without_any_answer_have_not_agreed(script):
    script.replies = {"solve": ["lost", "lost"], "discuss": [opinion("a", 3, 1), opinion("b", 3, 1)]}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", k=2, max_reasks=0))
    assert "Nobody has given an answer yet." in script.prompts["discuss"][0]
    assert (out["team"], out["stop_reason"]) == ([None, 3], "agreed")


async def test_an_agent_that_failed_has_no_vote(script):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.replies = {"solve": [error, opinion("b", 2, 0.7), opinion("c", 3, 0.95)]}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", max_rounds=0))
    assert (out["statuses"], out["confidences"]) == ([["failed", "ok", "ok"]], [[0.0, 0.7, 0.95]])
    assert out["answer"] == 3


async def test_agent_i_is_played_by_the_ith_model_in_every_round(script):
    models = ["script/a", "script/b", "script/c"]
    await discussed(script, SPLIT, SPLIT, roles={"solver": models, "debater": models})
    assert [o["model"].removeprefix("script/") for o in script.options] == list("abcabc")


async def test_examples_come_from_plain_json():
    given = {"examples": [[{"question": "q", "explanation": "e", "answer": "a"}]]}
    assert json.loads(Params(**given).model_dump_json())["examples"] == given["examples"]


PROBLEM = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
RIGHT, WRONG = "Step 1: 12 + 7 = 19.\nSo \\boxed{19}.", "Step 1: 12 - 7 = 5.\nSo \\boxed{5}."


def opinions(settings, role="solver", **fields):
    """What a toy at the round table says, with twenty seeds."""
    asked = Params().prompts[role].format(question=PROBLEM, answer_format="Box it.", demonstrations="", **fields)
    return [toy.reply(f"default?{settings}", [{"role": "user", "content": asked}], seed) for seed in range(20)]


def test_a_toy_is_surer_of_what_its_check_confirms():
    sure, unsure = (sum(map(confidence_of, opinions(f"error=0&check={check}"))) / 20 for check in (1, 0))
    assert sure > 0.75 > 0.6 > unsure > 0


def test_a_toy_takes_over_the_explanation_that_its_check_confirms():
    blocks = f"Answer 5.0, held by 2 of 3 agents:\nExplanation (confidence 0.90):\n{WRONG}\nCONFIDENCE: 0.90\n\n"
    blocks += f"Answer 19.0, held by 1 of 3 agents:\nExplanation (confidence 0.30):\n{RIGHT}\nCONFIDENCE: 0.30"
    assert all(RIGHT in said and said.count("CONFIDENCE:") == 1 for said in opinions("check=1&persuade=1", "debater", answers=blocks))
    assert all(WRONG in said for said in opinions("check=0&persuade=1", "debater", answers=blocks))
    assert not any("come to it as well" in said for said in opinions("check=1&persuade=0", "debater", answers=blocks))
