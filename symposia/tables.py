"""What runs came to, what was made of them, and the methods, as tables and lines on stdout."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from symposia.output import COLORS, OUT, complain, cost, models_of, new_table, safe, say, toy_note
from symposia.result import Result
from symposia.state.errors import shorten


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
    yield "status", Text.assemble((result.status, COLORS.get(result.status, "")), reason)
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
        status = Text(row["status"], style=COLORS.get(row["status"], ""))
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
        status = Text(r["status"], style=COLORS.get(r["status"], ""))
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
    if not written:
        say(f"no file in {folder}: the runs hold nothing for it; `symposia report` says what they hold, where their method has a report")
        return
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


def _cell(value: Any) -> str:
    """An answer, shortened for a table."""
    return "" if value is None else shorten(str(value), 60)
