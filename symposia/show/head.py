"""The head of a run: what it is, what it came to, and where its replay differs from the record."""

import json
from collections.abc import Iterator
from importlib.metadata import version

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from symposia.output import COLORS, cost
from symposia.records import flat
from symposia.registry import load
from symposia.shapes import brief
from symposia.show.page import Part, Record, answer_text, line, toys_said
from symposia.state.errors import BadInput, shorten
from symposia.tools.checkers import holds_tests

_LINES = 24  # of an answer, or of an input, in the head of a run
_LINE = 200  # characters of each


def header(record: Record) -> Table:
    """What a run is and what it came to."""
    run = record["run"]
    facts = Table.grid(padding=(0, 2))
    for name, parts in _facts(record, run):
        facts.add_row(Text(name, style="dim"), line(*parts))
    return facts


def _facts(record: Record, run: Record) -> Iterator[tuple[str, list[Part]]]:
    yield "run", [(run["run_id"], "bold"), f"  {run['method']}  ", (run["status"], COLORS.get(run["status"], ""))]
    if record["toys"]:
        yield "", [(toys_said(record["toys"]), "yellow")]
    yield from _question(run["input"])
    yield from _outcome(record, run)
    yield "calls", [_ledger(run)]
    if given := _changed_params(record):
        yield "params", [given]
    if run["parent"]:
        edited = "edited" if run["parent"]["shifted"] else "unchanged"
        yield "fork of", [f"{run['parent']['run']} after step {run['parent']['at']}, its state {edited}"]


def _question(given: Record) -> Iterator[tuple[str, list[Part]]]:
    """The question, or the fields that a method without one was given."""
    if isinstance(given.get("question"), str):
        yield "question", [shorten(given["question"], 300)]
        return
    left = _LINES
    for name, value in given.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        text = _lines(text, min(left, _LINES // 4))
        left -= text.count("\n") + 1
        yield name, [text]
        if left <= 0:
            yield "", [("`--json` has the whole input", "dim")]
            return


def _lines(text: str, most: int) -> str:
    """A text on one line, cut, or a program or the like on its own lines, the first ones of many."""
    if "\n" not in text.strip():
        return shorten(text, 300)
    lines = [line[:_LINE] for line in text.strip("\n").splitlines()]
    more = f"\n... ({len(lines)} lines)" if len(lines) > most else ""
    return "\n".join(lines[:most]) + more


def _outcome(record: Record, run: Record) -> Iterator[tuple[str, list[Part]]]:
    """Answer, verdict, error, and what a paused run waits for."""
    if isinstance(run.get("answer"), str) and "\n" in run["answer"].strip():
        yield "answer", [(_lines(run["answer"], _LINES), "bold")]
        yield "", [*_verdict(record), _reason(run).strip()]
    elif run.get("answer") is not None:
        yield "answer", [(answer_text(run["answer"]), "bold"), *_verdict(record), _reason(run)]
    elif run["status"] == "no_answer":
        yield "answer", ["none", *_verdict(record), _reason(run)]
    if error := run.get("error"):
        yield "error", [(f"{error['name']}: {error['message']}", "red")]
        if error.get("place"):
            yield "", [f"at {error['place']}"]
        if error.get("remedy"):
            yield "", [f"-> {error['remedy']}"]
    if waiting := run.get("waiting"):
        asked = {k: v for k, v in waiting.get("ask", {}).items() if k != "place"}
        what = f"for an answer to {json.dumps(asked, ensure_ascii=False)}" if asked else f"before {', '.join(waiting['next'])}"
        yield "waits", [f"after step {waiting['step']} {what}; `symposia resume {run['run_id']}` goes on"]
    if run["status"] == "started":
        yield "", [(f"not ended: it runs now, or was killed; `symposia resume {run['run_id']}` goes on", "yellow")]


def _verdict(record: Record) -> list[Part]:
    """The answer against the reference."""
    if record["correct"] is None:
        return []
    if holds_tests(record["run"]["reference"]):
        return [("right", "green"), ": it passes the tests  "] if record["correct"] else [("wrong", "red"), ": it fails a test  "]
    reference = answer_text(record["run"]["reference"])
    return (
        [("  right", "green"), f" (reference {reference})"]
        if record["correct"]
        else [("  wrong", "red"), f", the reference is {reference}"]
    )


def _reason(run: Record) -> str:
    return f"  stopped: {run['stop_reason']}" if run.get("stop_reason") else ""


def _ledger(run: Record) -> str:
    """`62: solver 8, outcome 16, ...; 41,000 tokens in, 3,000 out; 0 USD; 1.2 s`, as far as the record has it."""
    if "by_role" not in run:
        return "not counted until the run ends"
    roles = ", ".join(f"{role or 'other'} {count}" for role, count in run["by_role"].items())
    tokens = f"{run['usage']['prompt_tokens']:,} tokens in, {run['usage']['completion_tokens']:,} out"
    return f"{run['calls']}{f': {roles}' if roles else ''}; {tokens}; {cost(run['cost_usd'])}; {run['seconds']:.1f} s"


def _changed_params(record: Record) -> str:
    """The parameters that are not the method's defaults."""
    try:
        defaults = load(record["run"]["method"]).params().model_dump(mode="json")
    except BadInput:
        defaults = {}
    usual = flat(defaults)
    changed = {name: value for name, value in flat(record["params"]).items() if name == "model" or usual.get(name) != value}
    return ", ".join(f"{name}={brief(value)}" for name, value in changed.items())


def banner(record: Record) -> Panel:
    """What does not agree between record and replay, and what can still be read."""
    run, first = record["run"], record["first_divergence"]
    if first is None:
        error = record["cannot_replay"]
        return Panel(
            line((f"cannot be replayed: {error['message']}", "bold red"), "\nBelow is what the journal holds."), border_style="red"
        )
    parts: list[Part] = [(f"The replay differs from the record at step {first['step']}, node {first['node']}.", "bold red"), "\n"]
    for name, side in (("recorded", first["expected"]), ("replayed", first["got"])):
        parts.append(f"{name}: {_side(side)}\n")
    now = version("symposia")
    parts.append(f"Recorded with version {run['version']}, this is {now}. " if run["version"] != now else "The code has changed since. ")
    parts.append("Its states are left out; below is what the journal holds.")
    return Panel(line(*parts), title="replay not identical", border_style="red")


def _side(side: Record | None) -> str:
    """One side of a divergence: where it went and what it asked."""
    if not side:
        return "nothing"
    said = []
    if "next" in side:
        said.append(f"then {', '.join(side['next']) or 'the end'}")
    if "digest" in side:
        said.append(f"state {side['digest'][:12]}")
    if "request" in side:
        said.append(f"request at {side.get('place')}: {shorten(_asked(side['request']))}")
    return ", ".join(said) or shorten(json.dumps(side, ensure_ascii=False, default=str))


def _asked(request: Record) -> str:
    """The end of a prompt, where requests differ most, or the whole of another request."""
    if not request.get("messages"):
        return json.dumps(request, ensure_ascii=False, default=str)
    content = request["messages"][-1]["content"]
    return str("".join(content) if isinstance(content, list) and all(isinstance(p, str) for p in content) else content)[-200:]
