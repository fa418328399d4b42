"""Best of n: draw k solutions, score each as a whole, return the one with the highest score.

The verifier form of Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021, https://arxiv.org/abs/2110.14168; the idea has no
single source. The scorer is the role `outcome`: a judge, or a served reward model.

```mermaid
graph LR
  START --> intake --> solve --> extract --> score --> select_best --> finish --> END
```

A solution without an answer scores 0 unasked (evaluation code of solve-versus-verify, github.com/nishadsinghi/sc-genrm-scaling). Choices of
ours: equal scores go to the lowest index; a scorer's failure ranks below every number; a solution without an answer is chosen only when no
other has one. It works on open text, where answers cannot be voted on: with the task `text` the answer is the whole solution, unchanged.
Beware of one model as writer and scorer, and of scorers with few levels: then the tie rule decides, `symposia report` says how often.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import JUDGE_OUTCOME, SOLVE
from symposia.nodes.score import score
from symposia.nodes.select import Selected, answer_of, select_best
from symposia.state.base import BaseParams, Illustrated, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, rewards, votes

METHOD = Method(
    name="best_of_n",
    title="Best of N",
    arxiv="2110.14168",
    year=2021,
    family="fan out, aggregate",
    roles=("solver", "outcome"),
    calls="k",
    scoring="k",
    by_role={"solver": ("k", "1"), "outcome": ("1", "k")},
    input=Illustrated,
)

SHOW = Show({"answers": votes(), "scores": rewards(of="chains")}, {"select_best": "the best is number {best_index}"}, ("intake", "extract"))
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` looks at the scores alone."""


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(16, ge=1, description="samples of the solver; 16 suits a judge (ours), the paper has 100, as commonly reported")
    prompts: dict[str, str] = Field({"solver": SOLVE, "outcome": JUDGE_OUTCOME}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0.7, max_tokens=1024), "outcome": Sampling(temperature=0)},
        description="sampling by role; solver as in the evaluation code of solve-versus-verify, judge greedy (ours)",
    )


class State(Selected):
    """One round of k solutions with their scores, and which one is chosen."""


def finish(state: State) -> dict[str, Any]:
    """End with the chosen solution, which a chat shows unchanged."""
    chosen = state["best_index"]
    answer = answer_of(state, 0, chosen)
    reason = "no_answer" if answer is None else "unscored" if state["scores"][0][chosen] is None else "best"
    return conclude(answer, reason, state["chains"][0][chosen])


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """How many runs there are, and in how many the chosen solution shared its score, so that its place decided."""
    return {"runs": len(finished), "ties": sum(_tied(state) for state, _ in finished)}


def _tied(state: Mapping[str, Any]) -> bool:
    """Whether other solutions that give an answer have the score of the chosen one."""
    scores = [score for score, answer in zip(state["scores"][0], state["answers"][0], strict=True) if answer is not None]
    best = state["scores"][0][state["best_index"]]
    return best is not None and scores.count(best) > 1


def build() -> StateGraph[State, Params, Illustrated, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Illustrated)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(score).add_node(select_best).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "score")
    builder.add_edge("score", "select_best").add_edge("select_best", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
