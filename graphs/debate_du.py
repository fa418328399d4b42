"""Multi-agent debate: several agents answer, read each other's answers and update their own, for a fixed number of rounds; then a vote.

Du, Li, Torralba, Tenenbaum, Mordatch, "Improving Factuality and Reasoning in Language Models through Multiagent Debate", 2023,
https://arxiv.org/abs/2305.14325. Defaults are those of the school mathematics task in the authors' code
(composable-models/llm_multiagent_debate).

```mermaid
graph LR
  START --> intake --> solve --> extract
  extract -. rounds left .-> debate --> extract
  extract -. no round left .-> vote --> finish --> END
```

The authors count the opening as a round: their 2 rounds are `max_rounds` 1 here, and `max_rounds` 0 is self-consistency over k samples.
In a debate round an agent is shown its own conversation so far and the replies of all others in the round before, its own excluded; all
agents speak at once. One agent alone is asked to check its own solution again. Equal votes go to the answer of the agent met first.

Choices of ours: agents of several models are named for both roles, in the same order: `roles={"solver": [A, B], "debater": [A, B]}`; a
reply that failed, was refused or cut off is shown to nobody, and an agent without an own reply in a round goes on without that turn; the
biographies task, whose text is no answer to vote on, is left out with its wording. The authors' evaluation counts an unreadable answer
as right; here it has no vote. Compare with self-consistency at k * (1 + max_rounds) samples.
"""

from typing import Any, Literal

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.debater import DEBATE, agreed, conversation, everyone
from symposia.nodes.extract import extract
from symposia.nodes.fanout import fanout
from symposia.nodes.finish import conclude
from symposia.nodes.intake import intake
from symposia.nodes.prompts import SOLVE, answer_format
from symposia.nodes.vote import Voted, outcome_of, vote
from symposia.state.base import BaseParams, Method, Question, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, dialogue, votes
from symposia.tools.completion import Message
from symposia.tools.llm import prompt

METHOD = Method(
    name="debate_du",
    title="Multi-agent debate",
    arxiv="2305.14325",
    year=2023,
    family="debate",
    roles=("solver", "debater"),
    calls="k * (1 + max_rounds)",
    by_role={"solver": ("k", "1"), "debater": ("k", "max_rounds")},
)

SHOW = Show(
    {"chains": dialogue(answers="answers"), "answers": votes(weight="vote_weights"), "vote_weights": votes()},
    {"vote": "{answer}, {confidence:.0%} of the agents"},
    ("intake", "extract"),
)
"""How the viewer shows its state."""

ADVICE = """\
Below stand the problem and the solutions that other agents found for it. Take them as additional advice: compare them with your own
solution, and give an updated one."""

DOUBLE_CHECK = "Check your solution of the problem below once more, step by step, and give an updated one."


class Params(BaseParams):
    """Parameters of a run."""

    k: int = Field(3, ge=1, description="agents; 3 in the authors' school mathematics task, 2 in their arithmetic task")
    max_rounds: int = Field(1, ge=0, description="rounds after the opening; 1 in the authors' school mathematics task, 2 in arithmetic")
    stop_on_agreement: bool = Field(False, description="vote as soon as all agents give the same answer; not in the paper")
    prompts: dict[str, str] = Field({"solver": SOLVE, "debater": DEBATE}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"solver": Sampling(), "debater": Sampling()},
        description="sampling by role; the authors' code leaves it to the provider, whose temperature was 1",
    )


class State(Voted):
    """A round per list, one reply per agent, in the agents' order."""


def route(state: State) -> Literal["debate", "vote"]:
    """Debate while a round is left."""
    params = Params.of(state)
    ends = len(state["chains"]) > params.max_rounds or (params.stop_on_agreement and agreed(state))
    return "vote" if ends else "debate"


def others(state: State, round_: int, agent: int) -> list[str]:
    """The replies of all other agents in a round, in their order, those that count."""
    said = zip(state["chains"][round_], state["statuses"][round_], strict=True)
    return [text for i, (text, status) in enumerate(said) if i != agent and status == "ok"]


def asked(state: State, round_: int, agent: int) -> list[Message]:
    """What an agent is asked in a round, the opening being round 0."""
    params, form = state["params"], answer_format(state["task"])
    if round_ == 0:
        return prompt(params, "solver", question=state["question"], answer_format=form)
    heard = others(state, round_ - 1, agent)
    quoted = [part for text in heard for part in ("\nSolution of another agent:\n", text, "\n")]
    advice = ADVICE if heard else DOUBLE_CHECK
    return prompt(params, "debater", question=state["question"], advice=advice, others=quoted, answer_format=form)


async def debate(state: State) -> dict[str, Any]:
    """Append the updated solutions of all agents; each reads the others' of the round before.

    Raises:
        SymposiaError: Fewer than `quorum` agents replied.
    """
    newest, agents = len(state["chains"]), range(len(state["chains"][0]))
    own = [[(asked(state, r, agent), state["chains"][r][agent]) for r in range(newest)] for agent in agents]
    logs = [[*conversation(own[agent]), *asked(state, newest, agent)] for agent in agents]
    replies = await everyone(state["params"], "debater", logs)
    return {"chains": [[r["text"] for r in replies]], "statuses": [[r["status"] for r in replies]]}


def finish(state: State) -> dict[str, Any]:
    """End with the vote's winner."""
    answer = state.get("answer")
    return conclude(answer, "agreed" if agreed(state) else outcome_of(answer, state["vote_weights"]))


def build() -> StateGraph[State, Params, Question, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Question)
    builder.add_node(intake).add_node("solve", fanout).add_node(extract).add_node(debate).add_node(vote).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "solve").add_edge("solve", "extract")
    builder.add_conditional_edges("extract", route)
    builder.add_edge("debate", "extract").add_edge("vote", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
