"""The records of runs that have not started: new ones, and forks of others."""

import secrets
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from symposia.inputs import check_input, check_models, check_values
from symposia.params import make_params, merged
from symposia.registry import load
from symposia.state.errors import BadInput, UnknownName
from symposia.state.store import Store

GRADED = ("batch", "correct", "grader", "grade")
"""What a batch adds to the record of a row."""
HOSTED = ("thread", "legs")
"""What a host adds: its thread, and how far each of its invocations counts steps ahead of the run (`symposia/hosting.py`)."""


def new_record(
    method: str,
    given: Mapping[str, Any],
    inputs: Mapping[str, Any],
    *,
    reference: Any = None,
    row: Any = None,
    pause_before: Sequence[str] = (),
    checkpoints: str = "each",
) -> dict[str, Any]:
    """The record of a run that has not started: everything it depends on, checked.

    Raises:
        BadInput: A parameter, the input, a node to pause before, or the checkpoint mode is not what the method takes, or a model cannot
            take the input.
    """
    loaded = load(method)
    params = make_params(loaded, given).model_dump(mode="json")
    nodes = [name for name in loaded.module.graph.nodes if not name.startswith("__")]
    for node in pause_before:
        if node not in nodes:
            raise UnknownName.of("node", node, nodes, remedy=f"{method} has {', '.join(nodes)}")
    if checkpoints not in ("each", "none"):
        raise BadInput(f"checkpoints is {checkpoints!r}", remedy="say each or none")
    checked = check_input(loaded, inputs)
    check_models(loaded, params, checked)
    return {
        "run_id": secrets.token_hex(5),
        "method": method,
        "graph": "build",
        "status": "started",
        "params": params,
        "input": checked,
        "reference": reference,
        "row": row,
        "pause_before": list(pause_before),
        "checkpoints": checkpoints,
        "marks": [],
        "parent": None,
        "started": time.time(),
        "seconds": 0.0,
        "version": version("symposia"),
    }


async def fork_record(
    store: Store,
    parent: Mapping[str, Any],
    at: int,
    *,
    values: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a fork that has not started.

    Raises:
        BadInput: The parent has no such step, or a key, parameter or role does not exist.
    """
    loaded = load(parent["method"])
    steps = [s.step for s in await store.steps(parent["run_id"]) if not s.frame]
    if steps and not 1 <= at <= max(steps):
        raise BadInput(f"run {parent['run_id']} has the steps 1 to {max(steps)}, not {at}", remedy="`symposia show RUN` lists them")
    edit = check_values(loaded, values or {})
    before = _params_at(parent, at)
    if params:
        edit["params"] = make_params(loaded, merged(before, params)).model_dump(mode="json")
        check_models(loaded, edit["params"], parent["input"])
    marks = [m for m in parent["marks"] if m["at"] < at]
    record = {
        **parent,
        "run_id": secrets.token_hex(5),
        "status": "started",
        "started": time.time(),
        "seconds": 0.0,
        "pause_before": [],
        "waiting": None,
        "marks": [*marks, *([{"at": at, "values": edit}] if edit else [])],
        "parent": {"run": parent["run_id"], "at": at, "shifted": bool(edit)},
    }
    for key in ("answer", "stop_reason", "error", "calls", "by_role", "requests", "usage", "cost_usd", "inherited", *GRADED, *HOSTED):
        record.pop(key, None)
    return record


def _params_at(record: Mapping[str, Any], at: int) -> dict[str, Any]:
    """The parameters in force at a step: the run's, or those of the last edit before it."""
    edits = [m["values"]["params"] for m in record["marks"] if m["at"] < at and "params" in m["values"]]
    found: dict[str, Any] = edits[-1] if edits else record["params"]
    return found
