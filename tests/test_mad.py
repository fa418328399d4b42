"""MAD: the numbered invariants of its specification, rulings that settle nothing, and the toys that play it."""

import json
from collections import defaultdict
from typing import Any

import pytest
from server import Server

from symposia.graphs.mad import LEVELS, METHOD, Params, graph
from symposia.nodes.debater import SILENT, conversation
from symposia.nodes.referee import speech as said
from symposia.nodes.referee import stated
from symposia.state.errors import RequestRejected
from symposia.tools import toy
from symposia.tools.providers import litellm
from symposia.tools.settings import configure

ASKED = {"question": "the question", "task": "number"}
OPEN = json.dumps({"settled": False, "side": None, "reason": "both are weak", "answer": None})


def speech(side, n, answer):
    return f"Step 1: {side} speech {n}, so \\boxed{{{answer}}}."


def settled(answer, side="affirmative", **more):
    return json.dumps({"settled": True, "side": side, "reason": "it is clear", "answer": answer, **more})


@pytest.fixture
def chats(script):
    """Every message list sent, as (role, text) pairs, by node."""
    found: dict[str, list[Any]] = defaultdict(list)
    take = script.take

    def keep(node, messages):
        found[node].append([(m["role"], m["content"]) for m in messages])
        found["all"].append(node)
        return take(node, messages)

    script.take = keep
    return found


async def debated(script, rulings, end=("- \\boxed{1}\n- \\boxed{2}", "So \\boxed{2}."), **params):
    """The outcome with these rulings; the affirmative side says 1 and the negative one 2 all the time."""
    n = len(rulings)
    script.replies = {
        "solve": [speech("affirmative", 0, 1)],
        "affirmative": [speech("affirmative", r, 1) for r in range(1, n)],
        "negative": [speech("negative", r, 2) for r in range(n)],
        "referee": list(rulings),
        "candidates": list(end[:1]),
        "choose": list(end[1:]),
    }
    out = await graph.ainvoke(ASKED, context=Params(**{"model": "script/any", "max_reasks": 0, **params}))
    script.left = {node: replies for node, replies in script.replies.items() if replies}
    return out


async def test_inv01_settled_in_the_first_round_takes_three_calls(script):
    out = await debated(script, [settled("7")])
    assert script.calls == 3
    assert (out["answer"], out["stop_reason"]) == (7, "settled")
    assert out["verdicts"] == [{"settled": True, "side": "affirmative", "reason": "it is clear", "answer": 7}]


@pytest.mark.parametrize("rounds", [1, 2, 3])
async def test_inv02_speakers_alternate_the_affirmative_side_first(script, chats, rounds):
    out = await debated(script, [OPEN] * (rounds - 1) + [settled("2", "negative")])
    assert chats["all"] == ["solve", "negative", "referee", *["affirmative", "negative", "referee"] * (rounds - 1)]
    assert [text for (text,) in out["chains"]] == [speech(s, r, a) for r in range(rounds) for s, a in (("affirmative", 1), ("negative", 2))]


async def test_inv02_each_side_keeps_its_own_log_and_hears_the_latest_argument_of_the_other(script, chats):
    await debated(script, [OPEN, OPEN, OPEN])
    third = chats["affirmative"][1]
    assert [role for role, _ in third] == ["user", "assistant", "user", "assistant", "user"]
    assert third[:4] == [*chats["affirmative"][0], ("assistant", speech("affirmative", 1, 1))]
    assert [chats["solve"][0][0], ("assistant", speech("affirmative", 0, 1))] == third[:2]
    assert speech("negative", 1, 2) in third[-1][1]
    assert speech("negative", 0, 2) not in third[-1][1]
    last = chats["negative"][2]
    assert [text for role, text in last if role == "assistant"] == [speech("negative", r, 2) for r in range(2)]
    assert [speech("affirmative", r, 1) in last[-1][1] for r in range(3)] == [False, False, True]
    assert ["negative side" in t for _, t in (last[-1], third[-1])] == [True, False]


async def test_inv03_the_referee_sees_the_arguments_of_its_round_and_its_own_log(script, chats):
    rulings = [OPEN, OPEN.replace("weak", "weaker"), OPEN]
    await debated(script, rulings)
    for t, log in enumerate(chats["referee"]):
        assert [text for role, text in log if role == "assistant"] == rulings[:t]
        asked = [text for role, text in log if role == "user"]
        assert len(asked) == t + 1
        for r, text in enumerate(asked):
            for side, answer in (("affirmative", 1), ("negative", 2)):
                assert [speech(side, n, answer) in text for n in range(3)] == [n == r for n in range(3)]


