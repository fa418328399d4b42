"""UTDebug: generated unit tests drive a debugger, whose edits are checked on a whole suite and thrown away when they make things worse.

Prasad, Stengel-Eskin, Chen, Khan, Bansal, "Learning to Generate Unit Tests for Automated Debugging", 2025,
https://arxiv.org/abs/2502.01619. Defaults are the paper's; `profile=repository` lays what the authors' code (archiki/UTGenDebug) does
otherwise under the parameters given. `utgen` makes the suites.

```mermaid
graph LR
  START --> intake --> load_task
  load_task -. arms with tests .-> ut_suite
  load_task -. arm none .-> select_feedback
  load_task -. arm none, no round .-> evaluate
  ut_suite -. empty, tries left .-> ut_suite
  ut_suite -. empty again .-> evaluate
  ut_suite -. some tests .-> run_suite
  run_suite -. a test fails, rounds left .-> select_feedback
  run_suite -. all pass, or no round left .-> evaluate
  select_feedback -. a failing test, or judged wrong .-> debug --> validate --> decide
  select_feedback -. judged right .-> evaluate
  decide -. accepted, rounds left .-> ut_suite
  decide -. rejected, rounds left .-> select_feedback
  decide -. no round left .-> evaluate
  evaluate --> finish --> END
```

The code is solved when it passes a whole suite made for it: an accepted edit meets a fresh one. Nothing else ends the loop before
`max_rounds`, and the right solution and hidden tests of an input are read by the last node alone (and by the arm `oracle`, which is named
after it).

Arms (`mode`): those of `utgen`, and `none`, in which the debugger judges the code and writes the feedback itself, 2 calls a round, no suite
and no validation (the authors' baseline has 10 rounds). Ablations: `k=1` (no vote), `backtracking=false`.

| parameter | paper (default) | repository |
|---|---|---|
| feedback_policy | next: after a rejected edit another failing test | first: always the first failing one |
| eager | false: a new suite for an accepted edit | true: one for each edit, before the decision; a restored code meets tests of another |
| drop_rejected | true: a rejected answer leaves the chat | false: it stays |
| continue_writer | false: outputs are predicted by a prompt of their own (ours) | true |
| suite_retries | 1: an empty suite is tried once more (ours) | 0 |
| memory_mib | 1024 (ours; numpy needs it) | 256 |

With no suite after the last decision a run takes at most `R 4n (1 + k) + R` calls, `R n (1 + k) + R` where each attempt is good and each
edit accepted, `n (1 + k) + R` where each edit is rejected. Choices of ours: a suite that stays empty ends the run (`no_tests`); a reply
without code is a rejected edit; the repository's chat after a rejection, which ends in two answers, gets its feedback.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NotRequired, cast

from langgraph.graph import END, START
from pydantic import Field, model_validator

from symposia.graphs import utgen
from symposia.nodes.debugger import DEBUG, debug, select_feedback
from symposia.nodes.finish import conclude
from symposia.nodes.program_intake import LISTS, TEXTS, Program, check_input, from_messages, intake
from symposia.nodes.test_runner import Debugging, decide, evaluate, run_suite, validate
from symposia.nodes.test_writer import PREDICT, WRITE_TEST
from symposia.state.base import Method, Sampling
from symposia.state.graph import StateGraph
from symposia.state.show import Show, code, shown_as, tests
from symposia.tools.programs import passed_all

__all__ = ["METHOD", "NEEDS_REFERENCES", "PROFILES", "SHOW", "Params", "State", "build", "check_input", "from_messages", "graph", "report"]

_ATTEMPTS = "(max(1, max_rounds + eager) + suite_retries) * 4 * n_tests"

METHOD = Method(
    name="utdebug",
    title="UTDebug",
    arxiv="2502.01619",
    year=2025,
    family="code that is run",
    roles=("test_writer", "output_predictor", "debugger"),
    calls=f"{_ATTEMPTS} * (1 + k) + max_rounds",
    by_role={
        "output_predictor": ("k", f"{_ATTEMPTS} * (mode == 'utgen')", "test_writer"),
        "debugger": ("1", "max_rounds * (1 + (mode == 'none'))"),
    },
    by_choice={"test_writer": f"{_ATTEMPTS} * {utgen.TRAINED}", "": f"{_ATTEMPTS} * (1 + k) * {utgen.STOCK}"},
    input=Program,
    items="programs",
)

SHOW = Show(
    {
        "results": tests(cases="suite", code="current_code", edits="history"),
        "history": tests(cases="suite", code="current_code", edits="history", results="results"),
        "current_code": code(),
        "candidate_code": code(against="current_code"),
        "suite": shown_as("table"),
    },
    {
        "run_suite": "passes {pass_rate:.0%} of the suite",
        "validate": "{compared[before]:.0%} before the edit, {compared[after]:.0%} with it",
        "decide": "edit {round} is {history[-1][accepted]:kept|rolled back}",
        "evaluate": "{hidden[-1][passed]} of {hidden[-1][total]} hidden tests",
    },
    ("intake", "load_task"),
    "current_code",
)
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""`report` goes by the tests of the input, and counts programs that have none."""

