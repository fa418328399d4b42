"""`tools/stopping.py`: how sure a vote is, against other ways to work it out and against every course it could take."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from symposia.tools.stopping import beta, certain, dirichlet, fewest, leader
from symposia.tools.vote import tally, winner


@pytest.mark.parametrize("first", range(8))
@pytest.mark.parametrize("second", range(8))
def test_beta_is_the_tail_of_a_binomial(first, second):
    high, low = max(first, second), min(first, second)
    n = high + low + 1
    assert beta([first, second]) == pytest.approx(float(Fraction(sum(comb(n, j) for j in range(high + 1)), 2**n)), abs=1e-8)


def test_beta_takes_the_two_highest_counts():
    assert beta([1, 5, 0, 2]) == beta([5, 2]) == beta([2, 2, 5])
    assert (beta([]), beta([3, 3])) == (0.5, 0.5)


def test_the_paper_s_threshold_needs_four_equal_answers():
    assert [beta([n]) >= 0.95 for n in range(6)] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("counts", [[2, 1, 1], [5, 1, 1], [3, 3, 1], [4, 2, 1, 1, 1], [10, 8, 7, 1, 1, 1]])
def test_dirichlet_is_how_often_the_leader_has_the_largest_share(counts):
    shares = np.random.default_rng(0).dirichlet(np.array(counts) + 1, 100_000)
    assert dirichlet(counts) == pytest.approx((shares.argmax(axis=1) == leader(counts)).mean(), abs=0.006)


@pytest.mark.parametrize("n", [3, 5, 9])
def test_dirichlet_of_equal_counts_is_an_equal_chance(n):
    assert dirichlet([2] * n) == pytest.approx(1 / n)


def test_dirichlet_of_up_to_two_answers_is_beta_and_order_does_not_matter():
    assert [dirichlet(c) for c in ([], [3], [2, 4])] == [beta(c) for c in ([], [3], [2, 4])]
    assert dirichlet([1, 6, 2]) == dirichlet([6, 2, 1])
    assert dirichlet([6, 2, 1]) < beta([6, 2, 1])


COUNTS = [[], [1], [2], [1, 1], [2, 1], [1, 2], [3, 1], [2, 2], [3, 1, 1], [1, 3, 2]]


def courses(counts, length):
    """Every course of so many further samples: answers met, a new one, the next new one, or none."""
    return product([*range(len(counts) + 2), None], repeat=length)


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("left", range(4))
def test_certain_is_that_no_course_changes_the_winner(counts, left):
    met = [*range(len(counts)), *(answer for answer, count in enumerate(counts) for _ in range(count - 1))]
    winners = {winner(tally([*met, *course])) for course in courses(counts, left)}
    assert certain(counts, left) == (len(winners) == 1)


RULES = {
    "beta": lambda counts, left: bool(counts) and beta(counts) >= 0.85,
    "dirichlet": lambda counts, left: bool(counts) and dirichlet(counts) >= 0.75,
    "certain": certain,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("counts", [c for c in COUNTS if len(c) < 3], ids=str)
def test_no_course_stops_before_the_fewest_samples_and_one_does_then(rule, counts):
    left = 5
    n = fewest(RULES[rule], counts, left)
    for length in range(1, n):
        assert not any(RULES[rule](after(counts, course), left - length) for course in courses(counts, length))
    if n < left:
        assert any(RULES[rule](after(counts, course), left - n) for course in courses(counts, n))


def after(counts, course):
    """The counts after a course, those of the answers met first."""
    grown = [*counts, 0, 0]
    for answer in course:
        if answer is not None:
            grown[answer] += 1
    return [c for c in grown if c]


def test_fewest_asks_for_all_that_is_left_where_nothing_stops():
    assert fewest(lambda counts, left: False, [2, 1], 7) == 7
    assert fewest(lambda counts, left: True, [1], 0) == 0


def test_there_is_no_leader_of_nothing():
    with pytest.raises(ValueError, match="empty"):
        leader([])
