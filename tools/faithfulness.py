"""What mending texts did to their faithfulness, and how far the sentences that were flagged are those that people call wrong.

Labels are words, one for each sentence, in small letters or capitals: "1", "consistent", "yes", "true" or "" is a right one, "0",
"inconsistent", "no" or "false" a wrong one, and any other word a wrong one and the kind of its error.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from symposia.state.errors import BadInput, shorten
from symposia.tools.agreement import agreement, by_kind

_WORD = re.compile(r"[\w-]{0,40}")
_RIGHT, _WRONG = ("", "1", "consistent", "yes", "true"), ("0", "inconsistent", "no", "false")


@dataclass(frozen=True)
class Mending:
    """A text that was gone over: whether it changed, its scores in 0..1, which sentences were flagged at first, and their labels."""

    changed: bool
    before: float | None
    after: float | None
    flagged: Sequence[bool]
    labels: Sequence[str]
    """Empty where nobody has labelled them."""


def labels_of(reference: Sequence[str], sentences: int) -> list[str]:
    """The labels in a run's reference, in small letters; none where it is a text, such as a summary without errors, or several of them.

    Raises:
        BadInput: There are not as many as sentences, or some are words and others are not.
    """
    words = [word for word in reference if _WORD.fullmatch(word)]
    if not words:
        return []
    if len(words) < len(reference):
        strange = next(word for word in reference if word not in words)
        what = f"a row has the label {shorten(repr(strange), 60)} beside {shorten(repr(words[0]), 60)}"
        raise BadInput(what, remedy="a label is one word, such as consistent, inconsistent or the kind of an error")
    if len(words) != sentences:
        what = f"a row has {len(words)} labels for {sentences} sentences"
        raise BadInput(what, remedy="give rows their `sentences`, and a label for each")
    return [word.lower() for word in words]


def mending_report(mended: Sequence[Mending]) -> dict[str, Any]:
    """Figures over texts: `texts`, how many `changed`, `faithfulness`, and `detection`, None where nothing is labelled.

    Faithfulness is the mean before and after over the texts that could be scored both times, `texts` of them. Detection is the agreement
    with the labels over all sentences and by kind of error (`tools/agreement.py`).
    """
    scores = [(one.before, one.after) for one in mended if one.before is not None and one.after is not None]
    before, after = (fmean(pair[i] for pair in scores) if scores else None for i in (0, 1))
    return {
        "texts": len(mended),
        "changed": sum(one.changed for one in mended),
        "faithfulness": {"texts": len(scores), "before": before, "after": after},
        "detection": _detection([mark for one in mended if one.labels for mark in zip(one.flagged, one.labels, strict=True)]),
    }


def _detection(marks: Sequence[tuple[bool, str]]) -> dict[str, Any] | None:
    if not marks:
        return None
    flagged = [flag for flag, _ in marks]
    kinds = [None if word in _RIGHT else word for _, word in marks]
    kinded = [(flag, kind) for flag, kind in zip(flagged, kinds, strict=True) if kind not in _WRONG]
    each = by_kind([flag for flag, _ in kinded], [kind for _, kind in kinded])
    everything = agreement(flagged, [kind is not None for kind in kinds])
    return {"all": asdict(everything), "by_kind": {kind: asdict(found) for kind, found in each.items()}}
