"""MAgICoRe: answer easy problems by a weighted vote, review and refine the hard ones, round by round.

Chen, Prasad, Saha, Stengel-Eskin, Bansal, "MAgICoRe: Multi-Agent, Iterative, Coarse-to-Fine Refinement for Reasoning", 2024,
https://arxiv.org/abs/2409.12147. Defaults are those of the authors' code (dinobby/MAgICoRe), which is the authority where the abstract is
silent.

A problem is hard when both conditions fail: C1, the samples with the majority answer score at least the data set's mean; C2, the answers
weighted by each reward model are less spread than three equal ones. A sample scores `orm + product(prm_steps)`, in 0..2, the product 0
without an answer. An answer's weight in the vote is the sum of its samples' scores over the pool: the k best of the last two rounds.

```mermaid
graph LR
  START --> intake --> solve --> extract --> score --> aggregate --> classify
  classify -. easy, or no round left .-> finish --> END
  classify -. hard .-> review --> refine --> extract
```

Choices of ours where code and paper are silent or the code is at fault: the majority is that of the current round (the code keeps round
0's); a distribution without mass, and a problem without any answer, count as hard; a problem judged easy after a refinement stops; the
answer line of the refiner follows the task; steps are cut at any "Step n". The step label is asked for in the prompt, since chat interfaces
take no prefilled turn. As in the code, a further round refines the k refined solutions, not the pool.
"""

import math
import statistics
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from langgraph.graph import END, START
from langgraph.types import Send
from pydantic import Field
from typing_extensions import TypedDict

from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import PrepareState, Rows, intake, intake_rows
from symposia.nodes.prompts import JUDGE_OUTCOME, JUDGE_STEPS, REFINE, REVIEW, SOLVE
from symposia.nodes.refiner import refine
from symposia.nodes.reviewer import Reviewed, critique
from symposia.state import show
from symposia.state.base import Answer, BaseParams, Method, Question, Sampling
from symposia.state.channels import grow
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.tools import rewards
from symposia.tools.answers import task_of
from symposia.tools.steps import split_steps
from symposia.tools.vote import Tally, confidence, tally, winner

METHOD = Method(
    name="magicore",
    title="MAgICoRe",
    arxiv="2409.12147",
    year=2024,
    family="propose, check, refine",
    roles=("solver", "reviewer", "refiner", "outcome", "process"),
    calls="k * (1 + 2 * max_rounds)",
    scoring="2 * k * (1 + max_rounds)",
    by_role={
        **{"solver": ("k", "1"), "reviewer": ("1", "k * max_rounds"), "refiner": ("1", "k * max_rounds")},
        **dict.fromkeys(("outcome", "process"), ("1", "k * (1 + max_rounds)")),
    },
)

SHOW = show.Show(
    {
        "answers": show.votes(weight="vote_weights"),
        "vote_weights": show.votes(),
        "prm_steps": show.rewards(of="chains"),
        "orm": show.rewards(of="chains"),
        "feedback": show.review(of="chains", answers="answers"),
        "pool": show.shown_as("table"),
        "history": show.shown_as("table"),
    },
    {
        "aggregate": "{answer} leads",
        "classify": "{history[-1][is_hard]:hard|easy}: quality {history[-1][quality]:.2f} of {history[-1][calib_mean]:.2f}, "
        "confidence {history[-1][conf_orm]:.2f} and {history[-1][conf_prm]:.2f} of {params[confidence_threshold]:.2f}",
    },
    ("intake", "extract"),
)
"""How the viewer shows its state."""

