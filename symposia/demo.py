"""MAgICoRe and its baselines on the bundled problems with the toy models: no key, no network, under a minute.

It shows the machinery, not the methods: a toy is a small rule-based player, and its figures say nothing about language models.
"""

import asyncio
import gc
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from symposia.config import load_config
from symposia.inputs import row_input
from symposia.new_runs import new_record
from symposia.output import emit, safe
from symposia.records import run_record
from symposia.registry import load, names
from symposia.result import Result
from symposia.runs import start
from symposia.shapes import number
from symposia.show.page import page_of
from symposia.show.path import print_path
from symposia.state.errors import BadInput, shorten
from symposia.state.store import Store, open_store
from symposia.tools.equality import aclose, same
from symposia.tools.providers import litellm

METHODS = ("chain_of_thought", "self_consistency", "best_of_n", "weighted_best_of_n", "self_refine", "magicore")
MODEL = "toy/default"
K = 8
ROUNDS = 2
SCORERS = ("outcome", "process")
NOTE = "Toy models: small rule-based players, no language models. These figures show that the loops work; of real models they say nothing."
_IN_FLIGHT = 16  # runs
_Z = 1.959964  # of a 95 % interval


@dataclass
class Tally:
    """What a method came to over all problems."""

    method: str
    rows: int = 0
    right: int = 0
    failed: int = 0
    asked: int = 0
    scored: int = 0
    tokens: int = 0
    seconds: float = 0.0
    results: list[tuple[Result, bool]] = field(default_factory=list)

    def add(self, result: Result, right: bool) -> None:
        """Count a run."""
        roles = result.calls["by_role"]
        self.rows += 1
        self.right += right
        self.failed += result.status == "failed"
        self.scored += sum(roles.get(role, 0) for role in SCORERS)
        self.asked += sum(count for role, count in roles.items() if role not in SCORERS)
        self.tokens += sum(result.usage.values())
        self.results.append((result, right))

    def to_json(self) -> dict[str, Any]:
        """A row of the table; calls and tokens are means per problem, seconds are of all problems together."""
        low, high = wilson(self.right, self.rows)
        return {
            "method": self.method,
            "problems": self.rows,
            "right": self.right,
            "failed": self.failed,
            "accuracy": self.right / self.rows,
            "interval": [low, high],
            "calls": self.asked / self.rows,
            "scorings": self.scored / self.rows,
            "tokens": self.tokens / self.rows,
            "seconds": round(self.seconds, 2),
        }


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score method (Wilson, JASA 22, 1927), which holds for small counts too."""
    share, z2 = right / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def problems(limit: int | None = None) -> list[dict[str, Any]]:
    """The bundled problems; with a limit, that many of them, from easy to hard.

    Raises:
        BadInput: The limit is below 1.
    """
    lines = files("symposia.items").joinpath("arithmetic.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines if line.strip()]
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise BadInput(f"--limit is {limit}", remedy=f"give a number from 1 to {len(rows)}")
    return [rows[i * len(rows) // limit] for i in range(limit)]


def run_demo(limit: int | None = None, seed: int = 0, store: str | None = None, as_json: bool = False) -> int:
    """Run every method over the problems, print the table, and the path of one hard problem.

    Args:
        limit: Only so many problems, spread over the set.
        seed: Of the toys; the same seed gives the same table.
        store: Address of the store that keeps the runs; by default the configured one.
        as_json: Print one JSON object instead.

    Returns:
        The exit code, 0.

    Raises:
        BadInput: The limit is below 1.
        StoreError: The store cannot be opened.
    """
    rows = problems(limit)
    with _quiet_collector():
        report = asyncio.run(_demo(rows, seed, store or load_config().store, as_json))
    if as_json:
        emit(report)
    return 0


async def _demo(rows: Sequence[Mapping[str, Any]], seed: int, address: str, as_json: bool) -> dict[str, Any]:
    page, err = page_of(sys.stdout), page_of(sys.stderr)
    methods = [name for name in METHODS if name in names()]
    if not as_json:
        what = f"{len(rows)} arithmetic word problems, {len(methods)} methods, {MODEL}, seed {seed}"
        page.print(Text(f"{what}; k = {K} samples, {ROUNDS} rounds of refinement at most", style="bold"))
        page.print(Text(NOTE, style="yellow"))
    try:
        async with open_store(address) as opened:
            litellm()  # its import takes seconds, which are not the first method's
            tallies = []
            with _progress(err, len(rows) * len(methods)) as advance:
                for name in methods:
                    tallies.append(await _run_method(opened, name, rows, seed, lambda name=name: advance(name)))  # type: ignore[misc]
            told = await _telling(opened, tallies[-1]) if methods[-1] == "magicore" else None
            if not as_json:
                _print(page, tallies, told, address)
    finally:
        await aclose()
    shown = told and {"run_id": told["run"]["run_id"], "question": told["run"]["input"]["question"], "answer": told["run"]["answer"]}
    table = [tally.to_json() for tally in tallies]
    return {"note": NOTE, "model": MODEL, "k": K, "max_rounds": ROUNDS, "seed": seed, "store": address, "methods": table, "example": shown}


async def _run_method(store: Store, name: str, rows: Sequence[Mapping[str, Any]], seed: int, done: Callable[[], None]) -> Tally:
    """All problems with one method, several at a time; the tally is in the order of the problems."""
    loaded = load(name)
    wanted = {"model": MODEL, "seed": seed, "k": K, "max_rounds": ROUNDS}
    given = {key: value for key, value in wanted.items() if key in loaded.params.model_fields}
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def one(row: Mapping[str, Any]) -> tuple[Result, bool]:
        async with slots:
            inputs, reference = row_input(loaded, row)
            record = new_record(name, given, inputs, reference=reference, row=row["id"], checkpoints="none")
            result = await start(store, record)
            right = result.answer is not None and await same(reference, result.answer)
            done()
            return result, right

    tally = Tally(name)
    begun = time.monotonic()
    for result, right in await asyncio.gather(*map(one, rows)):
        tally.add(result, right)
    tally.seconds = time.monotonic() - begun
    return tally


async def _telling(store: Store, tally: Tally) -> dict[str, Any] | None:
    """The most telling run: one that refining turned from wrong to right, else one that was refined, else the first."""
    refined = [(result, right) for result, right in tally.results if result.calls["by_role"].get("refiner")]
    for result, right in refined:
        if right:
            record = await run_record(store, result.run_id, texts=False)
            if not await same(record["run"]["reference"], first_lead(record)):
                return record
    chosen = [*refined, *tally.results][0][0]
    return await run_record(store, chosen.run_id, texts=False)


def first_lead(record: Mapping[str, Any]) -> Any:
    """The answer that led first; "" when none did."""
    leads = [step["wrote"]["answer"]["value"] for step in record["steps"] if "answer" in step["wrote"]]
    return next((lead for lead in leads if lead is not None), "")


# -- printing -----------------------------------------------------------------------------------------------------------------------------


def _print(page: Console, tallies: Sequence[Tally], told: Mapping[str, Any] | None, address: str) -> None:
    page.print()
    page.print(_table(tallies))
    page.print(Text("calls, scorings and tokens are means per problem; scorings are the calls of the reward roles", style="dim"))
    if told is None:
        return
    run = told["run"]
    lead, end = first_lead(told), run["answer"]
    page.print()
    page.print(Text("One problem's path through MAgICoRe's loop", style="bold"))
    page.print(Text(f"  {safe(shorten(str(run['input']['question']), 400))}"))
    page.print()
    print_path(page, told)
    verdict = "right" if told["correct"] else "wrong"
    page.print()
    page.print(Text(safe(f"At first {_plain(lead)} led; it ended with {_plain(end)}, which is {verdict} ({_plain(run['reference'])}).")))
    page.print(Text(safe(f"Every step, prompt and reply of it: symposia show {run['run_id']} --calls{_at(address)}")))


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "no answer"
    return number(value) if isinstance(value, int | float) else shorten(str(value), 80)


def _at(address: str) -> str:
    """The option that names the store, where it is not the one that a command finds by itself."""
    return "" if address == load_config().store else f" --store {address}"


def _table(tallies: Sequence[Tally]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column(Text("method", style="dim"))
    for name in ("accuracy", "95 % interval", "calls", "scorings", "tokens", "seconds"):
        table.add_column(Text(name, style="dim"), justify="right")
    for tally in tallies:
        row = tally.to_json()
        low, high = row["interval"]
        numbers = (f"{row['accuracy']:.1%}", f"{low:.1%} to {high:.1%}", f"{row['calls']:.1f}", f"{row['scorings']:.1f}")
        failed = f" ({tally.failed} failed)" if tally.failed else ""
        title = Text(safe(load(tally.method).method.title + failed))
        table.add_row(title, *map(Text, (*numbers, f"{row['tokens']:,.0f}", f"{row['seconds']:.1f}")))
    return table


@contextmanager
def _progress(err: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal; elsewhere a line for each method as it begins."""
    if not err.is_terminal:
        met: set[str] = set()

        def tell(name: str) -> None:
            if name not in met:
                met.add(name)
                err.print(Text(f"running {name}"))

        yield tell
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, advance=1, description=name)


@contextmanager
def _quiet_collector() -> Iterator[None]:
    """Let the garbage collector look at what is new only, and seldom: many small graphs at once spend a third of their time in it."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
