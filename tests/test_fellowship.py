"""Fellowship of the LLMs: the numbered invariants of its specification, the rules of its evaluators, and the toys that play it."""

import json
from collections import defaultdict
from importlib import resources
from typing import Any

import pytest

from symposia.graphs import fellowship, fellowship_evaluators
from symposia.nodes.pair_intake import check_input
from symposia.nodes.pair_judge import NOTHING, UNREAD, JudgeParams, Rating, better, by_mean, by_vote, candidates, rating_reader
from symposia.state.errors import BadInput, ReplyError, RequestRejected
from symposia.tools import toy
from symposia.tools.agreement import kappa
from symposia.tools.providers import litellm

ASKED = {"question": "the question", "task": "number"}
PAIR = {"prompt": "the prompt", "a": "first text", "b": "second text"}
ITEMS = [json.loads(row) for row in (resources.files("symposia.items") / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]


def response(n):
    return f"Step 1: response {n}, so \\boxed{{{n}}}."


def scored(a, b):
    return f"I compared them.\nRATINGS: {a}, {b}"


def rating(a, b):
    return Rating(judge=0, a=a, b=b, texts=[])


@pytest.fixture
def chats(script):
    """Every message list sent, as (role, text) pairs, by node; and the nodes in order."""
    found: dict[str, list[Any]] = defaultdict(list)
    take = script.take

    def keep(node, messages):
        found[node].append([(m["role"], m["content"]) for m in messages])
        found["all"].append(node)
        return take(node, messages)

    script.take = keep
    return found


async def improved(script, scores, **params):
    """The outcome of the loop where the judge says these lines, in order; the responses are 1, 2, ..."""
    rounds = params.get("max_rounds", 2)
    script.replies = {
        "solve": [response(1)],
        "review": [f"review of {n}" for n in range(1, rounds + 1)],
        "refine": [response(n) for n in range(2, rounds + 2)],
        "compare": list(scores),
    }
    return await fellowship.graph.ainvoke(ASKED, context=fellowship.Params(**{"model": "script/any", **params}))


async def evaluated(script, scores, **params):
    """The outcome for a pair where the judges say these lines, in order; the remarks are numbered."""
    speeches = params.get("judges", 3) * params.get("max_rounds", 2)
    script.replies = {"discuss": [f"remark {n}." for n in range(speeches)], "score": list(scores)}
    return await fellowship_evaluators.graph.ainvoke(PAIR, context=fellowship_evaluators.Params(**{"model": "script/any", **params}))


async def test_inv01_exactly_two_critiques_whatever_they_say(script, chats):
    out = await improved(script, [scored(9, 1), scored(9, 1)])
    assert chats["all"] == ["solve", "review", "refine", "review", "refine", "compare", "compare"]
    assert out["feedback"] == ["review of 1", "review of 2"]
    assert [row[0] for row in out["chains"]] == [response(n) for n in (1, 2, 3)]
    assert script.calls == 7 == fellowship.METHOD.count(fellowship.METHOD.calls, fellowship.Params())


async def test_inv02_the_reviewer_sees_each_response_in_its_turn_and_keeps_its_own_log(script, chats):
    await improved(script, [scored(1, 1)] * 2)
    for turn, log in enumerate(chats["review"]):
        assert [text for role, text in log if role == "assistant"] == [f"review of {n}" for n in range(1, turn + 1)]
        asked = [text for role, text in log if role == "user"]
        assert [[response(n) in text for n in (1, 2, 3)] for text in asked] == [[n == t + 1 for n in (1, 2, 3)] for t in range(turn + 1)]


async def test_the_generator_keeps_its_own_log_and_gets_the_whole_reply(script, chats):
    await improved(script, [scored(1, 1)] * 2)
    last = chats["refine"][1]
    assert [role for role, _ in last] == ["user", "assistant", "user", "assistant", "user"]
    assert last[:2] == [chats["solve"][0][0], ("assistant", response(1))]
    assert [[f"review of {n}" in text for n in (1, 2)] for role, text in last if role == "user"] == [
        [False, False],
        [True, False],
        [False, True],
    ]


@pytest.mark.parametrize(("a", "b", "side"), [(7, 7, "tie"), (0.1 + 0.2, 0.3, "tie"), (UNREAD, UNREAD, "tie"), (8, 7, "a"), (7, 7.5, "b")])
def test_inv03_equal_scores_are_a_tie(a, b, side):
    assert better(a, b) == by_vote([rating(a, b)]) == by_mean([rating(a, b)]) == side


async def test_inv03_the_later_of_equals_goes_on_and_an_equal_end_leaves_no_record(script):
    out = await improved(script, [scored(7, 7), scored(6, 6)])
    assert [(m["a"], m["b"], m["verdict"], m["winner"]) for m in out["matches"]] == [(0, 1, "tie", 1), (1, 2, "tie", 2)]
    assert (out["record"], out["answer"], out["stop_reason"]) == (None, 3, "tie")


@pytest.mark.parametrize(
    ("votes", "side"),
    [("aat", "a"), ("at", "a"), ("tb", "b"), ("ab", "tie"), ("abt", "tie"), ("att", "tie"), ("abb", "b"), ("aabbt", "tie"), ("aatt", "a")],
)
def test_inv04_the_plurality_of_a_jury(votes, side):
    assert by_vote([rating(*{"a": (9, 2), "b": (1, 2), "t": (5, 5)}[v]) for v in votes]) == side


async def test_inv04_a_jury_votes_on_signs_where_the_means_say_otherwise(script, chats):
    three = ["script/a", "script/b", "script/c"]
    out = await evaluated(script, [scored(6, 5), scored(6, 5), scored(0, 10)], max_rounds=0, roles={"judge": three})
    assert (out["answer"], out["stop_reason"], script.calls, chats["all"]) == ("a", "preferred", 3, ["score"] * 3)
    assert [o["model"].removeprefix("script/") for o in script.options] == list("abc")
    assert not [text for prompt in script.prompts["score"] for text in fellowship_evaluators.PERSONAS.values() if text in prompt]


SIDES = ("a", "b", "tie")


def test_inv05_kappa_of_identical_labels_is_one():
    assert kappa(["a", "b", "tie", "a"], ["a", "b", "tie", "a"], SIDES) == pytest.approx(1)
    assert kappa(["a", "b", "b", "a"], ["a", "b", "a", "b"], SIDES) == pytest.approx(0)
    assert kappa(["a", "tie", "b", "b"], ["a", "b", "b", "b"], SIDES) == pytest.approx((3 / 4 - 7 / 16) / (1 - 7 / 16))
    assert kappa(["a", "a"], ["a", "a"], SIDES) is None
    assert kappa([], [], SIDES) is None
    for verdicts, labels in ((["a"], []), (["c"], ["a"])):
        with pytest.raises(BadInput):
            kappa(verdicts, labels, SIDES)


def judged(side, reason="preferred"):
    return {"answer": side, "stop_reason": reason}


def test_a_report_is_the_agreement_with_the_sides_that_people_prefer():
    sides = [("a", "A"), ("tie", "b"), ("b", "b"), ("b", " b ")]
    found = fellowship_evaluators.report([(judged(side), [label]) for side, label in sides])
    assert found == {"pairs": 4, "ties": 1, "unreadable": 0, "agreement": 0.75, "kappa": pytest.approx((3 / 4 - 7 / 16) / (1 - 7 / 16))}
    found = fellowship_evaluators.report([(judged("tie", "unreadable"), ["tie"])])
    assert (found["unreadable"], found["agreement"], found["kappa"]) == (1, 1, None)
    assert fellowship_evaluators.report([]) == {"pairs": 0, "ties": 0, "unreadable": 0, "agreement": None, "kappa": None}
    for accepted in (["42"], ["a", "b"]):
        with pytest.raises(BadInput, match="is no side"):
            fellowship_evaluators.report([(judged("a"), accepted)])


def test_a_batch_of_pairs_reports_how_its_evaluator_agrees(symposia, folder):
    (folder / "in.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS[:6]))
    asked = ("batch", "fellowship_evaluators", "in.jsonl", "-o", "out.jsonl", "-p", "judges=1", "-p", "max_rounds=0", "--seed", 1)
    assert symposia(*asked, "--model", "toy/default?check=1").code == 0
    found = symposia("report", "fellowship_evaluators", "out.jsonl", "--json").json
    assert (found["pairs"], found["agreement"], found["kappa"]) == (6, 1, pytest.approx(1))


@pytest.mark.parametrize(
    ("first", "second", "won", "lost"),
    [((9, 1), (2, 8), 3, 1), ((9, 1), (8, 2), 1, 3), ((1, 9), (2, 8), 3, 2), ((1, 9), (8, 2), 2, 3)],
)
async def test_inv06_the_winner_of_the_first_two_meets_the_third_with_the_right_sign(script, first, second, won, lost):
    out = await improved(script, [scored(*first), scored(*second)])
    assert out["record"] == {"prompt": "the question", "chosen": response(won), "rejected": response(lost)}
    assert (out["answer"], out["stop_reason"]) == (won, "preferred")
    shown = [[f"<candidate {name}>\n{response(n)}" in script.prompts["compare"][1] for n in (1, 2, 3)] for name in "AB"]
    winner = 1 if first == (9, 1) else 2
    assert shown == [[n == winner for n in (1, 2, 3)], [False, False, True]]


async def test_one_response_alone_is_judged_by_nobody(script):
    out = await improved(script, [], max_rounds=0)
    assert (out["answer"], out["stop_reason"], out["record"], script.calls) == (1, "one_response", None, 1)


@pytest.mark.parametrize("params", [{"judges": 3}, {"alone": True}, {"both_orders": True, "judges": 2}, {"max_rounds": 1}])
async def test_the_calls_of_the_loop_are_those_of_the_formula(script, params):
    line = "RATING: 4" if params.get("alone") else scored(4, 5)
    await improved(script, [line] * 12, **params)
    assert script.calls == fellowship.METHOD.count(fellowship.METHOD.calls, fellowship.Params(**params))


# The debate


async def test_referees_speak_in_turn_for_two_rounds_and_then_score_by_themselves(script, chats):
    out = await evaluated(script, [scored(6, 5), scored(6, 5), scored(0, 10)])
    assert chats["all"] == ["discuss"] * 6 + ["score"] * 3
    assert script.calls == 9 == fellowship_evaluators.METHOD.count(fellowship_evaluators.METHOD.calls, fellowship_evaluators.Params())
    assert [r["referee"] for r in out["transcript"]] == [0, 1, 2] * 2
    assert (out["answer"], out["stop_reason"]) == ("b", "preferred")  # the means; a vote would say a
    names, manners = list(fellowship_evaluators.PERSONAS), list(fellowship_evaluators.PERSONAS.values())
    for turn, prompt in enumerate(script.prompts["discuss"]):
        assert [f"remark {n}." in prompt for n in range(6)] == [n < turn for n in range(6)]
        assert [manner in prompt for manner in manners] == [n == turn % 3 for n in range(3)]
    for judge, prompt in enumerate(script.prompts["score"]):
        assert [f"Referee {n % 3 + 1} ({names[n % 3]}): remark {n}." in prompt for n in range(6)] == [True] * 6
        assert [manner in prompt for manner in manners] == [n == judge for n in range(3)]
        assert "I compared them" not in prompt


async def test_a_judge_is_one_call(script):
    out = await evaluated(script, [scored(3, 8)], judges=1, max_rounds=0)
    assert (out["answer"], script.calls) == ("b", 1)


async def test_a_score_is_asked_for_once_more_and_then_left_unread(script):
    out = await evaluated(script, ["Hm.", "Well.", "Hm.", scored(2, 3)], judges=2, max_rounds=0)
    assert script.calls == 4
    assert sorted((r["a"], r["b"]) for r in out["ratings"]) == [(UNREAD, UNREAD), (2, 3)]
    assert out["answer"] == "b"
    out = await evaluated(script, ["Hm.", "Well."], judges=1, max_rounds=0)
    assert (out["answer"], out["stop_reason"]) == ("tie", "unreadable")


async def test_in_both_orders_the_means_count_and_a_liking_for_the_first_is_a_tie(script):
    out = await evaluated(script, [scored(9, 4)] * 2, judges=1, max_rounds=0, both_orders=True)
    assert (out["answer"], out["ratings"][0]["a"], script.calls) == ("tie", 6.5, 2)
    shown = ["<candidate A>\nfirst text" in prompt for prompt in script.prompts["score"]]
    assert shown == [True, False]


async def test_one_order_that_cannot_be_read_leaves_the_scores_of_the_other(script):
    out = await evaluated(script, [scored(9, 4), "Hm."], judges=1, max_rounds=0, both_orders=True, max_reasks=0)
    assert [(r["a"], r["b"]) for r in out["ratings"]] == [(9, 4)]


async def test_answers_scored_alone_are_seen_by_no_call_together(script):
    out = await evaluated(script, ["RATING: 6", "RATING: 8/10"], judges=1, max_rounds=0, alone=True)
    assert (out["answer"], [(r["a"], r["b"]) for r in out["ratings"]]) == ("b", [(6, 8)])
    assert [["first text" in p, "second text" in p] for p in script.prompts["score"]] == [[True, False], [False, True]]


@pytest.mark.parametrize(("pick", "side"), [("A", "a"), ("b", "b"), ("**tie**", "tie")])
async def test_a_pick_is_a_verdict(script, pick, side):
    out = await evaluated(script, [f"PICK: {pick}"], judges=1, max_rounds=0, pick=True)
    assert out["answer"] == side


@pytest.mark.parametrize("text", ["", "RATINGS: 7", "RATINGS: 7, 11", "RATINGS: 1, 2, 3", "RATINGS: -1, 5", "RATINGS: x, y", "7, 5"])
def test_what_is_no_pair_of_scores_is_a_complaint(text):
    read = rating_reader(JudgeParams().model_dump(), 2)
    with pytest.raises(ReplyError):
        read(text)
    assert read("RATINGS: 1, 2\nOn second thought:\n**RATINGS: 7.5/10, 6**") == [7.5, 6]


@pytest.mark.parametrize("given", [{"alone": True, "pick": True}, {"alone": True, "both_orders": True}])
def test_styles_that_exclude_each_other_are_refused(given):
    with pytest.raises(ValueError, match="alone"):
        JudgeParams(**given)


@pytest.mark.parametrize("scale", [5, 100])
async def test_the_scale_is_told_and_held_to(script, scale):
    await evaluated(script, [scored(scale, 0)], judges=1, max_rounds=0, scale=scale)
    assert f"to {scale} (best)" in " ".join(script.prompts["score"][0].split())


def test_an_answer_can_neither_close_its_tag_nor_be_nothing():
    assert (
        "".join(candidates(["x</candidate>", ""]))
        == f"<candidate A>\nx&lt;/candidate>\n</candidate>\n\n<candidate B>\n{NOTHING}\n</candidate>"
    )


@pytest.mark.parametrize("node", ["review", "refine", "compare"])
async def test_a_role_that_cannot_be_reached_fails_the_run(script, node):
    script.answer = lambda asked, messages: response(1)
    script.replies = {node: [litellm().BadRequestError("too long", model="any", llm_provider="script")]}
    with pytest.raises(RequestRejected):
        await fellowship.graph.ainvoke(ASKED, context=fellowship.Params(model="script/any"))


@pytest.mark.parametrize("node", ["discuss", "score"])
async def test_an_evaluator_that_cannot_be_reached_fails_the_run(script, node):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.answer = lambda asked, messages: "A remark."
    script.replies = {node: [error]}
    with pytest.raises(RequestRejected):
        await fellowship_evaluators.graph.ainvoke(PAIR, context=fellowship_evaluators.Params(model="script/any", judges=1))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the prompt is missing"),
        ({**PAIR, "prompt": " "}, "the prompt is empty"),
        ({**PAIR, "b": 3}, "answer b is no text"),
        ({"messages": [{"role": "user", "content": "Prompt: x\nA: y"}]}, "no prompt with two answers"),
    ],
)
def test_a_pair_that_is_none_is_named(given, said):
    with pytest.raises(BadInput, match=said):
        check_input(given)


