"""Runs as JSON: what the store holds and what a replay gives back, joined step by step. No rendering, no call to any model.

`show`, `diff`, the demo, the server and the viewer read this. The states come from a replay, which may do nothing but read; when it differs
from the record (the code has changed since), the states are left out and what the journal holds stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symposia.execution import Execution, Moment, plain
from symposia.runs import replay
from symposia.shapes import gist
from symposia.state.errors import BadInput, shorten
from symposia.state.packing import text_of
from symposia.state.place import node_of, step_of, steps_of
from symposia.state.store import Entry, Step, Store
from symposia.tools.checkers import holds_tests
from symposia.tools.equality import same
from symposia.why import why_next

TOYS = "toy/"
QUIET = ("params", "messages", "artefact")
"""Keys of every method that decide nothing: parameters are told once, the chat repeats the answer."""


@dataclass
class Look:
    """A run with what its replay met."""

    record: dict[str, Any]
    entries: list[Entry]
    recorded: list[Step]
    moments: list[Moment]
    first_divergence: dict[str, Any] | None
    cannot_replay: dict[str, Any] | None
    """The error of a run that cannot even be started again, such as one of a method that is gone."""
    execution: Execution | None

    @property
    def trusted(self) -> bool:
        """Whether the replayed states are the recorded ones."""
        return self.first_divergence is None and self.cannot_replay is None


async def look(store: Store, run_id: str) -> Look:
    """Read and replay a run.

    Raises:
        UnknownName: There is no such run.
    """
    record = await store.run(run_id)
    entries = sorted(await store.entries(record["run_id"]), key=_order)
    recorded = [s for s in await store.steps(record["run_id"]) if not s.frame]
    try:
        report, execution = await replay(store, record["run_id"], keep=True)
    except BadInput as error:
        return Look(record, entries, recorded, [], None, error.to_record(), None)
    return Look(record, entries, recorded, execution.moments, report["first_divergence"], None, execution)


async def run_record(store: Store, run_id: str, *, texts: bool = True) -> dict[str, Any]:
    """A run as one JSON object.

    Args:
        store: Where it is.
        run_id: Its id, or the beginning of it.
        texts: Whether calls come with their prompts and replies.

    Returns:
        `{run, correct, toys, params, steps, first_divergence, cannot_replay}`. `run` is the record; `correct` the answer against the
        reference, None without one; `toys` the toy models that played; `params` those in force at the end. A step is `{step, source, ran,
        next, wrote, why, calls}`: `wrote` maps a key to `{op, value, gist}`, `op` being `set` or `append`; `why` lists the routers that
        chose what comes next, with what they read; `source` is `update` where somebody edited the state, `open` for a step without an end.

    Raises:
        UnknownName: There is no such run.
    """
    return await to_json(await look(store, run_id), texts=texts)


async def to_json(seen: Look, *, texts: bool = True) -> dict[str, Any]:
    """What `run_record` returns, of a run already looked at."""
    steps = await _replayed_steps(seen) if seen.trusted else _recorded_steps(seen)
    calls: dict[int, list[dict[str, Any]]] = {}
    for entry in seen.entries:
        calls.setdefault(step_of(entry.place), []).append(call_record(entry, texts=texts))
    met = {s["step"] for s in steps}
    for step in sorted(set(calls) - met):
        nodes = sorted({c["node"] for c in calls[step]})
        steps.append({"step": step, "source": "open", "ran": nodes, "next": [], "wrote": {}, "why": []})
    record = seen.record
    if (lost := lost_step(record)) and lost[0] not in {s["step"] for s in steps}:
        steps.append({"step": lost[0], "source": "open", "ran": [lost[1]], "next": [], "wrote": {}, "why": []})
    return {
        "run": record,
        "correct": await is_correct(record),
        "toys": toys_of(seen.entries),
        "params": params_of(record),
        "steps": [{**s, "calls": calls.get(s["step"], [])} for s in steps],
        "first_divergence": seen.first_divergence,
        "cannot_replay": seen.cannot_replay,
    }


def lost_step(record: Mapping[str, Any]) -> tuple[int, str] | None:
    """The step in which a run failed, and its node; None where its error does not say, or it did not fail."""
    error = record.get("error") or {}
    step, node = error.get("step"), error.get("node")
    return (step, node) if isinstance(step, int) and isinstance(node, str) and node else None


def state_at(seen: Look, step: int) -> dict[str, Any]:
    """The whole state after a step, as JSON.

    Raises:
        BadInput: The run has no such step.
    """
    outer = {m.step: m for m in seen.moments if not m.frame and m.step >= 0}
    if step not in outer:
        known = f"the steps {min(outer)} to {max(outer)}" if outer else "no step yet"
        raise BadInput(f"run {seen.record['run_id']} has {known}, not {step}", remedy=f"`symposia show {seen.record['run_id']}` lists them")
    values: dict[str, Any] = plain(outer[step].values)
    return values


async def is_correct(record: Mapping[str, Any]) -> bool | None:
    """Whether a run's answer is its reference; None when there is no reference or no end yet."""
    if record["reference"] is None or record["status"] in ("started", "paused", "stopped"):
        return None
    if holds_tests(record["reference"]):  # a grader runs them and says so; looking at a run does not
        return record.get("correct")
    answer = record.get("answer")
    return answer is not None and await any_same(record["reference"], answer)


