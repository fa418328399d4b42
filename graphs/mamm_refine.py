"""MAMM-Refine: several agents detect the unfaithful sentences of a text, criticise each and refine the text, debating where they differ.

Wan, Chen, Stengel-Eskin, Bansal, "MAMM-Refine: A Recipe for Improving Faithfulness in Generation with Multi-Agent Collaboration", 2025,
https://arxiv.org/abs/2503.15272. Defaults are those of the authors' code (meetdavidwan/mammrefine): two agents a stage, up to 10 rounds of
debate, critiques and drafts chosen among (rerank). Its models come with `recipe=repo`, and `recipe=mixed` has both in every stage; agents
of one stage may as well be listed, `--role detector=A,B`. `detectors`, `critics` and `refiners` of 1 give plain detect, critique, refine.

```mermaid
graph LR
  START --> intake --> split --> detect
  detect -. verdicts differ .-> detect_debate
  detect -. agreed, or no round left .-> detect_close
  detect_debate -. still differ .-> detect_debate
  detect_debate -. agreed, or no round left .-> detect_close
  detect_close -. some flagged .-> critique
  detect_close -. none flagged .-> measure
  critique -. critiques differ .-> critique_rerank
  critique -. differ, and are rewritten .-> critique_debate
  critique -. alike .-> critique_close
  critique_rerank -. choices differ .-> critique_debate
  critique_rerank -. agreed, or no round left .-> critique_close
  critique_debate -. still differ .-> critique_debate
  critique_debate -. agreed, or no round left .-> critique_close
  critique_close -. some critique .-> refine
  critique_close -. none .-> measure
  refine -. drafts differ .-> refine_rerank
  refine -. differ, and are rewritten .-> refine_debate
  refine -. alike .-> refine_close
  refine_rerank -. choices differ .-> refine_debate
  refine_rerank -. agreed, or no round left .-> refine_close
  refine_debate -. still differ .-> refine_debate
  refine_debate -. agreed, or no round left .-> refine_close
  refine_close -. another pass .-> split
  refine_close -. no pass left .-> measure
  measure --> finish --> END
```

With S sentences, F flagged, F2 of them with different critiques, A_d, A_c, A_r agents, and d_r, c_r, x_r units debated in round r, a pass
takes `A_d (S + sum d_r) + A_c (F + F2 + sum c_r) + A_r (G + D + sum x_r)` calls, G whether anything is criticised, D whether drafts differ.
`measure` lets a judge of sentences (in the manner of MiniCheck) score the text before and after, each sentence by itself; what did not
change is scored once. It decides nothing.

`report` sums that up over the runs of a batch. Where rows are labelled it adds how far the detect stage agrees with people: balanced
accuracy and kappa, over all sentences and per kind of error. The labels are a row's `answer`, a word for each of its `sentences`
(`tools/faithfulness.py`); of the bundled summaries `--map answer=kinds`.

Choices of ours where code and paper are silent or the code is at fault: votes name candidates, not the numbers under which they were seen,
and the order of candidates turns with agent and round; after the last round the majority decides, a tie the first agent (the code: GPT-4o);
a failed vote of a debate leaves the earlier one; a sentence without any verdict counts as consistent; when no choice among critiques can be
read, the first critic's stands (in the code the sentence stays as it is); all refiners get the critiques that were agreed on; a label
before a reason is dropped only where a mark sets it off. Labels and explanations of people are no input. `passes` above 1 goes on from the
refined text until nothing is flagged. With `generate`, for which no code exists, agents rewrite until their texts are equal or no round is
left; the first agent's text stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired

from langgraph.graph import END, START
from pydantic import Field, model_validator

from symposia.nodes.detector import DETECT, INCONSISTENT, cycle_of, detect, detect_close, detect_debate, flagged
from symposia.nodes.finish import conclude
from symposia.nodes.panel import open_units
from symposia.nodes.sentence_critic import (
    CRITIQUE,
    PICK_CRITIQUE,
    contested,
    critique,
    critique_close,
    critique_debate,
    critique_rerank,
    critiques_open,
)
from symposia.nodes.sentence_judge import JUDGE_SENTENCE, Measured, measure, same_words
from symposia.nodes.text_intake import Text, check_input, from_messages, intake
from symposia.nodes.text_refiner import (
    PICK_DRAFT,
    REVISE,
    Refined,
    drafts_differ,
    drafts_open,
    refine,
    refine_close,
    refine_debate,
    refine_rerank,
)
from symposia.state.base import BaseParams, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, dialogue, shown_as
from symposia.tools.faithfulness import Mending, labels_of, mending_report
from symposia.tools.sentences import split_sentences

__all__ = ["METHOD", "NEEDS_REFERENCES", "RECIPES", "SHOW", "Params", "State", "build", "check_input", "from_messages", "graph", "report"]

# Agents choose once and then debate, or rewrite; one alone does neither.
_DETECT = "max_sentences * (1 + max_rounds * (detectors > 1))"
_CRITICS = "(max_rounds + (critique_by == 'rerank')) * (critics > 1)"
_REFINERS = "(max_rounds + (refine_by == 'rerank')) * (refiners > 1)"

METHOD = Method(
    name="mamm_refine",
    title="MAMM-Refine",
    arxiv="2503.15272",
    year=2025,
    family="propose, check, refine",
    roles=("detector", "critic", "critique_reranker", "refiner", "refine_reranker", "outcome"),
    calls=f"passes * (detectors * {_DETECT} + critics * max_sentences * (1 + {_CRITICS}) + refiners * (1 + {_REFINERS}))",
    scoring="2 * max_sentences",
    by_role={
        "detector": ("detectors", f"passes * {_DETECT}"),
        "critic": ("critics", f"passes * max_sentences * (1 + (critique_by == 'generate') * {_CRITICS})"),
        "critique_reranker": ("critics", f"passes * max_sentences * (critique_by == 'rerank') * {_CRITICS}", "critic"),
        "refiner": ("refiners", f"passes * (1 + (refine_by == 'generate') * {_REFINERS})"),
        "refine_reranker": ("refiners", f"passes * (refine_by == 'rerank') * {_REFINERS}", "refiner"),
        "outcome": ("1", "2 * max_sentences"),
    },
    input=Text,
    items="summaries",
)

SHOW = Show(
    {
        "verdicts": shown_as("table"),
        "critiques": dialogue(speaker="author"),
        "critique_votes": shown_as("table"),
        "drafts": dialogue(speaker="author"),
        "refine_votes": shown_as("table"),
        "texts": shown_as("text"),
    },
    {"measure": "faithfulness {faithfulness[before]:.2f}, then {faithfulness[after]:.2f}"},
    ("intake", "split"),
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""A report of texts without labels is about their faithfulness alone."""

