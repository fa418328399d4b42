"""Runs in a terminal: the path of one through its graph with the numbers behind each decision, and two of them compared.

Whatever a model, a data row or a store wrote is printed as text: `safe` spells out control characters, and nothing is read as markup.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import IO, Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from symposia.compare import difference
from symposia.draw import laps, path_picture
from symposia.output import cost, emit, safe
from symposia.records import QUIET, Look, flat, look, state_at, to_json
from symposia.registry import load
from symposia.shapes import brief, number
from symposia.state.errors import BadInput, shorten
from symposia.state.store import Store
from symposia.tools.checkers import holds_tests

Part = str | tuple[str, str]
Record = Mapping[str, Any]

_PIPE_WIDTH = 120  # columns where there is no terminal
_FOLD = 300  # characters of a text in a state tree
_LINES = 24  # of an answer, or of an input, in the head of a run
_LINE = 200  # characters of each
_ONE_LINE = 90  # characters of a container that stands on one line of it
_ITEMS = 50  # items of a list in a state tree
_COLORS = {"ok": "green", "no_answer": "yellow", "paused": "cyan", "failed": "red", "stopped": "red"}


async def show_run(
    store: Store, run_id: str, *, step: int | None = None, calls: bool = False, as_json: bool = False, console: Console | None = None
) -> None:
    """Print a run: what it came to, and step by step what it did and why it went on as it did. No model is called.

    Args:
        store: Where it is.
        run_id: Its id, or the beginning of it.
        step: Print the whole state after this step instead.
        calls: Also print the prompts and replies of every call.
        as_json: Print one JSON object instead: that of `symposia.records.run_record`, prompts and replies only with `calls`; or, with
            `step`, `{run_id, step, state}`.
        console: Where to, by default stdout.

    Raises:
        UnknownName: There is no such run.
        BadInput: It has no such step, or its states cannot be trusted.
    """
    seen = await look(store, run_id)
    page = console or page_of(sys.stdout)
    if step is not None:
        state = _trusted_state(seen, step)
        if as_json:
            emit({"run_id": seen.record["run_id"], "step": step, "state": state})
        else:
            page.print(_state_tree(seen.record["run_id"], step, state))
        return
    record = await to_json(seen, texts=calls or not as_json)
    if as_json:
        emit(record)
        return
    page.print(_header(record))
    if seen.first_divergence or seen.cannot_replay:
        page.print(_banner(record))
    page.print(_path(record))
    if calls:
        for each in record["steps"]:
            _print_calls(page, each)


def _trusted_state(seen: Look, step: int) -> dict[str, Any]:
    """The state after a step, or an error that says why it is not known."""
    if seen.trusted:
        return state_at(seen, step)
    first = seen.first_divergence or seen.cannot_replay or {}
    where = f"differs from the record at step {first.get('step')}" if seen.first_divergence else f"is not possible: {first.get('message')}"
    raise BadInput(
        f"the states of run {seen.record['run_id']} are not known: its replay {where}",
        remedy=f"`symposia show {seen.record['run_id']} --calls` shows what the journal holds",
    )


# -- the head of a run --------------------------------------------------------------------------------------------------------------------


def _header(record: Record) -> Table:
    """What a run is and what it came to."""
    run = record["run"]
    facts = Table.grid(padding=(0, 2))
    for name, parts in _facts(record, run):
        facts.add_row(Text(name, style="dim"), _line(*parts))
    return facts


def _facts(record: Record, run: Record) -> Iterator[tuple[str, list[Part]]]:
    yield "run", [(run["run_id"], "bold"), f"  {run['method']}  ", (run["status"], _COLORS.get(run["status"], ""))]
    if record["toys"]:
        yield "", [(_toy_note(record["toys"]), "yellow")]
    yield from _question(run["input"])
    yield from _outcome(record, run)
    yield "calls", [_ledger(run)]
    if given := _changed_params(record):
        yield "params", [given]
    if run["parent"]:
        edited = "edited" if run["parent"]["shifted"] else "unchanged"
        yield "fork of", [f"{run['parent']['run']} after step {run['parent']['at']}, its state {edited}"]


def _toy_note(toys: Sequence[str]) -> str:
    return f"toy models ({', '.join(toys)}): rule-based, no language models"


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
        yield "answer", [(_answer(run["answer"]), "bold"), *_verdict(record), _reason(run)]
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


def _answer(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else shorten(str(value), 300)


def _verdict(record: Record) -> list[Part]:
    """The answer against the reference."""
    if record["correct"] is None:
        return []
    if holds_tests(record["run"]["reference"]):
        return [("right", "green"), ": it passes the tests  "] if record["correct"] else [("wrong", "red"), ": it fails a test  "]
    reference = _answer(record["run"]["reference"])
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


def _banner(record: Record) -> Panel:
    """What does not agree between record and replay, and what can still be read."""
    run, first = record["run"], record["first_divergence"]
    if first is None:
        error = record["cannot_replay"]
        return Panel(
            _line((f"cannot be replayed: {error['message']}", "bold red"), "\nBelow is what the journal holds."), border_style="red"
        )
    parts: list[Part] = [(f"The replay differs from the record at step {first['step']}, node {first['node']}.", "bold red"), "\n"]
    for name, side in (("recorded", first["expected"]), ("replayed", first["got"])):
        parts.append(f"{name}: {_side(side)}\n")
    now = version("symposia")
    parts.append(f"Recorded with version {run['version']}, this is {now}. " if run["version"] != now else "The code has changed since. ")
    parts.append("Its states are left out; below is what the journal holds.")
    return Panel(_line(*parts), title="replay not identical", border_style="red")


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


# -- the path -----------------------------------------------------------------------------------------------------------------------------


def _path(record: Record) -> Table:
    """A block per step: number, nodes, calls, what it wrote, and why it went on as it did."""
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("step", "node", "calls"):
        table.add_column(Text(name, style="dim"), no_wrap=name != "calls", justify="right" if name == "step" else "left")
    table.add_column(Text("wrote, and why it went on as it did", style="dim"), ratio=1)
    for number_, lap in enumerate(laps(record["steps"])):
        if number_:
            table.add_row("", Text(f"round {number_}", style="dim"), "", "")
        for step in lap:
            table.add_row(Text(str(step["step"])), Text(safe(_nodes(step)), style="bold"), Text(safe(_made(step["calls"]))), _said(step))
    return table


def _nodes(step: Record) -> str:
    """`solve`, `vote x5` for five tasks of one node, `edited` for a change made by hand."""
    if step["source"] == "update":
        return "(edited)"
    return _times(step["ran"])


def _made(calls: Sequence[Record]) -> str:
    """`solver 8`, and what was copied from a parent, tried again or failed."""
    roles = Counter({role: 0 for role in dict.fromkeys(c["role"] for c in calls)})
    for call in calls:
        roles[call["role"]] += call["calls"]
    parts = [f"{role} {n}" for role, n in roles.items() if n]
    kinds = Counter(c["kind"] for c in calls if not c["calls"] and not c["error"])
    parts += [f"{kind} {n}" for kind, n in kinds.items()]
    counts = {
        "copied": sum(c["copied"] for c in calls),
        "tried again": sum(bool(c["attempts"]) for c in calls),
        "failed": sum(bool(c["error"]) for c in calls),
    }
    more = ", ".join(f"{'all' if n == len(calls) else n} {what}" for what, n in counts.items() if n)
    return ", ".join(parts) + (f" ({more})" if more else "")


def _said(step: Record) -> Text:
    """The lines of a step."""
    lines = [_line((f"{key}  ", "dim"), wrote["gist"]) for key, wrote in step["wrote"].items() if key not in QUIET]
    lines += [_line(("-> ", "cyan"), (_goto(why), "cyan"), _read(why)) for why in step["why"]]
    if not lines and step["source"] == "loop" and not step["wrote"]:
        lines.append(_line(("nothing new", "dim")))
    if step["source"] == "open":
        lines.append(_line(("this step did not end", "yellow")))
    return Text("\n").join(lines)


def went(why: Record) -> str:
    """Where a router went and what it had read: `refine: read is_hard=True, round=0`."""
    return f"{_goto(why)}{_read(why)}"


def _goto(why: Record) -> str:
    return _times(why["goto"]) or "?"


def _times(names: Iterable[str]) -> str:
    return ", ".join(name + (f" x{n}" if n > 1 else "") for name, n in Counter(names).items())


def _read(why: Record) -> str:
    """`: read is_hard=True, round=0`."""
    if why.get("error"):
        return f": the router wants more than the state ({why['error']})"
    short = Counter(_last(path) for path in why["read"])
    read = [f"{_last(path) if short[_last(path)] == 1 else path}={brief(value)}" for path, value in why["read"].items()]
    return f": read {', '.join(read)}" if read else ""


def _last(path: str) -> str:
    return path.rpartition(".")[2]


# -- calls --------------------------------------------------------------------------------------------------------------------------------


def _print_calls(page: Console, step: Record) -> None:
    """The calls of a step with prompts and replies; a prompt that an earlier call of the step had is named, not repeated."""
    if not step["calls"]:
        return
    page.print(_line((f"\nstep {step['step']}  {_nodes(step)}", "bold")))
    met: dict[str, str] = {}
    for call in step["calls"]:
        page.print(_line((call["place"], "cyan"), f"  {_call_facts(call)}"))
        asked = json.dumps(call["request"], sort_keys=True, default=str)
        if asked in met:
            page.print(Padding(_line((f"asked the same as {met[asked]}", "dim")), (0, 0, 0, 2)))
        else:
            met[asked] = call["place"]
            for name, text in _prompt(call["request"]):
                page.print(_block(name, text, "dim"))
        for name, text in _replies(call):
            page.print(_block(name, text, "green" if name == "reply" else "red"))


def _call_facts(call: Record) -> str:
    """Role, model, tokens, time, seed, retries, and whether it was made here."""
    facts = [
        call["role"] or call["kind"],
        call["model"],
        f"{call['prompt_tokens']} + {call['completion_tokens']} tokens" if call["calls"] else "",
    ]
    facts += [f"{number(round(call['ms'], 1))} ms", f"seed {call['seed']}" if call["seed"] is not None else ""]
    facts.append("copied from the parent" if call["copied"] else "live")
    if call["requests"] > 1:
        facts.append(f"{call['requests']} requests")
    facts += [f"{a['error']}, waited {number(a['waited'])} s" for a in call["attempts"]]
    return " · ".join(f for f in facts if f)


def _prompt(request: Record) -> Iterator[tuple[str, str]]:
    """The messages of a request, or the request itself; then its options."""
    if "messages" not in request:
        yield "asked", json.dumps(request, ensure_ascii=False, default=str)
        return
    for message in request["messages"]:
        content = message["content"]
        yield str(message["role"]), content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    options = {k: v for k, v in request.items() if k not in ("model", "messages")}
    if options:
        yield "options", ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in options.items())


def _replies(call: Record) -> Iterator[tuple[str, str]]:
    """What came back: texts, a value of another kind, or the error."""
    outcome = call["outcome"]
    if "error" in outcome:
        yield "failed", f"{outcome['error']['name']}: {outcome['error']['message']}"
        return
    value = outcome["value"]
    if not isinstance(value, Mapping) or "choices" not in value:
        yield "reply", json.dumps(value, ensure_ascii=False)
        return
    for choice in value["choices"]:
        if choice["refusal"]:
            yield "refused", choice["refusal"]
        yield "reply" if choice["finish"] == "stop" else f"reply ({choice['finish']})", choice["text"]


def _block(name: str, text: str, style: str) -> Padding:
    """A text with its name beside it."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(min_width=7)
    grid.add_column(ratio=1)
    grid.add_row(Text(safe(name), style=style), Text(safe(text)))
    return Padding(grid, (0, 0, 0, 2))