_ROUNDING, _TINY = 1e-9, 1e-12
_PAPER = Sampling(temperature=0.8, top_p=0.95, max_tokens=1000)


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(40, ge=1, description="samples of the solver, and solutions refined each round")
    max_rounds: int = Field(3, ge=0, description="refinement rounds at most; the headline numbers use 1")
    calib_mean: float = Field(1.0, ge=0, le=2, description="mean sample score of the data set, for C1; 1 is the middle of the scale (ours)")
    confidence_threshold: float = Field(0.5, ge=0, le=1, description="least confidence under each reward model, for C2")
    attention: int = Field(6, ge=0, le=10, description="the reviewer looks at steps marked below this, of 10")
    prompts: dict[str, str] = Field(
        {"solver": SOLVE, "reviewer": REVIEW, "refiner": REFINE, "outcome": JUDGE_OUTCOME, "process": JUDGE_STEPS},
        description="templates by role",
    )
    sampling: dict[str, Sampling] = Field(
        {
            "solver": _PAPER,
            "reviewer": _PAPER.model_copy(update={"min_tokens": 50}),
            "refiner": _PAPER.model_copy(update={"min_tokens": 50}),
            "outcome": Sampling(temperature=0),
            "process": Sampling(temperature=0),
        },
        description="sampling by role; solver, reviewer and refiner as in the authors' code, judges greedy (ours)",
    )


class Decision(TypedDict):
    """What `classify` found in a round; `conf_orm` and `conf_prm` are None without mass."""

    round: int
    majority: Answer | None
    quality: float | None
    calib_mean: float
    conf_orm: float | None
    conf_prm: float | None
    is_hard: bool


class PoolItem(TypedDict):
    """A sample of the pool: where its text stands (`chains[round][index]`), its answer and its scores."""

    round: int
    index: int
    answer: Answer | None
    orm: float
    prm_prod: float
    score: float


class State(Reviewed):
    """Lists of rounds that only grow; item i of a round is about the same solution in each of them."""

    orm: Annotated[list[list[float]], grow]
    history: Annotated[list[Decision], grow]
    pool: NotRequired[list[PoolItem]]
    vote_weights: NotRequired[list[Tally]]


async def score(state: State) -> dict[str, Any]:
    """Score each solution as a whole and each of its steps, the two reward models side by side; what fails or is empty scores 0."""
    params, question = state["params"], state["question"]

    async def one(chain: str) -> tuple[float, list[float]]:
        if not chain:
            return 0.0, []
        steps = split_steps(chain)
        both = (partial(rewards.outcome, params, question, chain), partial(rewards.process, params, question, steps))
        whole, marks = await fan(both)
        return whole or 0.0, marks or []  # type: ignore[return-value]

    scored = await fan([partial(one, chain) for chain in state["chains"][-1]])
    return {"orm": [[whole for whole, _ in scored]], "prm_steps": [[marks for _, marks in scored]]}


def samples(state: Mapping[str, Any], round_: int) -> list[PoolItem]:
    """The scored samples of a round."""
    rows = zip(state["answers"][round_], state["orm"][round_], state["prm_steps"][round_], strict=True)
    found = []
    for index, (answer, orm, marks) in enumerate(rows):
        product = math.prod(marks) if answer is not None and marks else 0.0
        found.append(PoolItem(round=round_, index=index, answer=answer, orm=orm, prm_prod=product, score=orm + product))
    return found


def aggregate(state: State) -> dict[str, Any]:
    """Keep the k best of the last two rounds, and vote: each answer weighs the sum of its samples' scores.

    Equal sums go to the answer that owns the best sample; equal samples rank by round and index.
    """
    last = len(state["chains"]) - 1
    merged = [item for r in range(max(0, last - 1), last + 1) for item in samples(state, r)]
    pool = sorted(merged, key=lambda s: -s["score"])[: len(state["chains"][0])]
    votes = tally([s["answer"] for s in pool], [s["score"] for s in pool])
    return {"pool": pool, "vote_weights": votes, "answer": winner(votes)}


