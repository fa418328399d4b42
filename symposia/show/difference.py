"""Two runs, compared."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from symposia.compare import difference
from symposia.output import emit, safe
from symposia.show.page import Record, answer_text, line, page_of, toys_said
from symposia.state.store import Store


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
        page.print(line((f"{a['run_id']} and {b['run_id']} are the same", "green"), f": {len(found['calls']['same'])} calls alike"))
        return
    if found["toys"]:
        page.print(line((toys_said(found["toys"]), "yellow")))
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
            *(Text(safe("-" if v is None else answer_text(v)), style="" if one == two else "bold") for v in (one, two)),
        )
    page.print(table)
    if not found["states_known"]:
        page.print(line(("a replay differs from its record, so what the steps wrote is not compared", "red")))
    if first := found["first_step"]:
        nodes = " / ".join(", ".join(ran) if ran else "ended" for ran in first["nodes"])
        wrote = f", which wrote other {', '.join(first['keys'])}" if first["keys"] else ""
        page.print(line(("\nfirst difference  ", "dim"), (f"step {first['step']}, {nodes}{wrote}", "bold")))
    page.print(line("") if found["first_step"] else line("\nevery step wrote the same"))
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
                line(
                    (f"{len(places):5} call{'s' if len(places) > 1 else ''} ", "bold"),
                    text,
                    (f"  {_some(places)}" if kind != "same" else "", "dim"),
                )
            )


def _some(places: Sequence[str]) -> str:
    more = f", and {len(places) - 4} more" if len(places) > 4 else ""
    return ", ".join(places[:4]) + more
