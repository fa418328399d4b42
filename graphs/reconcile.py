"""ReConcile: a round table of different models that discuss until they agree; the team's answer is a vote weighted by confidence.

Chen, Saha, Bansal, "ReConcile: Round-Table Conference Improves Reasoning via Consensus among Diverse LLMs", 2023,
https://arxiv.org/abs/2309.13007. Defaults are those of the authors' code (dinobby/ReConcile).

```mermaid
graph LR
  START --> intake --> solve --> extract --> vote
  vote -. rounds left, no agreement .-> discuss --> extract
  vote -. all agree, or no round left .-> finish --> END
```

In the opening each agent is shown the convincing examples of the others, never its own: explanations that once brought another agent from
a wrong answer to the right one. In a discussion round all agents read the same blocks, one for each answer of the round before: how many
hold it, and their explanations with their confidence. A confidence c weighs 0.1 up to 0.6, 0.3 below 0.8, 0.5 below 0.9, 0.8 below 1, and
1 at 1. Equal weights go to the agent met first. The discussion ends when all agents give the same answer, after the opening too.

`symposia prepare` finds the examples on problems whose answers are known, with the same agents: all solve each problem, and who is wrong
reads an explanation beside its own reply, in up to 2k calls a problem. A run names what was found with `-p artefact=ID`.

Choices of ours: answer and confidence are a box and a line, since the backslashes of formulas break the JSON that the authors ask for;
"90%" is 0.9, more than 1 counts as 1, and no confidence as 0; a reply without an answer is asked for again, then has no vote (in the code
a random option). Every answer has a block; the code shows the two largest only. The explanation that has to convince is a person's, the
row's field `explanation`, as in the paper; where there is none, that of the first agent that is right. Agents of several models are named
for both roles, in the same order: `roles={"solver": [A, B, C], "debater": [A, B, C]}`; with one model for all of them it is not the method
of the paper.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, NotRequired

from langgraph.graph import END, START
from langgraph.types import Send
from pydantic import Field

from symposia.nodes.debater import DISCUSS, OPINE, agreed, everyone
from symposia.nodes.examples import Example, SolvedRows, Trial, Tried, convincing, demonstrations, intake_solved
from symposia.nodes.extract import Rounds, extract
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import answer_format
from symposia.state.base import Answer, BaseParams, Method, Question, Sampling
from symposia.state.channels import grow
from symposia.state.errors import ReplyError, shorten
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.state.show import Show, dialogue, rewards, votes
from symposia.tools.answers import extract as read_answer
from symposia.tools.answers import task_of
from symposia.tools.equality import canon
from symposia.tools.llm import ask, prompt, quorum
from symposia.tools.vote import Tally, tally, winner

METHOD = Method(
    name="reconcile",
    title="ReConcile",
    arxiv="2309.13007",
    year=2023,
    family="debate",
    roles=("solver", "debater"),
    calls="k * (1 + max_rounds)",
    by_role={"solver": ("k", "1"), "debater": ("k", "max_rounds")},
)

SHOW = Show(
    {
        "chains": dialogue(answers="answers"),
        "answers": votes(weight="vote_weights"),
        "vote_weights": votes(),
        "confidences": rewards(of="chains"),
    },
    {"vote": "the team holds {team[-1]}"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

_NUMBER = r"\d{1,12}(?:\.\d{1,18})?|\.\d{1,18}"
_CONFIDENCE = re.compile(
    rf"^[ \t>*_#]{{0,8}}CONFIDENCE[ \t*_]{{0,4}}:[ \t*_]{{0,4}}({_NUMBER})[ \t]{{0,2}}(%|/[ \t]{{0,2}}({_NUMBER}))?",
    re.IGNORECASE | re.MULTILINE,
)


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(3, ge=1, description="agents; 3, each a different model, in the authors' code")
    max_rounds: int = Field(2, ge=0, description="discussion rounds after the opening at most; 2 in the authors' code")
    examples: list[list[Example]] = Field(
        [], description="convincing examples of each agent, in their order, shown to the others; by default those of the artefact, if any"
    )
    n_examples: int = Field(4, ge=1, description="convincing examples of each agent that `prepare` keeps at most; 4 in the authors' code")
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


def without_confidence(text: str) -> str:
    """A reply without the lines that say how sure it is."""
    return "\n".join(line for line in text.splitlines() if not _CONFIDENCE.match(line)).strip()


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


def examples_of(state: State) -> list[list[dict[str, str]]]:
    """The convincing examples of each agent: those given, else those of the artefact."""
    given = [[example.model_dump() for example in own] for own in Params.of(state).examples]
    return given or (state.get("artefact") or {}).get("examples", [])


def spelled(answer: Answer) -> str:
    """An answer as a prompt shows it."""
    return f"{answer:.12g}" if isinstance(answer, float) else str(answer)


def blocks(state: Mapping[str, Any]) -> list[str]:
    """One block per distinct answer of the newest round, first met first: how many agents hold it, and their explanations."""
    chains, answers, sure = state["chains"][-1], state["answers"][-1], state["confidences"][-1]
    parts = []
    for entry in tally(answers):
        answer = entry["answer"]
        parts.append(f"Answer {spelled(answer)}, held by {entry['count']} of {len(answers)} agents:\n")
        for i in (i for i, given in enumerate(answers) if given == answer):
            parts += [f"Explanation (confidence {sure[i]:.2f}):\n", chains[i], "\n\n"]
    return parts[:-1] or ["Nobody has given an answer yet."]


async def speak(state: State, role: str, agents: int, **fields: Any) -> dict[str, Any]:
    """Append a round of replies of all agents, each with its confidence; one that cannot be read has none.

    Raises:
        SymposiaError: Fewer than `quorum` agents replied.
    """
    task = state["task"]
    asked = {"question": state["question"], "answer_format": answer_format(task), **fields}
    shown = examples_of(state)
    logs = [prompt(state["params"], role, demonstrations=demonstrations(shown, agent), **asked) for agent in range(agents)]
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


def opening() -> StateGraph[State, Params, Any, State]:
    """What a trial needs of a problem: the opening and its answers."""
    builder = StateGraph(State, Params)
    builder.add_node(solve).add_node(extract)
    builder.add_edge(START, "solve").add_edge("solve", "extract").add_edge("extract", END)
    return builder


def spread(state: Tried) -> list[Send]:
    """One `sample` per problem; results join in this order."""
    return [Send("sample", {"rows": [row], "params": state["params"]}) for row in state["rows"]]


async def sample(state: Tried) -> dict[str, Any]:
    """Let all agents solve a problem, and those with a wrong answer read an explanation of the right one beside their own.

    Raises:
        SymposiaError: Fewer agents replied than `quorum`.
    """
    params, row = state["params"], state["rows"][0]
    task, right = task_of(row.get("task") or "auto"), row["answer"]
    done = await _OPENING.ainvoke({"question": row["question"], "task": task, "params": params})
    texts, sure = done["chains"][0], done["confidences"][0]
    answers = await canon(done["answers"][0], [right], task)
    wrong = [agent for agent, answer in enumerate(answers) if answer not in (None, right)]
    teacher = answers.index(right) if right in answers else None
    explanation = row.get("explanation") or ("" if teacher is None else without_confidence(texts[teacher]))
    if not (wrong and explanation):
        return {"trials": [Trial(wrong=wrong, convinced=[], example=None)]}
    trust = 1.0 if teacher is None or row.get("explanation") else sure[teacher]

    def reconsider(agent: int) -> Any:
        table = {"chains": [[texts[agent], explanation]], "answers": [[answers[agent], right]], "confidences": [[sure[agent], trust]]}
        fields = {"question": row["question"], "answer_format": answer_format(task), "demonstrations": "", "answers": blocks(table)}
        return ask(params, "debater", prompt(params, "debater", **fields), parse=opinion_reader(task), agent=agent)

    replies = await fan([partial(reconsider, agent) for agent in wrong])
    quorum(replies, params["quorum"])
    raw = [read_answer(reply["text"], task) if reply["status"] == "ok" else None for reply in replies]
    now = await canon(raw, [right], task)
    convinced = [agent for agent, answer in zip(wrong, now, strict=True) if answer == right]
    example = Example(question=row["question"], explanation=explanation, answer=spelled(right)).model_dump()
    return {"trials": [Trial(wrong=wrong, convinced=convinced, example=example)]}


def choose(state: Tried) -> dict[str, Any]:
    """Keep the first examples that corrected each agent."""
    params = Params.model_validate(state["params"])
    return {"answer": convincing(state["trials"], params.k, params.n_examples)}


def prepare() -> StateGraph[Tried, Params, SolvedRows, Tried]:
    """The graph behind `symposia prepare reconcile`: convincing examples from problems whose answers are known."""
    builder = StateGraph(Tried, Params, input_schema=SolvedRows)
    builder.add_node("intake", intake_solved).add_node(sample).add_node(choose)
    builder.add_edge(START, "intake")
    builder.add_conditional_edges("intake", spread, ["sample"])
    builder.add_edge("sample", "choose").add_edge("choose", END)
    return builder


_OPENING = opening().compile()
graph = build().compile()
