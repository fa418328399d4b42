"""LASeR's preference pairs: the reward model that a bandit chooses ranks k responses, and better ones are paired with worse ones.

Nguyen, Prasad, Stengel-Eskin, Bansal, "LASeR: Learning to Adaptively Select Reward Models with Multi-Armed Bandits", 2024,
https://arxiv.org/abs/2410.01735; the authors' code is duykhuongnguyen/LASeR-MAB.

```mermaid
graph LR
  START --> intake --> embed
  embed --> select
  embed --> generate
  generate --> extract
  select --> score
  extract --> score
  score --> make_pairs --> finish --> END
```

The training half of the method as far as no weights are needed: `symposia export` writes the pairs of a batch as one file,
`preference.train.jsonl`, which `python -m symposia.train FOLDER --loss dpo` takes. The bandit is read and never changed, since its reward
would be the loss of that training; `symposia laser-train` is the whole loop, in which it learns. One fitted with `laser` can be
used here: `-p bandit=NAME` with the same arms.

Pairs never mix prompts, unlike in the authors' code. Choices of ours: pairs are made per prompt, as many as the code makes of a batch;
`half` pairs the better half with the worse one, largest margins first, `nested` is the code's order; equal texts make no pair.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from langgraph.graph import END, START
from pydantic import Field

from symposia.graphs._laser import ArmParams
from symposia.nodes.arm_scorer import score
from symposia.nodes.bandit_arms import Chosen, embed, select
from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import answer_format
from symposia.nodes.select import answer_of, select_best
from symposia.state.base import Method, Question
from symposia.state.errors import BadInput
from symposia.state.graph import StateGraph
from symposia.state.show import Show, arms, rewards, shown_as, votes
from symposia.tools.bandit_report import Chose, arm_report
from symposia.tools.llm import parts
from symposia.tools.ranked_pairs import RankedPair, Rule, ranked_pairs
from symposia.tools.reward_arms import arm_names

METHOD = Method(
    name="laser_pairs",
    title="LASeR's preference pairs",
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
        "arm_probs": arms(chosen="arm", seen="bandit_version", labels="arm_names"),
        "answers": votes(),
        "scores": rewards(of="chains"),
        "pairs": shown_as("table"),
    },
    fold=("intake", "embed", "extract"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""Pairs come from the arms' marks alone."""

FILE = "preference.train.jsonl"


class Params(ArmParams):
    """Parameters of a run."""

    k: int = Field(30, ge=1, description="responses to a prompt; 30 in the authors' code")
    pairs: int = Field(10, ge=1, description="pairs of a prompt at most; 10 in the authors' code, there of a batch")
    pair_rule: Rule = Field("half", description="half: better half against worse half (ours); nested: the authors' order")


class State(Chosen):
    """One round of k responses with their marks, and the pairs among them, by index."""

    pairs: NotRequired[list[RankedPair]]


def make_pairs(state: State) -> dict[str, Any]:
    """Pair the responses by their marks; the best one is the answer."""
    params = Params.of(state)
    return {"pairs": ranked_pairs(state["chains"][0], state["scores"][0], params.pairs, params.pair_rule), **select_best(state)}


def finish(state: State) -> dict[str, Any]:
    """End with the best response: `paired`, or `no_pair` when all marks are equal or missing."""
    answer = answer_of(state, 0, state["best_index"])
    reason = "no_answer" if answer is None else "paired" if state["pairs"] else "no_pair"
    return conclude(answer, reason, state["chains"][0][state["best_index"]])


def rows_of(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of a run in TRL's conversational preference format, with the margin and the arm beside."""
    params, texts = state["params"], state["chains"][0]
    fields = {"question": state["question"], "answer_format": answer_format(state["task"])}
    prompt = "".join(parts(params["prompts"]["solver"], fields))
    arm = arm_names(params)[state["arm"]]
    return [
        {
            "prompt": [{"role": "user", "content": prompt}],
            "chosen": [{"role": "assistant", "content": texts[pair["chosen"]]}],
            "rejected": [{"role": "assistant", "content": texts[pair["rejected"]]}],
            "question": state["question"],
            "margin": pair["margin"],
            "arm": arm,
        }
        for pair in state["pairs"]
    ]


def export(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]], folder: Path) -> dict[str, int]:
    """Write the pairs of finished runs as one file for a preference loss.

    Raises:
        BadInput: The file cannot be written.
    """
    rows = [row for state, _ in finished for row in rows_of(state)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / FILE).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BadInput(f"cannot write {folder / FILE}: {error.strerror}", remedy="name a folder that can be written") from None
    return {FILE: len(rows)}


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """How many pairs finished runs gave, and which arms made them."""
    states = [state for state, _ in finished]
    names = dict.fromkeys(name for state in states for name in arm_names(state["params"]))
    chosen = [Chose(arm_names(state["params"])[state["arm"]], None) for state in states]
    counts = [len(state["pairs"]) for state in states]
    return {"prompts": len(states), "pairs": sum(counts), "without_pairs": counts.count(0), **arm_report(list(names), chosen)}


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(embed).add_node(select).add_node("generate", fanout).add_node(extract).add_node(score)
    builder.add_node(make_pairs).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "embed").add_edge("embed", "select").add_edge("embed", "generate")
    builder.add_edge("generate", "extract").add_edge(["select", "extract"], "score").add_edge("score", "make_pairs")
    builder.add_edge("make_pairs", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
