"""When to stop sampling for a vote: how sure the majority is, from the counts of the answers so far, in the order in which they were met.

- `beta` and `dirichlet`: Adaptive-Consistency (Aggarwal, Madaan, Yang, Mausam, 2023, arXiv 2305.11860) and the authors' code
  (Pranjal2041/AdaptiveConsistency): the chance that the leading answer is the likeliest one, of the two most common ones or of all.
- `certain` (ours): no course of the samples that are left can change the winner of the vote.
"""

from collections.abc import Callable, Sequence

Stops = Callable[[Sequence[int], int], bool]
"""Whether to stop, from the counts and the number of samples left."""

DIGITS = 9
"""Decimals that a chance is given to, so that builds of a numerical library do not differ in a state."""


def beta(counts: Sequence[int]) -> float:
    """The chance that the most common answer is likelier than the second one, seen by themselves and equally likely at first.

    The integral of `p^a (1 - p)^b` over 1/2 to 1, as part of that over 0 to 1; a and b are the two highest counts, 0 where there is none.
    """
    from scipy.special import betainc

    first, second = [*sorted(counts, reverse=True), 0, 0][:2]
    return round(float(betainc(second + 1, first + 1, 0.5)), DIGITS)


def dirichlet(counts: Sequence[int]) -> float:
    """The chance that the most common answer is the likeliest of all answers met, each mixture of them equally likely at first.

    Shares drawn from a Dirichlet distribution compare like independent gamma variables, so one integral over the quantiles of the leader's
    is enough, however many answers there are; the authors draw at random, and from the five most common answers only. With fewer than
    three answers this is `beta`, as in their code.
    """
    if len(counts) < 3:
        return beta(counts)
    import numpy as np
    from scipy.integrate import quad
    from scipy.special import gammainc, gammaincinv

    first, *others = sorted(counts, reverse=True)
    shapes = np.array(others) + 1.0
    chance, _ = quad(lambda u: float(np.prod(gammainc(shapes, gammaincinv(first + 1.0, u)))), 0.0, 1.0)
    return round(float(chance), DIGITS)


def certain(counts: Sequence[int], left: int) -> bool:
    """Whether the winner stays, whatever the `left` further samples are; equal counts go to the answer met first."""
    if not counts:
        return left == 0
    place = leader(counts)
    rivals = [(count, i < place) for i, count in enumerate(counts) if i != place]
    return all(count + left + earlier <= counts[place] for count, earlier in [*rivals, (0, False)])


def leader(counts: Sequence[int]) -> int:
    """The place of the highest count, the first among equals.

    Raises:
        ValueError: There is no count.
    """
    return max(range(len(counts)), key=lambda i: counts[i])


def fewest(stops: Stops, counts: Sequence[int], left: int) -> int:
    """How many further samples there must be before a rule can stop: as many as it takes when all give the leading answer.

    Drawn at once they are the very samples that would be drawn one by one. At most `left`.
    """
    grown = list(counts) or [0]
    place = leader(grown)
    for more in range(1, left):
        grown[place] += 1
        if stops(grown, left - more):
            return more
    return left
