"""Weighted best of n: add up the scores of all solutions that share an answer; the answer with most mass wins.

Answer-level sums of a verifier's scores as in Li, Lin, Zhang, Fu, Chen, Lou, Chen, "Making Large Language Models Better Reasoners with
Step-Aware Verifier", 2022, https://arxiv.org/abs/2206.02336; also the vote on MAgICoRe's easy branch. Between self-consistency, where every
sample weighs the same, and best of n, where only the best one counts. The scorer is the role `outcome`: a judge, or a served reward model.

```mermaid
graph LR
  START --> intake --> solve --> extract --> score --> vote --> finish --> END
```

Choices of ours: equal masses go to the answer that owns the best-scored sample, then to the lower index; a missing score weighs nothing;
without any mass the plain count decides, which `stop_reason` says (`zero_mass`). Scores are in 0..1 from every scorer, so none is shifted
or clipped. A scorer that gives all samples about the same makes this self-consistency: `symposia report` says how often the two differ.
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
from symposia.nodes.vote import Weighed, outcome_of, weighted_vote
from symposia.state.base import BaseParams, Illustrated, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, rewards, votes
from symposia.tools.vote import tally, winner

METHOD = Method(
    name="weighted_best_of_n",
    title="Weighted Best of N",
    arxiv="2206.02336",
    year=2022,
    family="fan out, aggregate",
    roles=("solver", "outcome"),
    calls="k",
    scoring="k",
    by_role={"solver": ("k", "1"), "outcome": ("1", "k")},
    input=Illustrated,
)

SHOW = Show(
    {"answers": votes(weight="vote_weights"), "vote_weights": votes(), "scores": rewards(of="chains")},
    {"vote": "{answer} leads"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` looks at the votes alone."""


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(16, ge=1, description="samples of the solver; as in best of n (ours)")
    power: float = Field(1.0, gt=0, le=100, description="power of the score that is a sample's weight; 1 is the plain sum")
    prompts: dict[str, str] = Field({"solver": SOLVE, "outcome": JUDGE_OUTCOME}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0.7, max_tokens=1024), "outcome": Sampling(temperature=0)},
        description="sampling by role; solver as in the evaluation code of solve-versus-verify, judge greedy (ours)",
    )


class State(Weighed):
    """One round of k solutions with their scores, and the weighted vote."""


def finish(state: State) -> dict[str, Any]:
    """End with the vote's winner."""
    answer = state.get("answer")
    return conclude(answer, outcome_of(answer, state["vote_weights"]))


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """How many runs there are, in how many the weights chose another answer than a plain count does, and in how many all weights were 0."""
    states = [state for state, _ in finished]
    counted = [winner(tally(state["answers"][0])) for state in states]
    return {
        "runs": len(states),
        "differ": sum(state["answer"] != plain for state, plain in zip(states, counted, strict=True)),
        "zero_mass": sum(state["stop_reason"] == "zero_mass" for state in states),
    }


def build() -> StateGraph[State, Params, Illustrated, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Illustrated)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(score).add_node("vote", weighted_vote).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "score")
    builder.add_edge("score", "vote").add_edge("vote", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
