"""The path of a run: a block per step, with what it wrote and why it went on as it did."""

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from symposia.draw import laps, path_picture
from symposia.output import safe
from symposia.records import QUIET
from symposia.shapes import brief
from symposia.show.page import Record, line


def path_table(record: Record) -> Table:
    """A block per step: number, nodes, calls, what it wrote, and why it went on as it did."""
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("step", "node", "calls"):
        table.add_column(Text(name, style="dim"), no_wrap=name != "calls", justify="right" if name == "step" else "left")
    table.add_column(Text("wrote, and why it went on as it did", style="dim"), ratio=1)
    for number_, lap in enumerate(laps(record["steps"])):
        if number_:
            table.add_row("", Text(f"round {number_}", style="dim"), "", "")
        for step in lap:
            table.add_row(
                Text(str(step["step"])), Text(safe(nodes_text(step)), style="bold"), Text(safe(_made(step["calls"]))), _said(step)
            )
    return table


def nodes_text(step: Record) -> str:
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
    lines = [line((f"{key}  ", "dim"), wrote["gist"]) for key, wrote in step["wrote"].items() if key not in QUIET]
    lines += [line(("-> ", "cyan"), (_goto(why), "cyan"), _read(why)) for why in step["why"]]
    if not lines and step["source"] == "loop" and not step["wrote"]:
        lines.append(line(("nothing new", "dim")))
    if step["source"] == "open":
        lines.append(line(("this step did not end", "yellow")))
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


def print_path(page: Console, record: Record) -> None:
    """The picture of a run's path, and the steps that settled an answer or where to go."""
    page.print(line(path_picture(record)))
    page.print()
    page.print(path_table({"steps": [step for step in record["steps"] if step["why"] or "answer" in step["wrote"]]}))
