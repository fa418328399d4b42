"""Profiles for people: a table of models, their graph with skills in graphviz' language, and what recruiting came to over a batch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symposia.tools import dot
from symposia.tools.profiles import bipartite
from symposia.tools.recruiting import group

Finished = Sequence[tuple[Mapping[str, Any], Sequence[str]]]
"""Last states of runs, each with the accepted answers."""

_SHOWN = 3  # skills of a model in a table
_GREEN, _RED, _THICKEST = "#1f7a34", "#b3261e", 6.0


def page(artefact: Mapping[str, Any]) -> str:
    """Profiles as Markdown: a row per model, the strongest first, with the skills that it has most and least."""
    head = ["model", "accuracy", "strength", "as aggregator", "best skills", "worst skills"]
    rows = []
    for model in sorted(artefact["strength"], key=lambda model: (-artefact["strength"][model], model)):
        ranked = sorted(artefact["profiles"][model].items(), key=lambda item: (-item[1], item[0]))
        best, worst = [item for item in ranked if item[1] > 0][:_SHOWN], [item for item in ranked[::-1] if item[1] < 0][:_SHOWN]
        numbers = [f"{artefact['accuracy'][model]:.3f}", f"{artefact['strength'][model]:.3f}", f"{artefact['aggregation'][model]:.2f}"]
        rows.append([model + (" (aggregator)" * (model == artefact["aggregator"])), *numbers, _listed(best), _listed(worst)])
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in cells) + "\n"


def _listed(skills: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{skill} {value:+d}" for skill, value in skills)


def _cell(text: str) -> str:
    """A text that a model may have written, in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def profile_dot(table: Mapping[str, Mapping[str, int]], asked: Sequence[str] = (), recruited: Sequence[str] = ()) -> str:
    """Models and skills in graphviz' language: green where a model was more often right than wrong, red where not, thicker the clearer.

    Args:
        table: Profiles by model.
        asked: Skills of a question, which are marked; with any, only they are drawn.
        recruited: The model of each slot, which are marked.
    """
    graph, lines = bipartite(table), dot.opening("profiles")
    seen, slots = {f"skill {skill}" for skill in asked}, Counter(f"model {model}" for model in recruited)
    shown = [node for node in graph if graph.nodes[node]["bipartite"] == 0 or not seen or node in seen]
    for node in shown:
        times = f"recruited {slots[node]} times" if slots[node] > 1 else ""
        form = "box" if graph.nodes[node]["bipartite"] == 0 else "oval"
        fill = "#e3f4e5" if slots[node] or node in seen else "white"
        lines.append(f'  {dot.quoted(node)} [label={dot.label(graph.nodes[node]["label"], times)}, shape={form}, fillcolor="{fill}"]')
    ends = sorted(sorted(pair) for pair in graph.subgraph(shown).edges)
    most = max((abs(graph[model][skill]["weight"]) for model, skill in ends), default=1)
    for model, skill in ends:
        value = graph[model][skill]["weight"]
        width = max(0.5, _THICKEST * abs(value) / most)
        look = f'label="{value:+d}", color="{_GREEN if value > 0 else _RED}", penwidth={width:.1f}, arrowhead=none'
        lines.append(f"  {dot.quoted(model)} -> {dot.quoted(skill)} [{look}]")
    return "\n".join([*lines, "}"]) + "\n"


def picture(state: Mapping[str, Any]) -> str:
    """A run's question among the profiles, in graphviz' language: its skills, what each model is worth in them, and who was recruited."""
    return profile_dot(state["artefact"].get("profiles", {}), state.get("skills", []), state.get("assigned", []))


def report(finished: Finished) -> dict[str, Any]:
    """What recruiting came to over the runs of a batch, with the profile's figures of each model beside.

    `slots` counts a model's answers, `share` is its part of all, `loads` the models that the experts' stage needs; `agrees` is how often
    the aggregator's answer was the experts' majority.
    """
    groups = group({f"{n} {state['question']}": state["assigned"] for n, (state, _) in enumerate(finished)})
    total = sum(map(len, groups.values()))
    artefact: dict[str, Any] = next((state["artefact"] for state, _ in finished if state["artefact"]), {})
    figures = ("accuracy", "strength", "aggregation")
    experts = {
        model: {
            **{"slots": len(work), "share": round(len(work) / total, 4)},
            **{name: artefact[name][model] for name in figures if artefact},
        }
        for model, work in groups.items()
    }
    agreeing = sum(state.get("answer") == state.get("majority") for state, _ in finished)
    agrees = round(agreeing / len(finished), 4) if finished else 0.0
    return {"runs": len(finished), "loads": len(groups), "agrees": agrees, "experts": experts}


def export(finished: Finished, folder: Path) -> dict[str, int]:
    """Write the profiles that runs used: `profiles.md`, a table of each artefact, and `profiles.dot`, its picture in graphviz' language."""
    found = list({str(state["artefact"]["profiles"]): state["artefact"] for state, _ in finished if state["artefact"]}.values())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.md").write_text("\n".join(map(page, found)), encoding="utf-8", newline="\n")
    (folder / "profiles.dot").write_text("\n".join(profile_dot(one["profiles"]) for one in found), encoding="utf-8", newline="\n")
    return {"profiles.md": len(found), "profiles.dot": len(found)}
