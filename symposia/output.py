"""What the command line writes: results and tables on stdout, everything else on stderr, and no control character of a model's text.

Texts of models, rows and stores are printed as `rich.text.Text` after `safe`: never read as markup, and no escape sequence of theirs
reaches the terminal.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

from symposia.execution import Event
from symposia.runs import Result
from symposia.state.errors import SymposiaError, shorten

_PIPE_WIDTH = 200  # columns of a table that goes into a file or a pipe
OUT = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, markup=False, highlight=False, emoji=False, soft_wrap=True)


class _Deaf(Console):
    """Goes quiet when nobody reads any more: a closed pipe must not end the work."""

    def on_broken_pipe(self) -> None:
        """Say nothing from now on."""
        self.quiet = True


ERR = _Deaf(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
_COLORS = {"ok": "green", "no_answer": "yellow", "paused": "cyan", "failed": "red", "stopped": "red"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def safe(text: object) -> str:
    r"""A text whose control characters (C0, C1, ESC, direction marks) are spelled out, such as `\x1b`; new lines and tabs stay."""
    return _CONTROL.sub(lambda found: _spelled(ord(found[0])), str(text).replace("\r\n", "\n"))


def _spelled(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def say(line: object) -> None:
    """A line on stderr."""
    ERR.print(Text(safe(line)))


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, in ASCII, so that no terminal and no encoding can spoil it; indented for a reader at a terminal."""
    text = json.dumps(finite(value), indent=2 if sys.stdout.isatty() else None, allow_nan=False)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def finite(value: Any) -> Any:
    """A JSON value; JSON knows no infinity, so such a number becomes its name."""
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def complain(error: Mapping[str, Any], as_json: bool) -> None:
    """An error, as `to_record` gives it, on stderr: what, where, and what to do; with `as_json` also as one object on stdout."""
    if as_json:
        emit({"error": error})
    ERR.print(Text.assemble(("error: ", "bold red"), safe(error["message"])))
    if error.get("place"):
        say(f"   at {error['place']}")
    if error.get("remedy"):
        say(f"   -> {error['remedy']}")


def unexpected(error: BaseException) -> dict[str, Any]:
    """The record of an error that is none of ours."""
    text = f"{type(error).__name__}: {shorten(str(error))}"
    return SymposiaError(text, remedy="this should not happen; the same command with --debug shows where").to_record()


# -- runs -----------------------------------------------------------------------------------------------------------------------------


def models_of(record: Mapping[str, Any], roles: Sequence[str]) -> dict[str, str]:
    """The models of a run by role; `*` stands for all roles without one of their own."""
    params = record["params"]
    own = {role: ", ".join(models) if isinstance(models, list) else models for role, models in params["roles"].items()}
    return own if all(own.get(role) for role in roles) else {"*": params["model"], **own}


def toy_note(models: Iterable[str]) -> str | None:
    """What has to be said wherever a toy model's results are shown."""
    toys = sorted({name for names in models for name in names.split(", ") if name.startswith("toy/")})
    return f"{', '.join(toys)}: a rule-based toy, no language model" if toys else None


def show_result(result: Result, record: Mapping[str, Any], roles: Sequence[str]) -> None:
    """What a run came to, its answer first, on stdout; its error on stderr."""
    if result.answer is not None or result.status == "no_answer":
        OUT.print(Text("no answer" if result.answer is None else safe(result.answer), style="bold"))
        OUT.print()
    for name, value in _facts(result, models_of(record, roles)):
        OUT.print(Text.assemble((f"{name:<9}", "dim"), value))
    if result.error:
        complain(result.error, as_json=False)


def _facts(result: Result, models: Mapping[str, str]) -> Iterable[tuple[str, Text]]:
    """The lines below an answer."""
    reason = f" ({safe(result.stop_reason)})" if result.stop_reason else ""
    yield "method", Text(result.method)
    yield "status", Text.assemble((result.status, _COLORS.get(result.status, "")), reason)
    if result.waiting:
        yield "waits", Text(safe(_waiting(result.waiting)))
    named = "; ".join(name if role == "*" else f"{role}: {name}" for role, name in models.items())
    yield "model", Text(safe(named))
    if note := toy_note(models.values()):
        yield "", Text(safe(note), style="yellow")
    yield "calls", Text(safe(_calls(result.calls)))
    yield "tokens", Text(f"{result.usage.get('prompt_tokens', 0)} in, {result.usage.get('completion_tokens', 0)} out")
    yield "cost", Text(cost(result.cost_usd))
    yield "seconds", Text(f"{result.seconds:.1f}")
    if result.parent:
        yield "fork of", Text(f"{result.parent['run']} after step {result.parent['at']}")
    yield "next", Text(next_command(result), style="bold")


