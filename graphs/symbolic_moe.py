"""Symbolic-MoE: experts recruited for each question by the skills it takes answer it once each, and one model writes the final answer.

Chen, Yun, Stengel-Eskin, Chen, Bansal, "Symbolic Mixture-of-Experts: Adaptive Skill-based Routing for Heterogeneous Reasoning", 2025,
https://arxiv.org/abs/2503.05641 (later versions: Skill-MoE). Defaults are those of the authors' code (dinobby/Symbolic-MoE), which is the
authority where the abstract is silent.

```mermaid
graph LR
  START --> intake
  intake -. skills decide .-> tag --> map_skills --> recruit
  intake -. random or uniform .-> recruit
  recruit -. trimming .-> trim --> expert_run
  recruit -. none .-> expert_run
  expert_run --> extract
  extract -. experts have answered .-> aggregate --> extract
  extract -. aggregated, counted, or nobody answered .-> finish --> END
```

What models are good at is found once, on questions whose answers are known: `symposia prepare symbolic_moe VALIDATION.jsonl --role
expert=A,B,C` (`graphs/_symbolic_moe_profiles.py`), and a run names that with `-p artefact=ID`. It also holds which of the models
aggregates best, so that it need not be named. Without an artefact no skill is known, and the k experts are drawn uniformly, as for a
question without skills. There is no discussion: a question takes passes + k + 1 calls.

A run is one question. What the authors do over a whole batch is done so: an assignment rests on the seed and the question alone, and
`symposia batch --order model` makes all ready calls of a model together, so that each is loaded once per stage. Rare experts are those of
the batch that `prepare` was shown, its rows with `split` "test", else of the validation set; that step is on, as in the paper, though the
authors' code never calls it (`trim_share=0` leaves it out).

Choices of ours: the conversation is asked once in one form (the code repeats the format); experts keep the order of their slots; the
answer is a box; without one there is no answer (the code takes the whole text); the two rules that look at no skill ask no tagger. See
also `tools/recruiting.py` and `nodes/tagger.py`.
"""

from functools import partial
from typing import Any, Literal, NotRequired

from langgraph.graph import END, START
from langgraph.runtime import Runtime
from pydantic import Field

from symposia.graphs import _symbolic_moe_profiles
from symposia.graphs._symbolic_moe_profiles import Rows, prepare_rows
from symposia.graphs._symbolic_moe_profiles import State as Preparing
from symposia.nodes import intake as common
from symposia.nodes.aggregator import AGGREGATE, after_thought, with_references
from symposia.nodes.experts import answer_in, pool_of, reply_of, request
from symposia.nodes.extract import Rounds
from symposia.nodes.finish import conclude
from symposia.nodes.prompts import SOLVE
from symposia.nodes.select import answer_of
from symposia.nodes.tagger import TAG, nearest_skills, skills_of
from symposia.state.base import Answer, BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.state.show import Show, people, votes
from symposia.tools import recruiting
from symposia.tools.embed import embedder_of
from symposia.tools.equality import canon
from symposia.tools.llm import model_of, quorum
from symposia.tools.profile_views import export, page, picture, report
from symposia.tools.recruiting import BY_SKILL, Router
from symposia.tools.vote import tally, winner

__all__ = [
    "METHOD",
    "NEEDS_REFERENCES",
    "SHOW",
    "Params",
    "State",
    "build",
    "export",
    "graph",
    "page",
    "picture",
    "prepare",
    "prepare_rows",
    "report",
]

METHOD = Method(
    name="symbolic_moe",
    title="Symbolic-MoE",
    arxiv="2503.05641",
    year=2025,
    family="fan out, aggregate",
    roles=("expert", "tagger", "aggregator", "embedder"),
    calls="passes + k + 1",
    by_role={
        "tagger": ("passes", "max(router == 'repo', router == 'paper', router == 'topk')"),
        "aggregator": ("1", "aggregation == 'model'"),
    },
    by_choice={"expert": "k"},
    from_artefact={"expert": "pool", "aggregator": "aggregator"},
    items="topics",
)

