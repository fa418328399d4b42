"""A run's steps without texts: what ran, what was written by its size, why it went on as it did, and what stands over them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from symposia.records import Look, call_record, flat, lost_step, params_of, toys_of
from symposia.registry import load, names
from symposia.shapes import brief
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.place import step_of
from symposia.state.show import Show, show_of, summary_of
from symposia.state.store import Entry
from symposia.tools.programs import Called, passes
from symposia.viewer.texts import folded, size_of


def show_for(method: str) -> Show:
    """The hints of a method; none of one that is gone."""
    try:
        return show_of(getattr(load(method).module, "SHOW", None))
    except BadInput:
        return Show()


def run_page(seen: Look, run: Mapping[str, Any]) -> dict[str, Any]:
    """What stands over the steps of a run."""
    record = seen.record
    return {
        "run": run,
        "input": folded(record["input"], {}),
        "params": folded(params_of(record), {}),
        "changed": _changed(record),
        "labels": labels_of(record["method"], params_of(record)),
        "marks": folded([{"at": mark["at"], "keys": list(mark["values"])} for mark in record["marks"]], {}),
        "toys": toys_of(seen.entries),
        "seq": max((entry.seq for entry in seen.entries), default=0),
        "known_method": record["method"] in names(),
    }


def thin_steps(seen: Look) -> list[dict[str, Any]]:
    """The steps as the journal alone has them, for who cannot wait for a replay."""
    calls: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in seen.entries:
        calls[step_of(entry.place)].append(call_record(entry, texts=False))
    show, ran, found = show_for(seen.record["method"]), list[str](), []
    nothing: dict[str, Any] = {"wrote": {}, "why": []}
    for step in seen.recorded:
        if step.step > 0:
            known = {"step": step.step, "source": "journal", "ran": ran, "next": step.next, "calls": calls.pop(step.step, []), **nothing}
            found.append({**thin(known, show, {}), "round": 0, "digest": step.digest.hex(), "turning": None, "leading": None})
        ran = step.next
    for number, made in sorted(calls.items()):
        found.append(_open_step(number, sorted({c["node"] for c in made}), made, show))
    if (lost := lost_step(seen.record)) and lost[0] not in {step["n"] for step in found}:
        found.append(_open_step(lost[0], [lost[1]], [], show))
    return found


def _open_step(number: int, nodes: list[str], calls: list[dict[str, Any]], show: Show) -> dict[str, Any]:
    """A step that did not end."""
    known = {"step": number, "source": "open", "ran": nodes, "next": [], "calls": calls, "wrote": {}, "why": []}
    return {**thin(known, show, {}), "round": 0, "digest": None, "turning": None, "leading": None}


def thin(step: Mapping[str, Any], show: Show, values: Mapping[str, Any]) -> dict[str, Any]:
    """A step without texts."""
    calls = step["calls"]
    prices = [call["usd"] for call in calls if call["calls"] and not call["copied"]]
    nodes = list(dict.fromkeys(step["ran"]))
    said = [line for node in nodes if (line := summary_of(show, node, values)) is not None]
    return {
        **{"n": step["step"], "source": step["source"], "nodes": nodes, "tasks": tasks_of(step["ran"]), "next": step["next"]},
        "wrote": [wrote(key, change) for key, change in step["wrote"].items()],
        "calls": sum(call["calls"] for call in calls),
        "effects": len(calls),
        "roles": dict(Counter({call["role"]: 0 for call in calls}) + Counter(_times(calls))),
        "failed": sum(bool(call["error"]) for call in calls),
        "retried": sum(bool(call["attempts"]) for call in calls),
        "copied": sum(call["copied"] for call in calls),
        "ms": round(_longest(calls), 1),
        "cost": None if None in prices else sum(price for price in prices if price is not None),
        "why": [_why(why) for why in step["why"]],
        "summary": "; ".join(said) or None,
        "fold": bool(nodes) and all(node in show.fold for node in nodes),
    }


def _times(calls: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for call in calls:
        found[call["role"]] += call["calls"]
    return dict(found)


def tasks_of(ran: Sequence[str]) -> list[dict[str, Any]]:
    """How often each node ran in a step."""
    return [{"node": node, "n": n} for node, n in Counter(ran).items()]


def wrote(key: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """What was written to a key, by its size and in a line."""
    return {"key": key, "op": change["op"], "size": size_of(change["value"]), "head": change["gist"]}


def begins_at(before: Mapping[str, Any], key: str, change: Mapping[str, Any]) -> dict[str, int]:
    """Where in its list the first of the appended items stands."""
    return {"at": len(before.get(key) or [])} if change["op"] == "append" else {}


def labels_of(method: str, params: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the members of a value are called, by its key, where the method's file can tell from the parameters."""
    found: dict[str, list[str]] = {}
    for key, hint in show_for(method).kinds.items():
        told = getattr(load(method).module, hint.fields.get("labels", ""), None)
        if callable(told):
            with suppress(KeyError, TypeError, ValueError, SymposiaError):  # parameters of an older version
                found[key] = [str(name) for name in told(params)]
    return found


