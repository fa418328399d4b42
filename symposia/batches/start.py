"""A batch from what is asked to its summary: plan, execute, sum up."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from symposia import artefacts, output, pools, registry
from symposia.batches.asked import Asked
from symposia.batches.boss import Boss, Budget
from symposia.batches.engines import engine_of
from symposia.batches.lines import line_of
from symposia.batches.out import Out, out_of
from symposia.batches.plan import Plan, known_batch, plan_forks, plan_rows
from symposia.batches.progress import Display
from symposia.config import Config
from symposia.grading import check_grader, judge_params
from symposia.new_runs import GRADED
from symposia.output import toy_note
from symposia.outputs import read_lines
from symposia.params import make_params
from symposia.rows import Row, folder_rows
from symposia.sources import read_rows
from symposia.state.base import BaseParams
from symposia.state.errors import BadInput, SymposiaError
from symposia.state.store import Store, Usage
from symposia.tools import served_reward
from symposia.tools.pool.residence import engines
from symposia.tools.providers import price, route

Around = Callable[[Boss, Display], AbstractContextManager[Any]]
"""Makes what surrounds the work: a display, and whoever may stop it."""


async def start(store: Store, config: Config, asked: Asked, given: dict[str, Any], rows: list[Row], around: Around) -> dict[str, Any]:
    """Plan a batch, execute it as far as it goes, and sum it up.

    Returns:
        What `symposia batch --json` prints; for a dry run what would be done.

    Raises:
        BadInput: Something about the options, the rows or the output file, before any call.
        SymposiaError: The store or the output file failed; what was finished is kept.
    """
    out = out_of(asked.out)
    try:
        out.open()
        return await _start(store, config, asked, given, rows, out, around)
    finally:
        await out.close()


async def _start(
    store: Store, config: Config, asked: Asked, given: dict[str, Any], rows: list[Row], out: Out, around: Around
) -> dict[str, Any]:
    known = await known_batch(store, out)
    judge = asked.judge or config.roles.get("grader") if asked.grader == "judge" else None
    if asked.origin is None and asked.budget_usd is not None:
        await asyncio.to_thread(_check_prices, asked, make_params(registry.load(asked.method), given), judge)
    if asked.prepare and asked.dry_run:
        given = {**given, "artefact": known["params"]["artefact"] if known else None}
    elif asked.prepare:
        given = {**given, "artefact": await _prepared(store, asked, given)}
    plan = await _plan(store, config, asked, given, rows, out)
    loaded = registry.load(plan.batch["method"])
    params = await _with_models(store, plan)
    if asked.budget_usd is not None and (asked.origin is not None or loaded.method.from_artefact):
        await asyncio.to_thread(_check_prices, asked, params, judge)
    before = await _spent(store, plan.batch)
    if asked.engine != "local" and pools.planned(output.models_of(_with_params(plan, params), loaded.method.roles)):
        raise BadInput(
            f"--engine {asked.engine} with models of the pool", remedy="one process holds a machine's engines: leave out --engine"
        )
    if asked.dry_run:
        return _preview(plan, params, asked, before)
    engine = engine_of(asked.engine, store, _terms(plan, asked, before), asked.workers)
    rows_asked = len(plan.written) + len(plan.jobs)
    plan.batch["allowed"] = {"rows": rows_asked, "usd": asked.budget_usd, "tokens": asked.budget_tokens}
    await plan.begin(store, out)
    tokens_before = before.prompt_tokens + before.completion_tokens
    budget = Budget(asked.budget_usd, asked.budget_tokens, asked.seconds, before.usd or 0.0, tokens_before)
    display = Display(rows_asked, plan.written)
    boss = Boss(plan.jobs, out, engine, budget, display)
    with around(boss, display):
        display.notes(_notes(plan, params, loaded.method.roles, asked, before))
        display.standing(await boss.run())  # also of a batch that may not begin, of which no crew has told anything
    seconds = time.monotonic() - boss.begun if boss.begun is not None else 0.0
    if out.from_store:
        await out.finish(await _lines(store, plan))
    if not display.last.left:
        done = {"grader": plan.batch["regrading"] or plan.batch["grader"], "regrading": None}
        await store.put_batch({**plan.batch, **done, "ended": True})
    return await _summary(store, plan, asked, display, boss.stopping, seconds)


async def _spent(store: Store, batch: Mapping[str, Any]) -> Usage:
    """What a batch has paid so far, runs that were forgotten since included."""
    found = await store.spent(batch["batch_id"])
    lost = batch["lost"]
    found.calls += lost["calls"]
    found.prompt_tokens += lost["tokens"]
    found.usd = (found.usd or 0.0) + lost["usd"]
    return found


async def _plan(store: Store, config: Config, asked: Asked, given: dict[str, Any], rows: list[Row], out: Out) -> Plan:
    judge = None
    if asked.grader == "judge":
        model = asked.judge or config.roles.get("grader")
        judge = judge_params(model, prompt=config.prompts.get("grader"), seed=given.get("seed"))
    elif asked.judge:
        raise BadInput("--judge-model is given, but no judge", remedy="--grader judge")
    grader = asked.grader or "auto", judge.model_dump(mode="json") if judge else None
    if asked.origin is None:
        if asked.grader:
            check_grader(asked.grader, judge, [(f"row {row.id}", row.reference) for row in rows])
        return await plan_rows(
            store, out, asked.method, given, rows, source=str(asked.source), grader=grader, repeats=asked.repeats, retry=asked.retry
        )
    notes: list[str] = []
    found = read_lines(asked.origin, notes)
    lines = list({str(line.get("run_id", place)): (place, line) for place, line in found}.values())  # of two lines for a run, the last
    for note in notes:
        output.say(note)
    if asked.limit:
        lines = lines[: asked.limit]
    if asked.grader:
        check_grader(asked.grader, judge, [(place, line.get("reference")) for place, line in lines])
    changed = {"values": asked.values, "params": asked.changes}
    return await plan_forks(
        store, out, asked.method, lines, asked.at or 1, source=str(asked.origin), grader=grader, retry=asked.retry, **changed
    )


async def _prepared(store: Store, asked: Asked, given: dict[str, Any]) -> str:
    """The id of the artefact made from a data set; made once, since the same rows and parameters are the same run."""
    objects = folder_rows(registry.load(asked.method), str(asked.prepare))
    if not objects:
        objects = [row for _, row in read_rows(str(asked.prepare), asked.mapping)]
    made = await artefacts.prepare(store, asked.method, objects, given)
    if made["artefact_id"] is None:
        error = made["error"] or {"message": f"run {made['run_id']} ended {made['status']}", "remedy": None}
        raise SymposiaError(f"nothing was prepared: {error['message']}", remedy=error["remedy"])
    return str(made["artefact_id"])


def _params(plan: Plan) -> Mapping[str, Any]:
    """The parameters in force: the batch's, or those of a fork's change."""
    marks = [mark["values"] for job in plan.jobs for mark in job["over"].get("marks", [])]
    changed = next((values["params"] for values in reversed(marks) if "params" in values), None)
    found: Mapping[str, Any] = changed or plan.template["params"]
    return found


async def _with_models(store: Store, plan: Plan) -> BaseParams:
    """The parameters in force, with the models that an artefact names in place of the run."""
    loaded = registry.load(plan.batch["method"])
    params = loaded.params.model_validate(_params(plan))
    return params.model_copy(update={"roles": await pools.roles_of(store, loaded.method, params.model_dump())})


def _check_prices(asked: Asked, params: BaseParams, judge: str | None) -> None:
    """A budget in USD needs prices.

    Raises:
        BadInput: A model has none.
    """
    named = [params.roles.get(role, params.model) for role in registry.load(asked.method).method.roles]
    models = {one for given in (*named, judge or []) for one in ([given] if isinstance(given, str) else given)}
    for model in sorted(models):
        name, known = _priced(model)
        if not known:
            table = f'[prices."{name}"] input = ..., output = ...'
            remedy = f"say it in symposia.toml, in USD per million tokens: {table}; or use --budget-tokens"
            raise BadInput(f"--budget-usd needs prices, and that of {name} is not known", remedy=remedy)


def _priced(model: str) -> tuple[str, bool]:
    """The name that a model's price is set under, and whether it has one."""
    if model.startswith(served_reward.PREFIX):
        name = served_reward.served(model).model
        return served_reward.PREFIX + name, served_reward.price(name) is not None
    return model, price(route(model)["model"]) is not None


