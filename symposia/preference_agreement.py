"""How far an evaluator of pairs agrees with people: Cohen's kappa (1960) over the labels a, b and tie, by statsmodels."""

from collections.abc import Sequence

from symposia.state.errors import BadInput
from symposia.statistics import require

LABELS = ("a", "b", "tie")


def kappa(verdicts: Sequence[str], labels: Sequence[str]) -> float | None:
    """Agreement in -1..1, unweighted; None where all pairs have one label and one verdict, so that chance alone would agree fully.

    Raises:
        BadInput: The two differ in length, or hold something else than a, b and tie.
        SymposiaError: statsmodels is not installed.
    """
    if len(verdicts) != len(labels):
        raise BadInput(f"there are {len(verdicts)} verdicts and {len(labels)} labels", remedy="give one label for each verdict")
    if unknown := {*verdicts, *labels} - set(LABELS):
        raise BadInput(f"{min(unknown)!r} is no verdict on a pair", remedy="say a, b or tie")
    require("statsmodels")
    from statsmodels.stats.inter_rater import cohens_kappa

    table = [[sum(pair == (one, other) for pair in zip(labels, verdicts, strict=True)) for other in LABELS] for one in LABELS]
    if any(table[i][i] == len(labels) for i in range(len(LABELS))):
        return None
    return float(cohens_kappa(table, return_results=False))
