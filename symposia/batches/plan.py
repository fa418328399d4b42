"""What a batch is to do: its rows as jobs, and which of them are done already.

A batch is known by its output file: the ids of the runs in it begin with the batch's id, whose record in the store says method and
parameters. So the same command finds its batch again, and another method or parameter is told from it.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symposia.batches.crew import FINISHED, Job
from symposia.batches.lines import Line, digest_of_reference
from symposia.batches.out import Out
from symposia.inputs import check_models
from symposia.new_runs import fork_record, new_record
from symposia.records import flat
from symposia.registry import load
from symposia.rows import Row
from symposia.state.errors import BadInput, UnknownName, shorten
from symposia.state.packing import digest_of
from symposia.state.store import Store

_ID = 9  # characters of a batch's id
_AFRESH = "name a new output file for it: -o FILE"


@dataclass
class Plan:
    """What one start of a batch has to do. Making it changes nothing; `begin` does."""

    batch: dict[str, Any]
    """The batch's record: `batch_id`, `method`, `params`, `output`, `input`, `grader`, `regrading`, `origin` (of a fork), `lost` (spent on
    runs that were forgotten), `allowed` (rows asked for, and what they may cost), `started`, `ended`."""
    template: dict[str, Any]
    """The record of a run, without what is the row's own."""
    jobs: list[Job] = field(default_factory=list)
    written: list[Line] = field(default_factory=list)
    """Lines of rows of the input that stand in the output file and stay."""
    foreign: list[Line] = field(default_factory=list)
    """Lines of rows that are not in the input any more, which stay."""
    resumed: int = 0
    """Rows that had begun, or had ended without success, and go on."""
    regraded: int = 0
    """Finished rows whose line is written again, because the reference or the grader has changed."""
    again: list[str] = field(default_factory=list)
    """Runs that are forgotten and made anew, since their journal would give the same once more."""

    async def begin(self, store: Store, out: Out) -> None:
        """Write down that the batch has begun, and make the output file ready.

        Raises:
            BadInput: The output file cannot be written.
            StoreError: The store cannot be.
        """
        out.begin({line.run_id: line for line in (*self.written, *self.foreign)})
        for run_id in self.again:
            gone = await store.spent(run_id)
            lost = self.batch["lost"]
            lost["usd"] += gone.usd or 0.0
            lost["tokens"] += gone.prompt_tokens + gone.completion_tokens
            lost["calls"] += gone.calls
        await store.put_batch(self.batch)
        for run_id in self.again:
            await store.forget(run_id)


async def plan_rows(
    store: Store,
    out: Out,
    method: str,
    given: Mapping[str, Any],
    rows: Sequence[Row],
    *,
    source: str,
    grader: tuple[str, Any],
    repeats: int = 1,
    retry: Sequence[str] = (),
) -> Plan:
    """The jobs of a batch over rows.

    Args:
        store: Where the runs are, or will be.
        out: The output file, open.
        method: The method's name.
        given: Its parameters.
        rows: The rows, in their order.
        source: The name of the data set, for the record.
        grader: The grader's name and its parameters as JSON.
        repeats: How often each row is run; with a seed, each time with the next one.
        retry: Statuses besides `failed` that are tried again: `no_answer`.

    Raises:
        BadInput: The output file is another batch's, or was made with other parameters.
    """
    if not rows:
        raise BadInput(f"{source} holds no row", remedy="give at least one")
    template = new_record(method, given, rows[0].inputs, checkpoints="none")
    for row in rows:
        check_models(load(method), template["params"], row.inputs)
    batch = await _batch(store, out, {"method": method, "params": template["params"], "origin": None}, source, grader)
    jobs = [_job(batch["batch_id"], template, number, row, repeat) for repeat in _repeats(repeats) for number, row in enumerate(rows, 1)]
    return await _planned(store, out, batch, template, jobs, retry)


