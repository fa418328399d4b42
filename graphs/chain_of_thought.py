"""Chain of thought: one solution, written step by step; the baseline of all methods that draw several or improve one.

Wei et al., "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", 2022, https://arxiv.org/abs/2201.11903. The paper shows
worked examples; without them, as here, it is the zero-shot form of Kojima et al., "Large Language Models are Zero-Shot Reasoners", 2022,
https://arxiv.org/abs/2205.11916. For worked examples replace the solver's prompt by one that has them.

```mermaid
graph LR
  START --> intake --> solve --> extract --> finish --> END
```

Choice of ours: the solver's prompt asks for numbered steps and a boxed answer in one call, as in every method here, so that differences
between methods are not differences of prompts. (Kojima et al. read the answer with a second call.)
"""

from typing import Any

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.extract import Rounds, extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE
from symposia.state.base import BaseParams, Illustrated, Method, Sampling
from symposia.state.graph import StateGraph

METHOD = Method(
    name="chain_of_thought",
    title="Chain of Thought",
    arxiv="2201.11903",
    year=2022,
    family="single solution",
    roles=("solver",),
    calls="1",
    by_role={"solver": ("1", "1")},
    input=Illustrated,
)

ANSWER_NODE = "solve"
"""The node whose reply is the answer word for word, so that a chat can show it while it is written."""


class Params(BaseParams):
    """Parameters of a run."""

    prompts: dict[str, str] = Field({"solver": SOLVE}, description="templates by role")
    sampling: dict[str, Sampling] = Field({"solver": Sampling(temperature=0)}, description="sampling by role; greedy, as in both papers")


class State(Rounds):
    """One round with one solution."""


def finish(state: State) -> dict[str, Any]:
    """End with the answer of the one solution, which a chat shows unchanged."""
    answer = state["answers"][0][0]
    return conclude(answer, "no_answer" if answer is None else "answered", state["chains"][0][0])


def build() -> StateGraph[State, Params, Illustrated, State]:
    """Wire the nodes."""
    builder = StateGraph(State, Params, input_schema=Illustrated)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "finish")
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
