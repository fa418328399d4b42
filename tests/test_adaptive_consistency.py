"""Adaptive-Consistency: when each rule stops, that it draws what one sample after the other would, and what early stopping keeps."""

import random
from typing import Any

import pytest

from symposia.graphs import adaptive_consistency, self_consistency
from symposia.graphs.adaptive_consistency import METHOD, Params, graph
from symposia.state.errors import QuorumMissed, RequestRejected
from symposia.tools.providers import litellm
from symposia.tools.stopping import beta, certain, dirichlet
from symposia.tools.vote import tally, winner


async def run(asked: Any, **params: Any) -> dict[str, Any]:
    """The last state of a run on the scripted model."""
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", **params}))


def solution(answer):
    if isinstance(answer, Exception):
        return answer
    return "I could not finish." if answer is None else f"Step 1: it is \\boxed{{{answer}}}."


async def sampled(script, answers, task="number", **params):
    """The outcome of a run whose samples would give these answers, one after the other; how many were drawn."""
    script.replies = {"solve": [solution(a) for a in answers]}
    out = await run({"question": "q", "task": task, "messages": []}, **{"k": len(answers), **params})
    drawn = len(answers) - len(script.replies["solve"])
    assert out["looks"][-1]["drawn"] == drawn == len(out["chains"][0]) == len(out["statuses"][0]) == len(out["answers"][0])
    assert len(out["chains"]) == len(out["statuses"]) == len(out["answers"]) == 1
    return out, drawn


def courses(n=12, k=14):
    """Courses of answers, from one-sided to wide open, some without an answer."""
    for seed in range(n):
        rng = random.Random(seed)
        spread = rng.choice([[7], [7, 7, 7, 2], [7, 7, 2, None], [7, 2, 3], [1, 2, 3, 4, None]])
        yield [rng.choice(spread) for _ in range(k)]


def one_by_one(rule, answers, threshold=0.95):
    """How many samples a rule takes that looks after each of them."""
    for n in range(1, len(answers)):
        counts = [t["count"] for t in tally(answers[:n])]
        stop = certain(counts, len(answers) - n) if rule == "certain" else {"beta": beta, "dirichlet": dirichlet}[rule](counts) >= threshold
        if counts and stop:
            return n
    return len(answers)


@pytest.mark.parametrize("rule", ["beta", "dirichlet", "certain"])
async def test_the_samples_drawn_are_those_of_one_look_after_each(script, rule):
    drawn = []
    for answers in courses():
        out, n = await sampled(script, answers, rule=rule)
        assert n == one_by_one(rule, answers)
        assert out["answer"] == winner(tally([None if a is None else float(a) for a in answers[:n]]))
        drawn.append(n)
    assert min(drawn) < max(drawn) == 14


async def test_stopping_when_certain_never_changes_the_answer_of_all_samples(script):
    for answers in courses(n=20, k=9):
        out, n = await sampled(script, answers, rule="certain")
        script.replies = {"solve": [solution(a) for a in answers]}
        whole = await self_consistency.graph.ainvoke(
            {"question": "q", "task": "number"}, context=self_consistency.Params(model="script/any", k=9)
        )
        assert (out["answer"], n <= 9) == (whole["answer"], True)


async def test_four_equal_answers_are_enough_at_the_paper_s_threshold(script):
    out, drawn = await sampled(script, [5] * 40)
    assert (out["answer"], drawn, out["stop_reason"], out["confidence"]) == (5.0, 4, "sure", 1.0)
    assert out["looks"] == [{"drawn": 4, "chance": 0.96875, "sure": True, "next": 0}]


async def test_a_doubtful_start_takes_more_samples(script):
    out, drawn = await sampled(script, [5, 5, 2, *[5] * 37])
    assert [(look["drawn"], look["next"], look["sure"]) for look in out["looks"]] == [(4, 3, False), (7, 0, True)]
    assert (out["answer"], drawn) == (5.0, 7)


async def test_dirichlet_weighs_all_other_answers(script):
    answers = [5, 1, 2, 3, *[5] * 36]
    assert (await sampled(script, answers, rule="dirichlet"))[1] > (await sampled(script, answers, rule="beta"))[1]


@pytest.mark.parametrize(("k", "drawn"), [(40, 20), (9, 5), (2, 1), (1, 1)])
async def test_certain_stops_at_half_of_the_samples_at_the_earliest(script, k, drawn):
    assert (await sampled(script, [3] * k, rule="certain"))[1] == drawn


async def test_a_window_that_agrees_decides_by_itself(script):
    answers = [*[1, 1, 2], *[1, 1, 2], *[2, 2, 2], *[1] * 11]
    out, drawn = await sampled(script, answers, rule="window", window=3)
    assert (out["answer"], drawn, out["stop_reason"]) == (2.0, 9, "sure")
    out, drawn = await sampled(script, [1, 1, 2, 2, 2, 1, 1], rule="window", window=3)  # windows do not overlap
    assert (out["answer"], drawn, out["stop_reason"]) == (1.0, 7, "all_samples")
    out, drawn = await sampled(script, [None, None, 4, 4], rule="window", window=2)
    assert (out["answer"], drawn) == (4.0, 4)


