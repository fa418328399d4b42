"""LASeR: a bandit chooses, by the question, which of several reward models picks the best of k responses, and learns from how that went.

Nguyen, Prasad, Stengel-Eskin, Bansal, "LASeR: Learning to Adaptively Select Reward Models with Multi-Armed Bandits", 2024,
https://arxiv.org/abs/2410.01735; what the abstract leaves open follows the authors' code (duykhuongnguyen/LASeR-MAB) where it says it.

```mermaid
graph LR
  START --> intake --> embed
  embed --> select
  embed --> generate
  generate --> extract
  select --> score
  extract --> score
  score --> pick_best
  pick_best --> feedback --> update_bandit --> finish --> END
```

This is the inference form: nothing is trained but the bandit. Arms are the models of the role `reward`: `reward/URL`, or judges with
`rubrics`; of a question only the chosen one is called. With `learn` a run whose row has a known answer measures the picked response by it
(`metric`), and the bandit learns from that; so it is fitted on a training split, and used frozen on the others, where the last two steps
before the end do nothing. It stays in the store under the name `bandit`, from which the next run, batch or machine goes on; a replay reads
what was read, and changes nothing. `symposia bandit` shows and draws what was learned. `laser_pairs` makes preference pairs with
the same arms, and `symposia laser-train` trains a model with them, minus the loss being the bandit's reward, as in the paper.

Choices of ours: k (the paper's number could not be read); contexts are one question's, so a bandit chooses per question, where the code
does per batch of 16; an embedding model stands for the policy's last hidden state; rows at once choose before the rewards of the others
have come; of several best the first is picked, and one without an answer only if none has any; equal marks still let the bandit learn.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.graphs._laser import ArmParams
from symposia.nodes.arm_scorer import score
from symposia.nodes.bandit_arms import Chosen, embed, feedback, select, update_bandit
from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.select import answer_of, select_best
from symposia.state.base import Method, Question
from symposia.state.graph import StateGraph
from symposia.state.show import Show, arms, rewards, votes
from symposia.tools.bandit_report import Chose, arm_report
from symposia.tools.reward_arms import arm_names

METHOD = Method(
    name="laser",
    title="LASeR",
    arxiv="2410.01735",
    year=2024,
    family="fan out, aggregate",
    roles=("solver", "reward", "embedder"),
    calls="2 * k",
    by_role={"solver": ("k", "1")},
    by_choice={"reward": "k"},
)

SHOW = Show(
    {
        "arm_probs": arms(chosen="arm", rewards="norm_reward", seen="bandit_version", labels="arm_names"),
        "answers": votes(),
        "scores": rewards(of="chains"),
    },
    {"pick_best": "the best is number {best_index}", "feedback": "measured {raw_reward:.2f}", "update_bandit": "learned {norm_reward:.2f}"},
    ("intake", "embed", "extract"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` goes by the rewards that the runs have measured."""


class Params(ArmParams):
    """Parameters of a run."""

    k: int = Field(10, ge=1, description="responses of which the best is picked; ours")
    learn: bool = Field(False, description="let the bandit learn from this run, where its row has a known answer")
    metric: Literal["auto", "exact", "f1"] = Field("auto", description="how an answer is measured; auto: f1 of words for text, else exact")


class State(Chosen):
    """One round of k responses, the arm that marked them, and what it picked."""


def finish(state: State) -> dict[str, Any]:
    """End with the picked response: `learned` from or `best`; `unscored` when its mark is missing."""
    picked = state["best_index"]
    answer = answer_of(state, 0, picked)
    scored = "learned" if state.get("raw_reward") is not None else "best"
    reason = "no_answer" if answer is None else "unscored" if state["scores"][0][picked] is None else scored
    return conclude(answer, reason, state["chains"][0][picked])


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Which arms were chosen over finished runs, what they brought, and the regret; see `tools/bandit_report.py`."""
    order = sorted((state for state, _ in finished), key=lambda state: state["bandit_version"])
    chosen = [Chose(arm_names(state["params"])[state["arm"]], state.get("raw_reward")) for state in order]
    names = dict.fromkeys(name for state in order for name in arm_names(state["params"]))
    return arm_report(list(names), chosen)


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(embed).add_node(select).add_node("generate", fanout).add_node(extract).add_node(score)
    builder.add_node("pick_best", select_best).add_node(feedback).add_node(update_bandit).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "embed").add_edge("embed", "select").add_edge("embed", "generate")
    builder.add_edge("generate", "extract").add_edge(["select", "extract"], "score").add_edge("score", "pick_best")
    builder.add_edge("pick_best", "feedback").add_edge("feedback", "update_bandit")
    builder.add_edge("update_bandit", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