def test_a_chat_holds_a_pair_and_the_first_head_of_each_kind_counts():
    read = fellowship_evaluators.from_messages([{"role": "user", "content": "prompt: Which?\n A: the first\nB:\n\nthe second\nA: no head"}])
    assert read == {"prompt": "Which?", "a": "the first", "b": "the second\nA: no head"}


def test_a_chat_of_nothing_but_heads_is_refused_in_one_pass():
    with pytest.raises(BadInput, match='"B:" is missing'):  # a pattern that tries every start and end never comes back
        fellowship_evaluators.from_messages([{"role": "user", "content": "Prompt:\n" * 20_000 + "A:\n" * 20_000}])


# The toys


@pytest.mark.parametrize("params", [{}, {"judges": 1, "max_rounds": 0}, {"max_rounds": 0, "alone": True}, {"max_rounds": 0, "pick": True}])
async def test_toys_that_never_err_agree_with_the_labels(params):
    given = fellowship_evaluators.Params(model="toy/default?check=1", seed=1, **params)
    inputs = [{key: item[key] for key in PAIR} for item in ITEMS[:6]]
    outs = [await fellowship_evaluators.graph.ainvoke(item, context=given) for item in inputs]
    labels = [item["answer"] for item in ITEMS[:6]]
    assert set(labels) == {"a", "b", "tie"}
    assert kappa([out["answer"] for out in outs], labels, SIDES) == pytest.approx(1)


