"""Pictures without a network: the graph of a method as Mermaid text or SVG, and the path of one run as text.

Both are made from the graph object, so they hold what will run. A dashed edge is one of several that a router chooses from; its label comes
from the sketch in the method's docstring, where there is one.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symposia.registry import Loaded, load, names
from symposia.state.errors import BadInput, SymposiaError

_SKETCH = re.compile(r"\b(?=(\w+)\s*-\.\s*([^\n]+?)\s*\.->\s*(\w+))")
_ENDS = {"START": "__start__", "END": "__end__"}
_DOT_LIMIT = 60.0  # seconds
_INK, _DIM, _PATH, _FILL = "#1a1d23", "#555c69", "#0b57b0", "#eef3fb"
_FONT = "Helvetica,Arial,sans-serif"
_WIDTH = 100  # columns of the text picture


@dataclass(frozen=True)
class Edge:
    """A way from node to node; a conditional one is chosen by a router."""

    source: str
    target: str
    conditional: bool
    label: str


def draw_method(name: str, out: Path | None) -> None:
    """Draw a method's graph: Mermaid to stdout, or to a file of the suffix .mmd or .svg.

    Raises:
        UnknownName: There is no such method.
        BadInput: The suffix is another one, or the file cannot be written.
        SymposiaError: Graphviz, which makes the SVG, is missing or fails.
    """
    nodes, edges = graph_of(load(name))
    if out is None:
        sys.stdout.write(mermaid(nodes, edges))
        return
    if out.suffix not in (".mmd", ".svg"):
        raise BadInput(f"cannot draw to {out}: its suffix is {out.suffix or 'none'}", remedy="name a file that ends in .svg or .mmd")
    text = mermaid(nodes, edges) if out.suffix == ".mmd" else svg(name, nodes, edges)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}", remedy="name a file in a folder that exists") from None


def graph_of(loaded: Loaded) -> tuple[list[str], list[Edge]]:
    """Nodes and edges of a method's graph, subgraphs unfolded (`suite:vote`), in the order in which they can be reached."""
    compiled = loaded.compile()
    graph = compiled.get_graph(xray=1)
    sketches = {"": _sketch(loaded.module.__doc__)}
    for frame, inner in compiled.get_subgraphs():
        sketches[frame] = next((_sketch(one.module.__doc__) for one in map(load, names()) if one.module.graph is inner), {})
    edges = [
        Edge(e.source, e.target, e.conditional, _label(e.data, _sketched(sketches, e.source, e.target)) if e.conditional else "")
        for e in graph.edges
    ]
    position = {node: i for i, node in enumerate(_reached(list(graph.nodes), edges))}
    return list(position), sorted(edges, key=lambda e: (position[e.source], position[e.target]))


def _sketch(text: str | None) -> dict[tuple[str, str], str]:
    """The labels of a docstring's sketch, by the ends of their edges."""
    return {(_ENDS.get(a, a), _ENDS.get(b, b)): label for a, label, b in _SKETCH.findall(text or "")}


def _sketched(sketches: Mapping[str, Mapping[tuple[str, str], str]], source: str, target: str) -> str:
    """The label of an edge: inside a subgraph as its own file says, else as between its outer ends."""
    (frame, _, start), (other, _, end) = source.rpartition(":"), target.rpartition(":")
    inside = sketches.get(frame, {}).get((start, end)) if frame == other else None
    return inside or sketches[""].get((frame or start, other or end), "")


def _label(given: object, sketched: str) -> str:
    """The label that the graph itself gives an edge, else that of the sketch."""
    return sketched if given is None else str(given)


def _reached(nodes: Sequence[str], edges: Sequence[Edge]) -> Iterator[str]:
    """The nodes from the start on, in the order of the file among equals; the end last."""
    rank = {node: i for i, node in enumerate(nodes)}
    waiting, seen = [n for n in nodes if n not in {e.target for e in edges}], set[str]()
    while waiting:
        node = waiting.pop(0)
        if node not in seen and node != "__end__":
            seen.add(node)
            yield node
            waiting += sorted((e.target for e in edges if e.source == node), key=lambda n: rank[n])
    yield from (n for n in nodes if n not in seen and n != "__end__")
    yield from (n for n in nodes if n == "__end__")


def mermaid(nodes: Sequence[str], edges: Sequence[Edge]) -> str:
    """The graph as Mermaid text, without styles, so that it takes those of the page it stands in."""
    lines = ["graph TD"]
    for frame, inside in _frames(nodes).items():
        if frame:
            lines.append(f"  subgraph {_id(frame)}[{_quoted(frame)}]")
        lines += [f"  {_id(node)}{_shape(node)}" for node in inside]
        if frame:
            lines.append("  end")
    for edge in edges:
        label = f"|{_quoted(edge.label)}|" if edge.label else ""
        lines.append(f"  {_id(edge.source)} {'-.->' if edge.conditional else '-->'}{label} {_id(edge.target)}")
    return "\n".join(lines) + "\n"