async def plan_forks(
    store: Store,
    out: Out,
    method: str,
    lines: Sequence[tuple[str, Mapping[str, Any]]],
    at: int,
    *,
    source: str,
    values: Mapping[str, Any],
    params: Mapping[str, Any],
    grader: tuple[str, Any],
    retry: Sequence[str] = (),
) -> Plan:
    """The jobs of a batch that goes on from a step of every run of another.

    A run that ended before that step has nothing to change: its fork takes all of it over.

    Args:
        store: Where the runs are.
        out: The output file, open.
        method: The method they must be of.
        lines: The lines of the other batch's output, each with its place.
        at: The step after which the change is made.
        source: The other output file.
        values: Keys of the state to set.
        params: Parameters to change.
        grader: The grader's name and its parameters as JSON.
        retry: As in `plan_rows`.

    Raises:
        BadInput: A run is not in the store, no run has that step, or a key or parameter does not exist.
    """
    if not lines:
        raise BadInput(f"{source} holds no line", remedy="--from takes what `symposia batch -o` wrote")
    parents = [await _parent(store, line, place) for place, line in lines]
    other = next((parent["method"] for parent in parents if parent["method"] != method), None)
    if other:
        raise BadInput(f"{source} holds runs of {other}, not of {method}", remedy=f"symposia batch {other} --from {source} ...")
    records = [await _fork(store, parent, at, values, params) for parent in parents]
    if not any(record["marks"] or record["parent"]["at"] == at for record in records):
        most = max(record["parent"]["at"] for record in records)
        raise BadInput(f"no run of {source} has a step {at}; the longest has {most}", remedy=f"--at N with N up to {most}")
    origin = {"batch": parents[0]["run_id"][:_ID], "at": at, "values": dict(values), "params": dict(params)}
    wanted = {"method": parents[0]["method"], "params": parents[0]["params"], "origin": origin}
    batch = await _batch(store, out, wanted, source, grader)
    jobs = [_forked(batch["batch_id"], record, dict(line)) for record, (_, line) in zip(records, lines, strict=True)]
    return await _planned(store, out, batch, records[0], jobs, retry)


def _repeats(repeats: int) -> list[int | None]:
    return [None] if repeats == 1 else list(range(1, repeats + 1))


def _job(batch_id: str, template: Mapping[str, Any], number: int, row: Row, repeat: int | None) -> Job:
    """A row as a job; its run's id comes from its id and content, so that a changed row is another run."""
    seed = template["params"].get("seed")
    over = {"params": {**template["params"], "seed": seed + repeat - 1}} if repeat and seed is not None else {}
    run_id = batch_id + digest_of([row.id, row.inputs, repeat or 1]).hex()[:10]
    return {
        **{"run_id": run_id, "row": number, "id": row.id, "repeat": repeat, "input": row.inputs, "reference": row.reference},
        **{"known": None, "over": over},
    }


def _forked(batch_id: str, record: Mapping[str, Any], line: Mapping[str, Any]) -> Job:
    run_id = batch_id + digest_of([record["parent"]["run"]]).hex()[:10]
    over = {key: record[key] for key in ("marks", "parent", "params", "method")}
    return {
        **{"run_id": run_id, "row": line["row"], "id": line["id"], "repeat": line.get("repeat"), "input": record["input"]},
        **{"reference": line["reference"], "known": None, "over": over},
    }


async def _parent(store: Store, line: Mapping[str, Any], place: str) -> dict[str, Any]:
    try:
        return await store.run(line["run_id"])
    except KeyError:
        raise BadInput("no line of a batch: it has no run_id", place=place, remedy="--from takes what `symposia batch -o` wrote") from None
    except UnknownName:
        remedy = "name the store that the batch was run in: --store ADDRESS"
        raise BadInput(f"run {line['run_id']} is not in {store.url}", place=place, remedy=remedy) from None


