"""What an aggregation would have scored with fewer samples."""

import math
from collections.abc import Sequence
from itertools import groupby


def best_of_n_accuracy(scores: Sequence[float | None], correct: Sequence[float], k: int) -> float:
    """Expected correctness of the best-scored of `k` samples drawn from N scored ones, without replacement.

    With the samples sorted by score, best first, the i-th is the best of a draw in C(N-1-i, k-1) of C(N, k) cases. Tied samples stand in
    every order equally often, so each counts with their mean; the evaluation code of solve-versus-verify (github.com/nishadsinghi/
    sc-genrm-scaling) shuffles them 100 times instead.

    Args:
        scores: the score of each sample; a missing one ranks below every number.
        correct: the correctness of each sample, 0 to 1.
        k: samples per draw, 1 to N.

    Raises:
        ValueError: `k` is not in 1..N.
    """
    n = len(scores)
    if not 1 <= k <= n:
        raise ValueError(f"k is {k}, but there are {n} samples to draw from")
    ranked = sorted(zip((-math.inf if s is None else s for s in scores), correct, strict=True), key=lambda pair: -pair[0])
    tied = [[right for _, right in group] for _, group in groupby(ranked, key=lambda pair: pair[0])]
    means = [sum(group) / len(group) for group in tied for _ in group]
    return sum(mean * math.comb(n - 1 - i, k - 1) for i, mean in enumerate(means)) / math.comb(n, k)
