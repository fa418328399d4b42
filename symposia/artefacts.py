"""What a method needs once for a data set: made by a run of its `prepare` graph, and kept under the digest of its content."""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, get_args, get_type_hints

from symposia.execution import Listener, Opened
from symposia.inputs import REFERENCES, row_input
from symposia.params import make_params
from symposia.registry import Loaded, load
from symposia.runs import execute
from symposia.state.errors import BadInput, UnknownName
from symposia.state.packing import digest_of, sound, sound_all
from symposia.state.store import Store


async def prepare(
    store: Store,
    method: str,
    rows: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any],
    *,
    on_event: Listener | None = None,
    on_open: Opened | None = None,
) -> dict[str, Any]:
    """Make what a method needs once for a data set, and keep it under the digest of its content.

    The same rows and parameters are the same run: it is made once, and goes on where it was killed.

    Returns:
        `{artefact_id, method, content, run_id, status, error, calls, cost_usd}`; `artefact_id` is None when the run did not end well.

    Raises:
        BadInput: The method has nothing to prepare, a parameter or a row is not what it takes.
    """
    loaded = load(method)
    loaded.compile(None, "prepare")
    params = make_params(loaded, given).model_dump(mode="json")
    inputs = {"rows": _rows_to_prepare(loaded, rows, params)}
    if not rows:
        raise BadInput("there are no rows to prepare from", remedy="give a JSONL file with a question a line")
    run_id = "p" + digest_of([method, params, inputs]).hex()[:9]
    try:
        record = await store.run(run_id)
    except UnknownName:
        record = {
            **{"run_id": run_id, "method": method, "graph": "prepare", "status": "started", "params": params, "input": inputs},
            **{"reference": None, "row": None, "pause_before": [], "checkpoints": "none", "marks": [], "parent": None},
            **{"started": time.time(), "seconds": 0.0, "version": version("symposia")},
        }
        await store.put_run(record)
    result = await execute(store, record, on_event=on_event, on_open=on_open)
    artefact_id = None
    if result.status == "ok":
        kept = {"content": result.answer, "method": method, "params": params, "run": run_id, "made": record["started"]}
        artefact_id = "a" + digest_of([method, result.answer, params]).hex()[:15]
        await store.put_artefact(artefact_id, method, kept)
    return {
        **{"artefact_id": artefact_id, "method": method, "content": result.answer, "run_id": run_id, "status": result.status},
        **{"error": result.error, "calls": result.calls, "cost_usd": result.cost_usd},
    }


def _rows_to_prepare(loaded: Loaded, rows: Sequence[Mapping[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with the fields that a method's `prepare` graph takes, its known answer as `answer` if the graph takes one.

    A method's file may make them itself (`prepare_rows`). Where it names the `PREPARE_PARAMS` that count here, the others get their
    defaults, so that another search over the same repository is not another index.
    """
    kept = getattr(loaded.module, "PREPARE_PARAMS", None)
    if kept is not None:
        for name in params.keys() - kept:  # also of what records leave out where it is the default
            del params[name]
        params.update({name: value for name, value in loaded.params().model_dump(mode="json").items() if name not in kept})
    own = getattr(loaded.module, "prepare_rows", None)
    if own is not None:
        return [sound_all(dict(row)) for row in own(rows, params)]
    (kind,) = get_args(get_type_hints(loaded.compile(None, "prepare").builder.input_schema)["rows"])
    known = set(get_type_hints(kind)) - {"messages", *REFERENCES}
    found = []
    for row in rows:
        fields = {k: sound(v) for k, v in row.items() if k in known and isinstance(v, str)}
        reference = row_input(loaded, row)[1] if "answer" in get_type_hints(kind) else None
        found.append(fields if reference is None else {**fields, "answer": sound_all(reference)})
    return found