# -- a state ------------------------------------------------------------------------------------------------------------------------------


def _state_tree(run_id: str, step: int, state: Record) -> Tree:
    """A state as a tree; long texts are folded with their length, long lists with their count."""
    tree = Tree(_line((f"run {run_id}, state after step {step}", "bold")))
    for key in sorted(state, key=lambda k: k in QUIET):
        _grow(tree, key, state[key])
    return tree


def _grow(tree: Tree, name: str, value: Any) -> None:
    if not isinstance(value, Mapping | list) or _fits(value):
        tree.add(_line((name, "cyan"), "  ", _leaf(value)))
        return
    branch = tree.add(_line((name, "cyan"), (f"  {{{len(value)}}}" if isinstance(value, Mapping) else f"  [{len(value)}]", "dim")))
    items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
    for key, item in items[:_ITEMS]:
        _grow(branch, str(key), item)
    if len(items) > _ITEMS:
        branch.add(_line((f"{len(items) - _ITEMS} more of {len(items)}; `--json` has them all", "dim")))


def _fits(value: Any) -> bool:
    """Whether a container reads best on one line: short, with no other inside."""
    items = list(value.values() if isinstance(value, Mapping) else value)
    return not any(isinstance(v, Mapping | list) for v in items) and len(json.dumps(value, default=str)) <= _ONE_LINE