async def test_inv04_never_settled_takes_nine_calls_and_two(script, chats):
    out = await debated(script, [OPEN] * 3)
    assert script.calls == 11 == METHOD.count(METHOD.calls, Params())
    assert chats["all"][-2:] == ["candidates", "choose"]
    assert (out["answer"], out["stop_reason"], script.left) == (2, "judged", {})


@pytest.mark.parametrize("max_rounds", [0, 1, 4])
async def test_inv04_the_calls_at_the_cap_are_those_of_the_formula(script, max_rounds):
    await debated(script, [OPEN] * (1 + max_rounds), max_rounds=max_rounds)
    assert script.calls == 3 * (1 + max_rounds) + 2 == METHOD.count(METHOD.calls, Params(max_rounds=max_rounds))


async def test_inv05_a_debater_never_sees_the_referee(script, chats):
    await debated(script, [OPEN] * 3)
    assert [len(chats[node]) for node in ("solve", "affirmative", "negative")] == [1, 2, 3]
    for node in ("solve", "affirmative", "negative", "candidates", "choose"):
        said = " ".join(text for log in chats[node] for _, text in log)
        assert "both are weak" not in said
        assert "referee" not in said


async def test_inv06_the_level_changes_the_prompts_of_the_debate_and_no_others(script, chats):
    seen = []
    for level in range(4):
        chats.clear()
        await debated(script, [OPEN] * 3, level=level)
        seen.append({node: list(logs) for node, logs in chats.items()})
    assert all(run[node] == seen[0][node] for run in seen for node in ("solve", "referee", "candidates", "choose"))
    for level, run in enumerate(seen):
        for log in run["negative"] + run["affirmative"]:
            assert [manner in log[-1][1] for manner in LEVELS] == [n == level for n in range(4)]
    assert Params().level == 2


@pytest.mark.parametrize(
    "ruling",
    ["I cannot say.", settled(""), settled(None), settled("unknown"), '{"settled": true, "side": "both", "reason": "", "answer": "5"}'],
    ids=["no JSON", "empty", "null", "not of the task", "no such side"],
)
async def test_a_ruling_that_cannot_be_used_settles_nothing_and_nothing_of_it_stays(script, ruling):
    out = await debated(script, [ruling, OPEN, settled("2", "negative")])
    assert [v["settled"] for v in out["verdicts"]] == [False, False, True]
    assert out["verdicts"][1] == {"settled": False, "side": None, "reason": "both are weak", "answer": None}
    assert (out["answer"], out["stop_reason"], len(out["chains"])) == (2, "settled", 6)


async def test_an_open_ruling_with_an_answer_does_not_end_the_debate(script):
    out = await debated(script, [settled("5").replace("true", "false"), OPEN, OPEN])
    assert (out["answer"], out["stop_reason"]) == (2, "judged")


async def test_an_unreadable_ruling_is_asked_for_again(script):
    script.replies = {"solve": [speech("affirmative", 0, 1)], "negative": [speech("negative", 0, 2)], "referee": ["hm", settled("1")]}
    out = await graph.ainvoke(ASKED, context=Params(model="script/any", max_reasks=1))
    assert (script.calls, out["stop_reason"]) == (4, "settled")


async def test_an_unreadable_choice_leaves_the_last_answer_of_the_affirmative_side(script):
    out = await debated(script, [OPEN] * 3, end=("- 1\n- 2", "I would rather not say."))
    assert (out["answer"], out["stop_reason"]) == (1, "max_rounds")


async def test_list_and_choice_see_the_first_and_the_last_arguments_and_the_choice_the_list(script):
    await debated(script, [OPEN] * 3)
    for node in ("candidates", "choose"):
        (prompt,) = script.prompts[node]
        for side, answer in (("affirmative", 1), ("negative", 2)):
            assert [speech(side, n, answer) in prompt for n in range(3)] == [True, False, True]
    assert "- \\boxed{1}\n- \\boxed{2}" in script.prompts["choose"][0]
    await debated(script, [OPEN], max_rounds=0)
    assert script.prompts["choose"][-1].count("argument of the") == 2


async def test_a_side_that_refuses_has_no_answer_and_without_a_word_is_said_to_be_silent(script):
    script.replies = {"solve": [speech("affirmative", 0, 1)], "referee": [settled("1")]}
    async with Server(faults=["refusal"]) as server:
        before = configure(api_base=server.url)
        try:
            out = await graph.ainvoke(ASKED, context=Params(model="script/any", roles={"opponent": "hosted_vllm/any"}))
        finally:
            configure(api_base=before.api_base)
    assert (out["statuses"], out["answers"]) == ([["ok"], ["refused"]], [[1], [None]])
    assert said({**out, "chains": [["yes"], [""]]}, 1) == SILENT
    assert conversation([([{"role": "user", "content": ["a"]}], ""), ([{"role": "user", "content": ["b"]}], "c")])[0]["content"] == ["b"]


