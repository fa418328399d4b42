"""PBT, the data part: dialogue trees of two agents, and the preference pairs in them for resisting and for accepting persuasion.

Stengel-Eskin, Hase, Bansal, "Teaching Models to Balance Resisting and Accepting Persuasion", 2024, https://arxiv.org/abs/2410.14596.
The default is the tree of the paper's Figure 2; `released` is that of the authors' code (esteng/persuasion_balanced_training), of which
temperatures, lengths and the two verifiers are taken as well.

```mermaid
graph LR
  START --> intake --> plant --> speak --> read_answer
  read_answer -. open branch, level left .-> speak
  read_answer -. all agreed at once .-> finish
  read_answer -. tree is full .-> merge_aliases
  merge_aliases --> verify_kind --> finish --> END
```

Two agents answer a question without seeing each other, then talk in turn; at two levels every reply branches over personas, so that one
dialogue has several continuations. A branch ends where the agents agree. A tree in which they agree at once is of no use and ends there.

A run knows no reference, so it grows the tree and asks the verifiers, and `tools/pairs.py` scores a finished tree by the known answers:
`harvest` below, `symposia export` for the runs of a batch; `symposia report` says how many pairs they hold, and why other siblings give
none. A tree of N turns takes N replies, N readings, at most N - 1 comparisons of the two answers at a turn, and one look at each reply that
could stand in a pair: 10 + 10 + 9 + 8 calls in the paper's tree, 21 + 21 + 20 + 12 in the released one's.

Choices of ours where paper and code are silent or at fault: answers are kept by the agent's name (the code stores them crossed, so that its
filter finds none of the right pairs); a reply is verified once, not once per pair, and only where a sibling answers otherwise; a pair of
answers is compared once per tree; the running answer of a failed or refused turn is NONE and its branch ends; the personas of levels 0 and
1 are plain; the released first persona is drawn from the seed and the question; the answer of a run is the leaves' most frequent one.

With `confidence` the extractor is asked at every turn, N calls more, whether it accepts what was said last in the dialogue, its answers
masked; a turn keeps the probability of "yes" beside "no" as the first word, None where the model tells none. As in the code it selects
nothing.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from symposia.nodes import dialogue
from symposia.nodes.dialogue import Branch, Dialogue, grow_level
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.persuasion import LENGTH, MATCH, PERSONAS, READ, SPEAK, VERIFY, match, read_confidence, task_parts, verify
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.state.show import Show, tree
from symposia.tools import preferences, trees
from symposia.tools.llm import quorum
from symposia.tools.pairs import PREFERENCE, Harvest, Preference, Rules, find_pairs
from symposia.tools.vote import tally, winner

METHOD = Method(
    name="pbt",
    title="Persuasion-balanced training",
    arxiv="2410.14596",
    year=2024,
    family="debate",
    roles=("debater", "extractor", "matcher", "verifier"),
    calls="(2 + confidence) * (10 + 11 * released) + merge_aliases * (9 + 11 * released) + verify_kind * (8 + 4 * released)",
    by_role={
        "debater": ("2", ("3 + 4 * released", "7 + 7 * released")),
        "extractor": ("1", "(1 + confidence) * (10 + 11 * released)"),
        "matcher": ("1", "merge_aliases * (9 + 11 * released)"),
        "verifier": ("1", "verify_kind * (8 + 4 * released)"),
    },
)

SHOW = Show(
    {"tree": tree(who="agent", value="answers", text="text", pruned="stopped")},
    {"finish": "{stats[generated]} turns, {stats[stopped_by_agreement]} branches ended in agreement"},
    ("intake", "plant"),
)
"""How the viewer shows its state."""

PLAN = (("plain",), ("plain",), ("acceptant", "resistant"), ("emotional", "credible", "logical"))
"""The personas that each level branches over: A speaks on even levels, B on odd ones (Figure 2)."""

RELEASED_PLAN = (("resistant", "logical"), ("resistant", "acceptant"), ("logical", "emotional", "credible"), ("resistant", "acceptant"))
"""Those of the released code, where the first level draws one of its two."""

_TALK = Sampling(temperature=0.7, top_p=1.0, max_tokens=80, min_tokens=8)


class Params(BaseParams):
    """Parameters of a run."""

    released: bool = Field(False, description="the released code's tree, of up to 21 turns; the default is the paper's Figure 2, up to 10")
    both_answer_first: bool = Field(True, description="B's first reply does not see A's; on in every script of the authors")
    merge_aliases: bool = Field(True, description="ask the matcher whether two answers differ in wording only")
    verify_kind: bool = Field(True, description="ask the verifier whether a reply agrees; on in every script of the authors")
    confidence: bool = Field(False, description="ask how likely the extractor accepts each turn, by token probabilities; selects nothing")
    personas: dict[str, str] = Field(PERSONAS, description="what a persona is told, by name; names not given keep theirs")
    prompts: dict[str, str] = Field(
        {"debater": SPEAK, "extractor": READ, "matcher": MATCH, "verifier": VERIFY}, description="templates by role"
    )
    sampling: dict[str, Sampling] = Field(
        {
            "debater": _TALK,
            "extractor": Sampling(temperature=0, max_tokens=15, min_tokens=3),
            "matcher": Sampling(temperature=0),
            "verifier": Sampling(temperature=0),
        },
        description="sampling by role, as in the authors' code; two models of `debater` are A and B",
    )

    @field_validator("personas")
    @classmethod
    def _known(cls, given: dict[str, str]) -> dict[str, str]:
        """The personas given, over the method's own."""
        unknown = sorted(set(given) - set(PERSONAS))
        if unknown:
            raise ValueError(f"no persona {unknown[0]!r}; there are {', '.join(PERSONAS)}")
        return {**PERSONAS, **given}

    @model_serializer(mode="wrap")
    def _recorded(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `confidence` out where it is off: so runs from before it was there still replay."""
        return {name: value for name, value in write(self).items() if name != "confidence" or value}


class State(Dialogue):
    """The tree, and what it came to."""

    stats: dict[str, int]


def plan_of(params: Mapping[str, Any], question: str) -> tuple[tuple[str, ...], ...]:
    """The personas of each level; the released code's first speaker draws one of two."""
    if not params["released"]:
        return PLAN
    drawn = random.Random(f"{params['seed']} {question}").choice(RELEASED_PLAN[0])
    return ((drawn,), *RELEASED_PLAN[1:])


def plant(state: State) -> dict[str, Any]:
    """Begin a tree with the question alone."""
    return {"tree": trees.planted(state["question"]), "stats": {}}


async def speak(state: State) -> dict[str, Any]:
    """Grow a level: every open branch goes on once per persona of the level."""
    params, graph = state["params"], trees.read_tree(state["tree"])
    plan = plan_of(params, state["question"])
    tips = trees.frontier(graph, len(plan))
    level = int(graph.nodes[tips[0]]["level"]) + 1

    def branch(tip: str, place: int, persona: str) -> Branch:
        told = params["personas"][persona]
        return Branch(tip, place, trees.AGENTS[level % 2], persona, told if persona == "plain" else f"{LENGTH} {told}")

    branches = [branch(tip, place, persona) for tip in tips for place, persona in enumerate(plan[level])]
    return await grow_level(state, branches, params["both_answer_first"])


async def read_answer(state: State) -> dict[str, Any]:
    """Read the answer of every new turn, close the branches that agree or failed, and read how confident the turns are, if wanted.

    Raises:
        SymposiaError: Fewer readings of answers than `quorum` came back.
    """
    told = await dialogue.read_answer(state)
    if not Params.of(state).confidence:
        return told
    graph = trees.read_tree(trees.graft(state["tree"], [told["tree"]]))
    read = partial(read_confidence, state["params"], state["question"])
    sure = await fan([partial(read, trees.masked(graph, node["id"])) for node in told["tree"]["nodes"]])
    return {"tree": {"nodes": [{**node, "confidence": one["value"]} for node, one in zip(told["tree"]["nodes"], sure, strict=True)]}}


def route(state: State) -> Literal["speak", "merge_aliases", "finish"]:
    """Go on while a branch is open and a level is left; a tree in which nobody ever disagreed has nothing to verify."""
    graph = trees.read_tree(state["tree"])
    if trees.frontier(graph, len(PLAN)):
        return "speak"
    return "merge_aliases" if disputed(graph) else "finish"


def disputed(graph: "trees.Graph") -> bool:
    """Whether any turn from the second on does not agree."""
    return any(data["level"] > 0 and data["stopped"] == "" for _, data in trees.nodes_of(graph))


async def merge_aliases(state: State) -> dict[str, Any]:
    """Ask, at every turn with two answers, whether they mean the same; a pair of answers is asked about once.

    Raises:
        SymposiaError: Fewer replies than `quorum` came back.
    """
    params, pairs = state["params"], trees.resolved(trees.read_tree(state["tree"]))
    if not params["merge_aliases"]:
        return {}
    both = {
        turn: (str(pair["A"]), str(pair["B"]))
        for turn, pair in pairs.items()
        if trees.is_answer(pair["A"]) and trees.is_answer(pair["B"]) and pair["A"] != pair["B"]
    }
    asked = list(dict.fromkeys(both.values()))
    replies = await fan([partial(match, params, state["question"], first, second) for first, second in asked])
    quorum(replies, params["quorum"])
    same = {pair: reply["value"] for pair, reply in zip(asked, replies, strict=True)}
    return {"tree": {"nodes": [{"id": turn, "same": same[pair]} for turn, pair in both.items()]}}


async def verify_kind(state: State) -> dict[str, Any]:
    """Ask of every reply that could stand in a pair, beside a sibling with another answer, whether it agrees with the partner.

    Raises:
        SymposiaError: Fewer replies than `quorum` came back.
    """
    params, graph = state["params"], trees.read_tree(state["tree"])
    if not params["verify_kind"]:
        return {}
    least = 3 if params["released"] else 2
    texts = {turn: graph.nodes[turn]["text"] for turn in contested(graph, least) if graph.nodes[turn]["text"]}
    replies = await fan([partial(verify, params, text) for text in texts.values()])
    quorum(replies, params["quorum"])
    return {"tree": {"nodes": [{"id": turn, "agrees": reply["value"]} for turn, reply in zip(texts, replies, strict=True)]}}


def contested(graph: "trees.Graph", least: int) -> list[str]:
    """The turns from level `least` on of which a sibling answers otherwise; below, no pair has both answers before it."""
    pairs = trees.resolved(graph)
    found = []
    for turn, data in trees.nodes_of(graph):
        if data["level"] >= least:
            siblings = graph.successors(trees.parent_of(graph, turn) or trees.ROOT)
            found += [turn] if len({pairs[s][data["agent"]] for s in siblings}) > 1 else []
    return found


def finish(state: State) -> dict[str, Any]:
    """End with the answer that most branches came to, the first among equals."""
    graph = trees.read_tree(state["tree"])
    pairs = trees.resolved(graph)
    turns = [(turn, data) for turn, data in trees.nodes_of(graph) if turn != trees.ROOT]
    ends = [pairs[turn][data["agent"]] for turn, data in turns if graph.out_degree(turn) == 0]
    answer = winner(tally([end if trees.is_answer(end) else None for end in ends]))
    stats = {
        "generated": len(turns),
        "stopped_by_agreement": sum(data["stopped"] == "agree" for _, data in turns),
        "failed": sum(data["stopped"] == "failed" for _, data in turns),
        "empty_reply": sum(not data["text"] for _, data in turns),
    }
    reason = "no_answer" if answer is None else "tree" if disputed(graph) else "no_dispute"
    return {"stats": stats, **conclude(answer, reason)}


def harvest(state: Mapping[str, Any], accepted: Sequence[str], rules: Rules | None = None) -> list[Preference]:
    """The preference pairs of a finished run, given the answers that count as right.

    Args:
        state: The run's last state.
        accepted: Every accepted spelling of the right answer.
        rules: How pairs are scored and chosen; by default those of the run's profile.
    """
    params, graph = state["params"], trees.read_tree(state["tree"])
    task = task_parts(params, state["question"], "")
    found = []
    for pair in _pairs_in(state, accepted, rules).pairs:
        messages = trees.view(graph, pair["parent"], pair["agent"], task, params["both_answer_first"])
        prompt = [{"role": m["role"], "content": "".join(m["content"])} for m in messages]
        found.append(PREFERENCE.validate_python({**pair, "question": state["question"], "prompt": prompt, "accepted": list(accepted)}))
    return found


def _pairs_in(state: Mapping[str, Any], accepted: Sequence[str], rules: Rules | None = None) -> Harvest:
    params, graph = state["params"], trees.read_tree(state["tree"])
    given = rules or Rules(released=params["released"], verified=params["verify_kind"])
    return find_pairs(graph, accepted, given) if disputed(graph) else Harvest()


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """What finished runs hold to train on, each given as its last state and its accepted answers.

    Trees, those of them in which nobody disagreed, pairs by kind, and by reason how many times two siblings give none.
    """
    harvests = [_pairs_in(state, accepted) for state, accepted in finished]
    kinds = Counter(pair["kind"] for harvest in harvests for pair in harvest.pairs)
    reasons = sum((harvest.reasons for harvest in harvests), Counter[str]())
    return {
        "trees": len(harvests),
        "undisputed": sum(not disputed(trees.read_tree(state["tree"])) for state, _ in finished),
        "pairs": {kind: kinds[kind] for kind in ("resist", "accept")},
        "siblings_without_pair": dict(sorted(reasons.items())),
    }


def export(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]], folder: Path) -> dict[str, int]:
    """Write the training files of finished runs, each given as its last state and its accepted answers; see `tools/preferences.py`."""
    return preferences.export([harvest(state, accepted) for state, accepted in finished], folder)


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(plant).add_node(speak).add_node(read_answer).add_node(merge_aliases).add_node(verify_kind)
    builder.add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "plant").add_edge("plant", "speak").add_edge("speak", "read_answer")
    builder.add_conditional_edges("read_answer", route)
    builder.add_edge("merge_aliases", "verify_kind").add_edge("verify_kind", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
