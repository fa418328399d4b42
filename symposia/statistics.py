"""Accuracy with its uncertainty, and whether two outputs differ: statsmodels and scipy do the arithmetic.

- **Interval of one accuracy.** Each problem once: Wilson's score interval (Wilson 1927). Problems repeated: the rows of one problem are not
  independent, so the standard error is clustered by problem, `SE^2 = G/(G-1) * sum_c (sum_{i in c} (s_i - mean))^2 / n^2` with G problems
  and n rows (Miller, "Adding Error Bars to Evals", 2024, arXiv 2411.00640, section 2.2; the factor G/(G-1) is the usual correction for few
  clusters), and the interval is `mean +- t(G-1) * SE`, cut to 0..1. Where that SE is 0, as when all is right, it says nothing about the
  next problem; then it is Wilson's interval over G problems.
- **Two outputs.** Rows are paired by problem and repeat (Miller, section 4.2). Each problem once: McNemar's test, exact (binomial) below 25
  discordant pairs, else chi squared with continuity correction. Repeated: pairs of one problem are not independent, so McNemar does not
  apply; the differences of the problems' means are compared by flipping their signs, all ways of it or 9,999 drawn ones. Both get a
  bootstrap interval of the mean difference over problems (percentile, 9,999 resamples).
- **Several pairs.** p values are corrected after Holm (1979).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from symposia.state.errors import SymposiaError

RESAMPLES = 9_999
EXACT_BELOW = 25
"""Discordant pairs below which McNemar's test is exact."""

_BATCH = 4_000_000  # resampled values in memory at once, 32 MB

Key = tuple[str, int]
"""A row: the id of its problem, and which repeat it is."""


@dataclass(frozen=True)
class Interval:
    """A proportion with its uncertainty, all in 0..1."""

    estimate: float
    low: float
    high: float
    method: str
    """`wilson` or `clustered`."""
    rows: int
    problems: int


@dataclass(frozen=True)
class Comparison:
    """Two outputs over the rows they share."""

    pairs: int
    problems: int
    only_first: int
    only_second: int
    first: float | None
    """Accuracy of the first on the shared rows; None when there are none."""
    second: float | None
    difference: float | None
    """Mean over problems of the first's accuracy less the second's, in -1..1."""
    low: float | None
    """Bounds of the bootstrap interval; None where all problems differ alike, from which it cannot be drawn."""
    high: float | None
    first_better: int
    """Problems on which the first does better; without repeats, the discordant pairs in its favour."""
    second_better: int
    test: str | None
    """`mcnemar exact`, `mcnemar` or `sign flips`."""
    p: float | None


def interval(scores: Sequence[tuple[str, bool]], confidence: float = 0.95) -> Interval | None:
    """The accuracy of rows, each the id of its problem and whether it is right; None without rows."""
    require("scipy", "statsmodels")
    if not scores:
        return None
    import numpy as np
    from scipy.stats import t
    from statsmodels.regression.linear_model import OLS

    right = np.array([float(correct) for _, correct in scores])
    groups = np.unique([problem for problem, _ in scores], return_inverse=True)[1]
    rows, problems, mean = len(right), int(groups.max()) + 1, float(right.mean())
    if problems == rows:
        return Interval(mean, *_wilson(mean, rows, confidence), "wilson", rows, problems)
    if problems == 1 or not np.bincount(groups, right - mean).round(12).any():
        return Interval(mean, *_wilson(mean, problems, confidence), "wilson", rows, problems)
    fitted = OLS(right, np.ones(rows)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    reach = float(t.ppf((1 + confidence) / 2, problems - 1) * fitted.bse[0])
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach), "clustered", rows, problems)


def compare(first: Mapping[Key, bool], second: Mapping[Key, bool], confidence: float = 0.95, seed: int = 0) -> Comparison:
    """Whether two outputs differ on the rows they share.

    Args:
        first: Whether each row of the one is right.
        second: Likewise of the other.
        confidence: Of the bootstrap interval, in 0..1.
        seed: Of the resamples.
    """
    require("scipy", "statsmodels")
    shared = sorted(first.keys() & second.keys())
    only = len(first) - len(shared), len(second) - len(shared)
    differences = _differences(first, second, shared)
    if not shared:
        return Comparison(0, 0, *only, None, None, None, None, None, 0, 0, None, None)
    repeated = len(differences) < len(shared)
    means = [sum(scores[key] for key in shared) / len(shared) for scores in (first, second)]
    better = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    low, high = _bootstrap(differences, confidence, seed)
    test, p = _sign_flips(differences, seed) if repeated else _mcnemar(first, second, shared)
    middle = sum(differences) / len(differences)
    return Comparison(len(shared), len(differences), *only, means[0], means[1], middle, low, high, *better, test, p)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number after Holm; None stays, and counts for nothing."""
    require("scipy", "statsmodels")
    from statsmodels.stats.multitest import multipletests

    known = [p for p in values if p is not None]
    corrected = iter(multipletests(known, method="holm")[1] if known else [])
    return [None if p is None else float(next(corrected)) for p in values]


def _wilson(mean: float, n: int, confidence: float) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(mean * n, n, alpha=1 - confidence, method="wilson")
    return max(0.0, float(low)), min(1.0, float(high))


def _differences(first: Mapping[Key, bool], second: Mapping[Key, bool], shared: Sequence[Key]) -> list[float]:
    """Of each problem: the mean over its shared repeats of the first, less that of the second."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for key in shared:
        found[key[0]].append(int(first[key]) - int(second[key]))
    return [sum(values) / len(values) for values in found.values()]


def _mcnemar(first: Mapping[Key, bool], second: Mapping[Key, bool], shared: Sequence[Key]) -> tuple[str, float]:
    from statsmodels.stats.contingency_tables import mcnemar

    table = [[0, 0], [0, 0]]
    for key in shared:
        table[first[key]][second[key]] += 1
    discordant = table[0][1] + table[1][0]
    if discordant == 0:
        return "mcnemar exact", 1.0
    exact = discordant < EXACT_BELOW
    return "mcnemar exact" if exact else "mcnemar", float(mcnemar(table, exact=exact, correction=True).pvalue)


def _sign_flips(differences: Sequence[float], seed: int) -> tuple[str, float]:
    """Two-sided, on the mean; exact where there are no more ways to flip the signs than resamples."""
    import numpy as np
    from scipy.stats import permutation_test

    options: dict[str, Any] = {"permutation_type": "samples", "n_resamples": RESAMPLES, "batch": max(1, _BATCH // len(differences))}
    found = permutation_test((np.array(differences),), np.mean, vectorized=True, rng=np.random.default_rng(seed), **options)
    return "sign flips", float(found.pvalue)


def _bootstrap(differences: Sequence[float], confidence: float, seed: int) -> tuple[float | None, float | None]:
    import numpy as np
    from scipy.stats import bootstrap

    if len(set(differences)) < 2:
        return None, None
    options: dict[str, Any] = {"n_resamples": RESAMPLES, "batch": max(1, _BATCH // len(differences)), "method": "percentile"}
    options |= {"confidence_level": confidence, "vectorized": True, "rng": np.random.default_rng(seed)}
    found = bootstrap((np.array(differences),), np.mean, **options).confidence_interval
    return float(found.low), float(found.high)


def require(*libraries: str) -> None:
    """See that libraries of the extra `eval` are there.

    Raises:
        SymposiaError: One is not.
    """
    for name in libraries:
        if find_spec(name) is None:
            raise SymposiaError(f"{name} is not installed", remedy="pip install 'symposia[eval]'")
