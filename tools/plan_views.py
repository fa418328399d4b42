"""A plan search for people: the plan as Markdown, and the tree of all plans in graphviz' language."""

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from symposia.tools import dot
from symposia.tools.plans import PlanNode, Score, Step, lineage, tree
from symposia.tools.symbols import Symbol

_BEST, _SEEN, _WAITING = "#e3f4e5", "#eef3fb", "white"
_GREEN, _BLUE, _GREY = "#1f7a34", "#0b57b0", "#9aa1ac"
_ENDS = {
    "BUDGET_EXCEEDED": "the budget of plans was used up",
    "QUEUE_EMPTY": "no plan was left to go on from",
    "GOAL_FOUND": "a plan reached the score that was asked for",
}
_COMPLETE = "a plan was found complete"


class Card(TypedDict):
    """What people are told of a symbol; its code stays in the index."""

    symbol_type: str
    signature: str
    filepath: str
    lineno: int


def card(symbol: Symbol) -> Card:
    """The card of a symbol."""
    return Card(symbol_type=symbol["symbol_type"], signature=symbol["signature"], filepath=symbol["filepath"], lineno=int(symbol["lineno"]))


def plan_page(state: Mapping[str, Any], title: str = "Plan") -> str:
    """The best plan of a search as Markdown: the request, how the search ended, and each step with its symbols, the nearest first."""
    node: PlanNode = state["nodes"][state["best"]]
    score: Score = state["scores"][state["best"]]
    n, looked = len(state["nodes"]), len(state["visited"])
    goal = state["params"]["goal_score"]
    complete = state["search_state"] == "GOAL_FOUND" and (goal is None or state["scores"][state["current"]]["search"] < goal)
    lines = [f"# {title}", "", *(f"> {line}".rstrip() for line in state["question"].strip().splitlines()), ""]
    lines += [
        f"Of {n} plan{'s' * (n != 1)} made from `{state['artefact']['repo_name']}`, {looked} gone on from, this is `{node['id']}`, "
        f"{node['level']} edit{'s' * (node['level'] != 1)} deep, with the score {score['search']:g}. "
        f"The search ended because {_COMPLETE if complete else _ENDS[state['search_state']]}.",
        "",
    ]
    if not node["steps"]:
        return "\n".join([*lines, "The plan has no steps.", ""])
    if node["reasoning"]:
        lines += [f"Last change: {_line(node['reasoning'])}", ""]
    for number, step in enumerate(node["steps"], 1):
        lines += [f"{number}. **{_line(step['intent'])}**", *_found(step, state["symbols"])]
    return "\n".join([*lines, ""])


def _found(step: Step, cards: Mapping[str, Card]) -> list[str]:
    """A line per symbol of a step: where it stands, how near it is, and the first line of its signature; and what was said of the step."""
    said = [f"   - {'can' if step.get('satisfiable') else 'cannot'} be done: {_line(step['why'])}"] if step.get("why") else []
    if not step["symbols"]:
        return ["   - nothing in the repository was found for this step", *said]
    lines = []
    for hit in step["symbols"]:
        known = cards[hit["full_path"]]
        lines.append(f"   - `{hit['full_path']}` ({hit['score']:.2f}, {known['filepath']}:{known['lineno']})")
        lines.append(f"     `{known['signature'].splitlines()[0].replace('`', '')}`" if known["signature"] else "")
    return [*(line for line in lines if line), *said]


def _line(text: str) -> str:
    """A text that a model wrote, on one line and without emphasis of its own."""
    return " ".join(text.split()).replace("*", "\\*").replace("<", "&lt;")


def plan_dot(state: Mapping[str, Any]) -> str:
    """All plans in graphviz' language: green the best one and the way to it, blue those gone on from, white those that waited."""
    nodes: Mapping[str, PlanNode] = state.get("nodes") or {}
    best = state.get("best")
    way = set(lineage(nodes, best)) if best else set()
    turns = {plan: turn for turn, plan in enumerate(state.get("visited") or [], 1)}
    lines = dot.opening("plans")
    graph = tree(nodes)
    for plan in graph:
        score = state["scores"].get(plan)
        head = f"{plan}" + (f"  score {score['search']:g}" if score else "") + (f"  turn {turns[plan]}" if plan in turns else "")
        fill = _BEST if plan in way else _SEEN if plan in turns else _WAITING
        edge = _GREEN if plan in way else _BLUE if plan in turns else _GREY
        look = f'fillcolor="{fill}", color="{edge}", penwidth={3 if plan == best else 1}'
        lines.append(f"  {dot.quoted(plan)} [label={dot.label(head, *_tops(nodes[plan]['steps']))}, {look}]")
    for parent, child in graph.edges:
        style = f' [color="{_GREEN}", penwidth=2]' if child in way else ""
        lines.append(f"  {dot.quoted(parent)} -> {dot.quoted(child)}{style}")
    return "\n".join([*lines, "}"]) + "\n"


def _tops(steps: Sequence[Step]) -> list[str]:
    """How many steps a plan has and the names of the symbols nearest to each."""
    if not steps:
        return ["no steps"]
    names = [step["symbols"][0]["full_path"].rsplit(".", 1)[-1] if step["symbols"] else "?" for step in steps]
    return [f"{len(steps)} step{'s' * (len(steps) != 1)}: {', '.join(names)}"]
