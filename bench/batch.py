"""What a batch takes beyond the model: wall time and client CPU, side by side against the same server, forms in alternation.

    python bench/batch.py [--shape self-consistency debate magicore] [--rounds 5] [--rows N] [--forms ...] [--peers DIR] [--json]
    python bench/batch.py --shape magicore --rows 50 --profile "symposia warm"

Shapes (rows, what a row calls, requests in flight, seconds of the server):

- `self-consistency`: 100 rows, 5 samples, 64 in flight, 0.1 s
- `debate`: the depth of a debate as a chain of rounds, Self-Refine without approval: 100 rows, 8 calls one after the other, 64, 0.1 s
- `magicore`: 1,000 rows, 88 calls (k = 8, two rounds, every problem hard, scores by the model) in 8 steps, 256, 1 s

Forms: `aiohttp` and `litellm` bare (no graph, no journal; the calls of a run of ours, step by step), `symposia local`, `symposia processes`
(the command line as it is, start-up included), `symposia warm` (the local engine in a process that has done a row), and for
self-consistency the peers, each in an environment of its own under `--peers`; one that does not install is reported as such.

The table holds medians over the rounds. `work` is the time from the first row's start to the last row's end, after imports and a first row,
and for our command line what its summary gives as `seconds`; `wall` adds the imports, for our command line the whole process. `ideal` is
arithmetic: the steps of a row one after the other, or all calls at so many in flight, whichever takes longer. CPU is user and system of the
client and its children, without start-up: after a first row, or for our command line by the difference to a batch of half the rows (as
many as calls in flight at most) run just before. The server's count of requests must be what is due.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from batch_forms import BARE, ENGINES, PEERS, WARM, FormFailed, Measured, batch, environment, script
from batch_profile import by_package
from server import spawned

from symposia import runs
from symposia.state.packing import text_of
from symposia.state.store import open_store
from symposia.tools.settings import configure

MODEL = "test-model"
QUESTION = "Problem {row:05}. A baker fills 4 trays with 6 rolls each and sells 9 rolls. How many rolls are left?"
FILLER = " The bakery opens at six, the trays are washed at noon, and the oven needs half an hour to become hot."
DSPY_REPLY = ("[[ ## completed ## ]]", f"Reply {{number}} ({{id}}).{FILLER * 8}\n[[ ## answer ## ]]\n{{answer}}\n[[ ## completed ## ]]")
RULES = [["SCORES:", "SCORES: 0.5"], ["SCORE:", "SCORE: 0.4"], ["VERDICT:", "Step 2 is wrong.\nVERDICT: incorrect"], DSPY_REPLY]
COLUMNS = ("form", "work s", "/ ideal", "wall s", "/ ideal", "CPU ms/call", "requests", "answered")


@dataclass(frozen=True)
class Shape:
    """A method with parameters, and the load."""

    method: str
    given: dict[str, Any]
    rows: int
    in_flight: int
    delay_s: float
    peers: tuple[str, ...] = ()
    levels: list[list[list[dict[str, Any]]]] = field(default_factory=list)
    """The messages of a row's calls, by step of the graph."""

    @property
    def calls(self) -> int:
        """Calls of all rows."""
        return self.rows * sum(map(len, self.levels))

    @property
    def ideal_s(self) -> float:
        """Seconds that no client can beat."""
        return max(len(self.levels), math.ceil(self.calls / self.in_flight)) * self.delay_s


HARD = {"k": 8, "max_rounds": 2, "calib_mean": 2.0, "confidence_threshold": 1.0}
SHAPES = {
    "self-consistency": Shape("self_consistency", {"k": 5}, 100, 64, 0.1, tuple(PEERS)),
    "debate": Shape("self_refine", {"max_rounds": 3}, 100, 64, 0.1),
    "magicore": Shape("magicore", {**HARD, "max_reasks": 0}, 1000, 256, 1.0),
}


