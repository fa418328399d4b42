"""UTGen's intrinsic measures: how often a generated test's input breaks the code, how often its output is right, how often both at once.

Prasad, Stengel-Eskin, Chen, Khan, Bansal, "Learning to Generate Unit Tests for Automated Debugging", 2025,
https://arxiv.org/abs/2502.01619, section on intrinsic evaluation. Defaults are those of the authors' code (archiki/UTGenDebug): 3 tests per
problem, sampled hotter than for a suite.

```mermaid
graph LR
  START --> intake --> sample_tests --> judge_tests --> finish --> END
```

No vote is used: the output is the one that the test writer gives itself. With g the right solution and f the code at hand, a test attacks
when g gives a value within a second and f gives none or another; its output is right when it is g's; joint is both on the same test. The
rates are means over all tests asked for, so a test whose input cannot be read is a miss in all three. `report` is the mean over problems.

The input needs `canonical_solution`, which no prompt shows. `mode` is `utgen`, `prompted` or `random`, as in `utgen`. The authors' scripts
leave unread tests out for HumanEval and count them for MBPP; here they count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Annotated, Any, Literal, NotRequired

from langgraph.graph import END, START
from langgraph.runtime import Runtime
from pydantic import Field
from typing_extensions import TypedDict

from symposia.nodes import program_intake
from symposia.nodes.finish import conclude
from symposia.nodes.program_intake import Program, Received, from_messages
from symposia.nodes.test_writer import WRITE_TEST, read_arguments, read_output, write_tests
from symposia.state.base import BaseParams, Method, Sampling
from symposia.state.channels import grow
from symposia.state.errors import BadInput, ReplyError
from symposia.state.graph import StateGraph
from symposia.state.place import fan
from symposia.state.show import Show, shown_as
from symposia.tools.literals import call_text
from symposia.tools.programs import CALL, call_recorded, passes

__all__ = ["METHOD", "NEEDS_REFERENCES", "SHOW", "Params", "State", "build", "check_input", "from_messages", "graph", "report"]

METHOD = Method(
    name="utgen_intrinsic",
    title="UTGen, intrinsic measures",
    arxiv="2502.01619",
    year=2025,
    family="code that is run",
    roles=("test_writer",),
    calls="n_tests",
    by_role={"test_writer": ("n_tests", "(mode == 'utgen')")},
    by_choice={"": "n_tests * ((mode == 'prompted') + (mode == 'random'))"},
    input=Program,
    items="programs",
)

SHOW = Show(
    {"judgements": shown_as("table")},
    {"judge_tests": "attack {rates[attack]:.0%}, output {rates[output]:.0%}, both {rates[joint]:.0%}"},
    ("intake",),
)
"""How the viewer shows its state."""


NEEDS_REFERENCES = False
"""The right solution is part of the input; tests are not needed."""


class Params(BaseParams):
    """Parameters of a run."""

    mode: Literal["utgen", "prompted", "random"] = Field("utgen", description="utgen, prompted (stock model), random (code unseen)")
    n_tests: int = Field(3, ge=1, description="tests of a problem; 3 in the authors' code")
    prompts: dict[str, str] = Field({"test_writer": WRITE_TEST}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"test_writer": Sampling(temperature=0.8, top_p=0.9, max_tokens=2560)}, description="sampling by role; as in the authors' code"
    )


class Written(TypedDict):
    """A test as it was written; None where call or output could not be read."""

    arguments: list[str] | None
    expected: str | None


class Judgement(TypedDict):
    """What a test came to; `call` is empty where none could be read."""

    call: str
    attack: bool
    output: bool
    joint: bool


class State(Received):
    """The tests, and what each came to; `answer` is the share of tests that are good for debugging: joint."""

    tests: Annotated[list[Written], grow]
    judgements: Annotated[list[Judgement], grow]
    rates: NotRequired[dict[str, float]]
    answer: NotRequired[float]
    stop_reason: NotRequired[str]


def check_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """As for every program; here with the right solution.

    Raises:
        BadInput: A field is missing or of the wrong kind.
    """
    found = program_intake.check_input(given)
    if "canonical_solution" not in found:
        raise BadInput("the canonical_solution is missing", remedy="give rows a field canonical_solution: a right program")
    return found


async def intake(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
    """As for every program.

    Raises:
        BadInput: As `check_input`.
    """
    check_input(state)
    return await program_intake.intake(state, runtime)


async def sample_tests(state: State) -> dict[str, Any]:
    """Let the test writer write all tests at once."""
    replies = await write_tests(state["params"], state, state["params"]["n_tests"])
    texts = [reply["text"] if reply["status"] == "ok" else "" for reply in replies]
    return {"tests": [_written(text, state["entry_point"]) for text in texts]}


def _written(text: str, entry_point: str) -> Written:
    found = Written(arguments=None, expected=None)
    try:
        found["arguments"] = read_arguments(text, entry_point)
        found["expected"] = read_output(text)
    except ReplyError:
        return found
    return found


async def judge_tests(state: State) -> dict[str, Any]:
    """Run the right solution and the code at hand on each input."""
    return {"judgements": await fan([partial(_judged, state, test) for test in state["tests"]])}


async def _judged(state: State, test: Written) -> Judgement:
    arguments = test["arguments"]
    if arguments is None:
        return Judgement(call="", attack=False, output=False, joint=False)
    bounds = replace(CALL, wall_seconds=1.0, cpu_seconds=1.0)
    right = await call_recorded(state["canonical_solution"], state["entry_point"], arguments, bounds)
    given = await call_recorded(state["code"], state["entry_point"], arguments)
    known = right["status"] == "ok"
    attack = known and not passes(given, right["text"])
    output = known and test["expected"] is not None and passes(right, test["expected"])
    return Judgement(call=call_text(state["entry_point"], arguments), attack=attack, output=output, joint=attack and output)


def finish(state: State) -> dict[str, Any]:
    """End with the three rates."""
    rates = {key: fmean(bool(done[key]) for done in state["judgements"]) for key in ("attack", "output", "joint")}
    told = ", ".join(f"{key} {value:.2f}" for key, value in rates.items())
    return {"rates": rates, **conclude(rates["joint"], "measured", told)}


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """The rates over finished runs, each given as its last state: means over all tests, in 0..1, and how many inputs could be read."""
    done = [judgement for state, _ in finished for judgement in state["judgements"]]
    rates = {key: fmean(bool(one[key]) for one in done) if done else None for key in ("attack", "output", "joint")}
    return {"programs": len(finished), "tests": len(done), "read": sum(bool(one["call"]) for one in done), **rates}


def build() -> StateGraph[State, Params, Program, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Program)
    builder.add_node(intake).add_node(sample_tests).add_node(judge_tests).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "sample_tests").add_edge("sample_tests", "judge_tests")
    builder.add_edge("judge_tests", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
