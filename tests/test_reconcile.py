"""ReConcile: the numbered invariants of its specification, replies that cannot be read, and the toys that play it."""

import json
import re
from importlib import resources

import pytest

from symposia import runs
from symposia.graphs.reconcile import METHOD, Params, confidence_of, graph, prepare, weight_of, without_confidence
from symposia.state.errors import BadInput
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


# Convincing examples

PEER, PERSON = "Step 1: thought right, so \\boxed{7}.", "Six days and one make a week."


class Class:
    """Agents `script/a`, `script/b`, ... who answer by table, problem by problem, and 7 once an explanation that they believe is shown."""

    def __init__(self, script, answers, believes):
        self.script, self.answers, self.believes, self.asked = script, answers, believes, []
        script.answer = self.reply

    def reply(self, node, messages):
        assert node in ("sample", "solve")
        agent, prompt = self.script.options[-1]["model"].removeprefix("script/"), messages[-1]["content"]
        problem = re.search(r"^Problem: (q\d)$", prompt, re.M)[1]
        if "held by" not in prompt:
            return opinion("right" if self.answers[problem][agent] == 7 else agent, self.answers[problem][agent], 0.9)
        self.asked.append((agent, prompt))
        return opinion("again", 7 if any(text in prompt for text in self.believes.get(agent, [])) else 5, 0.8)


def models(k=3):
    return [f"script/{name}" for name in "abc"[:k]]


async def taught(script, answers, believes, explanations=None, **params):
    """What preparation finds, the answer of every problem being 7; and who was asked again, with which prompt."""
    told = Class(script, {f"q{i}": dict(zip("abc", row, strict=True)) for i, row in enumerate(answers)}, believes)
    rows = [{"question": f"q{i}", "task": "number", "answer": 7} for i in range(len(answers))]
    for i, text in (explanations or {}).items():
        rows[i]["explanation"] = text
    given = {"model": "script/any", "roles": {"solver": models(), "debater": models()}, "max_reasks": 0, **params}
    out = await prepare().compile().ainvoke({"rows": rows}, context=Params(**given))
    return out["answer"], told


async def test_an_example_is_what_turned_an_agent_from_wrong_to_right(script):
    rows = [(7, 5, 6), (5, 7, 7), (7, 7, 7), (5, 5, 5), (7, 5, 5)]
    found, told = await taught(script, rows, {"b": ["thought right"]})
    assert found["examples"] == [[], [{"question": q, "explanation": PEER, "answer": "7"} for q in ("q0", "q4")], []]
    assert (found["problems"], found["wrong"], found["convinced"]) == (5, [2, 3, 3], [0, 2, 0])
    # Nobody is asked again who was right, nor where nobody has an explanation of the right answer.
    assert sorted((agent, re.search(r"q\d", prompt)[0]) for agent, prompt in told.asked) == [
        ("a", "q1"), ("b", "q0"), ("b", "q4"), ("c", "q0"), ("c", "q4"),
    ]  # fmt: skip
    shown = next(prompt for agent, prompt in told.asked if agent == "c" and "q0" in prompt)
    assert re.findall(r"^Answer (\d), held by 1 of 2 agents:\nExplanation \(confidence 0.90\):\n(.*)$", shown, re.M) == [
        ("6", "Step 1: thought c, so \\boxed{6}."),
        ("7", PEER),
    ]


async def test_a_persons_explanation_comes_before_an_agents_and_stands_where_all_are_wrong(script):
    found, told = await taught(script, [(7, 5, 7), (5, 5, 5)], {"a": [PERSON], "b": [PERSON]}, {0: PERSON, 1: PERSON})
    example = {"explanation": PERSON, "answer": "7"}
    assert found["examples"] == [[{"question": "q1", **example}], [{"question": f"q{i}", **example} for i in range(2)], []]
    assert all(f"Explanation (confidence 1.00):\n{PERSON}" in prompt for _, prompt in told.asked)
    assert not any("thought right" in prompt for _, prompt in told.asked)