def classify(state: State) -> dict[str, Any]:
    """Judge the newest round by C1 and C2."""
    params = Params.of(state)
    now = samples(state, -1)
    answers = [s["answer"] for s in now]
    majority = winner(tally(answers))
    quality = None
    if majority is not None:
        agreeing = [s["score"] for s in now if s["answer"] == majority]
        quality = statistics.fmean(agreeing)
    calib_mean = state.get("artefact", {}).get("calib_mean", params.calib_mean)
    # The paper's outcome score is a sigmoid, so never 0; a judge's may be, and equal answers still agree then.
    conf_orm = confidence(answers, [max(s["orm"], _TINY) for s in now])
    conf_prm = confidence(answers, [s["prm_prod"] for s in now])
    # A quality equal to the mean, and three equal answers (confident by exactly 0.5), must not fail by rounding.
    c1 = quality is not None and quality >= calib_mean - _ROUNDING
    c2 = majority is not None and all(c is not None and c >= params.confidence_threshold - _ROUNDING for c in (conf_orm, conf_prm))
    decision = Decision(
        round=len(state["chains"]) - 1,
        majority=majority,
        quality=quality,
        calib_mean=calib_mean,
        conf_orm=conf_orm,
        conf_prm=conf_prm,
        is_hard=not (c1 or c2),
    )
    return {"history": [decision]}


def route(state: State) -> Literal["review", "finish"]:
    """Refine a hard problem while a round is left."""
    newest = state["history"][-1]
    return "review" if newest["is_hard"] and newest["round"] < Params.of(state).max_rounds else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with the vote's winner."""
    answer = state.get("answer")
    if answer is None:
        return conclude(None, "no_answer")
    return conclude(answer, "max_rounds" if state["history"][-1]["is_hard"] else "easy")


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(score).add_node(aggregate).add_node(classify)
    builder.add_node("review", critique).add_node(refine).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "score")
    builder.add_edge("score", "aggregate").add_edge("aggregate", "classify")
    builder.add_conditional_edges("classify", route)
    builder.add_edge("review", "refine").add_edge("refine", "extract").add_edge("finish", END)
    return builder


class Calibration(PrepareState):
    """The scores of the first samples of every problem, a list per row."""

    scores: Annotated[list[list[float]], grow]


def first_round() -> StateGraph[State, Params, Any, State]:
    """Solve, extract and score: what calibration needs of a problem."""
    builder = StateGraph(State, Params)
    builder.add_node("solve", fanout).add_node(extract).add_node(score)
    builder.add_edge(START, "solve").add_edge("solve", "extract").add_edge("extract", "score").add_edge("score", END)
    return builder


def spread(state: Calibration) -> list[Send]:
    """One `sample` per row; results join in this order."""
    return [Send("sample", {"rows": [row], "params": state["params"]}) for row in state["rows"]]


async def sample(state: Calibration) -> dict[str, Any]:
    """The scores of the k samples of one row."""
    row = state["rows"][0]
    task = task_of(row.get("task") or "auto")
    done = await _FIRST_ROUND.ainvoke({"question": row["question"], "task": task, "params": state["params"]})
    return {"scores": [[item["score"] for item in samples(done, 0)]]}


def calibrate(state: Calibration) -> dict[str, Any]:
    """Mean and deviation over all k samples of all rows (the authors' code takes the first sample of each)."""
    flat = [score for row in state["scores"] for score in row]
    content: dict[str, Any] = {"calib_mean": statistics.fmean(flat), "deviation": statistics.pstdev(flat)}
    content |= {"problems": len(state["scores"]), "samples": len(flat)}
    return {"answer": content}


def prepare() -> StateGraph[Calibration, Params, Rows, Calibration]:
    """The graph behind `symposia prepare magicore`: the mean sample score of a data set, for C1."""
    builder = StateGraph(Calibration, Params, input_schema=Rows)
    builder.add_node("intake", intake_rows).add_node(sample).add_node(calibrate)
    builder.add_edge(START, "intake")
    builder.add_conditional_edges("intake", spread, ["sample"])
    builder.add_edge("sample", "calibrate").add_edge("calibrate", END)
    return builder


_FIRST_ROUND = first_round().compile()
graph = build().compile()
