"""The command `symposia eval`: from files to tables, one JSON object, and plots."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

from rich import box
from rich.table import Table
from rich.text import Text

from symposia import command, output
from symposia.config import Config
from symposia.grading import GRADERS, judge_params
from symposia.measures import check, known_of, measures, pairs, questions_of, regrade, spent_before
from symposia.nodes.grader import Params
from symposia.output import OUT, safe, say, toy_note
from symposia.outputs import Output, read_outputs
from symposia.pareto import check_plot, plot
from symposia.state.errors import BadInput, StoreError, UnknownName, shorten
from symposia.state.store import Store
from symposia.statistics import require
from symposia.watching import Rows

T = TypeVar("T")


def run_eval(
    config: Config,
    files: Sequence[Path],
    *,
    grader: str | None = None,
    judge_model: str | None = None,
    seed: int | None = None,
    plots: Sequence[Path] = (),
    confidence: float = 0.95,
    as_json: bool = False,
) -> int:
    """Evaluate outputs and print what they are worth; returns the exit code, 1 when the judge's calls failed on a row.

    Raises:
        BadInput: A file, a line or an option is wrong; nothing was called.
    """
    if not 0 < confidence < 1:
        raise BadInput(f"--confidence is {confidence}", remedy="a number between 0 and 1, such as 0.95")
    params = _judge(config, grader, judge_model, seed)
    for path in plots:
        check_plot(path)
    require("scipy", "statsmodels")
    outputs = read_outputs(files)
    if grader:
        check(outputs, grader, params)
    report = _report(config, outputs, grader, params, confidence)
    for path in plots:
        plot(report["files"], path, confidence)
    report["plots"] = [str(path) for path in plots]
    output.emit(report) if as_json else show(report)
    toys = _toys(report["files"]) if as_json else []  # the tables name them
    for note in [*toys, *report["notes"]]:
        say(note)
    return int(any(group["of"] == "grader" for found in report["files"] for group in found["failures"]))


def _judge(config: Config, grader: str | None, model: str | None, seed: int | None) -> Params | None:
    """The judge's parameters, where there is to be one; `[roles]` and `[prompts]` of symposia.toml may name its model and prompt."""
    if grader is not None and grader not in GRADERS:
        raise UnknownName.of("grader", grader, GRADERS, remedy=f"there are {', '.join(GRADERS)}")
    if grader != "judge":
        if model is not None:
            raise BadInput("--judge-model is given, but no judge", remedy="--grader judge")
        return None
    return judge_params(model or config.roles.get("grader"), prompt=config.prompts.get("grader"), seed=seed)


def _report(config: Config, outputs: Sequence[Output], grader: str | None, params: Params | None, confidence: float) -> dict[str, Any]:
    """Everything there is to say."""
    notes = [note for one in outputs for note in one.notes]

    async def work(store: Store | None) -> list[dict[str, Any]]:
        known = [await known_of(store, one, questions=params is not None) if store else {} for one in outputs]
        asked = [questions_of(one, its) if params else {} for one, its in zip(outputs, known, strict=True)]
        each = zip(outputs, asked, strict=True)
        spent = [await _grade(store, one, grader, params, its) if grader else spent_before(one) for one, its in each]
        every = zip(outputs, known, spent, strict=True)
        return [{**measures(one, its, confidence), "grading": cost} for one, its, cost in every]

    files = _in_store(config, work, params is not None, notes)
    compared = pairs(outputs, confidence)
    for found in files:
        notes += _notes(found)
    return {"grader": grader, "confidence": confidence, "files": files, "pairs": compared, "notes": notes}


def _in_store(config: Config, work: Callable[[Store | None], Awaitable[T]], needed: bool, notes: list[str]) -> T:
    """Do the work in the store of the batch; only a judge needs it, others learn from it which models played."""
    reason = f"there is no store at {config.store}"
    if command.exists(config):
        try:
            return command.in_store(config, work)
        except StoreError as error:
            if needed:
                raise
            reason = error.message
    elif needed:
        raise BadInput(reason, remedy="the questions for the judge are in the store of the batch: --store ADDRESS")
    notes.append(f"{reason}, so the models behind the answers are not known; toy models may be among them (--store ADDRESS)")
    with redirect_stdout(sys.stderr):
        return asyncio.run(_alone(work))


async def _alone(work: Callable[[Store | None], Awaitable[T]]) -> T:
    return await work(None)


async def _grade(store: Store | None, one: Output, grader: str, params: Params | None, asked: dict[str, str]) -> dict[str, Any]:
    """Grade an output; a judge's progress is shown."""
    if params is None:
        return await regrade(store, one, grader)
    with Rows(len(one.lines)) as progress:
        return await regrade(store, one, grader, params, asked, lambda line, verdict: progress.done(line.status, verdict.correct))


def _notes(found: Mapping[str, Any]) -> Iterable[str]:
    """What a reader of the figures has to know."""
    if found["rows"] and found["accuracy"] is None:
        why = "no row has a reference" if found["without_reference"] == found["rows"] else "no row is graded; --grader auto does it"
        yield f"{found['label']}: {why}"
    elif found["without_reference"]:
        yield f"{found['label']}: {found['without_reference']} rows have no reference and are left out of the accuracy"
    if found["not_graded"] and found["accuracy"] is not None:
        yield f"{found['label']}: {found['not_graded']} rows could not be graded and are left out of the accuracy"
    if found["orders_disagree"]:
        yield f"{found['label']}: on {found['orders_disagree']} rows the judge's verdict changed with the order; they count as not correct"