def _leaf(value: Any) -> str:
    if isinstance(value, str) and len(value) > _FOLD:
        return f"{value[:_FOLD]}... ({len(value)} characters)"
    return value if isinstance(value, str) and "\n" in value else json.dumps(value, ensure_ascii=False, default=str)


# -- two runs -----------------------------------------------------------------------------------------------------------------------------


async def diff_runs(store: Store, a: str, b: str, *, as_json: bool = False, console: Console | None = None) -> bool:
    """Compare two runs, call by call at the same place, steps counted without the edits of a state.

    Args:
        store: Where they are.
        a: Id of the one.
        b: Id of the other.
        as_json: Print one JSON object: that of `symposia.compare.difference`.
        console: Where to print, by default stdout.

    Returns:
        Whether they are the same: method, input, parameters, every call, its reply, and the answer.

    Raises:
        UnknownName: There is no such run.
    """
    found = await difference(store, a, b)
    if as_json:
        emit(found)
    else:
        _print_difference(console or page_of(sys.stdout), found)
    return bool(found["same"])


def _print_difference(page: Console, found: Record) -> None:
    a, b = found["runs"]
    if found["same"]:
        page.print(_line((f"{a['run_id']} and {b['run_id']} are the same", "green"), f": {len(found['calls']['same'])} calls alike"))
        return
    if found["toys"]:
        page.print(_line((_toy_note(found["toys"]), "yellow")))
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("", a["run_id"], b["run_id"]):
        table.add_column(Text(safe(name), style="bold"), ratio=1 if name else None)
    rows: Iterable[tuple[str, Any, Any]] = [
        ("status", a["status"], b["status"]),
        ("answer", a["answer"], b["answer"]),
        ("stopped", a["stop_reason"], b["stop_reason"]),
        ("edited", ", ".join(a["edits"]) or None, ", ".join(b["edits"]) or None),
        *((k, *v) for k, v in {**found["input"], **found["params"]}.items()),
    ]
    for name, one, two in (row for row in rows if row[1] is not None or row[2] is not None):
        table.add_row(
            Text(safe(name), style="dim"),
            *(Text(safe("-" if v is None else _answer(v)), style="" if one == two else "bold") for v in (one, two)),
        )
    page.print(table)
    if not found["states_known"]:
        page.print(_line(("a replay differs from its record, so what the steps wrote is not compared", "red")))
    if first := found["first_step"]:
        nodes = " / ".join(", ".join(ran) if ran else "ended" for ran in first["nodes"])
        wrote = f", which wrote other {', '.join(first['keys'])}" if first["keys"] else ""
        page.print(_line(("\nfirst difference  ", "dim"), (f"step {first['step']}, {nodes}{wrote}", "bold")))
    page.print(_line("") if found["first_step"] else _line("\nevery step wrote the same"))
    for kind, text in (
        ("same", "the same"),
        ("other_reply", "asked the same, answered otherwise"),
        ("changed", "asked something else"),
        ("only_a", f"only in {a['run_id']}"),
        ("only_b", f"only in {b['run_id']}"),
    ):
        places = found["calls"][kind]
        if places:
            page.print(
                _line(
                    (f"{len(places):5} call{'s' if len(places) > 1 else ''} ", "bold"),
                    text,
                    (f"  {_some(places)}" if kind != "same" else "", "dim"),
                )
            )


def _some(places: Sequence[str]) -> str:
    more = f", and {len(places) - 4} more" if len(places) > 4 else ""
    return ", ".join(places[:4]) + more


# -- printing -----------------------------------------------------------------------------------------------------------------------------


def _line(*parts: Part) -> Text:
    """Pieces of text with their styles, control characters spelled out."""
    return Text.assemble(*(Text(safe(p)) if isinstance(p, str) else Text(safe(p[0]), style=p[1]) for p in parts))


def page_of(file: IO[str]) -> Console:
    """A console that reads nothing as markup; where there is no terminal to ask for its width, the page is wide."""
    width = None if file.isatty() or os.environ.get("COLUMNS") else _PIPE_WIDTH
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False)


def print_path(page: Console, record: Record) -> None:
    """The picture of a run's path, and the steps that settled an answer or where to go."""
    page.print(_line(path_picture(record)))
    page.print()
    page.print(_path({"steps": [step for step in record["steps"] if step["why"] or "answer" in step["wrote"]]}))
