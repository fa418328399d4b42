"""Step-labelled solutions: cutting one into its steps, and writing marks behind them."""

import re
from collections.abc import Sequence
from itertools import pairwise

_LABEL = re.compile(r"^[ \t>*#-]{0,8}step[ \t]{1,4}\d+\b", re.IGNORECASE | re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def split_steps(chain: str) -> list[str]:
    """The steps of a solution, cut before each "Step n" that begins a line, whatever the integer; one step when there is no label.

    Text before the first label belongs to the first step; blank lines are collapsed. An empty solution has no step.
    """
    text = _BLANK.sub("\n", chain.strip())
    if not text:
        return []
    cuts = [m.start() for m in _LABEL.finditer(text)]
    bounds = [0, *cuts[1:], len(text)]
    return [text[a:b].strip() for a, b in pairwise(bounds)]


def mark(score: float) -> str:
    """A score in 0..1 as a mark: rounded to one decimal, times ten, so 0.57 is `6/10`."""
    return f"{round(round(score, 1) * 10)}/10"


def annotate(chain: str, scores: Sequence[float]) -> list[str]:
    """The solution with a mark behind each step, as parts of a prompt; steps without a score stay unmarked.

    MAgICoRe's authors' code: each step is followed by its process score as "n/10".
    """
    marks = [f" {mark(s)}\n" for s in scores]
    steps = split_steps(chain)
    return [part for i, step in enumerate(steps) for part in (step, marks[i] if i < len(marks) else "\n")]
