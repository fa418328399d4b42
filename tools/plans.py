"""Plans in search: how they grow in a state, which one is taken next, which one is best, and how rich a plan is.

A plan is a list of steps: a sentence each, and the symbols of a repository that were found for it, by their full path. Plans are kept by id
(`n0` is the empty one, `n7` the seventh made), so a state holds plain JSON and `tree` makes the networkx tree of it. The rules follow
MutaGReP (arXiv 2502.15872, the authors' code).
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, NotRequired

from langgraph.channels import DeltaChannel
from typing_extensions import TypedDict

from symposia.tools.retrieval import Hit

if TYPE_CHECKING:
    import networkx as nx

    Tree = nx.DiGraph[str]

ROOT = "n0"
Strategy = Literal["best_first", "depth_first", "breadth_first", "linear"]


class Step(TypedDict):
    """What a step is to do, and the symbols found for it, the nearest first."""

    intent: str
    symbols: list[Hit]
    satisfiable: NotRequired[bool]
    """Whether the library can do it, where a model picked the symbol."""
    why: NotRequired[str]
    """What that model said of it."""


class PlanNode(TypedDict):
    """A plan of the search; `seq` counts plans in the order in which they were made, from 0."""

    id: str
    parent: str | None
    level: int
    seq: int
    steps: list[Step]
    reasoning: str
    """What was said of the change that led here."""


class Score(TypedDict):
    """What a plan is worth: the score that guides the search; a judge's scores of the plan and of its steps (mean), 0 without one."""

    search: float
    plan: float
    step: float


def _merge(value: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: item for part in (value, *writes) for key, item in part.items()}


merging: Any = DeltaChannel(_merge, dict)
"""A channel of entries by key: what was written is stored, never the whole again."""


def plan_id(seq: int) -> str:
    """The id of the plan made as number `seq`, from 0."""
    return f"n{seq}"


def planted() -> PlanNode:
    """The empty plan, from which a search starts."""
    return PlanNode(id=ROOT, parent=None, level=0, seq=0, steps=[], reasoning="")


def grown(parent: PlanNode, seq: int, steps: list[Step], reasoning: str) -> PlanNode:
    """A plan made from another one."""
    return PlanNode(id=plan_id(seq), parent=parent["id"], level=parent["level"] + 1, seq=seq, steps=steps, reasoning=reasoning)


def tree(nodes: Mapping[str, PlanNode]) -> "Tree":
    """The networkx tree of the plans of a state, each with its node's fields; an edge leads from a plan to one made from it."""
    import networkx as nx

    graph: Tree = nx.DiGraph()
    for node in sorted(nodes.values(), key=lambda node: node["seq"]):
        graph.add_node(node["id"], **node)
        if node["parent"] is not None:
            graph.add_edge(node["parent"], node["id"])
    return graph


def lineage(nodes: Mapping[str, PlanNode], plan: str) -> list[str]:
    """The plans from the empty one to this one."""
    path = [plan]
    while (parent := nodes[path[-1]]["parent"]) is not None:
        path.append(parent)
    return path[::-1]


def room(nodes: Mapping[str, PlanNode], budget: int) -> int:
    """How many plans may still be made; the budget counts those made, the empty one included."""
    return max(0, budget - len(nodes))


def take_next(strategy: Strategy, frontier: Sequence[str], scores: Mapping[str, Score]) -> str:
    """The plan to look at next, of those waiting in the order in which they were made.

    `best_first` takes the highest score and the earlier made among equals (ours: the authors' heap leaves ties open), `depth_first` the one
    made last, so the last sample of an expansion, the others the one made first.
    """
    if strategy == "best_first":
        return max(frontier, key=lambda plan: scores[plan]["search"])
    return frontier[-1] if strategy == "depth_first" else frontier[0]


def taken(state: Mapping[str, Any]) -> list[str]:
    """The plans that a search goes on from at once: the current one, which an edit may have changed, or several with it."""
    several: list[str] = state.get("taken") or []
    return several if len(several) > 1 else [state["current"]]


def distinct(steps: Sequence[Step]) -> list[str]:
    """The symbols of a plan, each once, in the order of the steps."""
    return list(dict.fromkeys(hit["full_path"] for step in steps for hit in step["symbols"]))


def diversity(steps: Sequence[Step]) -> float:
    """The number of different symbols of a plan."""
    return float(len(distinct(steps)))


def best(nodes: Mapping[str, PlanNode], scores: Mapping[str, Score], judged: bool) -> str:
    """The best of all plans, looked at or not, the earliest made among equals; the empty one only when there is no other.

    Args:
        nodes: All plans.
        scores: Their scores.
        judged: Whether a judge scored them: then the judge's score of the plan counts, next the mean of its steps', not the search's.
    """
    order = sorted((node for node in nodes.values() if node["id"] != ROOT or len(nodes) == 1), key=lambda node: node["seq"])

    def worth(node: PlanNode) -> tuple[float, float]:
        score = scores[node["id"]]
        return (score["plan"], score["step"]) if judged else (score["search"], 0.0)

    return max(order, key=worth)["id"]


def until_best(values: Sequence[float]) -> int:
    """How many plans were made until the highest of their values was there, counted from 1 in the order in which they were made."""
    return 1 + max(range(len(values)), key=lambda i: (values[i], -i)) if values else 0


def judged_score(plan: int, steps: Sequence[int]) -> Score:
    """A judge's numbers as a score: the search goes by the mean of the plan's number and the steps' mean."""
    step = fmean(steps) if steps else 0.0
    return Score(search=(plan + step) / 2, plan=float(plan), step=step)
