"""`tools/vote.py`: counting and weighing answers."""

import math

import pytest

from symposia.tools.vote import best, confidence, tally, winner


def test_a_tally_keeps_weight_and_count_in_the_order_met():
    found = tally(["b", None, "a", "b"], [0.5, 9.0, 2.0, 0.25])
    assert found == [{"answer": "b", "weight": 0.75, "count": 2}, {"answer": "a", "weight": 2.0, "count": 1}]
    assert tally([None, None], [1.0, 1.0]) == tally([]) == []


def test_without_weights_each_answer_weighs_one():
    assert [(t["answer"], t["weight"]) for t in tally([3.0, 4.0, 3.0, None])] == [(3.0, 2.0), (4.0, 1.0)]


def test_zero_and_empty_text_are_answers():
    assert [t["answer"] for t in tally([0.0, "", 0.0])] == [0.0, ""]


@pytest.mark.parametrize(
    ("answers", "weights", "expected"),
    [
        (["a", "b", "b"], None, "b"),
        (["a", "b", "b", "a"], None, "a"),
        (["b", "a", "a", "b"], None, "b"),
        (["a", "b", "b"], [0.9, 0.3, 0.4], "a"),
        (["a", "b"], [0.0, 0.0], "a"),
        ([None, 0.0], None, 0.0),
        ([None], None, None),
        ([], None, None),
    ],
)
def test_the_winner_weighs_most_the_first_met_among_equals(answers, weights, expected):
    assert winner(tally(answers, weights)) == expected


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([0.1, 0.9, 0.9], 1), ([None, 0.0, None], 1), ([None, -5.0], 1), ([None, None], 0), ([0.3], 0), ([0.5, 0.5], 0)],
)
def test_the_best_is_the_highest_the_earliest_among_equals_and_never_a_missing_one(scores, expected):
    assert best(scores) == expected


def test_there_is_no_best_of_nothing():
    with pytest.raises(ValueError, match="empty"):
        best([])


@pytest.mark.parametrize(
    ("answers", "masses", "expected"),
    [
        (["a", "a", "a"], [0.2, 0.9, 0.4], 1.0),
        (["a", "b", "c"], [0.3, 0.3, 0.3], 0.5),
        (["a", "b"], [1.0, 1.0], 2 / 3),
        (["a", "b"], [0.7, 0.0], 1.0),
        (["a", "a", "b", "b"], [0.5, 0.5, 1.0, 0.0], 2 / 3),
        (["a", None], [1.0, 1.0], 2 / 3),
        ([None, None], [1.0, 2.0], 1.0),
    ],
)
def test_confidence_is_one_for_agreement_and_a_half_for_three_equal_answers(answers, masses, expected):
    assert confidence(answers, masses) == pytest.approx(expected)


def test_confidence_is_twice_one_minus_the_sigmoid_of_the_entropy_in_nats():
    p = [0.5, 0.3, 0.2]
    entropy = -sum(x * math.log(x) for x in p)
    expected = 2 * (1 - 1 / (1 + math.exp(-entropy)))
    assert confidence(["a", "b", "c"], [5.0, 3.0, 2.0]) == pytest.approx(expected)
    assert confidence(["c", "a", "b"], [0.02, 0.05, 0.03]) == pytest.approx(expected)


def test_confidence_falls_as_answers_spread_and_stays_above_zero():
    found = [confidence([str(i) for i in range(n)], [1.0] * n) for n in (1, 2, 3, 8, 40)]
    assert all(c is not None for c in found)
    assert found == sorted(found, key=lambda c: -(c or 0))
    assert 0 < (found[-1] or 0) < 0.1


@pytest.mark.parametrize(("answers", "masses"), [(["a", "b"], [0.0, 0.0]), ([], [])])
def test_without_mass_there_is_no_confidence(answers, masses):
    assert confidence(answers, masses) is None


def test_answers_and_masses_belong_together():
    with pytest.raises(ValueError, match="shorter"):
        confidence(["a", "b"], [1.0])
