"""Best of n: the numbered invariants of its specification, open text, and scorers that fail."""

import math
import random
from itertools import combinations, permutations
from typing import Any

import pytest

from symposia import runs
from symposia.graphs.best_of_n import METHOD, Params, graph, report
from symposia.state.errors import BadInput
from symposia.tools.accuracy import best_of_n_accuracy


async def run(asked: Any, **params: Any) -> dict[str, Any]:
    """The last state of a run on the scripted model."""
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", **params}))


SCORES = [0.4, 0.9, 0.1, 0.9, 0.6]


def solution(answer, note=""):
    return "I could not finish." if answer is None else f"Step 1:{note} it is \\boxed{{{answer}}}."


def verdict(score):
    """What a judge replies; None is a reply without a score."""
    return "I cannot tell." if score is None else f"I checked it.\nSCORE: {score}"


async def choose(script, candidates, scores, task="number", **params):
    """The outcome of a run with these candidates and, for those that are shown to the judge, these scores."""
    script.replies = {"solve": list(candidates), "score": [verdict(s) for s in scores]}
    out = await run({"question": "q", "task": task, "messages": []}, **{"k": len(candidates), "max_reasks": 0, **params})
    assert not any(script.replies.values())
    return out


async def pick(script, scores):
    """Index of the candidate that is chosen for these scores; candidate i answers i."""
    out = await choose(script, [solution(i) for i in range(len(scores))], scores)
    assert out["answer"] == out["best_index"]
    return out["best_index"]


@pytest.mark.parametrize("scores", [[0.2, 0.8, 0.5], [0.5, None, 0.1], [None, None, None]])
async def test_inv01_the_final_text_is_a_candidate_unchanged(script, scores):
    poems = ["  A line,\n\nand another. ", "Roses \\boxed{are} red", "x\ty"]
    out = await choose(script, poems, scores, task="text")
    assert out["answer"] == poems[out["best_index"]]
    assert out["messages"][-1].content == poems[out["best_index"]]
    assert out["chains"] == [poems]


async def test_inv01_a_chat_shows_the_candidate_unchanged_beside_its_answer(script):
    candidates = [solution(1), solution(2, note=" in other words,\n")]
    out = await choose(script, candidates, [0.1, 0.2])
    assert (out["answer"], out["messages"][-1].content) == (2.0, candidates[1])


async def test_inv02_its_score_is_the_maximum(script):
    rng = random.Random(2)
    for _ in range(5):
        scores = [round(rng.random(), 2) for _ in range(4)]
        assert scores[await pick(script, scores)] == max(scores)
    for order in permutations([0.0, 0.5, 1.0]):
        assert order[await pick(script, order)] == 1.0


@pytest.mark.parametrize("transform", [lambda s: s**3, math.sqrt, lambda s: 0.2 + 0.7 * s], ids=["cube", "root", "affine"])
async def test_inv03_increasing_transforms_change_nothing(script, transform):
    assert await pick(script, [transform(s) for s in SCORES]) == await pick(script, SCORES) == 1


@pytest.mark.parametrize("score", [0, 1, 0.3, None])
async def test_inv04_with_one_candidate_the_scorer_does_not_matter(script, score):
    out = await choose(script, [solution(42)], [score])
    assert (out["best_index"], out["answer"]) == (0, 42.0)


@pytest.mark.parametrize("seed", range(5))
def test_inv05_the_estimator_ends_in_the_top_sample_and_begins_with_the_mean(seed):
    rng = random.Random(seed)
    scores = rng.sample(range(100), 9)
    correct = [rng.random() < 0.5 for _ in scores]
    assert best_of_n_accuracy(scores, correct, 9) == correct[scores.index(max(scores))]
    assert best_of_n_accuracy(scores, correct, 1) == pytest.approx(sum(correct) / 9)
    draws = [max(chosen, key=scores.__getitem__) for chosen in combinations(range(9), 4)]
    assert best_of_n_accuracy(scores, correct, 4) == pytest.approx(sum(correct[i] for i in draws) / len(draws))


