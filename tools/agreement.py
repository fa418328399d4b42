"""How far verdicts agree with what people say: Cohen's kappa (1960), by statsmodels, and balanced accuracy, per kind of error as well.

Balanced accuracy is the mean of the share of wrong items that are flagged and the share of right ones that are not, so it does not reward
calling everything right. A kind of error is measured against all right items, since those have no kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from symposia.state.errors import BadInput, SymposiaError, shorten


@dataclass(frozen=True)
class Agreement:
    """Agreement over some items, of which `wrong` are labelled so; shares and balanced accuracy in 0..1, kappa in -1..1."""

    items: int
    wrong: int
    flagged_of_wrong: float | None
    """None without any wrong item."""
    kept_of_right: float | None
    """None without any right item."""
    balanced_accuracy: float | None
    """None where one of the two shares is."""
    kappa: float | None
    """None where all items have one label and get one verdict, so that chance alone would agree fully."""


def kappa(verdicts: Sequence[str], labels: Sequence[str], known: Sequence[str]) -> float | None:
    """Agreement in -1..1, unweighted; None where all items have one label and one verdict, so that chance alone would agree fully.

    Args:
        verdicts: What was decided on each item.
        labels: What people say of it.
        known: Every verdict that there is.

    Raises:
        BadInput: The two differ in length, or hold something that is not known.
        SymposiaError: statsmodels is not installed.
    """
    if len(verdicts) != len(labels):
        raise BadInput(f"there are {len(verdicts)} verdicts and {len(labels)} labels", remedy="give one label for each verdict")
    if unknown := {*verdicts, *labels} - set(known):
        raise BadInput(f"{shorten(repr(min(unknown)), 60)} is none of the verdicts", remedy=f"say {', '.join(known)}")
    try:
        from statsmodels.stats.inter_rater import cohens_kappa
    except ImportError:
        raise SymposiaError("statsmodels is not installed", remedy="pip install 'symposia[eval]'") from None

    pairs = list(zip(labels, verdicts, strict=True))
    if len({*verdicts, *labels}) < 2:
        return None
    return float(cohens_kappa([[pairs.count((one, other)) for other in known] for one in known], return_results=False))


def agreement(flagged: Sequence[bool], wrong: Sequence[bool]) -> Agreement:
    """Compare what a detector flags with labels.

    Args:
        flagged: Whether the detector calls each item wrong.
        wrong: Whether its label does.

    Raises:
        BadInput: The two differ in length.
        SymposiaError: statsmodels is not installed.
    """
    words = ("right", "wrong")
    chance = kappa([words[bool(found)] for found in flagged], [words[bool(label)] for label in wrong], words)
    pairs = list(zip(flagged, wrong, strict=True))
    recall = _share([found for found, label in pairs if label])
    quiet = _share([not found for found, label in pairs if not label])
    balanced = None if recall is None or quiet is None else fmean((recall, quiet))
    return Agreement(len(pairs), sum(map(bool, wrong)), recall, quiet, balanced, chance)


def by_kind(flagged: Sequence[bool], kinds: Sequence[str | None]) -> dict[str, Agreement]:
    """The agreement per kind of error, kinds in order of name; an item without a kind is a right one."""
    pairs = list(zip(flagged, kinds, strict=True))
    found = {}
    for kind in sorted({own for own in kinds if own}):
        rows = [(flag, bool(own)) for flag, own in pairs if not own or own == kind]
        found[kind] = agreement([flag for flag, _ in rows], [label for _, label in rows])
    return found


def _share(hits: Sequence[bool]) -> float | None:
    return fmean(hits) if hits else None