async def any_same(reference: Any, answer: Any) -> bool:
    """Whether an answer is the reference, or one of several.

    Raises:
        BadInput: The reference is neither a text, a number nor a list of these.
    """
    for one in known_answers(reference):
        if await same(one, answer):
            return True
    return False


def known_answers(reference: Any) -> list[Any]:
    """The answers that count as right.

    Raises:
        BadInput: The reference is neither a text, a number nor a list of these.
    """
    known = reference if isinstance(reference, list) else [reference]
    if not known or any(isinstance(one, (dict, list)) or one is None for one in known):
        text = shorten(str(reference), 60)
        raise BadInput(
            f"the reference {text} is neither a text, a number nor a list of these", remedy="map a field that is: --map answer=FIELD"
        )
    return known


def toys_of(entries: Sequence[Entry]) -> list[str]:
    """The toy models that played in a run, which every display of its results names."""
    return sorted({e.usage.model for e in entries if e.usage.model.startswith(TOYS)})


def params_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters in force at the end of a run: its own, or those of the last edit."""
    edits = [m["values"]["params"] for m in record["marks"] if "params" in m["values"]]
    found: dict[str, Any] = edits[-1] if edits else record["params"]
    return found


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A nested record as one level: `sampling.solver.top_p`."""
    if not isinstance(value, Mapping) or not value:
        return {path: value} if path and value != {} else {}
    return {k: v for name, item in value.items() for k, v in flat(item, f"{path}.{name}" if path else str(name)).items()}


def call_record(entry: Entry, *, texts: bool = True) -> dict[str, Any]:
    """An entry of the journal as JSON; `attempts` are those that failed before the last."""
    used = entry.usage
    found = {
        "place": entry.place,
        "node": node_of(entry.place),
        "kind": entry.kind,
        "role": used.role,
        "model": used.model,
        "calls": used.calls,
        "requests": used.requests,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "usd": used.usd,
        "ms": used.ms,
        "seed": entry.salt,
        "copied": entry.copied,
        "error": entry.outcome.get("error"),
        "attempts": used.notes.get("attempts", []),
        "digest": entry.digest.hex(),
    }
    return found | ({"request": _request(entry.request), "outcome": entry.outcome} if texts else {})


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with each message's text in one piece, as it was sent."""
    if "messages" not in request:
        return dict(request)
    return {**request, "messages": [{**m, "content": text_of(m["content"])} for m in request["messages"]]}


def _order(entry: Entry) -> tuple[Any, ...]:
    """Entries by step, then by place with its numbers as numbers, so that branch 10 follows branch 9."""
    marks = [int(part[1:]) if part[1:].isdigit() else -1 for part in entry.place.replace("/", ".").split(".")]
    return steps_of(entry.place)[0], node_of(entry.place), marks, entry.seq


async def _replayed_steps(seen: Look) -> list[dict[str, Any]]:
    """A record per outer step, with what was written and why it went on as it did."""
    found = []
    before: dict[str, Any] = {}
    for moment in (m for m in seen.moments if not m.frame):
        values = plain(moment.values)
        ran = [] if moment.source == "update" else [n for n in moment.ran if not n.startswith("__")]
        why = await _why(seen.execution, moment, values)
        if moment.step > 0 or why:
            wrote = written(before, values)
            found.append({"step": moment.step, "source": moment.source, "ran": ran, "next": moment.next, "wrote": wrote, "why": why})
        before = values
    return found


async def _why(execution: Execution | None, moment: Moment, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The routers behind a step; an edit of the state has none."""
    if execution is None or moment.source == "update":
        return []
    return await why_next(execution.loaded.params, execution.graph.builder, moment.ran, values)


def _recorded_steps(seen: Look) -> list[dict[str, Any]]:
    """A record per outer step from the journal alone: what ran, not what it wrote."""
    found = []
    ran: list[str] = []
    for step in seen.recorded:
        if step.step > 0:
            found.append({"step": step.step, "source": "journal", "ran": ran, "next": step.next, "wrote": {}, "why": []})
        ran = step.next
    return found


def written(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What a step changed: `append` with the new items of a list that grew, `set` with the whole value otherwise."""
    found = {}
    for key, value in after.items():
        old = before.get(key)
        if key in before and old == value:
            continue
        grew = isinstance(value, list) and isinstance(old, list) and len(value) > len(old) and value[: len(old)] == old
        new = value[len(old) :] if grew and old is not None else value
        found[key] = {"op": "append" if grew else "set", "value": new, "gist": gist(new[0] if grew and len(new) == 1 else new)}
    return found