def test_the_estimator_averages_over_the_orders_of_tied_samples():
    scores, correct = [0.5, 0.5, None, 0.5, 0.1], [1, 0, 1, 0, 1]
    # The best of all is one of the three tied ones; a missing score is below every number.
    assert best_of_n_accuracy(scores, correct, 5) == pytest.approx(1 / 3)
    assert best_of_n_accuracy([None, 0.0], [1, 0], 2) == 0
    found = []
    for chosen in combinations(range(5), 2):
        ranks = [-1.0 if (s := scores[i]) is None else s for i in chosen]
        top = [i for i, rank in zip(chosen, ranks, strict=True) if rank == max(ranks)]
        found.append(sum(correct[i] for i in top) / len(top))
    assert best_of_n_accuracy(scores, correct, 2) == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize("k", [0, 4, -1])
def test_the_estimator_cannot_draw_more_than_there_is(k):
    with pytest.raises(ValueError, match="3 samples"):
        best_of_n_accuracy([1, 2, 3], [1, 0, 1], k)


@pytest.mark.parametrize("score", [0, 0.5, 1, None])
async def test_inv06_equal_scores_choose_the_first_candidate(script, score):
    assert await pick(script, [score] * 4) == 0


async def test_a_tie_goes_to_the_lowest_index(script):
    assert await pick(script, [0.1, 0.8, 0.8]) == 1


async def test_the_report_says_how_often_the_place_decided(script):
    cases = ([1, 2, 3], [0.1, 0.8, 0.8]), ([1, 2, 3], [0.1, 0.1, 0.8]), ([None, 5, None], [0]), ([1, 2], [None, None]), ([None, None], [])
    states = [await choose(script, [solution(a) for a in answers], scores) for answers, scores in cases]
    assert report([(state, []) for state in states]) == {"runs": 5, "ties": 1}
    assert report([]) == {"runs": 0, "ties": 0}


async def test_a_scorer_that_fails_ranks_below_every_number(script):
    assert await pick(script, [None, 0, None]) == 1
    out = await choose(script, [solution(1), solution(2)], [None, None])
    assert (out["best_index"], out["stop_reason"], out["scores"]) == (0, "unscored", [[None, None]])


async def test_a_candidate_without_answer_scores_zero_unasked_and_does_not_win(script):
    out = await choose(script, [solution(None), solution(5), solution(None)], [0])
    assert out["scores"] == [[0.0, 0.0, 0.0]]
    assert (out["best_index"], out["answer"], out["stop_reason"]) == (1, 5.0, "best")
    assert len(script.prompts["score"]) == 1
    out = await choose(script, [solution(None), solution(5)], [None])
    assert (out["answer"], out["stop_reason"]) == (5.0, "unscored")


async def test_no_answer_at_all_is_said_and_is_no_error(script):
    out = await choose(script, [solution(None), solution(None)], [])
    assert (out["answer"], out["stop_reason"]) == (None, "no_answer")


async def test_the_scorer_sees_one_candidate_at_a_time_and_is_greedy(script):
    candidates = [solution(i, note=f" note {i}") for i in range(3)]
    await choose(script, candidates, [0.1, 0.2, 0.3])
    for i, prompt in enumerate(script.prompts["score"]):
        assert [c in prompt for c in candidates] == [j == i for j in range(3)]
    params = Params(k=3)
    assert len(script.prompts["solve"]) == METHOD.count(METHOD.calls, params)
    assert len(script.prompts["score"]) == METHOD.count(METHOD.scoring, params)
    assert [o["temperature"] for o in script.options] == [0.7] * 3 + [0] * 3


@pytest.mark.parametrize("method", ["best_of_n", "weighted_best_of_n"])
@pytest.mark.parametrize("served", ["reward/http://h?model=m", ["toy/default", "reward/http://h?model=m"]], ids=["one", "list"])
def test_a_served_reward_model_and_an_image_are_refused_before_any_call(method, served):
    given = {"roles": {"outcome": served}}
    asked = {"question": "See [image 1].", "images": ["data:image/png;base64,iVBORw0KGgo="]}
    with pytest.raises(BadInput, match=r"the model of outcome is .* reads no images"):
        runs.new_record(method, given, asked)
    assert runs.new_record(method, {}, asked)["input"]["images"] == asked["images"]
    assert runs.new_record(method, given, {"question": "q"})["params"]["roles"] == given["roles"]


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_a_reference_reaches_neither_state_nor_prompt(script, key):
    script.replies = {"solve": [solution(1), solution(2)], "score": [verdict(0.5)] * 2}
    out = await run({"question": "q", "task": "number", key: "SECRET"}, k=2)
    assert not any("SECRET" in prompt for prompts in script.prompts.values() for prompt in prompts)
    assert "SECRET" not in str(out)
