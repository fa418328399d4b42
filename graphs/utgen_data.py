"""UTGen's training data: right programs are spoilt, inputs found that show it, and each test explained as a tester would come to it.

Prasad, Stengel-Eskin, Chen, Khan, Bansal, "Learning to Generate Unit Tests for Automated Debugging", 2025,
https://arxiv.org/abs/2502.01619. The stages are those of the paper's pipeline; neither data nor code of them is released, so prompts, gates
and numbers are ours. The paper has some 48,000 problems, and 30,000 records a model, for training of low-rank adapters.

```mermaid
graph LR
  START --> intake --> normalise_problem
  normalise_problem -. the right program runs .-> perturb_gold
  normalise_problem -. it does not .-> finish
  perturb_gold -. some faulty program .-> propose_inputs
  perturb_gold -. none .-> finish
  propose_inputs --> label
  label -. some input breaks one .-> write_rationale
  label -. none .-> finish
  write_rationale -. some unfit, retries left .-> write_rationale
  write_rationale -. all done .-> finish --> END
```

The right program is `canonical_solution`, or `code` where there is none. Every proposal of a model is kept or counted under the reason for
which it was dropped (`rejects`, as `stage.reason`):

| stage | dropped for |
|---|---|
| `program` | no_reply, no_python, no_function, same_code, same_as_another, does_not_load, passes_all_tests, with `hard` fails_most_tests |
| `input` | no_reply, no_input, gold_fails, no_literal (of the right program's value), same_output, same_input |
| `rationale` | no_reply, no_hypothesis, other_input, unreadable, other_output, each after `max_retries` |

A problem takes `P + F I + A (1 to 1 + max_retries)` calls, F faulty programs kept and A inputs. `symposia export` writes the records of a
batch as chats for supervised training: the test writer's prompt on the faulty program, and hypothesis, input, reasoning and output as its
answer; of equal tests of a task the first. `symposia report` adds the counts up.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired

from langgraph.graph import END, START
from pydantic import Field

from symposia.nodes.finish import conclude
from symposia.nodes.input_proposer import asking, label, propose_inputs
from symposia.nodes.perturber import PERTURB, perturb_gold, tests_of
from symposia.nodes.program_intake import Program, check_input, from_messages, intake
from symposia.nodes.rationale_writer import EXPLAIN_TEST, Explained, write_rationale
from symposia.nodes.test_writer import WRITE_TEST
from symposia.state.base import BaseParams, Method, Sampling
from symposia.state.errors import BadInput
from symposia.state.graph import StateGraph
from symposia.state.show import Show, code, shown_as
from symposia.tools.literals import call_text
from symposia.tools.programs import check_recorded

__all__ = ["METHOD", "NEEDS_REFERENCES", "SHOW", "Params", "State", "build", "check_input", "export", "from_messages", "graph", "report"]

METHOD = Method(
    name="utgen_data",
    title="UTGen's training data",
    arxiv="2502.01619",
    year=2025,
    family="code that is run",
    roles=("perturber", "test_writer", "rationale_writer"),
    calls="perturbations * (1 + inputs * (2 + max_retries))",
    by_role={
        "perturber": ("perturbations", "1"),
        "test_writer": ("inputs", "perturbations"),
        "rationale_writer": ("1", "perturbations * inputs * (1 + max_retries)"),
    },
    input=Program,
    items="programs",
)

SHOW = Show({"gold": code(), "attacks": shown_as("table")}, {"finish": "{answer} records"}, ("intake",))
"""How the viewer shows its state."""

NEEDS_REFERENCES = False
"""The right program is part of the input; tests are not needed."""

FILE = "supervised.jsonl"
_SAMPLING = Sampling(temperature=0.8, top_p=0.9, max_tokens=2048)


class Params(BaseParams):
    """Parameters of a run."""

    perturbations: int = Field(3, ge=1, description="P: faulty variants asked for (ours)")
    inputs: int = Field(3, ge=1, description="I: inputs asked for per faulty variant (ours)")
    max_retries: int = Field(2, ge=0, description="how often an unfit rationale is asked for again (ours)")
    hard: bool = Field(False, description="keep only variants that pass at least half of the problem's tests (ours)")
    prompts: dict[str, str] = Field(
        {"perturber": PERTURB, "test_writer": WRITE_TEST, "rationale_writer": EXPLAIN_TEST}, description="templates by role"
    )
    sampling: dict[str, Sampling] = Field(
        {"perturber": _SAMPLING, "test_writer": _SAMPLING, "rationale_writer": _SAMPLING}, description="sampling by role (ours)"
    )


class State(Explained):
    """A problem, what was made of it at each stage, and the records; `answer` is their number."""

    answer: NotRequired[int]
    stop_reason: NotRequired[str]


async def normalise_problem(state: State) -> dict[str, Any]:
    """Take the right program, and check that it defines the function and passes the tests that there are."""
    gold = state.get("canonical_solution") or state["code"]
    checked = await check_recorded(gold, tests_of(state))
    whole = checked["passed"] == checked["total"] > 0
    return {"gold": gold if whole else "", "rejects": {}, "tries": 0}


def after_normalise(state: State) -> Literal["perturb_gold", "finish"]:
    """Go on with a right program that runs."""
    return "perturb_gold" if state["gold"] else "finish"


def after_perturb(state: State) -> Literal["propose_inputs", "finish"]:
    """Go on with faulty programs."""
    return "propose_inputs" if state["faulty"] else "finish"


def after_label(state: State) -> Literal["write_rationale", "finish"]:
    """Go on with inputs that break one."""
    return "write_rationale" if state["attacks"] else "finish"


def after_rationale(state: State) -> Literal["write_rationale", "finish"]:
    """Ask again for the rationales that are unfit; after the last try none is left."""
    return "write_rationale" if state["unexplained"] else "finish"


def finish(state: State) -> dict[str, Any]:
    """End with the number of records; without any, say at which stage the problem was lost."""
    stages = (("gold", "wrong_solution"), ("faulty", "no_faulty_program"), ("attacks", "no_attack"), ("records", "no_rationale"))
    lost = next((reason for key, reason in stages if not state.get(key)), "records")
    n = len(state["records"])
    return conclude(n, lost, f"{n} records.")


def rows_of(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A finished run's records as rows for supervised training, with what they rest on beside the chat."""
    codes = {faulty["program"]: faulty["code"] for faulty in state["faulty"]}
    rows = []
    for record in state["records"]:
        attack = state["attacks"][record["attack"]]
        code = codes[attack["program"]]
        asked = "".join(asking(state, code)[0]["content"])
        rows.append(
            {
                "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": record["rationale"]}],
                "task": state["prompt"],
                "entry_point": state["entry_point"],
                "code": code,
                "call": call_text(state["entry_point"], attack["arguments"]),
                "expected": attack["expected"],
                "got": attack["got"],
            }
        )
    return rows