def _frames(nodes: Sequence[str]) -> dict[str, list[str]]:
    """Nodes by the subgraph they stand in, "" outside."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        found.setdefault(node.rpartition(":")[0], []).append(node)
    return found


def _id(node: str) -> str:
    """A node id for Mermaid, in which a bare `end` is a keyword and a colon a style."""
    plain = re.sub(r"\W", "_", node)
    return f"{plain}_" if plain in ("end", "graph", "subgraph", "style", "class", "click") else plain


def _shape(node: str) -> str:
    return f"([{_quoted(_name(node))}])" if _terminal(node) else f"[{_quoted(_name(node))}]"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'


def _name(node: str) -> str:
    """What stands in a node's box."""
    return {"__start__": "START", "__end__": "END"}.get(node, node.rpartition(":")[2])


def _terminal(node: str) -> bool:
    return node in ("__start__", "__end__")


def svg(name: str, nodes: Sequence[str], edges: Sequence[Edge]) -> str:
    """The graph as SVG, laid out by graphviz.

    Raises:
        SymposiaError: `dot` is missing or fails.
    """
    dot = shutil.which("dot")
    if dot is None:
        raise SymposiaError("an SVG needs graphviz, and there is no `dot` here", remedy="apt install graphviz, or -o graph.mmd")
    try:
        done = subprocess.run(
            [dot, "-Tsvg"], input=dot_source(name, nodes, edges), capture_output=True, text=True, check=True, timeout=_DOT_LIMIT
        )
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or error
        raise SymposiaError(f"dot failed: {said}", remedy="-o graph.mmd needs no graphviz") from None
    return done.stdout


def dot_source(name: str, nodes: Sequence[str], edges: Sequence[Edge]) -> str:
    """The graph in graphviz' language, top down, since that keeps a loop compact and the text upright on a narrow page."""
    lines = [
        f"digraph {_dot(name)} {{",
        f'  graph [rankdir=TB, nodesep=0.5, ranksep=0.35, bgcolor="transparent", fontname="{_FONT}", fontsize=13, fontcolor="{_DIM}"]',
        f'  node [shape=box, style="rounded,filled", fillcolor="{_FILL}", color="{_PATH}", fontname="{_FONT}", fontsize=15,'
        f' fontcolor="{_INK}", margin="0.18,0.08", height=0.4]',
        f'  edge [color="{_DIM}", fontname="{_FONT}", fontsize=13, fontcolor="{_DIM}", arrowsize=0.8]',
    ]
    for frame, inside in _frames(nodes).items():
        if frame:
            lines.append(f"  subgraph {_dot('cluster_' + frame)} {{ label={_dot(frame)}; style=rounded; color={_dot(_DIM)};")
        lines += [
            f"  {_dot(node)} [label={_dot(_name(node))}{', fillcolor=white, shape=oval' if _terminal(node) else ''}]" for node in inside
        ]
        if frame:
            lines.append("  }")
    for edge in edges:
        style = f" [style=dashed, label={_dot(f' {edge.label} ')}]" if edge.conditional else ""
        lines.append(f"  {_dot(edge.source)} -> {_dot(edge.target)}{style}")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# -- the path of a run ----------------------------------------------------------------------------------------------------------------


def laps(steps: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The steps of a run cut where the path comes back to a node it has visited since the last cut, which is a new round."""
    found: list[list[Mapping[str, Any]]] = [[]]
    seen: set[str] = set()
    for step in steps:
        if seen & set(step["ran"]):
            found.append([])
            seen = set()
        seen |= set(step["ran"])
        found[-1].append(step)
    return found


def path_picture(record: Mapping[str, Any]) -> str:
    """The path of one run through its graph, a line per round: `solve x8 -> extract -> ... -> classify [hard] -> review x8`.

    Args:
        record: What `symposia.records.run_record` returns.
    """
    lines: list[str] = []
    for number, lap in enumerate(laps(record["steps"])):
        head = f"round {number}: " if number else ""
        lines += _wrapped([_stop(step) for step in lap if step["ran"] or step["source"] == "update"], head)
    return "\n".join(lines)


def _stop(step: Mapping[str, Any]) -> str:
    """A step of the path: its nodes, how many calls they made, and what a router found."""
    if step["source"] == "update":
        return "(edited)"
    calls = sum(call["calls"] for call in step["calls"])
    count = f" x{calls}" if calls > 1 else ""
    found = [verdict for why in step["why"] for path, value in why["read"].items() if (verdict := _verdict(path, value))]
    more = f" [{', '.join(found)}]" if found else ""
    return f"{' + '.join(Counter(step['ran']))}{count}{more}"


def _verdict(path: str, value: Any) -> str:
    """What a router read as a yes or no: `hard` and `not hard` for a flag `is_hard`."""
    name = path.rpartition(".")[2]
    if not isinstance(value, bool):
        return ""
    plain = name.removeprefix("is_").replace("_", " ")
    return plain if value else f"not {plain}"


def _wrapped(stops: Sequence[str], head: str) -> Iterator[str]:
    line = head
    for i, stop in enumerate(stops):
        part = stop + (" ->" if i < len(stops) - 1 else "")
        if len(line) + len(part) > _WIDTH and line.strip():
            yield line.rstrip()
            line = " " * len(head)
        line += part + " "
    yield line.rstrip()
