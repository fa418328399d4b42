"""Where a replay first differs from the record, and in which request it shows."""

from collections.abc import Mapping
from typing import Any

from symposia.execution import Execution
from symposia.state.errors import NotRecorded, SymposiaError
from symposia.state.journal import Run
from symposia.state.place import node_of, step_of, steps_of


def first_divergence(record: Mapping[str, Any], run: Run, execution: Execution, error: SymposiaError | None) -> dict[str, Any] | None:
    """The earliest difference between an execution and the record, with the request it shows in; None when they are the same."""
    finished = record["status"] in ("ok", "no_answer", "paused", "failed")
    recorded = {key for key in run.recorded if not key[0]}
    last = max((step for _, step in recorded), default=-1)
    if run.divergence is None and finished:
        missing = sorted(step for _, step in recorded - set(run.steps))
        if missing:
            before = run.recorded["", missing[0]]
            run.diverge(missing[0], f"{missing[0]}.{'+'.join(before.next) or 'end'}", {"next": before.next}, None)
        elif error is not None and (record["error"] or {}).get("name") != type(error).__name__:
            run.diverge(last + 1, error.place or f"{last + 1}.end", record["error"], error.to_record())
    found = run.divergence
    if found is None or (not finished and (found["step"] > last or not recorded)):
        return None
    return {**found, **_requests(run, found, error)}


def _requests(run: Run, found: dict[str, Any], error: SymposiaError | None) -> dict[str, Any]:
    """The request that the record holds and the one that was made, at the first divergence."""
    later = [e for e in run.entries if step_of(e.place) >= found["step"] and e.place not in run._used]
    first = min(later, key=lambda e: (steps_of(e.place), e.seq), default=None)
    expected = dict(found["expected"] or {})
    got = dict(found["got"] or {})
    if first is not None and "request" not in expected:
        expected |= {"place": first.place, "request": first.request}
    if isinstance(error, NotRecorded) and "request" not in got:
        got |= dict(error.got or {})
    named = got.get("place") or expected.get("place") or found["place"]
    return {
        "place": named if step_of(named) >= found["step"] else found["place"],
        "expected": expected or None,
        "got": got or None,
        "node": node_of(found["place"]),
    }
