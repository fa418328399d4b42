"""The Python interface: each function once for async code and once (without the `a`) for scripts."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from symposia import registry, runs
from symposia.config import Config, load_config
from symposia.embedding import recorded
from symposia.execution import Listener
from symposia.params import merged
from symposia.result import Result
from symposia.state.base import Method
from symposia.state.errors import UnknownName
from symposia.state.graph import JournaledGraph
from symposia.state.store import Store, open_store
from symposia.tools.settings import configure


def methods() -> list[Method]:
    """The metadata of every method."""
    return [registry.load(name).method for name in registry.names()]


def graph(name: str, *, store: str | Path | Store | None = None) -> JournaledGraph[Any, Any, Any, Any]:
    """The compiled graph of a method, without a checkpointer: to draw, to embed in another graph, to invoke by itself.

    Args:
        name: The method's.
        store: Keeps each invocation as a run in the store at this address, also within a graph of somebody else's, to be shown, replayed
            and forked like any other; without one, invocations are journaled in memory.
    """
    compiled = registry.load(name).compile()
    return compiled if store is None else recorded(compiled, store.address if isinstance(store, Store) else str(store))


def given_params(
    config: Config,
    method: str,
    *,
    model: str | None = None,
    roles: Mapping[str, str | list[str]] | None = None,
    prompts: Mapping[str, str] | None = None,
    seed: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The parameters that a caller and the configuration give, the caller's winning.

    Raises:
        UnknownName: There is no such method, or none of a name that the configuration has parameters for.
    """
    loaded = registry.load(method)
    for name in config.params:
        if name not in registry.names():
            raise UnknownName.of("method", name, registry.names(), remedy=f"symposia.toml has a table [params.{name}]")
    mine = {k: v for k, v in config.roles.items() if k in loaded.method.roles}
    texts = {k: v for k, v in config.prompts.items() if k in loaded.params.model_fields["prompts"].default}
    found: dict[str, Any] = {"roles": mine, "prompts": texts}
    if config.model:
        found["model"] = config.model
    found = merged(found, config.params.get(method, {}))
    over: dict[str, Any] = dict(params or {})
    over |= {k: v for k, v in (("model", model), ("seed", seed)) if v is not None}
    return merged(merged(found, over), {"roles": dict(roles or {}), "prompts": dict(prompts or {})})


async def arun(
    method: str,
    question: str | None = None,
    *,
    model: str | None = None,
    roles: Mapping[str, str | list[str]] | None = None,
    prompts: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    inputs: Mapping[str, Any] | None = None,
    reference: Any = None,
    pause_before: Sequence[str] = (),
    checkpoints: str = "each",
    store: str | Path | Store | None = None,
    on_event: Listener | None = None,
) -> Result:
    """Run a method on one input.

    Args:
        method: Its name, as `methods()` lists it.
        question: The question, for methods that take one.
        model: LiteLLM name of the model of every role without one of its own.
        roles: Models by role.
        prompts: Templates by role.
        params: Further parameters of the method.
        seed: Makes repeatable what can be.
        inputs: Further input keys, such as `task`.
        reference: The known answer; kept in the run's record, never shown to a model.
        pause_before: Nodes to stop before.
        checkpoints: `each` keeps LangGraph's checkpoint after each step, `none` only the journal.
        store: Address of the store, or an open one; by default that of `symposia.toml` or `.symposia/store.db`.
        on_event: Hears of steps and effects as they happen.

    Raises:
        BadInput: Something given does not exist or cannot be; nothing was called. A run that fails returns with its error.
    """
    config = _configured()
    given = given_params(config, method, model=model, roles=roles, prompts=prompts, seed=seed, params=params)
    asked = {**({"question": question} if question is not None else {}), **(inputs or {})}
    record = runs.new_record(method, given, asked, reference=reference, pause_before=pause_before, checkpoints=checkpoints)
    async with _opened(store, config) as opened:
        return await runs.start(opened, record, on_event)


async def aresume(
    run_id: str,
    *,
    values: Mapping[str, Any] | None = None,
    store: str | Path | Store | None = None,
    on_event: Listener | None = None,
    **answer: Any,
) -> Result:
    """Go on with a run: `values` sets state first, `answer=` answers the question it waits with; see `runs.resume`."""
    if set(answer) - {"answer"}:
        raise TypeError(f"aresume() has no argument {min(set(answer) - {'answer'})!r}")
    async with _opened(store, _configured()) as opened:
        return await runs.resume(opened, run_id, values=values, answer=answer.get("answer"), answered="answer" in answer, on_event=on_event)


