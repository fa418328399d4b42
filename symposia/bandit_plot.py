"""Which arms a bandit pulled, and its regret, over time: a picture as PNG or SVG; the same pulls give the same file."""

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symposia.output import safe
from symposia.pareto import COLOURS, check_plot
from symposia.state.errors import BadInput, StoreError
from symposia.tools.bandit_report import Chose, regret

if TYPE_CHECKING:
    from matplotlib.figure import Figure

check = check_plot
_STYLE: dict[Any, Any] = {"svg.hashsalt": "symposia", "svg.fonttype": "path", "font.size": 10.0}


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Draw a bandit, as `symposia.bandit.read_bandit` gives it, into a file whose suffix says the form.

    Raises:
        BadInput: It has had no reward yet.
        StoreError: The file cannot be written.
    """
    if not found["pulls"]:
        raise BadInput(f"the bandit {found['bandit']} has had no reward yet", remedy="symposia batch laser IN.jsonl -p learn=true")
    import matplotlib

    svg = path.suffix.lower() == ".svg"
    with matplotlib.rc_context(_STYLE):
        figure = _figure(found)
        try:
            figure.savefig(path, format="svg" if svg else "png", dpi=160, metadata={"Date": None} if svg else {"Software": None})
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}", remedy="name another file with --plot") from error


def _figure(found: Mapping[str, Any]) -> "Figure":
    """Above, how often each arm has been pulled; below, the regret."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pulls = found["pulls"]
    steps = range(1, len(pulls) + 1)
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for i, arm in enumerate(found["setup"]["names"]):
        times = list(accumulate(int(pull["arm"] == arm) for pull in pulls))
        upper.plot(steps, times, color=COLOURS[i % len(COLOURS)], drawstyle="steps-post", label=safe(arm))
    upper.set_ylabel("pulls so far")
    upper.legend(frameon=False, fontsize=8, loc="upper left")
    lower.plot(steps, regret([Chose(pull["arm"], pull["raw"]) for pull in pulls]), color="#222222")
    lower.set_ylabel("regret so far")
    lower.set_xlabel("rewards")
    for axes in (upper, lower):
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