def _terms(plan: Plan, asked: Asked, before: Usage) -> dict[str, Any]:
    grader, judge = plan.batch["regrading"] or plan.batch["grader"]
    template = {key: value for key, value in plan.template.items() if key not in ("input", "reference", "row", "run_id", *GRADED)}
    tokens = before.prompt_tokens + before.completion_tokens
    mean = {"usd": (before.usd or 0.0) / before.calls, "tokens": tokens / before.calls} if before.calls else None
    return {"template": template, "order": asked.order, "grader": grader, "judge": judge, "mean": mean}


def _preview(plan: Plan, params: BaseParams, asked: Asked, before: Usage) -> dict[str, Any]:
    """What would be done, for `--dry-run`."""
    method = registry.load(plan.batch["method"]).method
    return {
        **{"method": method.name, "output": str(asked.out), "rows_to_do": len(plan.jobs) - plan.regraded, "rows_done": len(plan.written)},
        **{"rows_resumed": plan.resumed, "calls_at_most": _most_calls(plan, params), "calls_so_far": before.calls},
        "model": "; ".join(f"{role}: {name}" for role, name in output.models_of(_with_params(plan, params), method.roles).items()),
        "calls_by_model": _calls(plan, params),
        "pool": pools.planned(output.models_of(_with_params(plan, params), method.roles), _calls(plan, params)),
    }


