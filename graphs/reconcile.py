"""ReConcile: a round table of different models that discuss until they agree; the team's answer is a vote weighted by confidence.

Chen, Saha, Bansal, "ReConcile: Round-Table Conference Improves Reasoning via Consensus among Diverse LLMs", 2023,
https://arxiv.org/abs/2309.13007. Defaults are those of the authors' code (dinobby/ReConcile).

```mermaid
graph LR
  START --> intake --> solve --> extract --> vote
  vote -. rounds left, no agreement .-> discuss --> extract
  vote -. all agree, or no round left .-> finish --> END
```

In the opening each agent is shown the convincing examples of the others, never its own: explanations that once brought another model from
a wrong answer to the right one. In a discussion round all agents read the same blocks, one for each answer of the round before: how many
hold it, and their explanations with their confidence. A confidence c weighs 0.1 up to 0.6, 0.3 below 0.8, 0.5 below 0.9, 0.8 below 1, and
1 at 1. Equal weights go to the agent met first. The discussion ends when all agents give the same answer, after the opening too.

Choices of ours: answer and confidence are a box and a line, since the backslashes of formulas break the JSON that the authors ask for;
"90%" is 0.9, more than 1 counts as 1, and no confidence as 0; a reply without an answer is asked for again, then has no vote (in the code
a random option). Every answer has a block; the code shows the two largest only. Agents of several models are named for both roles, in
the same order: `roles={"solver": [A, B, C], "debater": [A, B, C]}`; with one model for all of them it is not the method of the paper.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, NotRequired

from langgraph.graph import END, START
from pydantic import BaseModel, ConfigDict, Field

from symposia.nodes.debater import DISCUSS, OPINE, agreed, everyone
from symposia.nodes.extract import Rounds, extract
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import answer_format
from symposia.state.base import Answer, BaseParams, Method, Question, Sampling
from symposia.state.channels import grow
from symposia.state.errors import ReplyError, shorten
from symposia.state.graph import StateGraph
from symposia.tools.answers import extract as read_answer
from symposia.tools.llm import prompt
from symposia.tools.vote import Tally, tally, winner

METHOD = Method(
    name="reconcile",
    title="ReConcile",
    arxiv="2309.13007",
    year=2023,
    family="turn-taking",
    roles=("solver", "debater"),
    calls="k * (1 + max_rounds)",
)

_NUMBER = r"\d{1,12}(?:\.\d{1,18})?|\.\d{1,18}"
_CONFIDENCE = re.compile(
    rf"^[ \t>*_#]{{0,8}}CONFIDENCE[ \t*_]{{0,4}}:[ \t*_]{{0,4}}({_NUMBER})[ \t]{{0,2}}(%|/[ \t]{{0,2}}({_NUMBER}))?",
    re.IGNORECASE | re.MULTILINE,
)


class Example(BaseModel):
    """A convincing example: an explanation with which a model once corrected its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(description="the problem")
    explanation: str = Field(description="the explanation that convinced")
    answer: str = Field(description="its answer")


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(3, ge=1, description="agents; 3, each a different model, in the authors' code")
    max_rounds: int = Field(2, ge=0, description="discussion rounds after the opening at most; 2 in the authors' code")
    examples: list[list[Example]] = Field(
        [],
        description="convincing examples of each agent, in their order, shown to the others; 4 each in the authors' code, here none",
    )
    prompts: dict[str, str] = Field({"solver": OPINE, "debater": DISCUSS}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(), "debater": Sampling()},
        description="sampling by role; the authors' code leaves it to the provider, whose temperature was 1",
    )


class State(Rounds):
    """A round per list, one reply per agent in the agents' order, with its confidence; and the team's answer after each round."""

    confidences: Annotated[list[list[float]], grow]
    team: Annotated[list[Answer | None], grow]
    vote_weights: NotRequired[list[Tally]]


def confidence_of(text: str) -> float:
    """The number of the last line "CONFIDENCE: x" in 0..1, also as "90%" or "9/10"; more than 1 is 1, none is 0."""
    found = _CONFIDENCE.findall(text)
    if not found:
        return 0.0
    number, unit, of = found[-1]
    whole = 100.0 if unit == "%" else float(of or 1)
    return min(1.0, float(number) / whole) if whole else 0.0


