"""MutaGReP: a search for a plan whose every step is grounded in symbols of a repository, then a program by the best plan. No code is run.

"MutaGReP: Execution-Free Repository-Grounded Plan Search for Code-Use", 2025, https://arxiv.org/abs/2502.15872. Defaults are those of
the paper's main run and the authors' code (codezakh/MutaGReP).

```mermaid
graph LR
  START --> intake --> index --> prime --> guard
  guard -. a plan waits .-> select
  guard -. budget used up, or none waits .-> select_best
  select --> goal_test
  goal_test -. may grow .-> mutate
  goal_test -. too deep .-> guard
  goal_test -. goal reached .-> select_best
  mutate --> ground --> score --> push --> guard
  select_best --> plan_to_code --> finish --> END
```

A planner rewrites a plan (`successor=unconstrained`), or adds one step (`monotonic`); every step is grounded in the nearest symbols of the
index that `symposia prepare mutagrep FOLDER` makes; a scorer says which plan is taken next. A small repository may come with the question
instead, as `files`: it is indexed within the run, by names and docstrings, without a call. `node_budget` counts the plans made, the empty
one included, and `max_depth` is a level whose plans are not expanded. `strategy=linear` is the paper's ReAct baseline, one chain of single
steps, `node_budget=1` asks the coder without any plan, and with `show_code` besides it is the paper's baseline of the whole repository.
`one_step` looks symbols up as the authors' one-step retrieval tool does, by keywords of a model that then picks one.

When all replies can be read, a search makes node_budget - 1 plans from as many samples, in ceil((node_budget - 1) / branching) rounds, and
`code_samples` programs: 84 calls by default; a likert judge scores each plan once. The formula is the most there can be: it counts the
judge, for every plan `mutate_requests` rounds of which but one sample could be read, and with `one_step` two calls for each of 60 steps.

`symposia report mutagrep OUT.jsonl` measures programs by the symbols that a good one calls (`unique_apis`) and, where rows have a known
program as their answer, by ChrF; `mutagrep_judge` lets a judge compare the programs of two settings with the known one.

Choices of ours where paper and code are silent or the code is at fault: of equal scores the earlier plan goes first; only as many samples
are asked for as plans fit the budget (the authors ask for all and cut: `ask_all`); a sentence is grounded once in a search; an unreadable
judgement is 0; without `one_step`, monotonic steps are judged satisfiable by whether retrieval found a symbol; the empty plan is never the
best while there is another. The authors' test that ends a search early is `test_goal`, off in all their runs; `goal_score` is ours, and so
is `at_once`, by which a search takes fewer and broader rounds, and another way.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, NotRequired, Self

from langgraph.graph import END, START
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from symposia.graphs import _mutagrep_index
from symposia.graphs._mutagrep_index import PREPARE_PARAMS as PREPARE_PARAMS
from symposia.graphs._mutagrep_index import IndexParams
from symposia.graphs._mutagrep_index import prepare_rows as prepare_rows
from symposia.nodes.finish import conclude
from symposia.nodes.intents import DESCRIBE
from symposia.nodes.plan_coder import CODE, chosen, plan_to_code
from symposia.nodes.plan_intake import Request, check_input, index, intake
from symposia.nodes.plan_mutator import MUTATE, Expansion, Proposal, mutate
from symposia.nodes.plan_scorer import EXAMINE, JUDGE_PLAN, NOTHING, is_complete, score
from symposia.nodes.symbol_finder import FIND, find_symbols
from symposia.state.base import Method, Sampling
from symposia.state.channels import grow, settled
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.state.show import Show, plan, shown_as
from symposia.tools import plans
from symposia.tools.plan_reports import export, export_against, report
from symposia.tools.plan_views import Card, card, plan_page
from symposia.tools.plan_views import plan_dot as picture
from symposia.tools.plans import PlanNode, Score, Strategy
from symposia.tools.retrieval import index_of
from symposia.tools.retrieval import starting_symbols as nearest_symbols

__all__ = [
    "METHOD",
    "NEEDS_REFERENCES",
    "SHOW",
    "Params",
    "State",
    "build",
    "check_input",
    "export",
    "export_against",
    "graph",
    "picture",
    "prepare",
    "prepare_rows",
    "report",
]

METHOD = Method(
    name="mutagrep",
    title="MutaGReP",
    arxiv="2502.15872",
    year=2025,
    family="code that is run",
    roles=("planner", "retriever", "judge", "examiner", "coder", "describer", "embedder"),
    calls="(mutate_requests * branching + 1 + 120 * one_step) * (node_budget - 1) + test_goal * max(0, node_budget - 2) + code_samples",
    by_role={
        "retriever": ("1", "120 * one_step * (node_budget - 1)"),
        "judge": ("1", "(scorer == 'likert') * (node_budget - 1)"),
        "examiner": ("1", "test_goal * max(0, node_budget - 2)"),
        "coder": ("code_samples", "1"),
        "describer": ("1", "0"),
    },
    by_choice={"planner": "mutate_requests * branching * (node_budget - 1)"},
    input=Request,
    items="repositories",
)

_SEARCHED = {"values": "scores", "value": "search", "visited": "visited", "waiting": "frontier", "ended": "search_state"}
SHOW = Show(
    {
        "nodes": plan(chosen="best", **_SEARCHED),
        "current": plan(nodes="nodes", chosen="current", **_SEARCHED),
        "best": plan(nodes="nodes", chosen="best", **_SEARCHED),
        "expansions": shown_as("table"),
    },
    {
        "select": "plan {current} is next",
        "mutate": "{expansions[-1][read]} of {expansions[-1][asked]} plans could be read",
        "select_best": "plan {best}: {search_state}",
    },
    ("intake", "index", "guard", "goal_test", "push"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` and `export` go by the input's `unique_apis`, so rows need no field `answer`."""