_GPT, _CLAUDE = "openai/gpt-4o", "anthropic/claude-3-sonnet-20240229"
RECIPES: dict[str, dict[str, list[str]]] = {
    "repo": {"detector": [_GPT, _CLAUDE], "critic": [_GPT, _GPT], "refiner": [_CLAUDE, _CLAUDE]},
    "mixed": {role: [_GPT, _CLAUDE] for role in ("detector", "critic", "refiner")},
}
_AGENT = Sampling(temperature=1.0, max_tokens=1000)


class Params(BaseParams):
    """Parameters of a run."""

    detectors: int = Field(2, ge=1, description="agents that detect; 2 in the authors' script")
    critics: int = Field(2, ge=1, description="agents that criticise and choose among critiques; 2 in the authors' script")
    refiners: int = Field(2, ge=1, description="agents that refine and choose among drafts; 2 in the authors' script")
    critique_by: Literal["rerank", "generate"] = Field("rerank", description="how critics come to one critique; rerank is the recipe")
    refine_by: Literal["rerank", "generate"] = Field("rerank", description="how refiners come to one text; rerank is the recipe")
    max_rounds: int = Field(10, ge=0, description="rounds of debate of each stage at most; 10 in the authors' script")
    passes: int = Field(1, ge=1, description="passes at most, each over the text of the one before; the authors' code has 1")
    max_sentences: int = Field(40, ge=1, description="sentences a text may have; bounds the calls (ours)")
    summary_words: int = Field(50, ge=1, description="words a summary may have, as who chooses a draft is told; 50 in the authors' code")
    recipe: Literal["", "repo", "mixed"] = Field("", description="models for roles that name none: repo (as published) or mixed")
    prompts: dict[str, str] = Field(
        {
            "detector": DETECT,
            "critic": CRITIQUE,
            "critique_reranker": PICK_CRITIQUE,
            "refiner": REVISE,
            "refine_reranker": PICK_DRAFT,
            "outcome": JUDGE_SENTENCE,
        },
        description="templates by role",
    )
    sampling: dict[str, Sampling] = Field(
        {
            "detector": _AGENT,
            "critic": _AGENT,
            "critique_reranker": _AGENT,
            "refiner": _AGENT,
            "refine_reranker": _AGENT,
            "outcome": Sampling(temperature=0),
        },
        description="sampling by role; 1000 tokens as in the authors' code, whose temperature is the provider's 1; the judge greedy (ours)",
    )

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, given: Any) -> Any:
        """Lay the roles that were given over those of the recipe."""
        recipe, roles = (given.get("recipe"), given.get("roles") or {}) if isinstance(given, dict) else (None, {})
        if isinstance(recipe, str) and recipe in RECIPES and isinstance(roles, dict):
            return {**given, "roles": {**RECIPES[recipe], **roles}}
        return given


