"""Convincing examples: explanations with which an agent once corrected its answer, kept for who has to convince it (arXiv 2309.13007).

They are looked for once, on problems whose answers are known (a training set, never the problems to be solved), by a `prepare` graph.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, cast

from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from symposia.nodes.intake import PrepareState, intake_rows
from symposia.state.base import Answer, Question
from symposia.state.channels import grow, settled
from symposia.state.errors import BadInput, shorten


class Example(BaseModel):
    """A convincing example: an explanation with which a model once corrected its answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(description="the problem")
    explanation: str = Field(description="the explanation that convinced")
    answer: str = Field(description="its answer")


class Solved(Question):
    """A problem with its answer, and a person's explanation of it where there is one."""

    answer: NotRequired[Answer]
    explanation: NotRequired[str]


class SolvedRows(TypedDict):
    """The input: problems with their answers."""

    rows: list[Solved]


class Trial(TypedDict):
    """What a problem showed: the agents, by index, that were wrong, those of them that an explanation then corrected, and the example."""

    wrong: list[int]
    convinced: list[int]
    example: dict[str, str] | None


class Tried(SolvedRows):
    """A trial per problem; `answer` is what comes of them."""

    params: Annotated[dict[str, Any], settled]
    trials: Annotated[list[Trial], grow]
    answer: NotRequired[dict[str, Any]]


async def intake_solved(state: Tried, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state; every row has a question and an answer.

    Raises:
        BadInput: One lacks either, or has fields of the wrong kind; the message names the row, counted from 1.
    """
    for number, row in enumerate(state["rows"], 1):
        known: Any = row.get("answer")
        if isinstance(known, bool) or not isinstance(known, (str, int, float)) or not str(known).strip():
            found = "has no answer" if known in (None, "") else f"has the answer {shorten(repr(known), 60)}, neither text nor number"
            raise BadInput(f"row {number} {found}", remedy="take a training set whose rows have a field `answer`")
        if not isinstance(row.get("explanation", ""), str):
            raise BadInput(f"row {number} has an explanation that is no text", remedy="give a text, or leave the field out")
    return await intake_rows(cast("PrepareState", state), runtime)


def convincing(trials: Sequence[Trial], agents: int, most: int) -> dict[str, Any]:
    """The first `most` examples that corrected each agent, in the order of the rows; and how often each was wrong, and was convinced."""
    return {
        "examples": [[t["example"] for t in trials if agent in t["convinced"]][:most] for agent in range(agents)],
        "problems": len(trials),
        "wrong": [sum(agent in t["wrong"] for t in trials) for agent in range(agents)],
        "convinced": [sum(agent in t["convinced"] for t in trials) for agent in range(agents)],
    }


def demonstrations(examples: Sequence[Sequence[Mapping[str, str]]], agent: int) -> list[str]:
    """The convincing examples of all other agents, as parts of a prompt."""
    foreign = [example for owner, own in enumerate(examples) if owner != agent for example in own]
    return [
        part
        for e in foreign
        for part in ("\nWorked example:\n", e["question"], "\nIts solution:\n", e["explanation"], "\nIts answer: ", e["answer"], "\n")
    ]
