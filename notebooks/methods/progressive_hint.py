"""Progressive-Hint Prompting: ask again with the answers so far as hints, until two answers in a row are the same.

Zheng, Liu, Xie, Li, Li, "Progressive-Hint Prompting Improves Reasoning in Large Language Models", 2023, https://arxiv.org/abs/2304.09797.

```mermaid
graph LR
  START --> intake --> solve --> extract
  extract -. another answer, and rounds left .-> solve
  extract -. the same again, or no round left .-> finish --> END
```

Choices of ours: our own wording of prompt and hint, and a bound on the rounds, which the paper has none of.
"""

from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.extract import Rounds, extract
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE, answer_format
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.tools.llm import prompt, quorum, sample

METHOD = Method("progressive_hint", "Progressive-Hint Prompting", "2304.09797", 2023, "single solution", ("solver",), "1 + max_rounds")


class Params(BaseParams):
    """Parameters of a run."""

    max_rounds: int = Field(5, ge=0, description="questions with hints at most; the bound is ours")
    prompts: dict[str, str] = Field({"solver": "{hint}" + SOLVE}, description="templates by role")
    sampling: dict[str, Sampling] = Field({"solver": Sampling(temperature=0)}, description="sampling by role; greedy in the paper")


class State(Rounds):
    """A solution and its answer per round."""


async def solve(state: State) -> dict[str, Any]:
    """Append a solution, the answers before it given as a hint."""
    met = [f"{row[0]}" for row in state["answers"] if row[0] is not None]
    hint = f"Hint: the answer is near to {', '.join(met)}. " if met else ""
    asked = {"question": state["question"], "answer_format": answer_format(state["task"]), "hint": hint}
    [reply] = samples = await sample(state["params"], "solver", prompt(state["params"], "solver", **asked), 1)
    quorum(samples, 1)
    return {"chains": [[reply["text"]]], "statuses": [[reply["status"]]]}


def settled(state: State) -> bool:
    """Whether the last two answers are the same."""
    last = [row[0] for row in state["answers"][-2:]]
    return len(last) == 2 and last[0] == last[1] is not None


def route(state: State) -> Literal["solve", "finish"]:
    """Ask again while answers change and a round is left."""
    return "finish" if settled(state) or len(state["chains"]) > Params.of(state).max_rounds else "solve"


def finish(state: State) -> dict[str, Any]:
    """End with the last answer."""
    answer = state["answers"][-1][0]
    return conclude(answer, "no_answer" if answer is None else "same_again" if settled(state) else "max_rounds")


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(solve).add_node(extract).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract")
    builder.add_conditional_edges("extract", route)
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