@pytest.mark.parametrize("node", ["negative", "affirmative", "referee", "candidates", "choose"])
async def test_a_role_that_cannot_be_reached_fails_the_run(script, node):
    error = litellm().BadRequestError("too long", model="any", llm_provider="script")
    script.answer = lambda asked, messages: OPEN if asked == "referee" else speech("x", 0, 1)
    script.replies = {node: [error]}
    with pytest.raises(RequestRejected):
        await graph.ainvoke(ASKED, context=Params(model="script/any"))


@pytest.mark.parametrize(
    ("text", "task", "answer"),
    [
        ("8 apples", "number", 8),
        ("\\boxed{3}", "number", 3),
        ("(C)", "letter", "C"),
        ("\\frac{1}{2}", "math", "\\frac{1}{2}"),
        ("", "auto", None),
        ("many", "number", None),
    ],
)
def test_the_answer_of_a_ruling_is_read_by_the_task(text, task, answer):
    assert stated(text, task) == answer


async def test_an_equal_answer_is_written_as_the_side_wrote_it(script):
    out = await debated(script, [settled("2.0", "negative")])
    assert (out["answer"], out["verdicts"][0]["answer"]) == (2, 2)
    script.replies = {"solve": ["So \\boxed{0.5}."], "negative": ["So \\boxed{3}."], "referee": [settled("1/2")]}
    out = await graph.ainvoke({"question": "q", "task": "math"}, context=Params(model="script/any"))
    assert out["answer"] == "0.5"


async def test_the_sides_may_be_two_models(script):
    two = ["script/a", "script/b"]
    await debated(script, [OPEN] * 3, roles={"debater": two, "opponent": two}, model="script/j")
    assert [o["model"].removeprefix("script/") for o in script.options] == list("jbjabjabjjj")
    assert {o["temperature"] for o in script.options} == {0}


PROBLEM = "Lena has 12 marbles. She finds 7 more marbles. How many marbles does Lena have now?"
RIGHT, WRONG = "Step 1: 12 + 7 = 19.\nSo \\boxed{19}.", "Step 1: 12 - 7 = 5.\nSo \\boxed{5}."


def played(role, settings="check=1", **fields):
    """What a toy says to a prompt of a role."""
    asked = Params().prompts[role].format(**{"question": PROBLEM, "answer_format": "Box it.", "manner": "Be fair.", **fields})
    return toy.reply(f"default?{settings}", [{"role": "user", "content": asked}], 0)


@pytest.mark.parametrize(
    ("affirmative", "negative", "check", "ruling"),
    [
        (RIGHT, WRONG, 1, (True, "affirmative", "19")),
        (WRONG, RIGHT, 1, (True, "negative", "19")),
        (WRONG, RIGHT, 0, (True, "affirmative", "5")),
        (WRONG, WRONG.replace("5", "6"), 1, (False, None, None)),
        (WRONG, WRONG, 1, (True, "affirmative", "5")),
        ("Pass.", "Pass.", 1, (False, None, None)),
    ],
)
def test_a_toy_referee_settles_by_its_own_check_or_where_both_agree(affirmative, negative, check, ruling):
    said = json.loads(played("referee", f"check={check}", affirmative=affirmative, negative=negative))
    assert (said["settled"], said["side"], said["answer"]) == ruling


def test_a_toy_opponent_grants_what_its_check_confirms_and_else_solves_by_itself():
    assert "find none" in played("opponent", "check=1&persuade=1", argument=RIGHT)
    for settings, argument in (("check=1&error=0", WRONG), ("check=1&persuade=0&error=0", RIGHT)):
        said = played("opponent", settings, argument=argument)
        assert "I disagree" in said
        assert "boxed{19}" in said


def test_toy_judges_list_what_was_said_and_choose_what_their_check_confirms():
    argued = f"First argument of the affirmative side:\n{WRONG}\n\nFirst argument of the negative side:\n{RIGHT}"
    listed = played("lister", arguments=argued)
    assert listed == "- \\boxed{5}\n- \\boxed{19}"
    assert "boxed{19}" in played("judge", arguments=argued, candidates=listed)
    assert "boxed{5}" in played("judge", "check=0", arguments=argued, candidates=listed)
    assert "boxed" not in played("judge", arguments=argued, candidates="(none)")