class State(Refined, Measured):
    """The text of each pass, and all that led from one to the next; `answer` is the last of them."""

    answer: NotRequired[str | None]
    stop_reason: NotRequired[str]
    changed: NotRequired[bool]


def split(state: State) -> dict[str, Any]:
    """The sentences of this pass: those of the first came with the text, or `intake` cut them."""
    return {"current": split_sentences(state["texts"][-1]) if cycle_of(state) else state["sentences"]}


def _debate(state: State) -> bool:
    return bool(open_units(state["verdicts"], cycle_of(state), state["params"]["max_rounds"]))


def after_detect(state: State) -> Literal["detect_debate", "detect_close"]:
    """Debate the sentences on which the verdicts differ, while a round is left."""
    return "detect_debate" if _debate(state) else "detect_close"


def after_detect_close(state: State) -> Literal["critique", "measure"]:
    """Criticise what is flagged; a text without a fault is done."""
    return "critique" if flagged(state) else "measure"


def after_critique(state: State) -> Literal["critique_rerank", "critique_debate", "critique_close"]:
    """Choose where critiques differ, or write them anew; equal ones need neither."""
    if state["params"]["critique_by"] == "rerank":
        return "critique_rerank" if contested(state) else "critique_close"
    return after_critique_vote(state)


def after_critique_vote(state: State) -> Literal["critique_debate", "critique_close"]:
    """Debate while critics differ and a round is left."""
    return "critique_debate" if critiques_open(state) else "critique_close"


def after_critique_close(state: State) -> Literal["refine", "measure"]:
    """Refine by the critiques; without any the text stays."""
    return "refine" if state["final_critiques"][-1] else "measure"


def after_refine(state: State) -> Literal["refine_rerank", "refine_debate", "refine_close"]:
    """Choose where drafts differ, or write them anew; equal ones need neither."""
    if state["params"]["refine_by"] == "rerank":
        return "refine_rerank" if drafts_differ(state) else "refine_close"
    return after_refine_vote(state)


def after_refine_vote(state: State) -> Literal["refine_debate", "refine_close"]:
    """Debate while refiners differ and a round is left."""
    return "refine_debate" if drafts_open(state) else "refine_close"


def after_pass(state: State) -> Literal["split", "measure"]:
    """Go over a text that changed once more while a pass is left, unless it has grown too long."""
    params, (before, after) = Params.of(state), state["texts"][-2:]
    fits = len(split_sentences(after)) <= params.max_sentences
    return "split" if len(state["texts"]) <= params.passes and not same_words(before, after) and fits else "measure"


def finish(state: State) -> dict[str, Any]:
    """End with the last text: `nothing_flagged` at last, else `refined`, `unchanged`, or `not_criticised`."""
    text = state["texts"][-1]
    changed = not same_words(state["summary"], text)
    if INCONSISTENT not in state["labels"][-1]:
        reason = "nothing_flagged"
    elif not state["final_critiques"][-1]:
        reason = "not_criticised"
    else:
        reason = "refined" if changed else "unchanged"
    return {"changed": changed, **conclude(text, reason, text or "There is no text.")}


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """What refining did over finished runs, each given as its last state and the labels of its sentences; see `tools/faithfulness.py`.

    Raises:
        BadInput: A text has another number of labels than of sentences.
    """
    return mending_report(
        [
            Mending(
                changed=state["changed"],
                before=state["faithfulness"]["before"],
                after=state["faithfulness"]["after"],
                flagged=[label == INCONSISTENT for label in state["labels"][0]],
                labels=labels_of(reference, len(state["sentences"])),
            )
            for state, reference in finished
        ]
    )


def build() -> StateGraph[State, Params, Text, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Text)
    builder.add_node(intake).add_node(split).add_node(detect).add_node(detect_debate).add_node(detect_close)
    builder.add_node(critique).add_node(critique_rerank).add_node(critique_debate).add_node(critique_close)
    builder.add_node(refine).add_node(refine_rerank).add_node(refine_debate).add_node(refine_close)
    builder.add_node(measure).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "split").add_edge("split", "detect")
    builder.add_conditional_edges("detect", after_detect).add_conditional_edges("detect_debate", after_detect)
    builder.add_conditional_edges("detect_close", after_detect_close)
    builder.add_conditional_edges("critique", after_critique)
    builder.add_conditional_edges("critique_rerank", after_critique_vote).add_conditional_edges("critique_debate", after_critique_vote)
    builder.add_conditional_edges("critique_close", after_critique_close)
    builder.add_conditional_edges("refine", after_refine)
    builder.add_conditional_edges("refine_rerank", after_refine_vote).add_conditional_edges("refine_debate", after_refine_vote)
    builder.add_conditional_edges("refine_close", after_pass)
    builder.add_edge("measure", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
