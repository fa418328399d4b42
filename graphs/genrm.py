"""GenRM, to solve or to verify: fewer solutions, each checked by several reasoning verifications, against more solutions and a plain vote.

Singhi, Bansal, Hosseini, Grover, Chang, M. Rohrbach, A. Rohrbach, "When To Solve, When To Verify: Compute-Optimal Problem Solving and
Generative Verification for LLM Reasoning", 2025, https://arxiv.org/abs/2504.01005; the authors' code is nishadsinghi/sc-genrm-scaling.

```mermaid
graph LR
  START --> intake --> solve --> extract --> verify --> choose --> finish --> END
```

A solution's score is the mean of its verdicts, 1 or 0 each; those that cannot be read are left out, as in the authors' code, and asked for
only once. `weighted` adds the scores of all solutions that share an answer, `best` takes the one with the highest score. Without
verifications both are self-consistency, on the very solutions of `self_consistency` with the same seed and k.

The cost of a run, in units of one solution, is `k * (1 + verification_cost * verifications)`: 40 by default, what self-consistency costs at
the paper's 40 samples. `symposia report` prints for finished runs what fewer solutions and verifications of them would have come to, so
that budgets are compared on the same solutions. The paper finds self-consistency ahead at most practical budgets.

Choices of ours: one prompted verifier, zero-shot (the paper also has a fine-tuned one, of cost 2); the verdict is read from the text,
where the authors take the chance of the word "yes" if the engine gives it; ties as in `best_of_n` and `weighted_best_of_n`.
"""

import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NotRequired, cast

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE
from symposia.nodes.select import Selected, answer_of, select_best
from symposia.nodes.verifier import VERIFY, Verified, score_of, verify
from symposia.nodes.vote import Voted, Weighed, outcome_of, vote, weighted_vote
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.errors import BadInput
from symposia.state.graph import StateGraph
from symposia.state.show import Show, rewards, votes
from symposia.tools.equality import same_pure

METHOD = Method(
    name="genrm",
    title="GenRM (solve versus verify)",
    arxiv="2504.01005",
    year=2025,
    family="fan out, aggregate",
    roles=("solver", "verifier"),
    calls="k * (1 + verifications)",
    by_role={"solver": ("k", "1"), "verifier": ("verifications", "k")},
)