def question(row: int, chars: int) -> str:
    """The question of a row, of so many characters."""
    begin, end = QUESTION.format(row=row).split(" How ")
    filler = FILLER * (chars // len(FILLER) + 1)
    return f"{begin}{filler[: max(0, chars - len(begin) - len(end) - 6)]}. How {end}"


async def sent(shape: Shape, asked: str) -> list[list[list[dict[str, Any]]]]:
    """What one run of the method sends, step by step, from its journal."""
    with spawned(rules=RULES) as server, tempfile.TemporaryDirectory() as folder:
        configure(api_base=server.url, concurrency=shape.in_flight)
        async with open_store(f"{folder}/store.db") as store:
            record = runs.new_record(shape.method, {"model": MODEL, **shape.given}, {"question": asked}, checkpoints="none")
            result = await runs.start(store, record)
            if result.error:
                raise SystemExit(f"the run whose calls the bare forms make ended {result.status}: {result.error}")
            entries = [entry for entry in await store.entries(result.run_id) if entry.kind == "llm"]
    step_of = {id(entry): int(entry.place.split(".")[0]) for entry in entries}
    entries.sort(key=lambda entry: step_of[id(entry)])
    plain = [(step_of[id(e)], [{**m, "content": text_of(m["content"])} for m in e.request["messages"]]) for e in entries]
    return [[messages for _, messages in group] for _, group in groupby(plain, key=lambda pair: pair[0])]


def server_count(root: str, empty: bool = False) -> int:
    """Requests the server received; `empty` begins its books anew."""
    request = urllib.request.Request(f"{root}/_reset" if empty else f"{root}/_count", b"{}" if empty else None)  # noqa: S310
    with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310 - the address is our own server's
        return int(json.load(reply)["received"])


class Bench:
    """One shape: its server, its job, and the forms to measure."""

    def __init__(self, shape: Shape, url: str, chars: int, peers: Path) -> None:
        """Write the job."""
        self.shape, self.root, self.peers = shape, url.removesuffix("/v1"), peers
        template = shape.levels[0][0][-1]["content"]
        self.questions = [question(row, chars) for row in range(shape.rows)]
        self.job = {
            **{"url": url, "root": self.root, "model": MODEL, "method": shape.method, "given": shape.given, "k": shape.given.get("k", 1)},
            **{"in_flight": shape.in_flight, "levels": shape.levels, "rows": shape.rows, "questions": self.questions, "profile": None},
            "prompts": [template.replace(self.questions[0], asked) for asked in self.questions],
        }
        self.versions: dict[str, str] = {}

    def prepared(self, name: str) -> Callable[[], Measured]:
        """A form, installed and ready to be measured again and again.

        Raises:
            FormFailed: It does not install.
        """
        if name in ENGINES:
            return partial(batch, ENGINES[name], self.job, self.questions)
        if name in PEERS:
            python, self.versions[name] = environment(self.peers, name)
            return partial(script, python, PEERS[name][0], self.job)
        return partial(script, sys.executable, BARE.get(name, "symposia_warm.py"), self.job)

    def once(self, name: str, form: Callable[[], Measured]) -> dict[str, Any]:
        """Measure a form once."""
        begun, rows = 0.0, self.shape.rows
        if name in ENGINES:  # a few rows would leave some workers without work, and their start-up out
            few = min(rows // 2, self.shape.in_flight)
            begun, rows = batch(ENGINES[name], self.job, self.questions[:few]).cpu_s, rows - few
        server_count(self.root, empty=True)
        measured = form()
        calls = rows * self.shape.calls / self.shape.rows
        return {**asdict(measured), "cpu_ms": (measured.cpu_s - begun) * 1000 / calls, "received": server_count(self.root)}


def measure(bench: Bench, names: list[str], rounds: int) -> dict[str, Any]:
    """All forms in turn, so many times; what failed is left out of the rounds to come."""
    found: dict[str, list[dict[str, Any]]] = {}
    failed: dict[str, str] = {}
    forms: dict[str, Callable[[], Measured]] = {}
    for name in names:
        try:
            forms[name] = bench.prepared(name)
        except FormFailed as error:
            failed[name] = str(error)
    for number in range(rounds):
        for name, form in [(n, f) for n, f in forms.items() if n not in failed]:
            start = time.perf_counter()
            try:
                found.setdefault(name, []).append(bench.once(name, form))
            except FormFailed as error:
                failed[name] = str(error)
            print(f"round {number + 1} of {rounds}, {name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    shape = bench.shape
    return {
        **{"rows": shape.rows, "calls": shape.calls, "steps": len(shape.levels), "in_flight": shape.in_flight, "delay_s": shape.delay_s},
        **{"ideal_s": shape.ideal_s, "chars": _chars(shape), "rounds": rounds, "versions": bench.versions, "failed": failed},
        "forms": {name: _summary(shape, results) for name, results in found.items() if name not in failed},
    }


def _chars(shape: Shape) -> int:
    """Mean characters of a prompt."""
    return round(statistics.mean(sum(len(m["content"]) for m in messages) for level in shape.levels for messages in level))


def _summary(shape: Shape, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, the extremes of the wall time, and the counts."""
    median = {name: statistics.median(r[name] for r in results) for name in ("work_s", "wall_s", "cpu_ms")}
    walls = [r["wall_s"] for r in results]
    return {
        **{name: round(value, 3) for name, value in median.items()},
        "work_to_ideal": round(median["work_s"] / shape.ideal_s, 2),
        "wall_to_ideal": round(median["wall_s"] / shape.ideal_s, 2),
        "wall_range_s": [round(min(walls), 3), round(max(walls), 3)],
        "received": sorted({r["received"] for r in results}),
        "answered": sorted({r["answered"] for r in results}),
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print the table of a shape."""
    print(
        f"\n{name}: {found['rows']} rows, {found['calls']} calls in {found['steps']} steps a row, {found['in_flight']} in flight,", end=" "
    )
    print(f"{found['delay_s']} s a call, prompts of {found['chars']} characters, median of {found['rounds']}")
    lines = [COLUMNS, ("ideal", f"{found['ideal_s']:.2f}", "1.00", "", "", "", str(found["calls"]), str(found["rows"]))]
    for form, r in found["forms"].items():
        times = (f"{r['work_s']:.2f}", f"{r['work_to_ideal']:.2f}", f"{r['wall_s']:.2f}", f"{r['wall_to_ideal']:.2f}", f"{r['cpu_ms']:.2f}")
        counts = ("/".join(map(str, r["received"])), "/".join(map(str, r["answered"])))
        lines.append((" ".join([form, found["versions"].get(form, "")]).strip(), *times, *counts))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]))
    for form, reason in found["failed"].items():
        print(f"{form}: {reason}")


def main() -> None:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["self-consistency", "debate"])
    parser.add_argument("--forms", nargs="+", choices=[*BARE, *ENGINES, WARM, *PEERS], default=[*BARE, *ENGINES, WARM])
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments; with it all peers are measured too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="in place of the shape's")
    parser.add_argument("--chars", type=int, default=1200, help="characters of a question")
    parser.add_argument("--profile", choices=[*BARE, WARM], help="run one form once under a sampling profiler")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for name in options.shape:
        plain = SHAPES[name]
        levels = asyncio.run(sent(plain, question(0, options.chars)))
        shape = Shape(**{**vars(plain), "rows": options.rows or plain.rows, "levels": levels})
        with spawned(delay_s=shape.delay_s, rules=RULES) as server:
            bench = Bench(shape, server.url, options.chars, options.peers or Path())
            if options.profile:
                found[name] = by_package(options.profile, bench.job, shape.calls)
                continue
            names = [form for form in options.forms if form not in PEERS or form in shape.peers]
            found[name] = measure(bench, list(dict.fromkeys([*names, *(shape.peers if options.peers else ())])), options.rounds)
        if not options.json:
            show(name, found[name])
    if options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