async def _fork(store: Store, parent: dict[str, Any], at: int, values: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    last = max((step.step for step in await store.steps(parent["run_id"]) if not step.frame), default=0)
    record = await fork_record(store, parent, min(at, last) or 1, values=values if at <= last else {}, params=params if at <= last else {})
    return {**record, "checkpoints": "none"}


async def _batch(store: Store, out: Out, wanted: Mapping[str, Any], source: str, grader: tuple[str, Any]) -> dict[str, Any]:
    """The batch that an output file belongs to, or a new one."""
    name = str(out.path.resolve())
    found = await known_batch(store, out)
    if found and (out.lines or out.from_store or _same(found, wanted)):
        _compare(found, wanted, out.path)
        regrading = list(grader) if found["regrading"] or found["grader"] != list(grader) else None
        return {**found, "regrading": regrading, "ended": False, "output": name}
    batch_id = "b" + secrets.token_hex(4)
    while await store.batches(batch_id=batch_id) or await store.statuses(batch_id):
        batch_id = "b" + secrets.token_hex(4)
    lost = {"usd": 0.0, "tokens": 0, "calls": 0}
    fresh = {"batch_id": batch_id, "output": name, "input": source, "grader": list(grader), "regrading": None, "lost": lost}
    return {**wanted, **fresh, "started": time.time(), "ended": False}


async def known_batch(store: Store, out: Out) -> dict[str, Any] | None:
    """The batch that an output file belongs to: the one whose lines it holds, else one that was killed before it had written any.

    Raises:
        BadInput: The file holds something else, or lines of a batch that is not in the store.
    """
    if out.lines:
        return await _written_by(store, out.path, out.lines)
    found = await store.batches(output=str(out.path.resolve()))
    interrupted = found[0] if found and not found[0]["ended"] else None
    if out.torn and not interrupted:
        raise BadInput(f"{out.path} holds something that is no line of a batch", remedy="name another output file: -o FILE")
    return interrupted


async def _written_by(store: Store, path: Path, lines: Mapping[str, Line]) -> dict[str, Any]:
    """The batch whose lines stand in a file."""
    ids = {run_id[:_ID] for run_id in lines}
    found = await store.batches(batch_id=min(ids)) if len(ids) == 1 else []
    if not found:
        many = "holds lines of several batches" if len(ids) > 1 else f"was written by a batch that is not in {store.url}"
        raise BadInput(f"{path} {many}", remedy=f"name the store it was run in with --store ADDRESS, or {_AFRESH}")
    return found[0]


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return not _differences(found, wanted)


def _compare(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Tell a batch that goes on from one that is another.

    Raises:
        BadInput: Method, parameters or origin differ; the first differences are named.
    """
    found_values = _differences(found, wanted)
    if found_values:
        shown = [f"{name} was {_short(before)}, is now {_short(now)}" for name, before, now in found_values[:3]]
        more = f" and {len(found_values) - 3} more" if len(found_values) > 3 else ""
        raise BadInput(f"{path} belongs to a batch with other parameters: {'; '.join(shown)}{more}", remedy=_AFRESH)


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What differs between two batches: its name, before, and now."""
    before, now = (flat({key: json.loads(json.dumps(one[key])) for key in ("method", "params", "origin")}) for one in (found, wanted))
    names = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    return [(name.removeprefix("params."), before.get(name), now.get(name)) for name in names]


def _short(value: Any) -> str:
    return shorten(json.dumps(value), 80)


async def _planned(store: Store, out: Out, batch: dict[str, Any], template: dict[str, Any], jobs: list[Job], retry: Sequence[str]) -> Plan:
    """The jobs that are left, and the lines that stay."""
    statuses = await store.statuses(batch["batch_id"])
    finished = {status for status in FINISHED if status not in retry}
    plan = Plan(batch, template)
    wanted = {job["run_id"]: job for job in jobs}
    ids = {(str(job["id"]), job["repeat"]) for job in jobs}
    keep: set[str] = set()
    for run_id, line in out.lines.items():
        job = wanted.get(run_id)
        if job is None and (str(line.id), line.repeat) not in ids:  # else its row has changed since, and is run again
            plan.foreign.append(line)
        elif job is not None and line.status in finished and not batch["regrading"] and _graded(line, job):
            keep.add(run_id)
            plan.written.append(line)
    for job in (job for job in jobs if job["run_id"] not in keep):
        job["known"] = statuses.get(job["run_id"])
        if job["known"] in FINISHED and job["known"] not in finished:
            plan.again.append(job["run_id"])
            job["known"] = None
        plan.resumed += job["known"] is not None and job["known"] not in FINISHED
        plan.regraded += job["known"] in FINISHED and job["run_id"] in out.lines
        plan.jobs.append(job)
    return plan


def _graded(line: Line, job: Job) -> bool:
    """Whether a line's grade still holds."""
    return not line.ungraded and line.reference == digest_of_reference(job["reference"])