def _toys(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """What has to be said of outputs in which toys answered."""
    return [f"{found['label']}: {note}" for found in files if (note := toy_note(found["toys"]))]


# -- tables ---------------------------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Any]) -> None:
    """The report as tables on stdout."""
    files, percent = report["files"], f"{100 * report['confidence']:g} %"
    _print(["", *(found["label"] for found in files)], [[name, *(cell(found) for found in files)] for name, cell in _measures(percent)])
    if report["pairs"]:
        OUT.print(Text(f"the first's accuracy less the second's, on the rows both have, with {percent} interval; p also after Holm"))
        _print(["pair", "rows", "accuracies", "difference", "better on", "test", "p", "p Holm"], [_pair(pair) for pair in report["pairs"]])
        for pair in report["pairs"]:
            if left := _left_out(pair):
                say(f"{' / '.join(pair['labels'])}: {left}")
    failed = [(found["label"], group) for found in files for group in found["failures"]]
    if failed:
        _print(["failures", "of", "error", "rows", "for example", "remedy"], [_failure(label, group) for label, group in failed])
    for note in _toys(files):
        OUT.print(Text(safe(note), style="yellow"))


def _measures(percent: str) -> list[tuple[str, Callable[[Mapping[str, Any]], str]]]:
    """The lines of the first table: a name, and how a file's cell is made."""
    lines: list[tuple[str, Callable[[Mapping[str, Any]], str]]] = [
        ("method", lambda f: ", ".join(f["methods"]) or "not known"),
        ("rows", lambda f: _count(f["rows"]) + (f" of {f['problems']} problems" if f["problems"] < f["rows"] else "")),
        ("ok", lambda f: _count(f["ok"])),
        ("no answer", lambda f: _count(f["no_answer"])),
        ("failed", lambda f: _count(f["failed"])),
        (f"accuracy, failed is wrong, {percent}", lambda f: _interval(f["accuracy"])),
        (f"accuracy of finished rows, {percent}", lambda f: _interval(f["accuracy_finished"])),
        ("calls per row", lambda f: _number(f["calls_per_row"])),
        ("tokens per row", lambda f: _number(f["tokens_per_row"])),
        ("cost", lambda f: output.cost(f["cost_usd"])),
        ("cost per row", lambda f: output.cost(f["cost_usd_per_row"]) if f["rows"] else ""),
        ("seconds per row, median", lambda f: _number(f["seconds_median"])),
        ("seconds per row, 95th percentile", lambda f: _number(f["seconds_p95"])),
    ]
    return [*lines, ("grading", lambda f: _grading(f["grading"]))]


def _pair(pair: Mapping[str, Any]) -> list[str]:
    if not pair["pairs"]:
        return [" / ".join(pair["labels"]), "0", *[""] * 6]
    bounds = "" if pair["low"] is None else f" [{100 * pair['low']:+.1f}, {100 * pair['high']:+.1f}]"
    return [
        " / ".join(pair["labels"]),
        _count(pair["pairs"]) + (f" of {pair['problems']} problems" if pair["problems"] < pair["pairs"] else ""),
        f"{100 * pair['first']:.1f} % / {100 * pair['second']:.1f} %",
        f"{100 * pair['difference']:+.1f}{bounds} points",
        f"{pair['first_better']} / {pair['second_better']}",
        pair["test"],
        _p(pair["p"]),
        _p(pair["p_holm"]),
    ]


def _left_out(pair: Mapping[str, Any]) -> str:
    """What of two outputs is not compared."""
    first, second = pair["labels"]
    counts = {f"only {first} has": pair["only_first"], f"only {second} has": pair["only_second"], "have another reference": 0}
    counts["have another reference"] = pair["other_reference"]
    said = [f"{n} rows {what}" if what.startswith("have") else f"{what} {n} rows" for what, n in counts.items() if n]
    return "left out of the comparison: " + ", ".join(said) if said else ""


def _failure(label: str, group: Mapping[str, Any]) -> list[str]:
    example = f"row {group['row']}: {shorten(str(group['message'] or ''), 120)}"
    return [label, group["of"], group["name"], _count(group["count"]), example, shorten(str(group["remedy"] or ""), 120)]


def _interval(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    clustered = f", clustered by {found['problems']} problems" if found["method"] == "clustered" else ""
    return f"{100 * found['estimate']:.1f} % [{100 * found['low']:.1f}, {100 * found['high']:.1f}] of {_count(found['rows'])}{clustered}"


def _grading(spent: Mapping[str, Any] | None) -> str:
    """What the judge cost."""
    if spent is None or not (calls := spent["calls"]["live"] + spent["calls"]["replayed"]):
        return ""
    return f"{_count(calls)} calls, {_count(spent['calls']['replayed'])} of them from the journal, {output.cost(spent['cost_usd'])}"


def _count(n: int) -> str:
    return f"{n:,}"


def _number(value: float | None) -> str:
    """Three figures, thousands in groups."""
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _p(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; lines that say nothing for any file are left out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(Text(safe(column)), overflow="fold")
    for row in rows:
        if any(row[1:]):
            table.add_row(*(Text(safe(cell)) for cell in row))
    OUT.print(table, soft_wrap=False)
