"""Intervals and tests against published values, or against the same figure worked out another way."""

import math

import pytest

from symposia.statistics import EXACT_BELOW, Key, compare, holm, interval


def once(right: int, n: int) -> list[tuple[str, bool]]:
    """`n` problems, the first of them right."""
    return [(str(i), i < right) for i in range(n)]


def output(*outcomes: int, repeats: int = 1) -> dict[Key, bool]:
    """Outcomes of problems in order, each problem `repeats` times."""
    return {(str(i // repeats), i % repeats + 1): bool(o) for i, o in enumerate(outcomes)}


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_newcombe_gives_it(right: int, n: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    found = interval(once(right, n))
    assert found is not None
    assert (found.method, found.rows, found.problems) == ("wilson", n, n)
    assert found.estimate == right / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_all_right_and_of_one_row_stays_within_bounds() -> None:
    z2 = 1.959964**2
    for n in (1, 50):
        found = interval(once(n, n))
        assert found is not None
        assert found.high == pytest.approx(1.0, abs=1e-9)
        assert found.high <= 1.0
        assert found.low == pytest.approx(n / (n + z2), abs=1e-6)


def test_a_narrower_interval_for_less_confidence() -> None:
    z2 = 1.644854**2
    found = interval(once(0, 20), confidence=0.9)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.0, z2 / (20 + z2)), abs=1e-6)


def test_repeats_are_clustered_by_problem() -> None:
    """4 problems right twice, 3 once, 3 never: the residuals of the problems sum to 0.9, -0.1 and -1.1 around the mean 0.55."""
    scores = [(str(i), right) for i, pair in enumerate([(1, 1)] * 4 + [(1, 0)] * 3 + [(0, 0)] * 3) for right in map(bool, pair)]
    error = math.sqrt(10 / 9 * (4 * 0.9**2 + 3 * 0.1**2 + 3 * 1.1**2)) / 20
    reach = 2.262157 * error  # Student's t with 9 degrees of freedom
    found = interval(scores)
    assert found is not None
    assert (found.method, found.rows, found.problems) == ("clustered", 20, 10)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.55, 0.55 - reach, 0.55 + reach), abs=1e-6)
    alone = interval([(str(i), right) for i, (_, right) in enumerate(scores)])
    assert alone is not None
    assert found.high - found.low > alone.high - alone.low  # repeats are worth less than new problems


@pytest.mark.parametrize(
    "scores",
    [
        [(str(i // 3), True) for i in range(30)],
        [(str(i // 2), i % 2 == 0) for i in range(20)],
        [("only", True), ("only", False)],
    ],
    ids=["all right", "every problem alike", "one problem"],
)
def test_no_spread_between_problems_is_not_certainty(scores: list[tuple[str, bool]]) -> None:
    problems = len({problem for problem, _ in scores})
    mean = sum(right for _, right in scores) / len(scores)
    z2 = 1.959964**2
    middle, reach = mean + z2 / (2 * problems), math.sqrt(z2) * math.sqrt(mean * (1 - mean) / problems + z2 / (4 * problems**2))
    found = interval(scores)
    assert found is not None
    assert found.method == "wilson"
    expected = [(middle + sign * reach) / (1 + z2 / problems) for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(expected, abs=1e-6)


def test_no_rows_have_no_interval() -> None:
    assert interval([]) is None


def discordant(b: int, c: int, both: int = 5) -> tuple[dict[Key, bool], dict[Key, bool]]:
    """Two outputs: `b` problems only the first has right, `c` only the second, `both` each."""
    return output(*[1] * b, *[0] * c, *[1] * both), output(*[0] * b, *[1] * c, *[1] * both)


@pytest.mark.parametrize(("b", "c"), [(8, 2), (0, 3), (12, 12), (24, 0)])
def test_mcnemar_is_the_sign_test_when_few_differ(b: int, c: int) -> None:
    found = compare(*discordant(b, c))
    n = b + c
    tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
    assert n < EXACT_BELOW
    assert (found.test, found.p) == ("mcnemar exact", pytest.approx(min(1.0, 2 * tail)))
    assert (found.first_better, found.second_better) == (b, c)
    assert found.difference == pytest.approx((b - c) / (n + 5))


def test_mcnemar_is_chi_squared_when_many_differ() -> None:
    found = compare(*discordant(20, 5))
    assert found.test == "mcnemar"
    assert found.p == pytest.approx(math.erfc(math.sqrt((15 - 1) ** 2 / 25 / 2)))  # the upper tail of chi squared with one degree


def test_the_bootstrap_interval_is_the_normal_one_where_that_holds() -> None:
    first, second = discordant(200, 100, both=100)
    found = compare(first, second)
    spread = math.sqrt((300 / 400 - 0.25**2) / 400)
    assert found.low is not None
    assert (found.low, found.high) == pytest.approx((0.25 - 1.96 * spread, 0.25 + 1.96 * spread), abs=0.006)
    assert compare(first, second) == found
    assert compare(first, second, seed=1).p == found.p
    assert compare(second, first).difference == -0.25


def test_with_repeats_the_problems_are_compared_and_not_the_rows() -> None:
    """Five problems, each better in one of its two repeats: of the 32 ways to flip the signs two are as far out."""
    found = compare(output(*[1, 1] * 5, repeats=2), output(*[1, 0] * 5, repeats=2))
    assert (found.test, found.pairs, found.problems) == ("sign flips", 10, 5)
    assert found.p == pytest.approx(2 / 32)
    assert (found.difference, found.low, found.high) == (0.5, None, None)


def test_rows_that_only_one_has_are_counted_and_left_out() -> None:
    first = {("a", 1): True, ("b", 1): True, ("c", 1): False}
    second = {("b", 1): False, ("c", 1): False, ("c", 2): True, ("d", 1): True}
    found = compare(first, second)
    assert (found.pairs, found.only_first, found.only_second) == (2, 1, 2)
    assert (found.first, found.second, found.difference) == (0.5, 0.0, 0.5)


def test_edges_of_a_comparison() -> None:
    nothing = compare({}, output(1, 0))
    assert (nothing.pairs, nothing.p, nothing.difference, nothing.only_second) == (0, None, None, 2)
    alike = compare(output(1, 0, 1), output(1, 0, 1))
    assert (alike.p, alike.difference, alike.low) == (1.0, 0.0, None)
    single = compare(output(1), output(0))
    assert (single.p, single.difference, single.low) == (1.0, 1.0, None)


def test_holm_as_by_hand() -> None:
    """Sorted p values times 3, 2, 1, never falling: 0.01 * 3, 0.03 * 2, then 0.06 again for 0.04 * 1."""
    assert holm([0.04, 0.01, None, 0.03]) == [pytest.approx(0.06), pytest.approx(0.03), None, pytest.approx(0.06)]
    assert holm([None]) == [None]
    assert holm([]) == []
