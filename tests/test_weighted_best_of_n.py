"""Weighted best of n: the numbered invariants of its specification, its ties, and scorers that fail."""

import random
from typing import Any

import pytest

from symposia.graphs import best_of_n, self_consistency, weighted_best_of_n
from symposia.graphs.weighted_best_of_n import METHOD, Params, report


async def run(asked: Any, module: Any = weighted_best_of_n, **params: Any) -> dict[str, Any]:
    """The last state of a run of this method, or another, on the scripted model."""
    out: dict[str, Any] = await module.graph.ainvoke(asked, context=module.Params(**{"model": "script/any", **params}))
    return out


def solution(answer):
    return "I could not finish." if answer is None else f"Step 1: it is \\boxed{{{answer}}}."


def verdict(score):
    """What a judge replies; None is a reply without a score."""
    return "I cannot tell." if score is None else f"I checked it.\nSCORE: {score}"


async def weigh(script, answers, scores, module=weighted_best_of_n, **params):
    """The outcome of a run with these answers, and these scores of those that are no None."""
    script.replies = {"solve": [solution(a) for a in answers]}
    if module is not self_consistency:
        script.replies["score"] = [verdict(s) for a, s in zip(answers, scores, strict=True) if a is not None]
    given = {"k": len(answers), "max_reasks": 0, **params}
    out = await run({"question": "q", "task": "number", "messages": []}, module, **given)
    assert not any(script.replies.values())
    return out


def masses(out):
    return {t["answer"]: t["weight"] for t in out["vote_weights"]}


@pytest.mark.parametrize("score", [0, 0.1, 0.3, 1])
@pytest.mark.parametrize("answers", [[2, 7, 7], [7, 2, None, 2, 7], [1, 2, 3]])
async def test_inv01_constant_scores_give_the_answer_of_self_consistency(script, answers, score):
    plain = await weigh(script, answers, answers, module=self_consistency)
    assert (await weigh(script, answers, [score] * len(answers)))["answer"] == plain["answer"]


@pytest.mark.parametrize("at", range(4))
async def test_inv02_all_mass_on_one_sample_gives_the_answer_of_best_of_n(script, at):
    answers, scores = [3, 4, 4, 4], [0.1 if i == at else 0 for i in range(4)]
    best = await weigh(script, answers, scores, module=best_of_n)
    out = await weigh(script, answers, scores)
    assert out["answer"] == best["answer"] == answers[at]


@pytest.mark.parametrize("seed", range(4))
async def test_inv03_masses_add_up_to_the_scores_of_samples_with_an_answer(script, seed):
    rng = random.Random(seed)
    answers = [rng.choice([1, 2, None]) for _ in range(6)]
    scores = [rng.choice([None, round(rng.random(), 2)]) for _ in answers]
    out = await weigh(script, answers, scores)
    counted = [s for a, s in zip(answers, scores, strict=True) if a is not None and s is not None]
    assert sum(masses(out).values()) == pytest.approx(sum(counted))


async def test_inv04_two_at_0_6_beat_one_at_0_9(script):
    out = await weigh(script, [9, 6, 6], [0.9, 0.6, 0.6])
    assert (out["answer"], out["stop_reason"]) == (6.0, "voted")
    assert masses(out) == pytest.approx({9.0: 0.9, 6.0: 1.2})


@pytest.mark.parametrize("factor", [0.3, 0.01, 0.7])
async def test_inv05_scaling_all_scores_changes_nothing(script, factor):
    answers, scores = [1, 2, 2, 3, 3, None], [0.7, 0.3, 0.5, 0.1, 0.7, 0.9]  # 2 and 3 tie; 3 owns the better sample
    out = await weigh(script, answers, scores)
    scaled = await weigh(script, answers, [factor * s for s in scores])
    assert scaled["answer"] == out["answer"] == 3.0
    assert list(masses(scaled)) == list(masses(out))


@pytest.mark.parametrize("score", [0, None])
async def test_inv06_without_mass_the_plain_count_decides(script, score):
    out = await weigh(script, [5, 8, 8, None], [score] * 4)
    assert (out["answer"], out["stop_reason"]) == (8.0, "zero_mass")
    assert masses(out) == {5.0: 0.0, 8.0: 0.0}


async def test_equal_masses_go_to_the_owner_of_the_best_sample(script):
    assert (await weigh(script, [1, 1, 2], [0.4, 0.4, 0.8]))["answer"] == 2.0
    assert (await weigh(script, [1, 1, 2], [0.1, 0.2, 0.3]))["answer"] == 2.0  # in floating point 0.1 + 0.2 > 0.3
    assert (await weigh(script, [4, 3, 3, 4], [0.2, 0.5, 0.2, 0.5]))["answer"] == 3.0


async def test_equal_masses_and_samples_go_to_the_lower_index(script):
    assert (await weigh(script, [6, 5], [0.5, 0.5]))["answer"] == 6.0


async def test_a_missing_score_weighs_nothing(script):
    out = await weigh(script, [1, 1, 2], [None, None, 0.1])
    assert (out["answer"], masses(out)) == (2.0, {2.0: 0.1, 1.0: 0.0})


async def test_power_raises_the_scores(script):
    answers, scores = [9, 6, 6], [0.9, 0.6, 0.6]
    out = await weigh(script, answers, scores, power=2.0)
    assert out["answer"] == 9.0
    assert masses(out) == pytest.approx({9.0: 0.81, 6.0: 0.72})


async def test_no_answer_at_all_is_said_and_is_no_error(script):
    out = await weigh(script, [None, None], [None, None])
    assert (out["answer"], out["stop_reason"], out["vote_weights"]) == (None, "no_answer", [])


async def test_the_report_says_how_often_the_weights_matter(script):
    states = [
        await weigh(script, answers, scores)
        for answers, scores in (([9, 6, 6], [0.9, 0.2, 0.2]), ([9, 6, 6], [0.9, 0.9, 0.9]), ([5, 8], [0, 0]), ([None, None], [None, None]))
    ]
    assert report([(state, []) for state in states]) == {"runs": 4, "differ": 1, "zero_mass": 1}
    assert report([]) == {"runs": 0, "differ": 0, "zero_mass": 0}


async def test_calls_are_as_the_method_says(script):
    await weigh(script, [1, 2, 3], [0.1, 0.2, 0.3])
    params = Params(k=3)
    assert len(script.prompts["solve"]) == METHOD.count(METHOD.calls, params) == 3
    assert len(script.prompts["score"]) == METHOD.count(METHOD.scoring, params) == 3
    assert [o["temperature"] for o in script.options] == [0.7] * 3 + [0] * 3


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_a_reference_reaches_neither_state_nor_prompt(script, key):
    script.replies = {"solve": [solution(1), solution(2)], "score": [verdict(0.5)] * 2}
    out = await run({"question": "q", "task": "number", key: "SECRET"}, k=2)
    assert not any("SECRET" in prompt for prompts in script.prompts.values() for prompt in prompts)
    assert "SECRET" not in str(out)