PROFILES: dict[str, dict[str, Any]] = {
    "paper": {},
    "repository": {
        "feedback_policy": "first",
        "eager": True,
        "drop_rejected": False,
        "continue_writer": True,
        "suite_retries": 0,
        "memory_mib": 256,
    },
}


class Params(utgen.SuiteParams):
    """Parameters of a run."""

    profile: Literal["paper", "repository"] = Field("paper", description="whose values the parameters have that are not given")
    mode: Literal["utgen", "prompted", "random", "oracle", "none"] = Field(
        "utgen", description="utgen, prompted (stock model), random (code unseen), oracle (outputs of the right solution), none (no tests)"
    )
    max_rounds: int = Field(3, ge=0, description="debug attempts; 3 in the paper, flag 4 with round 0")
    backtracking: bool = Field(True, description="throw an edit away that passes a smaller share of the tests; false accepts all")
    validate_on: Literal["suite", "all"] = Field("suite", description="tests that judge an edit: of the suite, or of all suites")
    feedback_policy: Literal["next", "first"] = Field("next", description="failing test shown: the next one not yet shown, or the first")
    eager: bool = Field(False, description="make a suite for every edit, before it is decided on; repository")
    drop_rejected: bool = Field(True, description="take a rejected answer out of the debugger's chat (ours)")
    suite_retries: int = Field(1, ge=0, description="further tries, in a run, for a suite that came out empty (ours)")
    call_seconds: float = Field(2.0, gt=0, description="longest run of one test; 2 s in the authors' code")
    suite_seconds: float = Field(60.0, gt=0, description="longest run of a suite; 60 s in the authors' code")
    memory_mib: int = Field(1024, ge=64, description="memory of a run of code, in MiB")
    prompts: dict[str, str] = Field(
        {"test_writer": WRITE_TEST, "output_predictor": PREDICT, "debugger": DEBUG}, description="templates by role"
    )
    sampling: dict[str, Sampling] = Field(
        {"test_writer": utgen.WRITER, "output_predictor": utgen.PREDICTOR, "debugger": utgen.WRITER},
        description="sampling by role; as in the authors' code",
    )

    @model_validator(mode="before")
    @classmethod
    def _profile(cls, given: Any) -> Any:
        """Lay what was given over the values of the profile."""
        return {**PROFILES.get(given.get("profile") or "paper", {}), **given} if isinstance(given, dict) else given


class State(Debugging):
    """The code at hand, its suite, and every round; `answer` is the code that the run ends with."""

    answer: NotRequired[str | None]
    stop_reason: NotRequired[str]


def load_task(state: State) -> dict[str, Any]:
    """Begin with the code as it was given."""
    empty: dict[str, Any] = {key: [] for key in ("suite", "results", "used_feedback", "rejected")}
    unknown: dict[str, Any] = dict.fromkeys(("pass_rate", "compared", "verdict"))
    return {"current_code": state["code"], "candidate_code": "", "round": 0, "empty_suites": 0, **empty, **unknown}


async def ut_suite(state: State) -> dict[str, Any]:
    """Let `utgen` make a suite for the current code; eagerly, for the edit that was made last."""
    params, made_for = state["params"], state["current_code"]
    if params["eager"] and state["candidate_code"]:
        made_for = state["candidate_code"]
    own = {key: params[key] for key in utgen.Params.model_fields if key not in ("prompts", "sampling")}
    spoken = {key: {role: params[key][role] for role in utgen.METHOD.roles} for key in ("prompts", "sampling")}
    given: Mapping[str, Any] = state
    program = {**{key: given[key] for key in (*TEXTS, *LISTS) if key in given}, "code": made_for}
    made = await utgen.graph.ainvoke(cast("Program", program), context=utgen.Params(**own, **spoken))
    suite = made["suite"]
    return {"suite": suite, "seen": suite, "used_feedback": [], "empty_suites": state["empty_suites"] + (not suite)}


