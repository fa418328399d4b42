"""What a fork would buy, before it is made: the fork is executed over its parent's journal until it asks for something that is not there.

What it has read by then is reused for certain, and what it asked for in that step is bought for certain. What comes after depends on
replies that nobody has, so the method's formula is the bound.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from symposia.execution import Event, Execution, NoSaver
from symposia.new_runs import fork_record
from symposia.params import make_params, merged
from symposia.records import params_of
from symposia.registry import load
from symposia.state.errors import BadInput, NotRecorded, SymposiaError
from symposia.state.journal import Parent, Run, opened
from symposia.state.packing import text_of
from symposia.state.place import node_of
from symposia.state.store import Entry, Store
from symposia.tools.providers import litellm, price
from symposia.viewer.desk import calls_at_most

_CHARACTERS = 4  # of a token, roughly, where no earlier call says it better
_REPLY = 300  # tokens of a reply, likewise
_PAID = ("llm", "reward")


@dataclass(frozen=True)
class Asked:
    """What somebody wants to change: the step after which, keys of the state, parameters, models and prompts by role."""

    at: int
    values: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> dict[str, Any]:
        """All changes of parameters as one mapping."""
        over = {"roles": dict(self.roles), "prompts": dict(self.prompts)}
        return merged(dict(self.params), {name: value for name, value in over.items() if value})


def asked_of(body: Mapping[str, Any]) -> Asked:
    """What a request asks for.

    Raises:
        BadInput: A field is unknown or of the wrong kind.
    """
    known = {"at": int, "set": dict, "params": dict, "roles": dict, "prompts": dict}
    for name, value in body.items():
        if name not in known:
            raise BadInput(f"unknown field {name[:60]!r}", remedy=f"there are {', '.join(known)}")
        if not isinstance(value, known[name]) or isinstance(value, bool):
            raise BadInput(
                f"{name} is no {'whole number' if known[name] is int else 'object'}", remedy='such as {"at": 6, "set": {"key": 1}}'
            )
    if "at" not in body:
        raise BadInput("at is missing: the step after which the fork begins", remedy='such as {"at": 6}')
    return Asked(body["at"], body.get("set", {}), body.get("params", {}), body.get("roles", {}), body.get("prompts", {}))


class _Dry(Run):
    """A run that may only read its parent's journal, and counts what it would have to buy."""

    def __init__(self, run_id: str, parent: Parent) -> None:
        super().__init__(run_id, parent=parent, strict=True)
        self.missed: list[tuple[str, str, dict[str, Any]]] = []

    def miss(self, place: str, kind: str, request: dict[str, Any]) -> NotRecorded:
        self.missed.append((place, kind, request))
        return super().miss(place, kind, request)


