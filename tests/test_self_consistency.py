"""Self-consistency: the numbered invariants of its specification, and what the solver is shown."""

from itertools import permutations
from typing import Any

import pytest

from symposia.graphs.self_consistency import METHOD, Params, graph


async def run(asked: Any, **params: Any) -> dict[str, Any]:
    """The last state of a run on the scripted model."""
    return await graph.ainvoke(asked, context=Params(**{"model": "script/any", **params}))


def solution(answer):
    return "I could not finish." if answer is None else f"Step 1: it is \\boxed{{{answer}}}."


async def solve(script, answers, task="number", **params):
    """The outcome of a run whose samples give these answers."""
    script.replies = {"solve": [solution(a) for a in answers]}
    out = await run({"question": "q", "task": task, "messages": []}, **{"k": len(answers), **params})
    assert not script.replies["solve"]
    return out


def counts(out):
    return {t["answer"]: t["count"] for t in out["vote_weights"]}


@pytest.mark.parametrize("answers", [[1, 2, None, 1], [None, 5], [3, 3, 3], [None, None]])
async def test_inv01_counts_add_up_to_the_samples_with_an_answer(script, answers):
    out = await solve(script, answers)
    assert sum(counts(out).values()) == sum(a is not None for a in answers)
    assert sum(t["weight"] for t in out["vote_weights"]) == sum(a is not None for a in answers)


async def test_inv02_without_ties_the_order_does_not_matter(script):
    for answers in set(permutations([3, 3, 5, None, 8])):
        out = await solve(script, answers)
        assert out["answer"] == 3.0
        assert counts(out) == {3.0: 2, 5.0: 1, 8.0: 1}
        assert out["confidence"] == 2 / 5


@pytest.mark.parametrize("at", [0, 1, 4])
async def test_inv03_a_sample_without_answer_changes_neither_winner_nor_counts(script, at):
    answers = [4, 9, 9, 4]  # a tie, so that a vote of None or a shifted order would show
    before = await solve(script, answers)
    after = await solve(script, [*answers[:at], None, *answers[at:]])
    assert after["answer"] == before["answer"] == 4.0
    assert counts(after) == counts(before)
    assert after["confidence"] == 2 / 5  # None stays in the denominator


@pytest.mark.parametrize(("answer", "expected"), [(12, 12.0), (0, 0.0)])
async def test_inv04_one_sample_is_the_answer(script, answer, expected):
    out = await solve(script, [answer])
    assert (out["answer"], out["stop_reason"], out["confidence"]) == (expected, "voted", 1.0)


async def test_inv05_equal_answers_in_other_forms_are_one(script):
    out = await solve(script, ["3", "1/2", "0.5", "3", r"\frac12"], task="math")
    assert counts(out) == {"3": 2, "1/2": 3}
    assert out["answer"] == "1/2"


async def test_inv06_no_answer_at_all_is_said_and_is_no_error(script):
    out = await solve(script, [None, None, None])
    assert (out["answer"], out["stop_reason"], out["confidence"]) == (None, "no_answer", 0.0)
    assert out["vote_weights"] == []


async def test_a_tie_goes_to_the_answer_met_first(script):
    assert (await solve(script, [7, 2, 2, 7]))["answer"] == 7.0
    assert (await solve(script, [2, 7, 2, 7]))["answer"] == 2.0


async def test_commas_of_thousands_are_read(script):
    assert counts(await solve(script, ["1,000", "1000", "1"])) == {1000.0: 2, 1.0: 1}


async def test_k_samples_of_one_prompt_at_temperature_0_7(script):
    params = Params(model="script/any", k=5)
    await solve(script, [1, 2, 3, 4, 5])
    assert script.calls == METHOD.count(METHOD.calls, params) == 5
    assert len(set(script.prompts["solve"])) == 1  # nothing of its own in a sample's prompt
    assert {o["temperature"] for o in script.options} == {0.7}
    assert Params().k == 40


@pytest.mark.parametrize("key", ["gold", "reference", "answer"])
async def test_a_reference_reaches_neither_state_nor_prompt(script, key):
    script.replies = {"solve": ["no idea"] * 2}
    out = await run({"question": "q", "task": "number", key: "SECRET"}, k=2)
    assert not any("SECRET" in prompt for prompt in script.prompts["solve"])
    assert "SECRET" not in str(out)