def weight_of(confidence: float) -> float:
    """How much a vote of this confidence weighs."""
    for limit, weight in ((0.8, 0.3), (0.9, 0.5), (1.0, 0.8)):
        if confidence < limit:
            return 0.1 if confidence <= 0.6 else weight
    return 1.0


def opinion_reader(task: str) -> Callable[[str], float]:
    """A parser of a reply's confidence, which wants an answer beside it."""

    def read(text: str) -> float:
        if read_answer(text, task) is None:
            raise ReplyError(f"the reply states no answer; it ends with '{shorten(text[-80:])}'")
        return confidence_of(text)

    return read


def demonstrations(params: Params, agent: int) -> list[str]:
    """The convincing examples of all other agents, as parts of a prompt."""
    foreign = [example for owner, examples in enumerate(params.examples) if owner != agent for example in examples]
    return [
        part
        for e in foreign
        for part in ("\nWorked example:\n", e.question, "\nIts solution:\n", e.explanation, "\nIts answer: ", e.answer, "\n")
    ]


def blocks(state: State) -> list[str]:
    """One block per distinct answer of the newest round, first met first: how many agents hold it, and their explanations."""
    chains, answers, sure = state["chains"][-1], state["answers"][-1], state["confidences"][-1]
    parts = []
    for entry in tally(answers):
        answer = entry["answer"]
        shown = f"{answer:.12g}" if isinstance(answer, float) else answer
        parts.append(f"Answer {shown}, held by {entry['count']} of {len(answers)} agents:\n")
        for i in (i for i, given in enumerate(answers) if given == answer):
            parts += [f"Explanation (confidence {sure[i]:.2f}):\n", chains[i], "\n\n"]
    return parts[:-1] or ["Nobody has given an answer yet."]


async def speak(state: State, role: str, agents: int, **fields: Any) -> dict[str, Any]:
    """Append a round of replies of all agents, each with its confidence; one that cannot be read has none.

    Raises:
        SymposiaError: Fewer than `quorum` agents replied.
    """
    params, task = Params.of(state), state["task"]
    asked = {"question": state["question"], "answer_format": answer_format(task), **fields}
    logs = [prompt(state["params"], role, demonstrations=demonstrations(params, agent), **asked) for agent in range(agents)]
    replies = await everyone(state["params"], role, logs, opinion_reader(task))
    return {
        "chains": [[r["text"] for r in replies]],
        "statuses": [[r["status"] for r in replies]],
        "confidences": [[r["value"] if r["status"] == "ok" else 0.0 for r in replies]],
    }


async def solve(state: State) -> dict[str, Any]:
    """The opening: every agent for itself."""
    return await speak(state, "solver", Params.of(state).k)


async def discuss(state: State) -> dict[str, Any]:
    """A discussion round: every agent reads the blocks of the round before."""
    return await speak(state, "debater", len(state["chains"][0]), answers=blocks(state))


def vote(state: State) -> dict[str, Any]:
    """Weigh the answers of the newest round by confidence; equal weights go to the agent met first."""
    votes = tally(state["answers"][-1], [weight_of(c) for c in state["confidences"][-1]])
    return {"vote_weights": votes, "answer": winner(votes), "team": [winner(votes)]}


def route(state: State) -> Literal["discuss", "finish"]:
    """Discuss until all agree or no round is left."""
    return "finish" if agreed(state) or len(state["chains"]) > Params.of(state).max_rounds else "discuss"


def finish(state: State) -> dict[str, Any]:
    """End with the team's answer."""
    answer = state.get("answer")
    return conclude(answer, "no_answer" if answer is None else "agreed" if agreed(state) else "max_rounds")


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node(solve).add_node(extract).add_node(vote).add_node(discuss).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract").add_edge("extract", "vote")
    builder.add_conditional_edges("vote", route)
    builder.add_edge("discuss", "extract").add_edge("finish", END)
    return builder


graph = build().compile()
