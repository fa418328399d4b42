"""Pictures of the trees of runs: dialogues, with who was persuaded where, and whatever a method's own `picture` shows of its state.

A picture is laid out by graphviz. What models have said stands in it as plain text: control characters are dropped, quotes and backslashes
escaped, long replies cut.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symposia.records import known_answers
from symposia.registry import load
from symposia.runs import replay
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.store import Store
from symposia.tools import dot, trees
from symposia.tools.pairs import correct

_LIMIT = 60.0  # seconds
_FILL = {True: "#e3f4e5", False: "#fbe7e4", None: "#eef3fb"}
_EDGE = {True: "#1f7a34", False: "#b3261e", None: "#0b57b0"}


def tree_dot(tree: Mapping[str, Any], accepted: Sequence[str] = ()) -> str:
    """A tree in graphviz' language: a box per turn with its answer, dashed where a persona is at work, thick where one was persuaded.

    Args:
        tree: Node-link data, as it stands in the state of `pbt` and `pbt_debate`.
        accepted: Every accepted spelling of the right answer; with it right turns are green and wrong ones red.
    """
    graph = trees.read_tree(dict(tree))
    pairs = trees.resolved(graph)
    lines = dot.opening("tree")
    for turn, data in trees.nodes_of(graph):
        agent, parent = data["agent"], trees.parent_of(graph, turn)
        if agent is None or parent is None:
            lines.append(f"  {dot.quoted(turn)} [label={dot.label(data['text'])}, fillcolor=white]")
            continue
        answer = pairs[turn][agent]
        right = correct(answer, accepted) if accepted else None
        moved = trees.persuaded(graph, turn)
        head = f"{agent}: {answer}" + (f" (persuaded by {trees.partner(agent)})" if moved else "")
        end = {"agree": "they agree", "failed": "failed"}.get(data["stopped"], "")
        look = f'fillcolor="{_FILL[right]}", color="{_EDGE[right]}", penwidth={3 if moved else 1}'
        lines.append(f"  {dot.quoted(turn)} [label={dot.label(head, data['text'], end)}, {look}]")
        style = f" [style=dashed, label={dot.label(data['persona'])}]" if data["persona"] != "plain" else ""
        lines.append(f"  {dot.quoted(parent)} -> {dot.quoted(turn)}{style}")
    return "\n".join([*lines, "}"]) + "\n"


def tree_svg(tree: Mapping[str, Any], accepted: Sequence[str] = ()) -> str:
    """The picture of `tree_dot` as SVG.

    Raises:
        SymposiaError: Graphviz is missing or fails.
    """
    return _svg(tree_dot(tree, accepted))


def _svg(text: str) -> str:
    """A picture in graphviz' language as SVG."""
    program = shutil.which("dot")
    if program is None:
        raise SymposiaError("an SVG needs graphviz, and there is no `dot` here", remedy="apt install graphviz, or name a file.dot")
    try:
        done = subprocess.run([program, "-Tsvg"], input=text, capture_output=True, text=True, check=True, timeout=_LIMIT)
    except subprocess.SubprocessError as error:
        raise SymposiaError(f"dot failed: {getattr(error, 'stderr', None) or error}", remedy="name a file.dot, which needs none") from None
    return done.stdout


def draw_tree(tree: Mapping[str, Any], out: Path, accepted: Sequence[str] = ()) -> None:
    """Draw a tree to a file of the suffix .svg or .dot.

    Raises:
        BadInput: The suffix is another one, or the file cannot be written.
        SymposiaError: Graphviz, which makes the SVG, is missing or fails.
    """
    _draw(tree_dot(tree, accepted), out)


def _draw(picture: str, out: Path) -> None:
    if out.suffix not in (".svg", ".dot"):
        raise BadInput(f"cannot draw to {out}: its suffix is {out.suffix or 'none'}", remedy="name a file that ends in .svg or .dot")
    text = _svg(picture) if out.suffix == ".svg" else picture
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}", remedy="name a file in a folder that exists") from None


async def draw_run(store: Store, run_id: str, out: Path | None) -> str | None:
    """Draw the tree of a run to a file, or without one return it in graphviz' language.

    Raises:
        BadInput: The run has no tree, or cannot be replayed.
        SymposiaError: Graphviz, which makes the SVG, is missing or fails.
    """
    record = await store.run(run_id)
    report, execution = await replay(store, record["run_id"])
    if not report["identical"]:
        raise BadInput(
            f"the states of run {record['run_id']} are not known: its replay differs from the record",
            remedy="`symposia show RUN` says where",
        )
    tree, own = execution.values.get("tree"), getattr(load(record["method"]).module, "picture", None)
    if tree is None and own is None:
        raise BadInput(
            f"run {record['run_id']} of {record['method']} has no tree", remedy=f"`symposia draw {record['method']}` draws its graph"
        )
    accepted = [str(one) for one in known_answers(record["reference"])] if record["reference"] is not None else []
    picture = own(execution.values) if own else tree_dot(tree or {}, accepted)
    if out is None:
        return str(picture)
    _draw(picture, out)
    return None
