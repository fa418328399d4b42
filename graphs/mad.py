"""MAD: two sides that are kept opposed argue in turn, and a referee may end the debate when one of them convinces.

Liang, He, Jiao and others, "Encouraging Divergent Thinking in Large Language Models through Multi-Agent Debate", 2023,
https://arxiv.org/abs/2305.19118. Written from descriptions of the method; rounds and order of the calls as in MASWorks/MASLab.

```mermaid
graph LR
  START --> intake --> solve --> extract
  extract -. the affirmative side spoke .-> negative --> extract
  extract -. both sides spoke .-> referee
  referee -. not settled, rounds left .-> affirmative --> extract
  referee -. not settled, no round left .-> candidates --> choose --> finish
  referee -. settled .-> finish --> END
```

The affirmative side opens with its solution, the negative side answers it; from then on each reads its own log and the other's latest
argument, and never the referee. The referee reads the two arguments of a round and its own log, and settles the debate only by a ruling
with an answer. Rounds are counted after the opening one: 3 calls each, and 2 more when the referee has settled nothing.

Choices of ours: an unreadable ruling settles nothing, an unreadable final choice leaves the last answer of the affirmative side; list and
choice see the first and the last arguments of both sides (the port shows the first ones only) in one prompt each. Let one model play all
roles: the paper finds a referee unfair between different ones. A list of two models for `debater` is in the order of the sides.
"""

from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.debater import ARGUE, OPPOSE, conversation
from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE, answer_format
from symposia.nodes.referee import CHOOSE, LIST, RULE, Refereed, candidates, choose, referee, speech
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, dialogue, shown_as
from symposia.tools.completion import Message
from symposia.tools.llm import ask, prompt, quorum

METHOD = Method(
    name="mad",
    title="MAD",
    arxiv="2305.19118",
    year=2023,
    family="debate",
    roles=("solver", "opponent", "debater", "referee", "lister", "judge"),
    calls="3 * (1 + max_rounds) + 2",
    by_role={
        **{"solver": ("1", "1"), "opponent": ("2", ("0", "1")), "debater": ("2", "max_rounds")},
        **{"referee": ("1", "1 + max_rounds"), "lister": ("1", "1"), "judge": ("1", "1")},
    },
)

SHOW = Show(
    {"chains": dialogue(answers="answers", speakers=("affirmative", "negative")), "verdicts": shown_as("table")},
    {"referee": "{verdicts[-1][settled]:settled|not settled}: {verdicts[-1][reason]}"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

LEVELS = (
    "Look for common ground, and agree with every point that you cannot refute.",
    "Object to the points that are wrong, and accept the others.",
    "You need not agree with the other side; the aim is the right answer.",
    "Disagree with the other side on every point; leave no common ground.",
)
"""What the sides are told by `level`, from agreement to opposition."""

_GREEDY = Sampling(temperature=0)


class Params(BaseParams):
    """Parameters of a run."""

    max_rounds: int = Field(2, ge=0, description="rounds after the opening one at most; 2, so 3 with the opening, as in MASLab")
    level: int = Field(2, ge=0, le=3, description="how strongly the sides must disagree; the paper finds a moderate level best, here 2")
    prompts: dict[str, str] = Field(
        {"solver": SOLVE, "opponent": OPPOSE, "debater": ARGUE, "referee": RULE, "lister": LIST, "judge": CHOOSE},
        description="templates by role; the solver opens for the affirmative side, the opponent for the negative one",
    )
    sampling: dict[str, Sampling] = Field(
        dict.fromkeys(("solver", "opponent", "debater", "referee", "lister", "judge"), _GREEDY),
        description="sampling by role; greedy as commonly reported of the authors' code",
    )


class State(Refereed):
    """One speech per round of `chains`, the affirmative side's at even places, with a ruling on each two."""


def turn_taken(state: State) -> Literal["negative", "referee"]:
    """After the affirmative side the negative one speaks, after both the referee."""
    return "negative" if len(state["chains"]) % 2 else "referee"


def ruled(state: State) -> Literal["affirmative", "candidates", "finish"]:
    """End on a settled verdict; else go on while a round is left."""
    if state["verdicts"][-1]["settled"]:
        return "finish"
    return "affirmative" if len(state["verdicts"]) <= Params.of(state).max_rounds else "candidates"


def asked(state: State, turn: int) -> list[Message]:
    """What a side is asked in a turn; the affirmative side has the even ones."""
    params, form = Params.of(state), answer_format(state["task"])
    if turn == 0:
        return prompt(state["params"], "solver", question=state["question"], answer_format=form)
    fields = {"question": state["question"], "argument": speech(state, turn - 1), "manner": LEVELS[params.level], "answer_format": form}
    if turn == 1:
        return prompt(state["params"], "opponent", **fields)
    return prompt(state["params"], "debater", side="negative" if turn % 2 else "affirmative", **fields)


async def speak(state: State) -> dict[str, Any]:
    """Append the next speech, of the side whose turn it is, from its own log and the other side's latest argument.

    Raises:
        SymposiaError: The side could not be reached.
    """
    turn = len(state["chains"])
    own = conversation((asked(state, t), state["chains"][t][0]) for t in range(turn % 2, turn, 2))
    role = "opponent" if turn == 1 else "debater"
    reply = await ask(state["params"], role, [*own, *asked(state, turn)], agent=turn % 2)
    quorum([reply], 1)
    return {"chains": [[reply["text"]]], "statuses": [[reply["status"]]]}


def finish(state: State) -> dict[str, Any]:
    """End with the referee's answer, else the judge's, else the last one of the affirmative side."""
    verdict = state["verdicts"][-1]
    if verdict["settled"]:
        return conclude(verdict["answer"], "settled")
    answer = state.get("answer")
    if answer is not None:
        return conclude(answer, "judged")
    last = state["answers"][-2][0]
    return conclude(last, "no_answer" if last is None else "max_rounds")


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node("negative", speak).add_node("affirmative", speak)
    builder.add_node(referee).add_node(candidates).add_node(choose).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract")
    builder.add_conditional_edges("extract", turn_taken)
    builder.add_edge("negative", "extract").add_edge("affirmative", "extract")
    builder.add_conditional_edges("referee", ruled)
    builder.add_edge("candidates", "choose").add_edge("choose", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