def test_a_toy_judge_gives_way_to_the_referees_as_far_as_it_can_be_persuaded():
    item = next(item for item in ITEMS if item["answer"] == "a")
    heard = "<earlier>\nReferee 1 (x): Answer A fails when I work it out. Answer B holds when I work it out.\n</earlier>\n\n"
    fields = {"question": item["prompt"], "answers": "".join(candidates([item["a"], item["b"]])), "manner": "", "form": '"RATINGS: x, y"'}
    asked = fellowship.Params().prompts["judge"].format(heard=heard, **fields)
    for persuade, line in ((1, "RATINGS: 3, 9"), (0, "RATINGS: 9, 3")):
        assert toy.reply(f"default?check=1&persuade={persuade}", [{"role": "user", "content": asked}], 0).endswith(line)


async def test_a_toy_generator_mends_what_a_toy_reviewer_finds():
    question = {"question": ITEMS[0]["prompt"], "task": "number"}
    roles = {"solver": "toy/default?error=1", "refiner": "toy/default?error=0&check=1", "reviewer": "toy/default?check=1"}
    out = await fellowship.graph.ainvoke(question, context=fellowship.Params(model="toy/default?check=1", roles=roles, seed=1))
    wrong, *mended = [row[0] for row in out["answers"]]
    assert wrong not in mended
    assert len(set(mended)) == 1
    assert (out["answer"], out["stop_reason"]) == (mended[0], "tie")
    assert [m["verdict"] for m in out["matches"]] == ["b", "tie"]
    assert "4 out of 10" in out["feedback"][0]
    assert "9 out of 10" in out["feedback"][1]
