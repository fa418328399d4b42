"""Adaptive-Consistency: sample for a vote only until its outcome is sure enough, so that easy questions cost little.

Aggarwal, Madaan, Yang, Mausam, "Let's Sample Step by Step: Adaptive-Consistency for Efficient Reasoning and Coding with LLMs", 2023,
https://arxiv.org/abs/2305.11860. Threshold, prior and the most samples are those of the authors' code (Pranjal2041/AdaptiveConsistency).

```mermaid
graph LR
  START --> intake --> solve --> extract --> vote
  vote -. not sure yet, samples left .-> solve
  vote -. sure, or none left .-> finish --> END
```

`rule` says when the vote is sure:
- `beta`, the paper's: the chance that the leading answer is likelier than the second one reaches `threshold`;
- `dirichlet`, the paper's other one: likewise against all answers met;
- `certain`: the samples left cannot change the winner. The answer is that of self-consistency over k samples, always;
- `window`: all of the newest `window` samples agree, and their answer is returned (Li et al., "Escape Sky-high Cost: Early-stopping
  Self-Consistency for Multi-step Reasoning", 2024, https://arxiv.org/abs/2401.10480, the authors' code Yiwei98/ESC).

Choices of ours: the paper asks for one sample after the other; here those are asked for together before which the rule could not stop
anyway, so that the same samples are drawn in fewer rounds, and a `batch` above 1 trades calls for time. A sample without an answer counts
as drawn and does not vote. The integral of `dirichlet` is computed over all answers, not drawn at random over the five most common ones.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from langgraph.channels import DeltaChannel
from langgraph.graph import END, START
from pydantic import Field
from typing_extensions import TypedDict

from symposia.nodes.extract import extract as extract_round
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE, answer_format
from symposia.nodes.vote import Voted
from symposia.nodes.vote import vote as count_votes
from symposia.state.base import Answer, BaseParams, Method, Question, Sampling
from symposia.state.channels import grow
from symposia.state.graph import StateGraph
from symposia.state.show import Show, shown_as, votes
from symposia.tools import stopping
from symposia.tools.llm import prompt, quorum, sample
from symposia.tools.vote import tally

METHOD = Method(
    name="adaptive_consistency",
    title="Adaptive-Consistency",
    arxiv="2305.11860",
    year=2023,
    family="fan out, aggregate",
    roles=("solver",),
    calls="k",
    by_role={"solver": ("k", "1")},
)

SHOW = Show(
    {"answers": votes(weight="vote_weights"), "vote_weights": votes(), "looks": shown_as("table")},
    {"vote": "{answer} leads after {looks[-1][drawn]}, {looks[-1][sure]:sure|not sure} ({looks[-1][chance]:.2f})"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

Rule = Literal["beta", "dirichlet", "certain", "window"]


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(40, ge=1, description="samples of the solver at most; 40 in the paper")
    rule: Rule = Field("beta", description="when to stop: beta (the paper's), dirichlet, certain or window")
    threshold: float = Field(0.95, gt=0, le=1, description="chance at which beta and dirichlet stop; 0.95 in the paper, 1 never stops")
    window: int = Field(5, ge=1, description="samples that must agree under the rule window; 5 of 40 in the early-stopping paper")
    batch: int = Field(1, ge=1, description="samples asked for at once at the least; 1 in the paper, more only costs calls")
    prompts: dict[str, str] = Field({"solver": SOLVE}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(temperature=0.7)}, description="sampling by role; 0.7 as in self-consistency, with which the paper compares"
    )


class Look(TypedDict):
    """What a look at the vote found: samples drawn, the chance under `beta` and `dirichlet`, whether to stop, and how many to draw next."""

    drawn: int
    chance: float | None
    sure: bool
    next: int


def _lengthen(value: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
    """The one round, with the new samples behind the former ones."""
    rows = [row for part in (value, *writes) for row in part]
    return [[item for row in rows for item in row]] if rows else []


_round: Any = DeltaChannel(_lengthen)


class State(Voted):
    """One round of samples, which grows until the vote is sure, and what each look at the vote found."""

    chains: Annotated[list[list[str]], _round]
    statuses: Annotated[list[list[str]], _round]
    answers: Annotated[list[list[Answer | None]], _round]
    looks: Annotated[list[Look], grow]


def chance(params: Params, counts: Sequence[int]) -> float | None:
    """How sure the vote is under the rules that say so; None under the others."""
    if params.rule == "beta":
        return stopping.beta(counts)
    return stopping.dirichlet(counts) if params.rule == "dirichlet" else None


def stops(params: Params, counts: Sequence[int], left: int) -> bool:
    """Whether the rule stops at these counts, with so many samples left; `window` never does by counts alone."""
    if not counts or params.rule == "window":
        return False
    found = chance(params, counts)
    return stopping.certain(counts, left) if found is None else found >= params.threshold


def draw(params: Params, counts: Sequence[int], left: int) -> int:
    """How many samples to ask for next."""
    least = params.window if params.rule == "window" else stopping.fewest(partial(stops, params), counts, left)
    return min(left, max(least, params.batch))


def look(params: Params, answers: Sequence[Answer | None]) -> Look:
    """Look at the vote over the samples so far."""
    counts = [entry["count"] for entry in tally(answers)]
    left = params.k - len(answers)
    sure = stops(params, counts, left)
    if params.rule == "window":
        newest = set(answers[-params.window :])
        sure = len(answers) >= params.window and len(newest) == 1 and None not in newest
    return Look(drawn=len(answers), chance=chance(params, counts), sure=sure, next=0 if sure else draw(params, counts, left))


async def solve(state: State) -> dict[str, Any]:
    """Ask for as many further samples as the last look says.

    Raises:
        SymposiaError: Fewer than `quorum` samples, or than have been drawn so far, came back.
    """
    params, looks = Params.of(state), state["looks"]
    drawn, more = (looks[-1]["drawn"], looks[-1]["next"]) if looks else (0, draw(params, [], params.k))
    messages = prompt(state["params"], "solver", question=state["question"], answer_format=answer_format(state["task"]))
    samples = await sample(state["params"], "solver", messages, more, drawn)
    good = sum(row.count("ok") for row in state["statuses"])
    quorum(samples, min(params.quorum, drawn + more) - good)
    return {"chains": [[s["text"] for s in samples]], "statuses": [[s["status"] for s in samples]]}


async def extract(state: State) -> dict[str, Any]:
    """Append the answers of the samples that have not been read."""
    read = sum(len(row) for row in state["answers"])
    new: Any = {**state, "chains": [state["chains"][0][read:]], "statuses": [state["statuses"][0][read:]]}
    return await extract_round(new)


def vote(state: State) -> dict[str, Any]:
    """Vote over the samples so far and look at how sure that is; a window that agrees decides by itself."""
    params, answers = Params.of(state), state["answers"][0]
    found = look(params, answers)
    counted = count_votes(state)
    if params.rule == "window" and found["sure"]:
        counted["answer"] = answers[-1]
    return {**counted, "looks": [found]}


def route(state: State) -> Literal["solve", "finish"]:
    """Sample on while the vote is not sure and a sample is left."""
    return "solve" if state["looks"][-1]["next"] else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with the vote's winner."""
    answer = state.get("answer")
    return conclude(answer, "no_answer" if answer is None else "sure" if state["looks"][-1]["sure"] else "all_samples")


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(solve).add_node(extract).add_node(vote).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "vote")
    builder.add_conditional_edges("vote", route)
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
