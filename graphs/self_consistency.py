"""Self-consistency: sample many ways to the answer and return the answer most of them reach.

Wang, Wei, Schuurmans, Le, Chi, Narang, Chowdhery, Zhou, "Self-Consistency Improves Chain of Thought Reasoning in Language Models", 2022,
https://arxiv.org/abs/2203.11171.

```mermaid
graph LR
  START --> intake --> solve --> extract --> vote --> finish --> END
```

Choices of ours: equal answers in different form ("1/2", "0.5") are one; equal counts go to the answer met first; the confidence is the
winner's share of all samples, those without an answer included. The paper also cuts the distribution off after the 40 likeliest tokens,
which most chat interfaces do not offer and which is left out. Name k with every number: five samples are another baseline than 40.
"""

from typing import Any

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE
from symposia.nodes.vote import Voted, outcome_of, vote
from symposia.state.base import BaseParams, Illustrated, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, votes

METHOD = Method(
    name="self_consistency",
    title="Self-Consistency",
    arxiv="2203.11171",
    year=2022,
    family="fan out, aggregate",
    roles=("solver",),
    calls="k",
    by_role={"solver": ("k", "1")},
    input=Illustrated,
)

SHOW = Show(
    {"answers": votes(weight="vote_weights"), "vote_weights": votes()},
    {"vote": "{answer} leads, {confidence:.0%} of the samples"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(40, ge=1, description="samples of the solver; 40 in the paper, as commonly reported")
    prompts: dict[str, str] = Field({"solver": SOLVE}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0.7)},
        description="sampling by role; 0.7 in the paper for most models, as commonly reported. At 0 all samples are copies of one",
    )


class State(Voted):
    """One round of k solutions, and the vote."""


def finish(state: State) -> dict[str, Any]:
    """End with the vote's winner."""
    answer = state.get("answer")
    return conclude(answer, outcome_of(answer, state["vote_weights"]))


def build() -> StateGraph[State, Params, Illustrated, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Illustrated)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(vote).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "vote")
    builder.add_edge("vote", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