def _most_calls(plan: Plan, params: BaseParams) -> int:
    """Calls that the rows to do need at most, by the method's formula."""
    method = registry.load(plan.batch["method"]).method
    return len(plan.jobs) * (method.count(method.calls, params) + method.count(method.scoring, params))


def _calls(plan: Plan, params: BaseParams) -> dict[str, int]:
    """Of these, the calls of each model for which the formula can tell."""
    by_model = pools.calls_by_model(registry.load(plan.batch["method"]).method, params)
    return {model: n * len(plan.jobs) for model, n in sorted(by_model.items())}


def _with_params(plan: Plan, params: BaseParams) -> dict[str, Any]:
    return {**plan.template, "params": params.model_dump(mode="json")}


def _notes(plan: Plan, params: BaseParams, roles: Sequence[str], asked: Asked, before: Usage) -> list[str]:
    """What is to be known before the first call."""
    found = [f"batch {plan.batch['batch_id']}: {_rows(len(plan.jobs))} to do, {len(plan.written)} done before"]
    if plan.resumed:
        found.append(f"{_rows(plan.resumed)} continue from what is recorded")
    if plan.regraded:
        found.append(f"{_rows(plan.regraded)} graded again: the reference or the grader has changed, or the judge failed")
    if plan.foreign:
        found.append(f"{len(plan.foreign)} of the lines in {asked.out} belong to rows that are not in the input; they stay")
    if asked.budget_usd is not None and before.notes["unpriced"]:
        found.append(f"{before.notes['unpriced']} earlier calls had no known price and are not in the budget")
    models = output.models_of(_with_params(plan, params), roles)
    if told := pools.told(pools.planned(models, _calls(plan, params)), asked.order == "model"):
        found += [*told, f"  for up to {_most_calls(plan, params)} calls in all"]
    toys = toy_note(models.values())
    return [*found, *([toys] if toys else [])]


def _rows(n: int) -> str:
    return f"{n} row{'' if n == 1 else 's'}"


async def _lines(store: Store, plan: Plan) -> list[dict[str, Any]]:
    """All lines of a batch in the order of the rows, from the store."""
    known = await store.statuses(plan.batch["batch_id"])
    wanted = [job["run_id"] for job in plan.jobs] + [line.run_id for line in (*plan.written, *plan.foreign)]
    records = [await store.run(run_id) for run_id in wanted if run_id in known]
    ended = [line_of(record) for record in records if "correct" in record and record["status"] != "started"]
    return sorted(ended, key=lambda line: (line.get("repeat") or 0, line["row"]))


async def _summary(store: Store, plan: Plan, asked: Asked, display: Display, stopped: str | None, seconds: float) -> dict[str, Any]:
    """The object that `--json` prints; what was spent is that of this start, `spent_in_all` that of all."""
    tally, spent = display.tally, display.last.spent
    params = await _with_models(store, plan)
    roles = registry.load(plan.batch["method"]).method.roles
    total = await _spent(store, plan.batch)
    total_usd = None if total.notes["unpriced"] else round(total.usd or 0.0, 6)
    left = display.last.left
    graded = {"rows": tally.graded, "correct": tally.correct, "accuracy": tally.correct / tally.graded} if tally.graded else None
    return {
        **{"batch_id": plan.batch["batch_id"], "method": plan.batch["method"], "output": str(asked.out), "rows": tally.to_json(left)},
        **{"accuracy": graded, "calls": {"live": spent["calls"]}, "requests": spent["requests"]},
        "usage": {"prompt_tokens": spent["prompt_tokens"], "completion_tokens": spent["completion_tokens"]},
        "cost_usd": None if spent["unpriced"] else round(float(spent["usd"]), 6),
        "spent_in_all": {"calls": total.calls, "tokens": total.prompt_tokens + total.completion_tokens, "cost_usd": total_usd},
        "seconds": round(seconds, 3),
        "engines": engines(),
        "stopped": stopped,
        "not_graded": tally.ungraded,
        "failures": [
            {"name": c.name, "count": c.count, "message": c.error["message"], "remedy": c.error["remedy"], "rows": c.rows}
            for c in sorted(tally.causes.values(), key=lambda c: -c.count)
        ],
        "toys": toy_note(output.models_of(_with_params(plan, params), roles).values()),
        "next": "the same command goes on" if left or tally.statuses["failed"] else f"symposia eval {asked.out}",
    }
