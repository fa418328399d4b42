"""Accuracy against cost, with error bars and the Pareto front, as PNG or SVG.

Through matplotlib's object interface, which leaves its global state alone; the same figures give the same file. The colours are those of
Okabe and Ito ("Color Universal Design", 2008), which people with any kind of colour vision tell apart, and each point has a marker of its
own beside.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from symposia.output import safe, toy_note
from symposia.state.errors import BadInput, StoreError
from symposia.statistics import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
AXES = (
    ("cost_usd_per_row", "cost per row, USD"),
    ("tokens_per_row", "tokens per row"),
    ("calls_per_row", "calls per row"),
)
"""What may stand below: the first that is known and not zero for every output, since a price may be unknown and a toy counts no tokens."""

LOGARITHMIC = 8.0
"""Greatest over smallest cost from which on the scale is logarithmic."""

_PLACES: tuple[tuple[int, int, Literal["left", "right"]], ...] = (
    (9, 7, "left"),
    (9, -15, "left"),
    (-9, 7, "right"),
    (-9, -15, "right"),
    (9, 20, "left"),
    (9, -28, "left"),
    (-9, 20, "right"),
)
_STYLE: dict[Any, Any] = {"svg.hashsalt": "symposia", "svg.fonttype": "path", "font.size": 10.0, "axes.unicode_minus": True}


def check_plot(path: Path) -> None:
    """Find out before any work whether a plot can be written there.

    Raises:
        BadInput: Neither PNG nor SVG, or no such folder.
        SymposiaError: matplotlib is not installed.
    """
    if path.suffix.lower() not in (".png", ".svg"):
        raise BadInput(f"--plot {path} is neither .png nor .svg", remedy="such as --plot pareto.svg")
    if not path.parent.is_dir():
        raise BadInput(f"--plot {path}: there is no folder {path.parent}", remedy="make it first")
    require("matplotlib")


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, accuracy) that no other beats: none is at most as costly and at least as good, and better in one.

    From the cheapest to the costliest; of equal points each.
    """
    return sorted(
        (i for i, (x, y) in enumerate(points) if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)),
        key=lambda i: points[i],
    )


def plot(files: Sequence[Mapping[str, Any]], path: Path, confidence: float = 0.95) -> None:
    """Draw outputs, as `measures` gives them, into a file whose suffix says the form; those without an accuracy are left out.

    Raises:
        BadInput: No output has an accuracy.
        StoreError: The file cannot be written.
    """
    shown = [found for found in files if found["accuracy"] is not None]
    if not shown:
        raise BadInput("no output has an accuracy to plot", remedy="grade them: --grader auto")
    import matplotlib

    svg = path.suffix.lower() == ".svg"
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a file's name may hold any character
        figure = _figure(shown, confidence)
        try:
            figure.savefig(path, format="svg" if svg else "png", dpi=160, metadata={"Date": None} if svg else {"Software": None})
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror or error}", remedy="name another file with --plot") from error


def _figure(files: Sequence[Mapping[str, Any]], confidence: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    key, name = next((axis for axis in AXES if all(found[axis[0]] for found in files)), AXES[-1])
    points = [(float(found[key] or 0.0), float(found["accuracy"]["estimate"])) for found in files]
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    best = front(points)
    _draw_front(axes, [points[i] for i in best])
    for i, (found, (x, y)) in enumerate(zip(files, points, strict=True)):
        bounds = found["accuracy"]
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]
        reach = [[max(0.0, y - bounds["low"])], [max(0.0, bounds["high"] - y)]]
        axes.errorbar(x, y, yerr=reach, color=colour, elinewidth=1.3, capsize=3.5, fmt="none", alpha=0.75, zorder=2)
        face = colour if i in best else "white"
        axes.plot(x, y, marker=marker, markersize=8, color=colour, markerfacecolor=face, markeredgewidth=1.6, linestyle="none", zorder=3)
    _scale(axes, [x for x, _ in points], [f["accuracy"] for f in files])
    axes.set_xlabel(name)
    axes.set_ylabel(f"accuracy, with {100 * confidence:g} % interval")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if note := toy_note(model for found in files for model in found["toys"]):
        figure.supxlabel(safe(note), fontsize=8, color="#555555", parse_math=False)
    _label(figure, axes, [safe(_name(found, files)) for found in files], points, [found["accuracy"] for found in files])
    return figure


def _name(found: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    """The file's label, after it the method where it does not say so and the methods differ."""
    methods = ", ".join(found["methods"])
    several = len({tuple(one["methods"]) for one in files}) > 1
    return f"{found['label']} ({methods})" if several and methods and methods not in found["label"] else str(found["label"])


def _draw_front(axes: "Axes", best: Sequence[tuple[float, float]]) -> None:
    """Steps: what is to be had for a cost is the best of all that is cheaper."""
    if len(best) > 1:
        xs, ys = zip(*best, strict=True)
        axes.step(xs, ys, where="post", color="#888888", linewidth=1.2, linestyle=(0, (5, 3)), zorder=1, label="Pareto front")
        axes.legend(loc="lower right", frameon=False, fontsize=9)


def _scale(axes: "Axes", xs: Sequence[float], accuracies: Sequence[Mapping[str, float]]) -> None:
    """Room for the labels on both sides; a logarithmic scale where the costs lie far apart."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    least, most = min(xs), max(xs)
    if least > 0 and most / least >= LOGARITHMIC:
        axes.set_xscale("log")
        spread = (most / least) ** 0.22
        axes.set_xlim(least / spread, most * spread)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        room = 0.22 * (most - least) or 0.5 * most or 1.0
        axes.set_xlim(max(0.0, least - room) if least >= 0 else least - room, most + room)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"))
    low, high = min(a["low"] for a in accuracies), max(a["high"] for a in accuracies)
    room = max(0.04, 0.12 * (high - low))
    axes.set_ylim(max(-0.03, low - room), min(1.03, high + room))


def _label(
    figure: "Figure", axes: "Axes", names: Sequence[str], points: Sequence[tuple[float, float]], accuracies: Sequence[Mapping[str, float]]
) -> None:
    """Write each name beside its point, at the place where it covers fewest points, bars and other names."""
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    figure.draw_without_rendering()
    frame = axes.get_window_extent()
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in axes.transData.transform(points)]
    for (x, _), bounds in zip(points, accuracies, strict=True):
        taken.append(Bbox(axes.transData.transform([(x, bounds["low"]), (x, bounds["high"])])))
    if legend := axes.get_legend():
        taken.append(legend.get_window_extent())
    for name, point in zip(names, points, strict=True):
        written = axes.annotate(name, point, (0, 0), textcoords="offset points", fontsize=9, color="#222222", parse_math=False, zorder=4)
        written.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        written.set_in_layout(False)
        boxes = []
        for x, y, side in _PLACES:
            written.set_position((x, y))
            written.set_horizontalalignment(side)
            boxes.append(written.get_window_extent())
        best = min(range(len(boxes)), key=lambda n: (_covered(boxes[n], taken, frame), n))
        x, y, side = _PLACES[best]
        written.set_position((x, y))
        written.set_horizontalalignment(side)
        taken.append(boxes[best])


def _covered(box: "Bbox", taken: Sequence["Bbox"], frame: "Bbox") -> int:
    """How many things a label would cover; to leave the frame counts as one."""
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return sum(bool(box.overlaps(other)) for other in taken) + (not inside)