async def bill_of(store: Store, parent: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """What a fork would reuse and buy.

    Returns:
        `{reused, certain, at_most, cost: {certain, at_most}, step, ends, models, command}`: completions, USD (None where a price is not
        known), the first step that buys something, whether the fork ends without buying anything, the models with whether a key is there,
        and the command that does the same.

    Raises:
        BadInput: The parent has no such step, or a key, parameter, role or model does not exist.
    """
    loaded = load(parent["method"])
    record = await fork_record(store, parent, asked.at, values=asked.values, params=asked.changes)
    params = make_params(loaded, params_of(record))
    entries = await store.entries(parent["run_id"])
    run = _Dry(record["run_id"], Parent(entries, asked.at, bool(record["parent"]["shifted"])))
    run.reference = record["reference"]
    name = record["params"].get("artefact")
    run.artefact = (await store.artefact(name))["content"] if name else None
    reused: list[Entry] = []

    def hear(event: Event) -> None:
        if event["type"] == "effect":
            reused.append(event["entry"])

    async with opened(run):
        execution = Execution({**record}, run, InMemorySaver() if record["marks"] else NoSaver(), on_event=hear)
        with suppress(SymposiaError):  # what it lacked is in `missed`; a failure that is recorded would happen again
            await execution.go()
    taken = sum(entry.usage.calls for entry in reused)
    missed = [(place, request) for place, kind, request in run.missed if kind in _PAID]
    certain = sum(int(request.get("n", 1)) for _, request in missed)
    formula = calls_at_most(loaded, params)
    at_most = None if formula is None and run.missed else max(certain, (formula or 0) - taken) if run.missed else 0
    usd = _estimate(missed, entries)
    models = sorted(models_named(params.model_dump(mode="json"), loaded.method.roles))
    bound = None if usd is None or at_most is None else usd / certain * at_most if certain else _dearest(at_most, models, entries)
    return {
        **{"reused": taken, "certain": certain, "at_most": at_most, "cost": {"certain": usd, "at_most": bound}},
        "step": min((int(place.split(".")[0]) for place, _, _ in run.missed), default=None),
        "ends": not run.missed,
        "models": [key_of(model) for model in models],
        "command": command_of(parent["run_id"], asked),
    }


def models_named(params: Mapping[str, Any], roles: Sequence[str]) -> set[str]:
    """The models that the roles of a method have under some parameters."""
    given = [params["roles"].get(role) or params["model"] for role in roles]
    return {str(model) for one in given for model in (one if isinstance(one, list) else [one])}


@cache
def key_of(model: str) -> dict[str, Any]:
    """Whether a model can be called: `{model, known, key}`; `key` is None where none is needed or nobody can tell, never the key itself."""
    if model.startswith(("toy/", "reward/", "local/")):
        return {"model": model, "known": True, "key": None}
    try:
        found = litellm().validate_environment(model=model)
    except Exception:
        return {"model": model, "known": None, "key": None}
    missing = [str(name) for name in found.get("missing_keys") or []]
    provider = _provider(model)
    return {"model": model, "known": provider is not None, "key": bool(found.get("keys_in_environment")) if missing or provider else None}


def command_of(run_id: str, asked: Asked) -> str:
    """The command that makes the same fork, quoted for a shell."""
    words = ["symposia", "fork", run_id, "--at", str(asked.at)]
    for key, value in asked.values.items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    for key, value in asked.params.items():
        words += ["-p", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    for role, models in asked.roles.items():
        words += ["--role", f"{role}={','.join(models) if isinstance(models, list) else models}"]
    for role, template in asked.prompts.items():
        words += ["--prompt", f"{role}={template}"]
    return shlex.join(words)


def _provider(model: str) -> str | None:
    try:
        return str(litellm().get_llm_provider(model)[1])
    except Exception:
        return None


def _dearest(calls: int, models: Sequence[str], entries: Sequence[Entry]) -> float | None:
    """USD of calls that nobody has seen yet, as long as the parent's, at the dearest model's price; None where a price is not known."""
    rates = [price(model) for model in models] if calls else []
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return None
    paid = [entry.usage for entry in entries if entry.kind in _PAID and entry.usage.calls]
    made = sum(used.calls for used in paid)
    sent = sum(used.prompt_tokens for used in paid) / made if made else 0.0
    back = sum(used.completion_tokens for used in paid) / made if made else float(_REPLY)
    return calls * max((sent * rate[0] + back * rate[1] for rate in known), default=0.0)


def _estimate(missed: Sequence[tuple[str, Mapping[str, Any]]], entries: Sequence[Entry]) -> float | None:
    """USD of calls, from the tokens that the parent's calls of the same node took; None where a price is not known."""
    total = 0.0
    for place, request in missed:
        rate = price(str(request.get("model", "")))
        if rate is None:
            return None
        alike = [entry.usage for entry in entries if node_of(entry.place) == node_of(place) and entry.usage.calls]
        sent = sum(len(str(text_of(message["content"]))) for message in request.get("messages", [])) / _CHARACTERS
        back = sum(used.completion_tokens for used in alike) / sum(used.calls for used in alike) if alike else _REPLY
        total += sent * rate[0] + back * rate[1] * int(request.get("n", 1))
    return total