def _waiting(waiting: Mapping[str, Any]) -> str:
    """What a paused run waits for."""
    if "ask" in waiting:
        question = {k: v for k, v in waiting["ask"].items() if k != "place"}
        return f"for an answer to {json.dumps(question, ensure_ascii=False, default=str)}"
    return f"after step {waiting['step']}, before {', '.join(waiting['next'])}"


def _calls(calls: Mapping[str, Any]) -> str:
    """`12: solver 4, reviewer 8 (4 of them read from the journal)`."""
    total = calls["live"] + calls["replayed"]
    roles = ", ".join(f"{role or 'other'} {n}" for role, n in calls["by_role"].items())
    read = f" ({calls['replayed']} of them read from the journal)" if calls["replayed"] else ""
    return f"{total}{': ' if roles else ''}{roles}{read}"


def cost(usd: float | None) -> str:
    """USD, or that no price is known."""
    return "no known price" if usd is None else f"{usd:.6f} USD".replace(".000000", "")


def next_command(result: Result) -> str:
    """The command that helps most after a run of this status."""
    if result.status in ("ok", "no_answer"):
        return f"symposia show {result.run_id}"
    if result.waiting and "ask" in result.waiting:
        return f"symposia resume {result.run_id} --answer JSON"
    return f"symposia resume {result.run_id}"


def show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """The runs of a file as a table."""
    table = new_table("row", "run", "status", "answer", "reference", "correct", "calls", "cost")
    for row in rows:
        status = Text(row["status"], style=_COLORS.get(row["status"], ""))
        verdict = {True: "yes", False: "no", None: ""}[row["correct"]]
        calls = row["calls"]["live"] + row["calls"]["replayed"]
        texts = (row["row"], row["run_id"], status, _cell(row["answer"]), _cell(row["reference"]), verdict, calls, cost(row["cost_usd"]))
        table.add_row(*(t if isinstance(t, Text) else Text(safe(t)) for t in texts))
    OUT.print(table, soft_wrap=False)
    for row in rows:
        if row["error"]:
            complain({**row["error"], "message": f"row {row['row']}: {row['error']['message']}"}, as_json=False)


def show_runs(records: Sequence[Mapping[str, Any]], address: str) -> None:
    """The runs of a store as a table, newest first."""
    from datetime import datetime

    if not records:
        say(f"no runs in {address}")
        return
    table = new_table("run", "method", "started", "status", "answer", "calls", "cost", "seconds", "from")
    for r in records:
        started = datetime.fromtimestamp(r["started"]).strftime("%Y-%m-%d %H:%M:%S")
        origin = f"{r['parent']['run']} after {r['parent']['at']}" if r["parent"] else ""
        status = Text(r["status"], style=_COLORS.get(r["status"], ""))
        price = "" if r["status"] == "started" else cost(r["cost_usd"])
        cells = (r["run_id"], r["method"], started, status, _cell(r["answer"]), r["calls"], price, f"{r['seconds']:.1f}", origin)
        table.add_row(*(c if isinstance(c, Text) else Text(safe(c)) for c in cells))
    OUT.print(table, soft_wrap=False)


def show_replay(report: Mapping[str, Any]) -> None:
    """Whether a replay was identical, and if not, where it first differs."""
    replayed = report["calls"]["replayed"]
    if report["identical"]:
        steps = f"{report['checkpoints']} states equal the record"
        OUT.print(Text(f"identical: {steps}, {replayed} calls read from the journal, none made", style="green"))
        return
    first = report["first_divergence"]
    OUT.print(Text(f"not identical: the first difference is in step {first['step']}, node {safe(first['node'])}", style="red"))
    for name in ("place", "expected", "got"):
        OUT.print(Text.assemble((f"{name:<9}", "dim"), safe(shorten(str(first[name]), 2000))))


def brief(content: Any) -> Any:
    """What was prepared, without texts that nobody reads, such as packed vectors."""
    if not isinstance(content, Mapping):
        return content
    return {name: f"{len(value)} characters" if isinstance(value, str) and len(value) > 2000 else value for name, value in content.items()}


def show_prepared(made: Mapping[str, Any], page: Callable[[Any], str] | None = None) -> None:
    """What `prepare` made, as the method's own page of it, or why it did not."""
    if made["artefact_id"]:
        if page is not None:
            OUT.print(Text(safe(page(made["content"]))), soft_wrap=True)
        OUT.print(Text(f"artefact {made['artefact_id']}", style="bold"))
        OUT.print(Text(f"calls    {_calls(made['calls'])}"))
        OUT.print(Text(f"cost     {cost(made['cost_usd'])}"))
        OUT.print(Text(f"next     symposia run {made['method']} -p artefact={made['artefact_id']}"))
    elif made["error"]:
        complain(made["error"], as_json=False)
    else:
        say(f"run {made['run_id']} ended {made['status']}")