async def areplay(run_id: str, *, store: str | Path | Store | None = None) -> dict[str, Any]:
    """Execute a run from its journal alone and compare it with the record; see `runs.replay`."""
    async with _opened(store, _configured()) as opened:
        return (await runs.replay(opened, run_id))[0]


async def afork(
    run_id: str,
    at: int,
    *,
    values: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    roles: Mapping[str, str | list[str]] | None = None,
    prompts: Mapping[str, str] | None = None,
    store: str | Path | Store | None = None,
    on_event: Listener | None = None,
) -> Result:
    """A new run from the state after step `at` with something changed; see `runs.fork`."""
    changes = dict(params or {}) | ({"roles": dict(roles)} if roles else {}) | ({"prompts": dict(prompts)} if prompts else {})
    async with _opened(store, _configured()) as opened:
        return await runs.fork(opened, run_id, at, values=values, params=changes, on_event=on_event)


async def abatch(
    method: str,
    data: str | Path | Sequence[Mapping[str, Any]] | None,
    out: str | Path,
    *,
    model: str | None = None,
    roles: Mapping[str, str | list[str]] | None = None,
    prompts: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    store: str | Path | Store | None = None,
    progress: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Run a method over a data set; the same call again goes on where it stopped.

    Args:
        method: Its name.
        data: A file or `hf:...` as `sources.read_rows` takes it, or the rows themselves; None for a fork of another batch.
        out: The output, JSON Lines or Parquet by its ending.
        model: LiteLLM name of the model of every role without one of its own.
        roles: Models by role.
        prompts: Templates by role.
        params: Further parameters of the method; of a fork, those that it changes.
        seed: Makes repeatable what can be.
        store: Address of the store, or an open one.
        progress: Show how it goes on stderr.
        options: Fields of `batches.asked.Asked`, such as `budget_usd=5`, `grader="math"`, `engine="processes"`.

    Returns:
        What `symposia batch --json` prints: rows by status, accuracy, calls, tokens, cost, failures by cause.

    Raises:
        BadInput: Something given does not exist or cannot be; nothing was called.
        SymposiaError: The store or the output failed; what was finished is kept.
    """
    from symposia.batches.asked import Asked, check, rows_asked
    from symposia.batches.start import start

    config = _configured()
    rows_given = None if data is None or isinstance(data, str | Path) else data
    source = None if data is None else ("the rows given" if rows_given is not None else str(data))
    asked = Asked(method=method, source=source, out=Path(out), **options)
    if data is None:
        changes = dict(params or {}) | {k: v for k, v in (("model", model), ("roles", roles), ("prompts", prompts)) if v}
        asked = replace(asked, changes=changes)
    check(asked)
    given = given_params(config, method, model=model, roles=roles, prompts=prompts, seed=seed, params=params) if data is not None else {}
    async with _opened(store, config) as opened:
        rows = rows_asked(asked, rows_given)
        return await start(opened, config, asked, given, rows, lambda _, display: display if progress else nullcontext())


def batch(method: str, data: str | Path | Sequence[Mapping[str, Any]] | None, out: str | Path, **options: Any) -> dict[str, Any]:
    """`abatch` for code without an event loop."""
    return asyncio.run(abatch(method, data, out, **options))


def run(method: str, question: str | None = None, **options: Any) -> Result:
    """`arun` for code without an event loop."""
    return asyncio.run(arun(method, question, **options))


def resume(run_id: str, **options: Any) -> Result:
    """`aresume` for code without an event loop."""
    return asyncio.run(aresume(run_id, **options))


def replay(run_id: str, **options: Any) -> dict[str, Any]:
    """`areplay` for code without an event loop."""
    return asyncio.run(areplay(run_id, **options))


def fork(run_id: str, at: int, **options: Any) -> Result:
    """`afork` for code without an event loop."""
    return asyncio.run(afork(run_id, at, **options))


def _configured() -> Config:
    """The configuration, its process settings in force."""
    config = load_config()
    configure(**config.process)
    return config


@asynccontextmanager
async def _opened(store: str | Path | Store | None, config: Config) -> AsyncIterator[Store]:
    """The caller's open store, or one opened for the length of a `with`."""
    if isinstance(store, Store):
        yield store
        return
    async with open_store(str(store) if store is not None else config.store) as own:
        yield own