async def test_the_first_examples_of_each_agent_are_kept(script):
    found, _ = await taught(script, [(7, 5, 7)] * 6, {"b": ["thought right"]})
    assert [e["question"] for e in found["examples"][1]] == ["q0", "q1", "q2", "q3"]
    found, _ = await taught(script, [(7, 5, 7)] * 3, {"b": ["thought right"]}, n_examples=1)
    assert ([e["question"] for e in found["examples"][1]], found["convinced"]) == (["q0"], [0, 3, 0])


async def test_inv02_a_run_shows_the_examples_of_the_artefact_and_no_agent_its_own(script, sqlite):
    own = [[{"question": f"q{i}", "explanation": f"e{i}", "answer": f"a{i}"}] for i in range(3)]
    kept = {"content": {"examples": own}, "method": "reconcile", "params": {}, "run": "p1", "made": 0.0}
    await sqlite.put_artefact("a1", "reconcile", kept)
    script.replies = {"solve": [opinion(str(i), i, 0.7) for i in range(3)]}
    record = runs.new_record("reconcile", {"model": "script/any", "artefact": "a1", "max_rounds": 0}, ASKED)
    result = await runs.start(sqlite, record)
    assert result.status == "ok"
    assert [re.findall(r"\be(\d)\b", prompt) for prompt in script.prompts["solve"]] == [["1", "2"], ["0", "2"], ["0", "1"]]
    assert (await runs.replay(sqlite, result.run_id))[0]["identical"]


async def test_given_examples_come_before_those_of_the_artefact(script, sqlite):
    kept = {"content": {"examples": [[], [{"question": "q", "explanation": "made", "answer": "a"}]]}, "method": "reconcile"}
    await sqlite.put_artefact("a1", "reconcile", kept)
    script.replies = {"solve": [opinion("0", 1, 1)]}
    given = [[], [{"question": "q", "explanation": "given", "answer": "a"}]]
    params = {"model": "script/any", "artefact": "a1", "k": 1, "max_rounds": 0, "examples": given}
    await runs.start(sqlite, runs.new_record("reconcile", params, ASKED))
    assert "given" in script.prompts["solve"][0]
    assert "made" not in script.prompts["solve"][0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "q"}, "row 2 has no answer"),
        ({"question": "q", "answer": [7]}, "row 2 has the answer .7., neither"),
        ({"question": " ", "answer": 7}, "row 2 has no question"),
        ({"question": "q", "answer": 7, "explanation": 3}, "row 2 has an explanation that is no text"),
        ({"question": "q", "answer": 7, "task": "poem"}, "row 2"),
    ],
)
async def test_rows_that_teach_nothing_are_named_before_any_call(script, row, said):
    with pytest.raises(BadInput, match=said):
        await prepare().compile().ainvoke({"rows": [{"question": "q", "answer": 7}, row]}, context=Params(model="script/any"))
    assert script.calls == 0


def test_an_explanation_is_kept_without_its_confidence():
    assert without_confidence("Step 1: so.\n**Confidence:** 0.9\nCONFIDENCE: 90%") == "Step 1: so."


async def test_toys_find_examples_that_end_in_the_right_answer():
    lines = (resources.files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[10:60:5]
    rows = [json.loads(line) for line in lines]
    roles = ["toy/weak", "toy/strong", "toy/default"]
    given = Params(seed=1, n_examples=2, roles={"solver": roles, "debater": roles})
    found = (await prepare().compile().ainvoke({"rows": rows}, context=given))["answer"]
    answers = {row["question"]: row["answer"] for row in rows}
    examples = [example for own in found["examples"] for example in own]
    assert examples
    assert found["wrong"][0] > found["wrong"][1]
    for example in examples:
        assert float(example["answer"]) == answers[example["question"]] == float(re.findall(r"boxed\{(.*?)\}", example["explanation"])[-1])


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