def begin(state: State) -> Literal["ut_suite", "select_feedback", "evaluate"]:
    """Begin with a suite, or in the arm `none` with the debugger's own verdict."""
    params = Params.of(state)
    return "ut_suite" if params.mode != "none" else "select_feedback" if params.max_rounds else "evaluate"


def after_suite(state: State) -> Literal["ut_suite", "run_suite", "evaluate"]:
    """Run the suite; try an empty one again while a try is left."""
    if state["suite"]:
        return "run_suite"
    return "ut_suite" if state["empty_suites"] <= state["params"]["suite_retries"] else "evaluate"


def after_run(state: State) -> Literal["select_feedback", "evaluate"]:
    """End when the code passes its suite, or when no round is left."""
    return "evaluate" if state["pass_rate"] == 1 or state["round"] >= state["params"]["max_rounds"] else "select_feedback"


def after_feedback(state: State) -> Literal["debug", "evaluate"]:
    """Debug, unless the debugger itself finds the code right."""
    return "evaluate" if state["verdict"] == "right" else "debug"


def after_decide(state: State) -> Literal["ut_suite", "select_feedback", "evaluate"]:
    """Go on with a fresh suite for an accepted edit, with another failing test after a rejected one, while a round is left."""
    params = Params.of(state)
    if params.eager and params.mode != "none":
        return "ut_suite"
    if state["round"] >= params.max_rounds:
        return "evaluate"
    return "ut_suite" if state["history"][-1]["accepted"] and params.mode != "none" else "select_feedback"


def finish(state: State) -> dict[str, Any]:
    """End with the current code: `solved`, `budget`, `no_tests`, or `judged_right` in the arm `none`."""
    if state["verdict"] == "right":
        reason = "judged_right"
    elif state["empty_suites"] > state["params"]["suite_retries"]:
        reason = "no_tests"
    else:
        reason = "solved" if state["pass_rate"] == 1 else "budget"
    return conclude(state["current_code"], reason)


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """Over finished runs, each given as its last state: pass@1 on the hidden tests before, after and by round, and what became of edits.

    pass@1 is the share of programs that pass all hidden tests; a run that ended early counts with its last code. Without hidden tests the
    visible ones are taken.
    """
    states = [state for state, _ in finished]
    curves = [[passed_all(found) for found in state["hidden"] or state["visible"]] for state in states]
    measured = [curve for curve in curves if curve]
    rounds = [done for state in states for done in state["history"]]
    reasons = [state["stop_reason"] for state in states]
    longest = max(map(len, measured), default=0)
    return {
        "programs": len(states),
        "measured": len(measured),
        "before": _share([curve[0] for curve in measured]),
        "after": _share([curve[-1] for curve in measured]),
        "by_round": {str(n): _share([curve[min(n, len(curve) - 1)] for curve in measured]) for n in range(longest)},
        "repaired": sum(curve[-1] and not curve[0] for curve in measured),
        "broken": sum(curve[0] and not curve[-1] for curve in measured),
        "rounds": fmean(len(state["history"]) for state in states) if states else None,
        "edits": {"accepted": sum(r["accepted"] for r in rounds), "rejected": sum(not r["accepted"] for r in rounds)},
        "stopped": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


def _share(passed: Sequence[bool]) -> float | None:
    return fmean(passed) if passed else None


def build() -> StateGraph[State, Params, Program, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Program)
    builder.add_node(intake).add_node(load_task).add_node(ut_suite).add_node(run_suite).add_node(select_feedback)
    builder.add_node(debug).add_node(validate).add_node(decide).add_node(evaluate).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "load_task")
    builder.add_conditional_edges("load_task", begin).add_conditional_edges("ut_suite", after_suite)
    builder.add_conditional_edges("run_suite", after_run).add_conditional_edges("select_feedback", after_feedback)
    builder.add_edge("debug", "validate").add_edge("validate", "decide")
    builder.add_conditional_edges("decide", after_decide)
    builder.add_edge("evaluate", "finish").add_edge("finish", END)
    return builder


graph = build().compile()