SHOW = Show(
    {"assigned": people(answers="answers", texts="chains", scores="scores", skills="skills", drawn="drawn"), "answers": votes()},
    {"recruit": "drawn: {drawn}", "aggregate": "the experts' majority is {majority}"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` and `export` look at recruiting alone."""

_PAPER = Sampling(temperature=0.7, max_tokens=4096)


class Params(BaseParams):
    """Parameters of a run, and of `prepare`."""

    k: int = Field(3, ge=1, description="experts that answer a question; 3 in the authors' code")
    router: Router = Field("repo", description="who is recruited: repo, paper, topk by skill; random (k different ones), uniform")
    trim_share: float = Field(0.05, ge=0, le=1, description="share of a batch's slots below which an expert is replaced; 0 keeps all")
    passes: int = Field(5, ge=1, description="times the tagger is asked; 5 in the authors' code")
    aggregation: Literal["model", "majority"] = Field("model", description="how answers are joined; majority is a baseline")
    exclude_no_correct: bool = Field(False, description="`prepare` scores aggregators without questions that nobody answered rightly")
    long_replies: dict[str, int] = Field({"R1": 32768}, description="longest reply, in tokens, of models whose name holds this")
    prompts: dict[str, str] = Field(
        {"expert": SOLVE, "tagger": TAG, "aggregator": AGGREGATE},
        description="templates by role; the expert's is the request, the aggregator's stands before it and shows the experts' answers",
    )
    sampling: dict[str, Sampling] = Field(
        dict.fromkeys(("expert", "tagger", "aggregator"), _PAPER),
        description="sampling by role; 0.7 and 4096 tokens in the authors' code",
    )


class State(Rounds):
    """The experts' replies as the first round of `chains`, slot by slot, and the aggregator's as the second."""

    raw_skills: NotRequired[list[str]]
    skills: NotRequired[list[str]]
    scores: NotRequired[dict[str, float]]
    """What each model was drawn by."""
    drawn: NotRequired[list[str]]
    assigned: NotRequired[list[str]]
    """The model of each slot; a model may have several."""
    majority: NotRequired[Answer | None]
    """The experts' most frequent answer, for comparison only."""


async def intake(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    """As in every method, and see that the experts are those of the artefact.

    Raises:
        BadInput: There is no question, an expert has no profile, or the embedder has several models.
    """
    found = await common.intake(state, runtime)
    pool_of(found["params"], found["artefact"])
    embedder_of(found["params"])
    return found


def after_intake(state: State) -> Literal["tag", "recruit"]:
    """Ask for skills where they decide anything."""
    return "tag" if state["params"]["router"] in BY_SKILL else "recruit"


async def tag(state: State) -> dict[str, Any]:
    """The skills that the question takes, in the tagger's words."""
    return {"raw_skills": await skills_of(state["params"], state["question"])}


async def map_skills(state: State) -> dict[str, Any]:
    """The same as skills that the models were tried in; none without an artefact."""
    known = state["artefact"]
    return {"skills": await nearest_skills(state["raw_skills"], known) if known else []}


def recruit(state: State) -> dict[str, Any]:
    """Draw a model for every slot."""
    params, artefact = state["params"], state["artefact"]
    table = {model: artefact["profiles"][model] if artefact else {} for model in pool_of(params, artefact)}
    drawn, weights = recruiting.recruit(
        params["router"], table, state.get("skills", []), params["k"], params["seed"] or 0, state["question"]
    )
    return {"drawn": drawn, "assigned": drawn, "scores": weights}


def after_recruit(state: State) -> Literal["trim", "expert_run"]:
    """Trim unless that is off."""
    return "trim" if state["params"]["trim_share"] else "expert_run"


def trim(state: State) -> dict[str, Any]:
    """Replace experts that the batch seldom needs, as far as the artefact knows the batch under this rule."""
    params, question, pool = state["params"], state["question"], pool_of(state["params"], state["artefact"])
    slots: dict[str, int] = state["artefact"].get("slots", {}).get(params["router"], {})
    counts = {model: n for model, n in slots.items() if model in pool}
    kept = recruiting.trim({question: state["drawn"]}, params["trim_share"], params["seed"] or 0, counts)
    return {"assigned": kept[question]}


async def expert_run(state: State) -> dict[str, Any]:
    """Let the model of every slot answer.

    Raises:
        SymposiaError: Fewer than `quorum` came back.
    """
    params = state["params"]
    messages = request(params, state["question"], state["task"])
    replies = await fan([partial(reply_of, params, "expert", model, messages) for model in state["assigned"]])
    quorum(replies, params["quorum"])
    return {"chains": [[r["text"] for r in replies]], "statuses": [[r["status"] for r in replies]]}


async def extract(state: State) -> dict[str, Any]:
    """Read the newest replies; of the experts', also the most frequent answer, the first among equals."""
    newest = zip(state["chains"][-1], state["statuses"][-1], strict=True)
    raw = [answer_in(text, state["task"], state["question"]) if status == "ok" else None for text, status in newest]
    known = list(dict.fromkeys(a for answers in state["answers"] for a in answers if a is not None))
    answers = await canon(raw, known, state["task"])
    return {"answers": [answers]} if state["answers"] else {"answers": [answers], "majority": winner(tally(answers))}


def heard(state: State) -> list[str]:
    """What the aggregator is shown: the experts' replies that count, in the order of their slots, without what was thought before."""
    said = zip(state["chains"][0], state["statuses"][0], strict=True)
    return [shown for text, status in said if status == "ok" and (shown := after_thought(text))]


def after_extract(state: State) -> Literal["aggregate", "finish"]:
    """Aggregate what the experts said, if any did."""
    done = len(state["chains"]) > 1 or state["params"]["aggregation"] == "majority"
    return "finish" if done or not heard(state) else "aggregate"


async def aggregate(state: State) -> dict[str, Any]:
    """Append the reply of the aggregator: the run's own, else that of the artefact.

    Raises:
        SymposiaError: It could not be reached.
    """
    params = state["params"]
    own = model_of(params, "aggregator")
    model = own if params["roles"].get("aggregator") else state["artefact"].get("aggregator", own)
    asked = with_references(params, "aggregator", request(params, state["question"], state["task"]), heard(state))
    reply = await reply_of(params, "aggregator", model, asked)
    quorum([reply], 1)
    return {"chains": [[reply["text"]]], "statuses": [[reply["status"]]]}


def finish(state: State) -> dict[str, Any]:
    """End with the aggregator's answer, whatever the experts' majority says."""
    if len(state["chains"]) == 1:
        answer = state["majority"] if state["params"]["aggregation"] == "majority" else None
        return conclude(answer, "no_answer" if answer is None else "majority")
    answer, said = answer_of(state, -1, 0), after_thought(state["chains"][-1][0])
    if state["task"] == "text" and answer is not None:
        answer = said
    return conclude(answer, "no_answer" if answer is None else "aggregated", said)


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(tag).add_node(map_skills).add_node(recruit).add_node(trim).add_node(expert_run)
    builder.add_node(extract).add_node(aggregate).add_node(finish)
    builder.add_edge(START, "intake").add_edge("tag", "map_skills").add_edge("map_skills", "recruit").add_edge("trim", "expert_run")
    builder.add_edge("expert_run", "extract").add_edge("aggregate", "extract").add_edge("finish", END)
    builder.add_conditional_edges("intake", after_intake)
    builder.add_conditional_edges("recruit", after_recruit)
    builder.add_conditional_edges("extract", after_extract)
    return builder


def prepare() -> StateGraph[Preparing, Any, Rows, Preparing]:
    """The graph behind `symposia prepare symbolic_moe`."""
    return _symbolic_moe_profiles.build(Params)


graph = build().compile()
