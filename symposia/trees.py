"""Pictures of dialogue trees, with who was persuaded where.

A picture is laid out by graphviz. What models have said stands in it as plain text: control characters are dropped, quotes and backslashes
escaped, long replies cut.
"""

import shutil
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symposia.records import known_answers
from symposia.runs import replay
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.store import Store
from symposia.tools import trees
from symposia.tools.pairs import correct

_LIMIT = 60.0  # seconds
_FONT = "Helvetica,Arial,sans-serif"
_INK, _DIM = "#1a1d23", "#555c69"
_FILL = {True: "#e3f4e5", False: "#fbe7e4", None: "#eef3fb"}
_EDGE = {True: "#1f7a34", False: "#b3261e", None: "#0b57b0"}
_WIDTH, _LONGEST = 34, 160  # characters of a line and of a text


def tree_dot(tree: Mapping[str, Any], accepted: Sequence[str] = ()) -> str:
    """A tree in graphviz' language: a box per turn with its answer, dashed where a persona is at work, thick where one was persuaded.

    Args:
        tree: Node-link data, as it stands in the state of `pbt` and `pbt_debate`.
        accepted: Every accepted spelling of the right answer; with it right turns are green and wrong ones red.
    """
    graph = trees.read_tree(dict(tree))
    pairs = trees.resolved(graph)
    lines = [
        "digraph tree {",
        f'  graph [rankdir=LR, nodesep=0.2, ranksep=0.5, bgcolor="transparent", fontname="{_FONT}"]',
        f'  node [shape=box, style="rounded,filled", fontname="{_FONT}", fontsize=11, fontcolor="{_INK}", margin="0.12,0.07"]',
        f'  edge [fontname="{_FONT}", fontsize=10, color="{_DIM}", fontcolor="{_DIM}", arrowsize=0.7]',
    ]
    for turn, data in trees.nodes_of(graph):
        agent, parent = data["agent"], trees.parent_of(graph, turn)
        if agent is None or parent is None:
            lines.append(f"  {_quoted(turn)} [label={_label(data['text'])}, fillcolor=white]")
            continue
        answer = pairs[turn][agent]
        right = correct(answer, accepted) if accepted else None
        moved = trees.persuaded(graph, turn)
        head = f"{agent}: {answer}" + (f" (persuaded by {trees.partner(agent)})" if moved else "")
        end = {"agree": "they agree", "failed": "failed"}.get(data["stopped"], "")
        look = f'fillcolor="{_FILL[right]}", color="{_EDGE[right]}", penwidth={3 if moved else 1}'
        lines.append(f"  {_quoted(turn)} [label={_label(head, data['text'], end)}, {look}]")
        style = f" [style=dashed, label={_label(data['persona'])}]" if data["persona"] != "plain" else ""
        lines.append(f"  {_quoted(parent)} -> {_quoted(turn)}{style}")
    return "\n".join([*lines, "}"]) + "\n"


def tree_svg(tree: Mapping[str, Any], accepted: Sequence[str] = ()) -> str:
    """The picture of `tree_dot` as SVG.

    Raises:
        SymposiaError: Graphviz is missing or fails.
    """
    dot = shutil.which("dot")
    if dot is None:
        raise SymposiaError("an SVG needs graphviz, and there is no `dot` here", remedy="apt install graphviz, or write `tree_dot`")
    try:
        done = subprocess.run([dot, "-Tsvg"], input=tree_dot(tree, accepted), capture_output=True, text=True, check=True, timeout=_LIMIT)
    except subprocess.SubprocessError as error:
        raise SymposiaError(f"dot failed: {getattr(error, 'stderr', None) or error}", remedy="write `tree_dot`, which needs none") from None
    return done.stdout


def draw_tree(tree: Mapping[str, Any], out: Path, accepted: Sequence[str] = ()) -> None:
    """Draw a tree to a file of the suffix .svg or .dot.

    Raises:
        BadInput: The suffix is another one, or the file cannot be written.
        SymposiaError: Graphviz, which makes the SVG, is missing or fails.
    """
    if out.suffix not in (".svg", ".dot"):
        raise BadInput(f"cannot draw to {out}: its suffix is {out.suffix or 'none'}", remedy="name a file that ends in .svg or .dot")
    text = tree_svg(tree, accepted) if out.suffix == ".svg" else tree_dot(tree, accepted)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}", remedy="name a file in a folder that exists") from None


def _label(*texts: str) -> str:
    """Texts below each other as the label of a box, wrapped."""
    lines = [line for text in texts for line in textwrap.wrap(text[:_LONGEST] + ("..." if len(text) > _LONGEST else ""), _WIDTH)]
    return '"' + "\\n".join(_escaped(line) for line in lines) + '"'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Text that cannot end a quoted string of graphviz, nor mean anything in it; `&` begins an entity there."""
    plain = "".join(c for c in text if c.isprintable())
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


async def draw_run(store: Store, run_id: str, out: Path | None) -> str | None:
    """Draw the dialogue tree of a run to a file, or without one return it in graphviz' language.

    Raises:
        BadInput: The run has no tree, or cannot be replayed.
        SymposiaError: Graphviz, which makes the SVG, is missing or fails.
    """
    record = await store.run(run_id)
    _, execution = await replay(store, record["run_id"])
    tree = execution.values.get("tree")
    if tree is None:
        raise BadInput(
            f"run {record['run_id']} of {record['method']} has no tree", remedy=f"`symposia draw {record['method']}` draws its graph"
        )
    accepted = [str(one) for one in known_answers(record["reference"])] if record["reference"] is not None else []
    if out is None:
        return tree_dot(tree, accepted)
    draw_tree(tree, out, accepted)
    return None
