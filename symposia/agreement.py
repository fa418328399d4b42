"""How far a detector of unfaithful sentences agrees with labels, over all sentences and per kind of error.

Balanced accuracy is the mean of the share of wrong sentences that are flagged and the share of right ones that are not, so it does not
reward calling everything right; Cohen's kappa (1960) is statsmodels'. A kind of error is measured against all right sentences, since those
have no kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from symposia.statistics import require


@dataclass(frozen=True)
class Agreement:
    """Agreement over some sentences, of which `wrong` are labelled unfaithful; shares and balanced accuracy in 0..1, kappa in -1..1."""

    sentences: int
    wrong: int
    flagged_of_wrong: float | None
    """None without any wrong sentence."""
    kept_of_right: float | None
    """None without any right sentence."""
    balanced_accuracy: float | None
    """None where one of the two shares is."""
    kappa: float | None
    """None where all sentences have one label and get one verdict, so that chance alone would agree fully."""


def agreement(flagged: Sequence[bool], wrong: Sequence[bool]) -> Agreement:
    """Compare verdicts with labels.

    Args:
        flagged: Whether the detector calls each sentence unfaithful.
        wrong: Whether its label does.

    Raises:
        ValueError: The two differ in length.
    """
    require("statsmodels")
    from statsmodels.stats.inter_rater import cohens_kappa

    table = [[0, 0], [0, 0]]
    for found, label in zip(flagged, wrong, strict=True):
        table[bool(label)][bool(found)] += 1
    (kept, alarms), (missed, hits) = table
    recall = hits / (hits + missed) if hits + missed else None
    quiet = kept / (kept + alarms) if kept + alarms else None
    balanced = None if recall is None or quiet is None else fmean((recall, quiet))
    total = kept + alarms + missed + hits
    one_sided = total in (0, kept, hits)
    kappa = None if one_sided else float(cohens_kappa(table, return_results=False))
    return Agreement(total, hits + missed, recall, quiet, balanced, kappa)


def by_kind(flagged: Sequence[bool], kinds: Sequence[str | None]) -> dict[str, Agreement]:
    """The agreement per kind of error, kinds in order of name; a sentence without a kind is a right one."""
    pairs = list(zip(flagged, kinds, strict=True))
    return {
        kind: agreement(*zip(*[(found, own is not None) for found, own in pairs if own in (None, kind)], strict=True))
        for kind in sorted({own for _, own in pairs if own is not None})
    }