def show_export(folder: Path, written: Mapping[str, int]) -> None:
    """The files that an export wrote, with their rows."""
    table = new_table("file", "rows")
    for name, rows in written.items():
        table.add_row(Text(safe(folder / name)), Text(str(rows)))
    OUT.print(table, soft_wrap=False)


def show_report(found: Mapping[str, Any]) -> None:
    """Figures of a report, a line each; nested ones with their path."""
    from symposia.records import flat

    table = new_table("figure", "value")
    for name, value in flat(found).items():
        shown = "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        table.add_row(Text(safe(name)), Text(safe(shown)))
    OUT.print(table, soft_wrap=False)


# -- methods --------------------------------------------------------------------------------------------------------------------------


def show_methods(cards: Sequence[Mapping[str, Any]]) -> None:
    """All methods as a table."""
    table = new_table("name", "title", "year", "family", "roles", "calls at most", "arXiv")
    for card in cards:
        cells = (card["name"], card["title"], card["year"], card["family"], ", ".join(card["roles"]), card["calls"], card["arxiv"])
        table.add_row(*(Text(safe(cell)) for cell in cells))
    OUT.print(table, soft_wrap=False)


def show_method(card: Mapping[str, Any]) -> None:
    """One method with its parameters, their defaults and its input."""
    OUT.print(Text(f"{card['title']} ({card['year']}), https://arxiv.org/abs/{card['arxiv']}", style="bold"))
    OUT.print(Text(f"family   {card['family']}"))
    OUT.print(Text(f"roles    {', '.join(card['roles'])}"))
    OUT.print(Text(f"calls    {card['calls']} at most, {card['calls_by_default']} with the defaults"))
    if card["scoring"] != "0":
        OUT.print(Text(f"scoring  {card['scoring']} at most, {card['scoring_by_default']} with the defaults"))
    OUT.print(Text(f"nodes    {', '.join(card['nodes'])}"))
    table = new_table("-p", "default", "meaning")
    for name, field in card["parameters"].items():
        default = field["default"]
        nested = isinstance(default, Mapping) and default
        shown = f"of {', '.join(default)}" if nested else json.dumps(default)
        table.add_row(Text(name), Text(safe(shown)), Text(safe(field["description"])))
    OUT.print(table, soft_wrap=False)
    inputs = new_table("--input", "type", "meaning")
    for name, field in card["input"].items():
        inputs.add_row(Text(name), Text(safe(field["type"])), Text(safe(field["description"])))
    OUT.print(inputs, soft_wrap=False)


def new_table(*columns: str) -> Table:
    """An empty table in the one style."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(column), overflow="fold", no_wrap=i == 0)
    return table


def _cell(value: Any) -> str:
    """An answer, shortened for a table."""
    return "" if value is None else shorten(str(value), 60)


# -- while it runs --------------------------------------------------------------------------------------------------------------------


class Watch:
    """One run while it executes: its id as soon as it has one, and on a terminal a line with step, node and calls."""

    def __init__(self) -> None:
        """Nothing has happened."""
        self._announced: str | None = None
        self._status: Status | None = None
        self._now = "starting"
        self._calls = 0

    def __enter__(self) -> Self:
        """Start the line."""
        if ERR.is_terminal:
            self._status = ERR.status(Text(self._now))
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._status:
            self._status.stop()

    def announce(self, run_id: str) -> None:
        """Say the id of the run, once."""
        if self._announced != run_id:
            self._announced = run_id
            say(f"run {run_id}")

    def hear(self, event: Event) -> None:
        """Show what happened."""
        self.announce(event["run_id"])
        if event["type"] == "step":
            self._now = f"step {event['step'] + 1}: {', '.join(event['next']) or 'done'}"
        elif event["type"] == "effect" and event["kind"] == "llm":
            self._calls += 1
        if self._status:
            self._status.update(Text(safe(f"{self._now}, {self._calls} calls")))


class Rows:
    """The rows of a file while they run: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        """For `total` rows."""
        self._total = total
        self._counts = {"failed": 0, "correct": 0, "graded": 0}
        self._done = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        """Show the empty bar."""
        if ERR.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self._bar = Progress(*columns, console=ERR)
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._bar:
            self._bar.stop()

    def done(self, status: str, correct: bool | None) -> None:
        """Count a row; without a terminal about every tenth of them is a line."""
        self._done += 1
        self._counts["failed"] += status in ("failed", "stopped")
        self._counts["graded"] += correct is not None
        self._counts["correct"] += bool(correct)
        text = f"{self._counts['failed']} failed, {self._counts['correct']} of {self._counts['graded']} correct"
        if self._bar:
            self._bar.update(self._task, advance=1, description=text)
        elif self._done == self._total or self._done % max(1, self._total // 10) == 0:
            say(f"{self._done} of {self._total} rows, {text}")
