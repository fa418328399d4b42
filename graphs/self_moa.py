"""Self-MoA: an aggregator writes one answer from several samples of a single model, the best at hand, in place of several models.

Li, Lin, Xia, Jin, "Rethinking Mixture-of-Agents: Is Mixing Different Large Language Models Beneficial?", 2025,
https://arxiv.org/abs/2502.00674. The authors' repository (wenzhe-li/Self-MoA) holds no code, so the aggregator and its prompt are those of
Mixture-of-Agents; the defaults are as commonly reported.

```mermaid
graph LR
  START --> intake --> solve --> extract
  extract -. samples at hand .-> aggregate --> extract
  extract -. aggregated .-> finish --> END
```

With the same models this asks exactly what `moa` with `max_rounds` 0 asks: what differs is whom. The paper finds that the quality of the
samples counts for more than their diversity, so choose the solver's model by a validation set. Compare with self-consistency at k + 1
samples, which costs as much and works where answers can be counted.

Choices of ours: as in `moa`.
"""

from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.aggregator import AGGREGATE, aggregate
from symposia.nodes.extract import Rounds, extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE
from symposia.nodes.select import answer_of
from symposia.state.base import BaseParams, Formed, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, votes

METHOD = Method(
    name="self_moa",
    title="Self-MoA",
    arxiv="2502.00674",
    year=2025,
    family="fan out, aggregate",
    roles=("solver", "aggregator"),
    calls="k + 1",
    by_role={"solver": ("k", "1"), "aggregator": ("1", "1")},
    input=Formed,
)

SHOW = Show({"answers": votes()}, fold=("intake", "extract"))
"""How the viewer shows its state."""

ANSWER_NODE = "aggregate"
"""The node whose reply is the answer word for word, so that a chat can show it while it is written."""

ANSWER_ROLE = "aggregator"
"""Who writes it, and can be told its form."""

_PAPER = Sampling(temperature=0.7, max_tokens=2048)


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(6, ge=1, description="samples of the solver; 6 in the paper, as commonly reported")
    prompts: dict[str, str] = Field(
        {"solver": SOLVE, "aggregator": AGGREGATE},
        description="templates by role; the solver's is the request, the aggregator's stands before it and shows the samples",
    )
    sampling: dict[str, Sampling] = Field(
        dict.fromkeys(("solver", "aggregator"), _PAPER),
        description="sampling by role; as in Mixture-of-Agents, temperature as commonly reported",
    )


class State(Rounds):
    """The samples as the first round of `chains`, the aggregator's answer as the second."""


def route(state: State) -> Literal["aggregate", "finish"]:
    """The aggregator after the samples, then the end."""
    return "aggregate" if len(state["chains"]) == 1 else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with the aggregator's answer, its text as it is for a chat."""
    answer = answer_of(state, -1, 0)
    return conclude(answer, "no_answer" if answer is None else "aggregated", state["chains"][-1][0])


def build() -> StateGraph[State, Params, Formed, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Formed)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(aggregate).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract")
    builder.add_conditional_edges("extract", route)
    builder.add_edge("aggregate", "extract").add_edge("finish", END)
    return builder


graph = build().compile()
