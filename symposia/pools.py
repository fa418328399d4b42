"""`[pool]` of `symposia.toml`, and what a run would start of it: which models, in which roles, by which command."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from symposia.state.base import BaseParams, Method
from symposia.state.errors import BadInput, UnknownName, shorten
from symposia.tools.pool.plan import Hosted, PoolSettings, command_of, hosted, of_pool
from symposia.tools.settings import settings

if TYPE_CHECKING:
    from symposia.state.store import Store

T = TypeVar("T")
_POSITIVE = ("memory", "resident", "start_seconds", "stop_seconds")


def pool_settings(path: Path, table: Any) -> PoolSettings:
    """The pool as a file sets it up.

    Raises:
        BadInput: A setting is not known or has a wrong value; the message names it.
    """
    example = '[pool.models."qwen-7b"] with weights = "Qwen/Qwen2.5-7B-Instruct"'
    models = table.get("models", {}) if isinstance(table, dict) else None
    if not isinstance(models, dict):
        raise BadInput(f"{path}: pool is no table of settings and models", remedy=f"such as {example}")
    for name, given in models.items():
        if not isinstance(given, dict):
            raise BadInput(f"{path}: pool.models.{name!r} is no table", remedy=f"such as {example}; a name with dots needs quotes")
    found = {name: _checked(Hosted, f"{path}: pool.models.{name!r}", {"name": name, **given}) for name, given in models.items()}
    return _checked(PoolSettings, f"{path}: pool", {**table, "models": found})


def _checked(kind: type[T], where: str, given: Mapping[str, Any]) -> T:
    known = list(kind.__annotations__)
    for name, value in given.items():
        if name not in known:
            raise UnknownName.of(f"setting of {where}", name, known)
        if name in _POSITIVE and isinstance(value, int | float) and value <= 0:
            raise BadInput(f"{where}.{name} is {value}, which must be above 0")
    try:
        return TypeAdapter(kind).validate_python(dict(given))
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise BadInput(f"{where}.{place}: {fault['msg'].lower()}, got {shorten(repr(fault['input']), 60)}") from None


def check(model: str) -> None:
    """Know at once whether the pool has a model it is asked for, unlike a provider's.

    Raises:
        UnknownName: It has not.
    """
    if local := of_pool(model):
        hosted(local, settings().pool)


def calls_by_model(method: Method, params: BaseParams) -> dict[str, int]:
    """Calls of a question at most by model, of each model for which the method's formulas can tell.

    Several models of a role take turns among its agents; where a run chooses among them, each may make all calls. What is left, for roles
    that the formulas do not tell apart, is told where the run has one model for everything of them. Where an artefact names models that
    `params` lack, nothing is told.
    """
    found: Counter[str] = Counter()
    left = method.count(method.calls, params) + method.count(method.scoring, params)
    for role, (agents, each, *stage) in method.by_role.items():
        n, models = method.count(agents, params), _players(params, role, *stage)
        shares = [method.count(each, params)] * n if isinstance(each, str) else [method.count(one, params) for one in each]
        left -= sum(shares)
        for agent, share in enumerate(shares):
            found[models[agent % len(models)]] += share
    for role, calls in method.by_choice.items():
        left -= (n := method.count(calls, params))
        for model in dict.fromkeys(_players(params, role)):
            found[model] += n
    if params.artefact and not all(params.roles.get(role) for role in method.from_artefact):
        return {}
    others = [role for role in method.roles if role not in {*method.by_role, *method.by_choice, "embedder"}]
    unknown = {model for role in others for model in [params.model, *_players(params, role)]}
    if len(unknown) == 1:
        found[unknown.pop()] += left
    return {model: n for model, n in found.items() if n and model not in unknown}


async def roles_of(store: "Store", method: Method, params: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """The models of a run by role, with those that its artefact names for roles without any.

    Raises:
        UnknownName: The artefact is not in the store.
    """
    roles = dict(params["roles"])
    if params["artefact"] and method.from_artefact:
        content = (await store.artefact(params["artefact"]))["content"]
        roles |= {role: content[key] for role, key in method.from_artefact.items() if not roles.get(role) and content.get(key)}
    return roles


def _players(params: BaseParams, *roles: str) -> list[str]:
    """The models of the first of these roles that has some, else the run's."""
    given = next((params.roles[role] for role in roles if params.roles.get(role)), params.model)
    return [given] if isinstance(given, str) else given


def planned(roles: Mapping[str, str], calls: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """What the pool would start, a record per model of its.

    Args:
        roles: Models by role, several separated by commas, as `output.models_of` gives them.
        calls: Calls at most by model, as far as they are known.

    Returns:
        Records `model`, `roles`, `calls` (at most; None where they are not known), `memory` (GiB or None), `share` (from 0 to 1) and
        `command`.
    """
    players: dict[str, dict[str, str]] = {}
    for role, names in roles.items():
        for name in names.split(", "):
            if local := of_pool(name):
                players.setdefault(local, {})[role] = name
    pool = settings().pool
    return [
        {
            **{"model": name, "roles": list(named), "calls": _sum(set(named.values()), calls or {})},
            **{"memory": one.memory, "share": pool.share(one), "command": " ".join(command_of(one, pool, "PORT"))},
        }
        for name, named in players.items()
        for one in [hosted(name, pool)]
    ]


def _sum(names: Iterable[str], calls: Mapping[str, int]) -> int | None:
    return sum(calls[name] for name in names) if set(names) <= calls.keys() else None


def told(plan: Iterable[Mapping[str, Any]], by_model: bool) -> list[str]:
    """A plan in sentences, for whoever starts a batch."""
    plan, pool = list(plan), settings().pool
    if not plan:
        return []
    if pool.fits([hosted(one["model"], pool) for one in plan]):
        how = "all fit in together"
    elif by_model:
        how = "each is loaded once per stage, first whichever most calls wait for"
        if any(pool.fits([hosted(one["model"], pool) for one in pair]) for pair in combinations(plan, 2)):
            how += ", and at the same time as it those that fit in beside it"
    else:
        how = "they take turns as calls ask for them; in a batch --order model loads each once per stage"
    said = [f"the pool serves {len(plan)} models, {pool.resident} at a time: {how}"]
    return [*said, *(f"  {described(one)}" for one in plan)]


def described(one: Mapping[str, Any]) -> str:
    """A record of the plan in a line."""
    calls = "" if one["calls"] is None else f", up to {one['calls']} call{'' if one['calls'] == 1 else 's'}"
    return f"{one['model']} ({', '.join(one['roles'])}){calls}: {one['command']}"
