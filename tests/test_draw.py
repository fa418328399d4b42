"""Pictures: every node and edge of every method is in the Mermaid text and in the SVG; a run's path is cut into rounds."""

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from symposia.draw import Edge, draw_method, graph_of, laps, mermaid, path_picture, svg
from symposia.registry import load, names
from symposia.state.errors import BadInput, SymposiaError, UnknownName

SVG = "{http://www.w3.org/2000/svg}"


def need_graphviz() -> None:
    if shutil.which("dot") is None:
        pytest.skip("graphviz is not installed: apt install graphviz")


@pytest.mark.parametrize("name", names())
def test_mermaid_holds_every_node_and_edge(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    draw_method(name, None)
    text = capsys.readouterr().out
    nodes, edges = graph_of(load(name))
    compiled = load(name).compile()
    assert set(nodes) == set(compiled.get_graph(xray=1).nodes)
    assert {node.partition(":")[0] for node in nodes} >= set(compiled.builder.nodes)  # a subgraph is its nodes
    lines = text.splitlines()
    for node in nodes:
        mark = node.replace(":", "_")
        assert any(line.strip().startswith((f"{mark}[", f"{mark}(")) for line in lines), node
    assert sum("-->" in line or "-.->" in line for line in lines) == len(edges) == len(compiled.get_graph(xray=1).edges)
    assert "classDef" not in text and "%%" not in text
    assert text == mermaid(*graph_of(load(name)))


@pytest.mark.parametrize("name", names())
def test_a_choice_of_a_router_is_dashed_and_says_when(name: str) -> None:
    _, edges = graph_of(load(name))
    chosen = [edge for edge in edges if edge.conditional]
    assert all(edge.label for edge in chosen), chosen
    assert bool(chosen) == bool(load(name).compile().builder.branches)


@pytest.mark.parametrize("name", names())
def test_svg_holds_every_node_and_edge(name: str, tmp_path: Path) -> None:
    need_graphviz()
    out = tmp_path / "graph.svg"
    draw_method(name, out)
    root = ET.fromstring(out.read_text(encoding="utf-8"))
    titles = {group.get("class"): set[str | None]() for group in root.iter(f"{SVG}g")}
    for group in root.iter(f"{SVG}g"):
        titles[group.get("class")].add(group.findtext(f"{SVG}title"))
    nodes, edges = graph_of(load(name))
    assert titles["node"] == set(nodes)
    assert titles["edge"] == {f"{e.source}->{e.target}" for e in edges}
    dashed = [path for path in root.iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(dashed) == sum(e.conditional for e in edges)
    said = {text.text.strip() for text in root.iter(f"{SVG}text") if text.text}
    assert {e.label for e in edges if e.label} <= said
    assert not [e for e in root.iter() if e.tag in (f"{SVG}image", f"{SVG}script")]


def test_labels_come_from_the_sketch_of_the_method() -> None:
    _, edges = graph_of(load("magicore"))
    assert Edge("classify", "review", True, "hard") in edges
    assert Edge("classify", "finish", True, "easy, or no round left") in edges
    assert Edge("refine", "extract", False, "") in edges


def test_a_subgraph_is_a_box_of_its_own(tmp_path: Path) -> None:
    nodes = ["__start__", "suite:vote", "suite:end", "end", "__end__"]
    edges = [
        Edge("__start__", "suite:vote", False, ""),
        Edge("suite:vote", "suite:end", True, 'says "no"'),
        Edge("suite:end", "end", False, ""),
    ]
    text = mermaid(nodes, edges)
    assert 'subgraph suite["suite"]' in text and 'suite_vote["vote"]' in text
    assert 'suite_vote -.->|"says #quot;no#quot;"| suite_end' in text
    assert "  suite_end --> end_\n" in text  # a bare `end` closes the subgraph
    need_graphviz()
    picture = ET.fromstring(svg("m", nodes, edges))
    assert [g.findtext(f"{SVG}title") for g in picture.iter(f"{SVG}g") if g.get("class") == "cluster"] == ["cluster_suite"]


def test_a_file_of_mermaid(tmp_path: Path) -> None:
    out = tmp_path / "graph.mmd"
    draw_method("magicore", out)
    assert out.read_text(encoding="utf-8").startswith("graph TD\n")


@pytest.mark.parametrize(
    ("out", "said"),
    [("graph.png", r"its suffix is \.png.*\.svg or \.mmd"), ("graph", "its suffix is none"), ("none/graph.mmd", "No such file")],
)
def test_a_wrong_file_is_an_error_with_its_remedy(out: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        draw_method("magicore", tmp_path / out)
    with pytest.raises(UnknownName, match="did you mean 'magicore'"):
        draw_method("magicor", tmp_path / "graph.svg")


def test_without_graphviz_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SymposiaError, match=r"apt install graphviz, or -o graph\.mmd"):
        draw_method("magicore", tmp_path / "graph.svg")


def step(ran: str, calls: int = 0, source: str = "loop", read: dict[str, Any] | None = None) -> dict[str, Any]:
    """A step as `run_record` has it, with what its path needs."""
    why = [{"node": ran, "router": "route", "read": read, "goto": []}] if read else []
    return {"source": source, "ran": [ran] if ran else [], "why": why, "calls": [{"calls": 1}] * calls, "wrote": {}}


def test_a_path_is_cut_where_it_comes_back() -> None:
    steps = [step("solve", 8), step("check", 1, read={"history[-1].is_hard": True, "round": 0}), step("refine", 2)]
    steps += [step("", source="update"), step("check", 1, read={"is_hard": False, "was_seen": True}), step("finish")]
    assert [len(lap) for lap in laps(steps)] == [4, 2]
    assert path_picture({"steps": steps}) == (
        "solve x8 -> check [hard] -> refine x2 -> (edited)\nround 1: check [not hard, was seen] -> finish"
    )
    assert path_picture({"steps": []}) == ""


def test_a_long_path_is_wrapped_under_its_round() -> None:
    steps = [step(f"node_{i:02}_of_a_long_name") for i in range(9)]
    lines = path_picture({"steps": [*steps, *steps]}).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("round 1: ") for line in lines) == 1
    assert lines[-1].startswith(" " * len("round 1: "))
    assert " ".join(" ".join(lines).split()).count(" -> ") == 16