SHOW = Show(
    {
        "answers": votes(weight="vote_weights"),
        "vote_weights": votes(),
        "scores": rewards(of="chains"),
        "verdicts": rewards(),
    },
    {"choose": "{answer}"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

Arm = Literal["weighted", "best"]

SUBSETS = 25
"""Random subsets of the solutions that a figure of the report is the mean of, one where all are taken; as in the authors' code."""

_PAPER = Sampling(temperature=0.7, max_tokens=1024)


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(8, ge=1, description="solutions; the paper has 1, 2, 4 to 256, ours makes a run cost 40 solutions")
    verifications: int = Field(4, ge=0, description="verifications of each solution; the paper has 1, 2, 4 to 32, 0 is self-consistency")
    verification_cost: float = Field(1.0, ge=0, description="cost of a verification in solutions; the paper's lambda, 1 if prompted")
    arm: Arm = Field("weighted", description="weighted: the answer of most score; best: the solution of the highest score")
    prompts: dict[str, str] = Field({"solver": SOLVE, "verifier": VERIFY}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": _PAPER, "verifier": _PAPER}, description="sampling by role; 0.7 and 1024 tokens in the authors' code"
    )


class State(Verified, Weighed, Selected, Voted):
    """One round of solutions with their verdicts and scores, what was chosen by them, and what it cost in solutions."""

    cost: NotRequired[float]


def cost(solutions: int, verifications: int, verification_cost: float) -> float:
    """What solving and verifying costs, in units of one solution."""
    return solutions * (1 + verification_cost * verifications)


def choose(state: State) -> dict[str, Any]:
    """The answer by the verdicts on its solutions; without verifications by a plain vote."""
    params = Params.of(state)
    paid = {"cost": cost(params.k, params.verifications, params.verification_cost)}
    if not params.verifications:
        return {**vote(state), **paid}
    if params.arm == "weighted":
        return {**weighted_vote(state), **paid}
    chosen = select_best(state)
    return {**chosen, "answer": answer_of(state, 0, chosen["best_index"]), **paid}


def finish(state: State) -> dict[str, Any]:
    """End with the answer; the solution chosen as a whole is shown unchanged."""
    answer, best = state.get("answer"), state.get("best_index")
    if best is not None:
        return conclude(answer, "no_answer" if answer is None else "best", state["chains"][0][best])
    return conclude(answer, outcome_of(answer, state["vote_weights"]))


def cut(state: Mapping[str, Any], rows: Sequence[int], verifications: int, arm: Arm) -> State:
    """The state before `choose` of a run that had drawn these solutions alone, with the first so many verifications of each."""
    params = {**state["params"], "k": len(rows), "verifications": verifications, "arm": arm}
    verdicts = [state["verdicts"][0][i][:verifications] for i in rows]
    kept = {key: [[state[key][0][i] for i in rows]] for key in ("chains", "statuses", "answers")}
    scored = {"verdicts": [verdicts], "scores": [[score_of(row) for row in verdicts]]}
    return cast(State, {**state, **kept, **scored, "params": params})


def sizes(most: int) -> list[int]:
    """1, 2, 4 and so on up to a number, and that number."""
    return sorted({most, *(2**n for n in range(most.bit_length()))} if most else set())


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Accuracy in 0..1 by cost, for finished runs, each given as its last state and its accepted answers.

    Every pair of fewer solutions and verifications, named like `4x2`, is measured on the runs' own solutions, as the mean over random
    subsets of them. At a pair's cost, `self_consistency` is that of as many solutions as it pays for, None where the runs have too few.
    Answers are compared as numbers, letters and words, without algebra.

    Raises:
        BadInput: There are no runs.
    """
    if not finished:
        raise BadInput("there are no finished runs to report on", remedy="run the batch first")
    params = Params.of(finished[0][0])
    most, each = (min(state["params"][key] for state, _ in finished) for key in ("k", "verifications"))
    plain = {n: _accuracy(finished, n, 0, "weighted") for n in sizes(most)}
    pairs: dict[str, Any] = {}
    for n in sizes(most):
        for m in sizes(each):
            paid = cost(n, m, params.verification_cost)
            same = int(paid) if int(paid) <= most else None
            pairs[f"{n}x{m}"] = {
                "cost": paid,
                "best": _accuracy(finished, n, m, "best"),
                "weighted": _accuracy(finished, n, m, "weighted"),
                "self_consistency": None if same is None else _accuracy(finished, same, 0, "weighted"),
            }
    return {"runs": len(finished), "self_consistency": {str(n): a for n, a in plain.items()}, "genrm": pairs}


def _accuracy(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]], n: int, verifications: int, arm: Arm) -> float:
    """The mean share of subsets of `n` solutions from which the arm finds an accepted answer."""
    return fmean(right(state, accepted, n, verifications, arm) for state, accepted in finished)


def right(state: Mapping[str, Any], accepted: Sequence[str], n: int, verifications: int, arm: Arm) -> float:
    """How often, in 0..1, an arm finds an accepted answer from `n` of a run's solutions; the subsets are the same for every arm."""
    total, rng = len(state["answers"][0]), random.Random(n)
    subsets = [range(total)] if n == total else [rng.sample(range(total), n) for _ in range(SUBSETS)]
    answers = [choose(cut(state, rows, verifications, arm))["answer"] for rows in subsets]
    return fmean(answer is not None and any(same_pure(one, answer) for one in accepted) for answer in answers)


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(verify).add_node(choose).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "verify")
    builder.add_edge("verify", "choose").add_edge("choose", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
