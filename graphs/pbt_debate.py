"""PBT, the evaluation part: two models discuss a question, once with each speaking first, and are measured before and after.

Stengel-Eskin, Hase, Bansal, "Teaching Models to Balance Resisting and Accepting Persuasion", 2024, https://arxiv.org/abs/2410.14596.
Limits and greedy sampling are those of the authors' code (esteng/persuasion_balanced_training).

```mermaid
graph LR
  START --> intake --> plant --> speak --> read_answer
  read_answer -. a debate is open .-> speak
  read_answer -. agreed, or no turn left .-> finish --> END
```

Both agents answer first, the second without seeing the first, and then speak in turn until they agree or have had their turns. A team that
is easily talked out of right answers gets worse by it, and its accuracy hangs on who speaks first. Each order is a branch of one tree
below the question: `r.0` is begun by A, `r.1` by B. A debate takes a reply and a reading per turn.

`debates` holds what the agents answered at first and in the end, without knowing what is right; `tools/team.py` compares the debates of a
data set with the known answers. The answer of a run is the most frequent final one, the first among equals (ours). The final answers are
those read during the debate; the authors' code reads the last two turns again with another model.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.dialogue import Branch, Dialogue, grow_level, read_answer
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.persuasion import READ, SPEAK
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, shown_as, tree
from symposia.tools import trees
from symposia.tools.team import ORDERS, Debate, team_report
from symposia.tools.vote import tally, winner

METHOD = Method(
    name="pbt_debate",
    title="Team debate in both orders",
    arxiv="2410.14596",
    year=2024,
    family="debate",
    roles=("debater", "extractor"),
    calls="2 * max_turns * (1 + both_orders)",
    by_role={
        "debater": (
            "2",
            ("(max_turns + 1) // 2 + both_orders * (max_turns // 2)", "max_turns // 2 + both_orders * ((max_turns + 1) // 2)"),
        ),
        "extractor": ("1", "max_turns * (1 + both_orders)"),
    },
)

SHOW = Show(
    {"tree": tree(who="agent", value="answers", text="text", pruned="stopped"), "debates": shown_as("table")}, fold=("intake", "plant")
)
"""How the viewer shows its state."""


class Params(BaseParams):
    """Parameters of a run."""

    max_turns: int = Field(4, ge=2, description="turns of a debate at most; 4 in the authors' scripts")
    both_orders: bool = Field(True, description="debate once with each agent speaking first; off: A speaks first")
    both_answer_first: bool = Field(True, description="the second speaker's first turn does not see the first; on in every script")
    prompts: dict[str, str] = Field({"debater": SPEAK, "extractor": READ}, description="templates by role; debaters get no persona")
    sampling: dict[str, Sampling] = Field(
        {
            "debater": Sampling(temperature=0, max_tokens=80, min_tokens=8),
            "extractor": Sampling(temperature=0, max_tokens=15, min_tokens=3),
        },
        description="sampling by role, greedy as in the authors' code; two models of `debater` are A and B",
    )


class State(Dialogue):
    """The tree of both debates, and what they came to."""

    debates: list[Debate]


def orders(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The orders of a run, in which `r.0`, `r.1` stand."""
    return ORDERS if params["both_orders"] else ORDERS[:1]


def plant(state: State) -> dict[str, Any]:
    """Begin with the question alone."""
    return {"tree": trees.planted(state["question"]), "debates": []}


async def speak(state: State) -> dict[str, Any]:
    """The next turn of every open debate."""
    params, graph = state["params"], trees.read_tree(state["tree"])
    tips = trees.frontier(graph, params["max_turns"])
    if tips == [trees.ROOT]:
        branches = [Branch(trees.ROOT, place, order[0]) for place, order in enumerate(orders(params))]
    else:
        branches = [Branch(tip, 0, trees.partner(graph.nodes[tip]["agent"])) for tip in tips]
    return await grow_level(state, branches, params["both_answer_first"])


def route(state: State) -> Literal["speak", "finish"]:
    """Go on while a debate is open and has a turn left."""
    return "speak" if trees.frontier(trees.read_tree(state["tree"]), Params.of(state).max_turns) else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with what both agents answered at first and in the end, by order, and the answer that most of them hold."""
    graph = trees.read_tree(state["tree"])
    debates = [record(graph, f"{trees.ROOT}.{place}", order) for place, order in enumerate(orders(state["params"]))]
    held = [debate["final"][agent] for debate in debates for agent in debate["order"]]
    answer = winner(tally([one if trees.is_answer(one) else None for one in held]))
    reasons = [debate["stopped"] for debate in debates]
    reason = next((r for r in ("failed", "max_turns") if r in reasons), "agree")
    return {"debates": debates, **conclude(answer, "no_answer" if answer is None else reason)}


def record(graph: "trees.Graph", first: str, order: str) -> Debate:
    """What one debate came to, from its first turn on."""
    path = [first]
    while below := list(graph.successors(path[-1])):
        path += below
    pairs = trees.resolved(graph)
    return Debate(
        order=order,
        turns=len(path),
        initial=pairs[path[min(1, len(path) - 1)]],
        final=pairs[path[-1]],
        stopped=graph.nodes[path[-1]]["stopped"] or "max_turns",
    )


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """What debating did to the team over finished runs, each given as its last state and its accepted answers; see `tools/team.py`."""
    return dict(team_report((state["debates"], accepted) for state, accepted in finished))


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(plant).add_node(speak).add_node(read_answer).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "plant").add_edge("plant", "speak").add_edge("speak", "read_answer")
    builder.add_conditional_edges("read_answer", route)
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