def cases_run(show: Show, before: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, list[dict[str, Any]]]:
    """Cases that a step ran code on, judged again from what the journal has: `{at, status, got, place}` by the key of the results.

    Args:
        show: The hints, which say where the cases stand.
        before: The state that the step found.
        entries: What was done in the step.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for key, hint in show.kinds.items():
        cases = before.get(hint.keys.get("cases", ""))
        if hint.kind != "tests" or not isinstance(cases, list):
            continue
        calls = [(e, e.outcome["value"]) for e in entries if e.kind == "execute" and "arguments" in e.request and "value" in e.outcome]
        ran = [
            {"at": at, "status": _judged(called, case), "got": folded(called["text"], {}), "place": entry.place}
            for entry, called in calls
            for at, case in enumerate(cases)
            if isinstance(case, Mapping) and case.get("arguments") == entry.request["arguments"]
        ]
        if ran:
            found[key] = ran
    return found


def _judged(called: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    if called["status"] in ("error", "timeout"):
        return str(called["status"])
    return "pass" if passes(cast("Called", called), str(case.get("expected"))) else "fail"


def _why(why: Mapping[str, Any]) -> dict[str, Any]:
    """A router's choice, containers told by their size."""
    read = {path: value if isinstance(value, bool | int | float | None) else brief(value) for path, value in why["read"].items()}
    return {**why, "read": read}


def _longest(calls: Sequence[Mapping[str, Any]]) -> float:
    """Milliseconds of the branch that took longest, its calls one after the other: a step takes at least as long."""
    branches: Counter[str] = Counter()
    for call in calls:
        head, _, last = call["place"].rpartition(".")
        branch = head if last[:1] == "n" and last[1:].isdigit() else call["place"]
        branches[branch] += 0 if call["copied"] else call["ms"]
    return max(branches.values(), default=0.0)


def standing(seen: Look) -> str:
    """Whether the states are the recorded ones: `known`, `differs`, or `gone` when nothing can be replayed."""
    if seen.cannot_replay:
        return "gone"
    return "differs" if seen.first_divergence else "known"


def divergence(first: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The first difference without its requests, whose texts may be long."""
    if first is None:
        return None
    sides = {side: {k: v for k, v in (first[side] or {}).items() if k in ("next", "digest", "place")} for side in ("expected", "got")}
    return {"step": first["step"], "node": first["node"], "place": first["place"], **sides}


def _changed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are not the method's defaults."""
    try:
        usual = flat(load(record["method"]).params().model_dump(mode="json"))
    except BadInput:
        usual = {}
    given = flat(params_of(record))
    return {name: folded(value, {}) for name, value in given.items() if name == "model" or usual.get(name) != value}
