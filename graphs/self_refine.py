"""Self-Refine: write a draft, comment on it, rewrite it with the comments, and repeat until the comments approve.

Madaan et al., "Self-Refine: Iterative Refinement with Self-Feedback", 2023, https://arxiv.org/abs/2303.17651. Defaults are those of the
mathematics task in the authors' code (madaan/self-refine). One model plays the three roles unless a run says otherwise.

```mermaid
graph LR
  START --> intake --> solve --> extract --> review
  review -. not approved .-> refine --> extract
  review -. approved, or no round left .-> finish --> END
```

As in the mathematics task, the critic sees all earlier drafts with their feedback; so does the refiner. Approval at the s-th critique takes
1 + s + (s - 1) calls; without approval D drafts take 2 D. The answer is the approved draft; without approval the last one, or the
highest-scored one (the latest among equals) in a scored task: one whose reviewer's prompt asks for a line "SCORE: x" beside or instead of
the verdict. With the task `text` the answer is the whole draft, unchanged.

Choices of ours: feedback and rewrite are two calls (one in the authors' mathematics task); approval is a parsed verdict, and one that stays
unreadable after `max_reasks` further calls does not approve; the approved draft is returned, not a rewrite of it; the known answer stops
nothing; the history is never cut, since `max_rounds` bounds it. Which draft is the answer shows only after it was written, by a verdict or
a score, so a chat gets it whole (no `ANSWER_NODE`).
"""

import math
from typing import Any, Literal, NotRequired

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.critic import Critiqued, critique
from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import CRITIQUE, REWRITE, SOLVE
from symposia.nodes.rewriter import rewrite
from symposia.nodes.select import answer_of
from symposia.state.base import BaseParams, Illustrated, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, review

METHOD = Method(
    name="self_refine",
    title="Self-Refine",
    arxiv="2303.17651",
    year=2023,
    family="propose, check, refine",
    roles=("solver", "reviewer", "refiner"),
    calls="2 * (1 + max_rounds)",
    by_role={"solver": ("1", "1"), "reviewer": ("1", "1 + max_rounds"), "refiner": ("1", "max_rounds")},
    input=Illustrated,
)

SHOW = Show({"feedback": review(of="chains", answers="answers")}, fold=("intake", "extract"))
"""How the viewer shows its state."""


class Params(BaseParams):
    """Parameters of a run."""

    max_rounds: int = Field(3, ge=0, description="rewrites at most; 3 make the 4 drafts of the authors' mathematics task")
    prompts: dict[str, str] = Field({"solver": SOLVE, "reviewer": CRITIQUE, "refiner": REWRITE}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0), "reviewer": Sampling(temperature=0.7), "refiner": Sampling(temperature=0.7)},
        description="sampling by role; the authors' mathematics task, where feedback and rewrite are one call at 0.7",
    )


class State(Critiqued):
    """One draft per round, aligned with its answer, feedback, verdict and score; and which draft is the result."""

    best_index: NotRequired[int]


def route(state: State) -> Literal["refine", "finish"]:
    """Rewrite a draft that is not approved while a round is left."""
    approved, rewrites = state["verdicts"][-1][0], len(state["chains"]) - 1
    return "finish" if approved or rewrites >= Params.of(state).max_rounds else "refine"


def select(state: State) -> int:
    """Which draft is the result: the approved one, else the highest-scored and of these the latest, so without scores the last."""
    scores = [-math.inf if (s := row[0]) is None else s for row in state["scores"]]
    last = len(scores) - 1
    return last if state["verdicts"][-1][0] else max(range(len(scores)), key=lambda i: (scores[i], i))


def finish(state: State) -> dict[str, Any]:
    """End with the selected draft, which a chat shows unchanged."""
    chosen = select(state)
    answer = answer_of(state, chosen, 0)
    reason = "no_answer" if answer is None else "approved" if state["verdicts"][-1][0] else "max_rounds"
    return {"best_index": chosen, **conclude(answer, reason, state["chains"][chosen][0])}


def build() -> StateGraph[State, Params, Illustrated, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Illustrated)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract)
    builder.add_node("review", critique).add_node("refine", rewrite).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "review")
    builder.add_conditional_edges("review", route)
    builder.add_edge("refine", "extract").add_edge("finish", END)
    return builder


graph = build().compile()
