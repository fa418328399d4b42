"""Mixture-of-Agents: layers of models each rewrite the answer, having seen all answers of the layer before; an aggregator ends.

Wang, Wang, Athiwaratkun, Zhang, Zou, "Mixture-of-Agents Enhances Large Language Model Capabilities", 2024,
https://arxiv.org/abs/2406.04692. Defaults are those of the authors' code (togethercomputer/MoA).

```mermaid
graph LR
  START --> intake --> solve --> extract
  extract -. a layer left .-> propose --> extract
  extract -. every layer has answered .-> aggregate --> extract
  extract -. aggregated .-> finish --> END
```

The paper counts the aggregator as a layer: its 3 layers are `max_rounds` 1, its MoA-Lite of 2 layers `max_rounds` 0. A layer sees the one
before, all of it, in the order of the proposers, and no name of a model. Name the proposers as a list, `roles={"solver": [A, B, ...]}`; in
the later layers they are the role `proposer`, the same models unless it has its own.

Choices of ours: a reply that failed, was refused or cut off is shown to nobody, and without any reply the next one answers alone; each
reference stands between tags, since it may hold anything. With the task `text` the answer is the aggregator's whole text.
"""

from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.aggregator import AGGREGATE, aggregate, heard, request, with_references
from symposia.nodes.extract import Rounds, extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.panel import model_for
from symposia.nodes.prompts import SOLVE
from symposia.nodes.select import answer_of
from symposia.state.base import BaseParams, Formed, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, dialogue, votes
from symposia.tools.llm import quorum, sample

METHOD = Method(
    name="moa",
    title="Mixture-of-Agents",
    arxiv="2406.04692",
    year=2024,
    family="fan out, aggregate",
    roles=("solver", "proposer", "aggregator"),
    calls="k * (1 + max_rounds) + 1",
    by_role={"solver": ("k", "1"), "proposer": ("k", "max_rounds", "solver"), "aggregator": ("1", "1")},
    input=Formed,
)

SHOW = Show({"chains": dialogue(answers="answers"), "answers": votes()}, fold=("intake", "extract"))
"""How the viewer shows its state."""

ANSWER_NODE = "aggregate"
"""The node whose reply is the answer word for word, so that a chat can show it while it is written."""

ANSWER_ROLE = "aggregator"
"""Who writes it, and can be told its form."""

_PAPER = Sampling(temperature=0.7, max_tokens=2048)


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(6, ge=1, description="proposers of a layer; 6 open models in the authors' code")
    max_rounds: int = Field(1, ge=0, description="layers of proposers after the first; 1 in the paper's 3 layers, 0 in MoA-Lite")
    prompts: dict[str, str] = Field(
        {"solver": SOLVE, "proposer": AGGREGATE, "aggregator": AGGREGATE},
        description="templates by role; the solver's is the request, the others stand before it and show the answers of the layer before",
    )
    sampling: dict[str, Sampling] = Field(
        dict.fromkeys(("solver", "proposer", "aggregator"), _PAPER),
        description="sampling by role; 0.7 and 2048 tokens in the authors' code",
    )


class State(Rounds):
    """A layer per round of `chains`, one reply per proposer in their order; the last round is the aggregator's."""


def route(state: State) -> Literal["propose", "aggregate", "finish"]:
    """The next layer while one is left, then the aggregator, then the end."""
    layers, done = 1 + Params.of(state).max_rounds, len(state["chains"])
    return "propose" if done < layers else "aggregate" if done == layers else "finish"


async def propose(state: State) -> dict[str, Any]:
    """Append a layer: every proposer's answer, after those of the layer before.

    Raises:
        SymposiaError: Fewer than `quorum` proposers replied.
    """
    params = model_for(state["params"], "proposer", "solver")
    messages = with_references(params, "proposer", request(state), heard(state))
    samples = await sample(params, "proposer", messages, params["k"])
    quorum(samples, params["quorum"])
    return {"chains": [[s["text"] for s in samples]], "statuses": [[s["status"] for s in samples]]}


def finish(state: State) -> dict[str, Any]:
    """End with the aggregator's answer, its text as it is for a chat."""
    answer = answer_of(state, -1, 0)
    return conclude(answer, "no_answer" if answer is None else "aggregated", state["chains"][-1][0])


def build() -> StateGraph[State, Params, Formed, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Formed)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(propose).add_node(aggregate).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract")
    builder.add_conditional_edges("extract", route)
    builder.add_edge("propose", "extract").add_edge("aggregate", "extract").add_edge("finish", END)
    return builder


graph = build().compile()
