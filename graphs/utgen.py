"""UTGen: unit tests for a program that may be wrong, with inputs that should break it and outputs that a vote decides.

Prasad, Stengel-Eskin, Chen, Khan, Bansal, "Learning to Generate Unit Tests for Automated Debugging", 2025,
https://arxiv.org/abs/2502.01619. Defaults are those of the authors' code (archiki/UTGenDebug), which has 1 test by default and 3 in the
example that it calls the paper's. `utdebug` uses this graph as its test generator, `utgen_intrinsic` measures one.

```mermaid
graph LR
  START --> intake --> sample_candidate
  sample_candidate -. a call could be read .-> vote_output --> tally
  sample_candidate -. none, attempts left .-> sample_candidate
  sample_candidate -. none, no attempt left .-> finish
  tally -. tests missing, attempts left .-> sample_candidate
  tally -. complete, or no attempt left .-> finish --> END
```

A candidate is a call of the function; its expected output is predicted `k` times, and the test is kept when the largest group of equal
predictions has a share `bar` of the predictions asked for (of those that could be read: that would be laxer) and no test has the arguments
yet. A suite takes `a (1 + k)` calls, `n_tests <= a <= 4 n_tests`, less where a call could not be read.

| `mode` | input | played by | output |
|---|---|---|---|
| `utgen` | should break the code | `--role test_writer=` a trained model | vote |
| `prompted` | should break the code | the run's model, whatever the roles name | vote |
| `random` | any valid one, the code unseen | the run's model | vote |
| `oracle` | as `utgen` | as `utgen` | that of `canonical_solution`, run for at most 1 s; no vote |

Choices of ours: calls and values are read as literals and never evaluated; an output is predicted by a prompt of its own, since few
providers continue an assistant's turn (`continue_writer` has that); as many candidates as tests are missing are drawn at once.
"""

from typing import Any, Literal, NotRequired

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.finish import conclude
from symposia.nodes.program_intake import Program, check_input, from_messages, intake
from symposia.nodes.test_writer import PREDICT, WRITE_TEST, Suite, drawn_last, missing, sample_candidate, tally, vote_output
from symposia.state.base import BaseParams, Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, shown_as
from symposia.tools.literals import call_text

__all__ = ["METHOD", "SHOW", "Params", "State", "build", "check_input", "from_messages", "graph"]

# Who plays the writer and the predictors depends on the arm, as `nodes.test_writer.players` says; the oracle needs no predictors.
TRAINED, STOCK = "((mode == 'utgen') + (mode == 'oracle'))", "((mode == 'prompted') + (mode == 'random'))"

METHOD = Method(
    name="utgen",
    title="UTGen",
    arxiv="2502.01619",
    year=2025,
    family="code that is run",
    roles=("test_writer", "output_predictor"),
    calls="4 * n_tests * (1 + k)",
    by_role={"output_predictor": ("k", "4 * n_tests * (mode == 'utgen')", "test_writer")},
    by_choice={"test_writer": f"4 * n_tests * {TRAINED}", "": f"4 * n_tests * (1 + k) * {STOCK}"},
    input=Program,
    items="programs",
)

SHOW = Show({"suite": shown_as("table"), "tallies": shown_as("table")}, fold=("intake",))
"""How the viewer shows its state."""

WRITER = Sampling(temperature=0.7, top_p=0.9, max_tokens=8192)
PREDICTOR = Sampling(temperature=0.8, top_p=0.9, max_tokens=2048)


class SuiteParams(BaseParams):
    """Parameters of a test generator."""

    n_tests: int = Field(3, ge=1, description="tests of a suite; 3 in the paper's example, flag default 1; at most 4 candidates for each")
    k: int = Field(8, ge=1, description="predictions of a test's output; 8 in the authors' code")
    bar: float = Field(0.5, ge=0, le=1, description="share of the k predictions that has to agree; 0.5 in the authors' code")
    continue_writer: bool = Field(False, description="predictors go on from the writer's text; for models that continue a turn; repository")


class Params(SuiteParams):
    """Parameters of a run."""

    mode: Literal["utgen", "prompted", "random", "oracle"] = Field(
        "utgen", description="utgen, prompted (stock model), random (code unseen), oracle (outputs of the right solution)"
    )
    prompts: dict[str, str] = Field({"test_writer": WRITE_TEST, "output_predictor": PREDICT}, description="templates by role")
    sampling: dict[str, Sampling] = Field(
        {"test_writer": WRITER, "output_predictor": PREDICTOR}, description="sampling by role; as in the authors' code"
    )


class State(Suite):
    """All candidates, what became of each, and the suite; `answer` is the suite as assert statements."""

    answer: NotRequired[str | None]
    stop_reason: NotRequired[str]


def after_sample(state: State) -> Literal["vote_output", "sample_candidate", "finish"]:
    """Vote on the candidates whose call could be read; without any, draw again while attempts are left."""
    return "vote_output" if drawn_last(state) else after_tally(state)


def after_tally(state: State) -> Literal["sample_candidate", "finish"]:
    """Draw again while tests are missing and attempts are left."""
    return "sample_candidate" if missing(state) > 0 else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with the suite, `complete`, `short` of tests or with `no_tests`."""
    suite = state["suite"]
    lines = [f"assert {call_text(state['entry_point'], test['arguments'])} == {test['expected']}" for test in suite]
    reason = "no_tests" if not suite else "complete" if len(suite) == state["params"]["n_tests"] else "short"
    return conclude("\n".join(lines) or None, reason, "\n".join(lines) or "No test was found.")


def build() -> StateGraph[State, Params, Program, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Program)
    builder.add_node(intake).add_node(sample_candidate).add_node(vote_output).add_node(tally).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "sample_candidate").add_edge("vote_output", "tally")
    builder.add_conditional_edges("sample_candidate", after_sample).add_conditional_edges("tally", after_tally)
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