def export(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]], folder: Path) -> dict[str, int]:
    """Write the records of finished runs as one file for supervised training, of equal tests of a task the first.

    Raises:
        BadInput: The file cannot be written.
    """
    rows = unique(row for state, _ in finished for row in rows_of(state))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / FILE).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BadInput(f"cannot write {folder / FILE}: {error.strerror}", remedy="name a folder that can be written") from None
    return {FILE: len(rows)}


def unique(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, of those with equal task and call the first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        found.setdefault((row["task"], row["call"]), row)
    return list(found.values())


def report(finished: Sequence[tuple[Mapping[str, Any], Sequence[str]]]) -> dict[str, Any]:
    """What came of the problems: how they ended, what was kept at each stage, and what was dropped for which reason."""
    states = [state for state, _ in finished]
    kept = {key: sum(len(state[key]) for state in states) for key in ("faulty", "attacks", "records")}
    rejects = sum((Counter(state["rejects"]) for state in states), Counter[str]())
    return {
        "problems": len(states),
        "ends": dict(sorted(Counter(state["stop_reason"] for state in states).items())),
        "kept": kept,
        "rejects": dict(sorted(rejects.items())),
    }


def build() -> StateGraph[State, Params, Program, State]:
    """Wire the nodes; parameters never change the shape."""
    builder = StateGraph(State, Params, input_schema=Program)
    builder.add_node(intake).add_node(normalise_problem).add_node(perturb_gold).add_node(propose_inputs).add_node(label)
    builder.add_node(write_rationale).add_node(finish)
    builder.add_edge(START, "intake").add_edge("intake", "normalise_problem")
    builder.add_conditional_edges("normalise_problem", after_normalise).add_conditional_edges("perturb_gold", after_perturb)
    builder.add_edge("propose_inputs", "label").add_conditional_edges("label", after_label)
    builder.add_conditional_edges("write_rationale", after_rationale)
    builder.add_edge("finish", END)
    return builder


graph = build().compile()