_GREEDY = Sampling(temperature=0)


class Params(IndexParams):
    """Parameters of a run, and of `prepare`: those of the index are its own."""

    strategy: Strategy = Field("best_first", description="which plan is taken next; linear is the paper's ReAct baseline, a chain")
    successor: Literal["unconstrained", "monotonic"] = Field("unconstrained", description="plans are rewritten, or get one step more")
    scorer: Literal["diversity", "likert", "oracle"] = Field(
        "diversity", description="what leads the search: symbols, a judge, known symbols"
    )
    branching: int = Field(3, ge=1, description="plans made from a plan at most; 3 in the paper's main run")
    node_budget: int = Field(80, ge=1, description="plans made in all, the empty one included; 80 in the paper's main run")
    max_depth: int = Field(20, ge=0, description="level whose plans are not expanded; 20 in the paper")
    at_once: int = Field(
        1, ge=1, description="plans gone on from side by side; 1 in the paper: with more, a round does not know of the one before it (ours)"
    )
    k_symbols: int = Field(5, ge=1, description="symbols that a step is grounded in at most; 5 in the paper")
    retriever: Literal["embedding", "bm25"] = Field(
        "embedding", description="what finds a step's symbols: meaning, or letters of full paths, as the authors' other retriever"
    )
    one_step: bool = Field(
        False, description="have a model search by keywords and pick one symbol for a step, the authors' one-step tool, in place of these"
    )
    n_starting: int = Field(100, ge=0, description="symbols near the request that the planner is shown; 100 in the authors' code")
    mutate_requests: int = Field(
        3, ge=1, description="requests of an expansion, further ones for unreadable plans; 3, monotonic 1, in their code"
    )
    ask_all: bool = Field(False, description="ask for `branching` plans where fewer fit the budget, and cut, as the authors' code does")
    goal_score: float | None = Field(None, description="search score that ends the search; None: only the budget does, as published")
    test_goal: bool = Field(False, description="ask a model of each plan taken whether it is complete, and end there; never in the paper")
    code_samples: int = Field(5, ge=0, description="programs written by the best plan; 5 in the paper; 0 answers with the plan itself")
    keep_to_plan: bool = Field(False, description="tell the coder to keep to the plan")
    signatures_only: bool = Field(False, description="show the coder signatures in place of code")
    show_files: bool = Field(False, description="show the coder the repository's files")
    show_symbols: bool = Field(False, description="show the coder the names of all symbols")
    show_code: bool = Field(False, description="show the coder the code of all symbols; the paper's baseline has the whole repository")
    prompts: dict[str, str] = Field(
        {"planner": MUTATE, "retriever": FIND, "judge": JUDGE_PLAN, "examiner": EXAMINE, "coder": CODE, "describer": DESCRIBE},
        description="templates by role",
    )
    sampling: dict[str, Sampling] = Field(
        {
            **{"planner": Sampling(), "retriever": _GREEDY, "judge": _GREEDY, "examiner": _GREEDY},
            **{"coder": Sampling(temperature=0.7), "describer": Sampling()},
        },
        description="sampling by role; as in the authors' code, judge, examiner and retriever greedy (ours)",
    )

    @model_validator(mode="before")
    @classmethod
    def _chain(cls, given: Any) -> Any:
        """Fill in what the linear baseline and the monotonic successor stand for."""
        if isinstance(given, Mapping) and given.get("strategy") == "linear":
            given = {"successor": "monotonic", "branching": 1, **given}
        if isinstance(given, Mapping) and given.get("successor") == "monotonic":
            given = {"mutate_requests": 1, **given}
        return given

    @model_serializer(mode="wrap")
    def _recorded(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `at_once` out where it is 1: so runs and indexes from before it was there are still found the same."""
        return {name: value for name, value in write(self).items() if name != "at_once" or value > 1}

    @model_validator(mode="after")
    def _is_chain(self) -> Self:
        if self.strategy == "linear" and (self.successor != "monotonic" or self.branching != 1):
            raise ValueError("linear is a chain of single steps: it has successor=monotonic and branching=1")
        return self


class State(Request):
    """The plans made so far, by id; symbols stand once in `symbols`, and plans hold their paths."""

    params: Annotated[dict[str, Any], settled]
    artefact: Annotated[dict[str, Any], settled]
    starting_symbols: list[str]
    nodes: Annotated[dict[str, PlanNode], plans.merging]
    scores: Annotated[dict[str, Score], plans.merging]
    symbols: Annotated[dict[str, Card], plans.merging]
    frontier: list[str]
    """Plans that wait, in the order in which they were made."""
    visited: Annotated[list[str], grow]
    current: str
    taken: NotRequired[list[str]]
    """The plans that are gone on from where these are `at_once`, the current one first."""
    proposals: list[Proposal]
    children: list[str]
    expansions: Annotated[list[Expansion], grow]
    search_state: str
    """`running`, `BUDGET_EXCEEDED`, `QUEUE_EMPTY` or `GOAL_FOUND`."""
    best: str
    plan: str
    """The best plan as Markdown."""
    codes: list[str | None]
    """A program per sample, None where there was none."""
    answer: NotRequired[str | None]
    stop_reason: NotRequired[str]


async def prime(state: State) -> dict[str, Any]:
    """Begin with the empty plan, and look up the symbols nearest to the request."""
    held, n = index_of(state), state["params"]["n_starting"]
    names = await nearest_symbols(held, state["question"], n) if n else []
    begun = {"nodes": {plans.ROOT: plans.planted()}, "scores": {plans.ROOT: NOTHING}, "frontier": [plans.ROOT]}
    return {**begun, "starting_symbols": names, "search_state": "running"}


def guard(state: State) -> dict[str, Any]:
    """End the search when its budget of plans is used up, else when no plan waits."""
    if not plans.room(state["nodes"], state["params"]["node_budget"]):
        return {"search_state": "BUDGET_EXCEEDED"}
    return {} if state["frontier"] else {"search_state": "QUEUE_EMPTY"}


def after_guard(state: State) -> Literal["select", "select_best"]:
    """Go on while the search runs."""
    return "select" if state["search_state"] == "running" else "select_best"


def select(state: State) -> dict[str, Any]:
    """Take the next plan from those waiting, or the next `at_once`, as long as there is room for what comes of them."""
    params, waiting, taken = Params.of(state), list(state["frontier"]), list[str]()
    left = plans.room(state["nodes"], params.node_budget)
    while waiting and len(taken) < params.at_once and len(taken) * params.branching < left:
        taken.append(plans.take_next(params.strategy, waiting, state["scores"]))
        waiting.remove(taken[-1])
    several = {"taken": taken} if params.at_once > 1 or state.get("taken") else {}  # of a fork that goes on with one at a time
    return {"current": taken[0], **several, "visited": taken, "frontier": waiting}


async def goal_test(state: State) -> dict[str, Any]:
    """See whether a plan taken has the score that ends the search, or an examiner calls it complete.

    Raises:
        SymposiaError: The examiner could not be reached.
    """
    params, taken = state["params"], plans.taken(state)
    reached = [params["goal_score"] is not None and state["scores"][plan]["search"] >= params["goal_score"] for plan in taken]
    if params["test_goal"] and not any(reached):
        asked = [partial(is_complete, params, state["question"], state["nodes"][p]["steps"], index_of(state).symbols) for p in taken]
        reached = await fan(asked) if len(asked) > 1 else [await asked[0]()]
    return {"search_state": "GOAL_FOUND", "current": taken[reached.index(True)]} if any(reached) else {}


def after_goal_test(state: State) -> Literal["mutate", "guard", "select_best"]:
    """Expand a plan unless it is at the deepest level."""
    if state["search_state"] == "GOAL_FOUND":
        return "select_best"
    levels = [state["nodes"][plan]["level"] for plan in plans.taken(state)]
    return "guard" if min(levels) >= state["params"]["max_depth"] else "mutate"


async def ground(state: State) -> dict[str, Any]:
    """Make a plan of each proposal, its steps with their symbols; a sentence that was looked up before is not again.

    Raises:
        SymposiaError: A call of the retriever failed.
    """
    held, nodes = index_of(state), state["nodes"]
    known = {step["intent"]: step for node in nodes.values() for step in node["steps"]}
    asked = [text for proposal in state["proposals"] for text in proposal["intents"]]
    fresh = [text for text in dict.fromkeys(asked) if text not in known]
    known |= {step["intent"]: step for step in await find_symbols(state["params"], held, fresh)}
    made = {}
    for seq, proposal in enumerate(state["proposals"], len(nodes)):
        parent = nodes[proposal.get("parent", state["current"])]
        steps = parent["steps"][: proposal["kept"]] + [known[text] for text in proposal["intents"]]
        made[plans.plan_id(seq)] = plans.grown(parent, seq, steps, proposal["reasoning"])
    paths = {path for node in made.values() for path in plans.distinct(node["steps"])} - state["symbols"].keys()
    return {"nodes": made, "children": list(made), "symbols": {path: card(held.symbols[path]) for path in sorted(paths)}}


def push(state: State) -> dict[str, Any]:
    """Let the new plans wait, in the order of their samples."""
    return {"frontier": [*state["frontier"], *state["children"]]}


def select_best(state: State) -> dict[str, Any]:
    """Choose among all plans, gone on from or not, and write the best one down for people."""
    found = plans.best(state["nodes"], state["scores"], state["params"]["scorer"] == "likert")
    return {"best": found, "plan": plan_page({**state, "best": found})}


def finish(state: State) -> dict[str, Any]:
    """End with the first program that is Python, or with the plan where none was asked for; a chat shows both."""
    if not state["params"]["code_samples"]:
        planned = bool(state["nodes"][state["best"]]["steps"])
        return conclude(state["plan"] if planned else None, state["search_state"] if planned else "no_answer", state["plan"])
    code = chosen(state["codes"])
    shown = f"{state['plan']}\n```python\n{code}```\n" if code else state["plan"]
    return conclude(code, "no_answer" if code is None else state["search_state"], shown)


def build() -> StateGraph[State, Params, Request, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Request)
    builder.add_node(intake).add_node(index).add_node(prime).add_node(guard).add_node(select).add_node(goal_test)
    builder.add_node(mutate).add_node(ground).add_node(score).add_node(push)
    builder.add_node(select_best).add_node(plan_to_code).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "index").add_edge("index", "prime").add_edge("prime", "guard")
    builder.add_conditional_edges("guard", after_guard)
    builder.add_edge("select", "goal_test")
    builder.add_conditional_edges("goal_test", after_goal_test)
    builder.add_edge("mutate", "ground").add_edge("ground", "score").add_edge("score", "push").add_edge("push", "guard")
    builder.add_edge("select_best", "plan_to_code").add_edge("plan_to_code", "finish").add_edge("finish", END)
    return builder


def prepare() -> StateGraph[_mutagrep_index.State, IndexParams, _mutagrep_index.Repositories, _mutagrep_index.State]:
    """The graph behind `symposia prepare mutagrep FOLDER`."""
    return _mutagrep_index.prepare(Params)


graph = build().compile()
