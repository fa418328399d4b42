"""Two runs compared: what they were given, where their paths part, and call by call what was asked and answered at the same place.

Steps are counted without the edits of a state, each of which LangGraph counts as one, so a fork and its parent stand side by side.
"""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from symposia.records import QUIET, Look, flat, look, params_of, to_json, toys_of
from symposia.state.place import shift, step_of
from symposia.state.store import Store


async def difference(store: Store, run_a: str, run_b: str) -> dict[str, Any]:
    """What differs between two runs.

    Returns:
        `{same, runs, input, params, first_step, states_known, calls, toys}`. `input` and `params` map what differs to both values;
        `first_step` is `{step, nodes, keys}`, the first step that ran other nodes or wrote other values (parameters and chat apart), None
        when there is none; `states_known` is false when a replay differs from its record, since then written values cannot be compared;
        `calls` lists the places of calls under `same`, `other_reply` (to the same request), `changed`, `only_a` and `only_b`; `toys` are
        the toy models that played.

    Raises:
        UnknownName: There is no such run.
    """
    a, b = await look(store, run_a), await look(store, run_b)
    runs = [a.record, b.record]
    params = _changes(flat(params_of(runs[0])), flat(params_of(runs[1])))
    given = _changes({"method": runs[0]["method"], **flat(runs[0]["input"])}, {"method": runs[1]["method"], **flat(runs[1]["input"])})
    answers = [{**{k: r.get(k) for k in ("run_id", "status", "answer", "stop_reason")}, "edits": _edits(r)} for r in runs]
    calls = _calls_joined(a, b)
    first = await _first_step(a, b)
    ends = answers[0]["status"] == answers[1]["status"] and answers[0]["answer"] == answers[1]["answer"]
    edits = [[m for m in r["marks"] if m["values"]] for r in runs]
    alike = not params and not given and edits[0] == edits[1] and not any(v for k, v in calls.items() if k != "same")
    return {
        "same": ends and alike and first is None,
        "runs": answers,
        "input": given,
        "params": params,
        "first_step": first,
        "states_known": a.trusted and b.trusted,
        "calls": calls,
        "toys": sorted({*toys_of(a.entries), *toys_of(b.entries)}),
    }


def _edits(run: Mapping[str, Any]) -> list[str]:
    """`answers after step 5`: what was set by hand in a run."""
    return [f"{key} after step {mark['at']}" for mark in run["marks"] for key in mark["values"]]


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {k: [a.get(k), b.get(k)] for k in dict.fromkeys([*a, *b]) if a.get(k) != b.get(k)}


def _aligned(place: str, run: Mapping[str, Any]) -> str:
    """A place as it would stand without the edits made before it, each of which LangGraph counts as a step."""
    return shift(place, _plain_step(step_of(place), run) - step_of(place))


def _plain_step(step: int, run: Mapping[str, Any]) -> int:
    return step - sum(1 for mark in run["marks"] if mark["values"] and mark["at"] < step)


def _calls_joined(a: Look, b: Look) -> dict[str, list[str]]:
    """Places by how their calls compare."""
    left, right = ({_aligned(e.place, seen.record): e for e in seen.entries} for seen in (a, b))
    found: dict[str, list[str]] = {"same": [], "other_reply": [], "changed": [], "only_a": [], "only_b": []}
    for place in dict.fromkeys([*left, *right]):
        one, two = left.get(place), right.get(place)
        if one is None or two is None:
            found["only_b" if one is None else "only_a"].append(place)
        elif one.digest != two.digest:
            found["changed"].append(place)
        else:
            found["same" if one.outcome == two.outcome else "other_reply"].append(place)
    return found


async def _first_step(a: Look, b: Look) -> dict[str, Any] | None:
    """The first step that ran other nodes or wrote other values, parameters and chat apart; None when all are alike."""
    known = a.trusted and b.trusted
    for one, two in zip_longest(await _path_of(a), await _path_of(b)):
        if one is None or two is None:
            return {"step": (one or two)["step"], "nodes": [s and s["ran"] for s in (one, two)], "keys": []}
        keys = [k for k in dict.fromkeys([*one["wrote"], *two["wrote"]]) if k not in QUIET and _value(one, k) != _value(two, k)]
        if one["ran"] != two["ran"] or (known and keys):
            return {"step": one["step"], "nodes": [one["ran"], two["ran"]], "keys": keys}
    return None


async def _path_of(seen: Look) -> list[dict[str, Any]]:
    """The steps of a run without its edits."""
    steps = (await to_json(seen, texts=False))["steps"]
    return [{**s, "step": _plain_step(s["step"], seen.record)} for s in steps if s["source"] != "update"]


def _value(step: Mapping[str, Any], key: str) -> Any:
    return step["wrote"].get(key, {}).get("value")