@pytest.mark.parametrize("rule", ["beta", "dirichlet", "certain", "window"])
async def test_samples_without_answer_are_drawn_and_do_not_vote(script, rule):
    out, drawn = await sampled(script, [None] * 6, rule=rule)
    assert (out["answer"], drawn, out["stop_reason"], out["vote_weights"]) == (None, 6, "no_answer", [])
    out, _ = await sampled(script, [None, 8, None, 8, 3, 8], rule=rule)
    assert out["answer"] == 8.0


@pytest.mark.parametrize("rule", ["beta", "certain"])
async def test_equal_answers_in_other_forms_are_one_across_rounds(script, rule):
    out, drawn = await sampled(script, ["3", "1/2", "0.5", "3", r"\frac12", "0.50", "1/2", "0.5"], task="math", rule=rule)
    assert {t["answer"] for t in out["vote_weights"]} == {"3", "1/2"}
    assert (out["answer"], len(out["looks"]) > 1, drawn <= 8) == ("1/2", True, True)


async def test_a_tie_of_all_samples_goes_to_the_answer_met_first(script):
    out, drawn = await sampled(script, [7, 2, 2, 7])
    assert (out["answer"], drawn, out["stop_reason"]) == (7.0, 4, "all_samples")


async def test_a_threshold_of_1_is_self_consistency(script):
    out, drawn = await sampled(script, [5] * 12, threshold=1)
    assert (drawn, out["stop_reason"]) == (12, "all_samples")


async def test_a_batch_is_the_least_that_is_asked_for_at_once(script):
    out, drawn = await sampled(script, [5, 5, 2, *[5] * 9], batch=5)
    assert ([look["drawn"] for look in out["looks"]], drawn) == ([5, 10], 10)
    _, drawn = await sampled(script, [1, 2, 3, 4, 5, 6, 7], batch=5)
    assert drawn == 7 == METHOD.count(METHOD.calls, Params(k=7))


async def test_one_prompt_at_temperature_0_7(script):
    await sampled(script, [1, 2, 1, 2, 1, 1, 1, 1])
    assert len(set(script.prompts["solve"])) == 1
    assert {o["temperature"] for o in script.options} == {0.7}
    assert (Params().k, Params().threshold, Params().rule, Params().batch) == (40, 0.95, "beta", 1)


async def test_several_solvers_take_turns_from_round_to_round(script):
    out, drawn = await sampled(script, [1, 2, 3, 4, 5, 6, 7, 8], roles={"solver": ["script/a", "script/b", "script/c"]})
    assert (drawn, len(out["looks"])) == (8, 2)
    assert [o["model"] for o in script.options] == list("abcabcab")


def rejected():
    return litellm().BadRequestError("too long", model="any", llm_provider="script")


async def test_a_failed_sample_among_others_is_drawn_and_does_not_vote(script):
    answers = [5, rejected(), 5, 5, rejected(), *[5] * 7]
    out, drawn = await sampled(script, answers)
    assert (out["answer"], drawn, out["statuses"][0][:5]) == (5.0, 6, ["ok", "failed", "ok", "ok", "failed"])


async def test_too_few_samples_fail_the_run(script):
    with pytest.raises(RequestRejected):
        await sampled(script, [rejected() for _ in range(4)], k=40)
    with pytest.raises(QuorumMissed):
        await sampled(script, [5, rejected(), 5, rejected()], k=40, quorum=3)


@pytest.mark.parametrize("bad", [{"rule": "guess"}, {"threshold": 0}, {"threshold": 1.01}, {"window": 0}, {"batch": 0}])
def test_values_without_meaning_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Params(**bad)


async def test_easy_problems_take_fewer_samples_of_a_toy_than_hard_ones():
    async def drawn(model):
        asked = {
            "question": "Lena has 12 marbles. She finds 7 more marbles. She gives 4 marbles to Max. How many are left?",
            "task": "number",
        }
        runs = [await adaptive_consistency.graph.ainvoke(asked, context=Params(model=model, seed=seed)) for seed in range(4)]
        return sum(state["looks"][-1]["drawn"] for state in runs)

    assert await drawn("toy/default?error=0") == 16
    assert await drawn("toy/default?error=0.4") > 24


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_a_reference_reaches_neither_state_nor_prompt(script, key):
    script.replies = {"solve": ["no idea"] * 2}
    out = await run({"question": "q", "task": "number", key: "SECRET"}, k=2)
    assert not any("SECRET" in prompt for prompt in script.prompts["solve"])
    assert "SECRET" not in str(out)
