"""What one sees of a batch: a live display on a terminal, a line now and then in a log file, a table at the end."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from symposia.batches.boss import Standing
from symposia.batches.lines import Line
from symposia.output import ERR, OUT, complain, cost, new_table, safe, say
from symposia.pools import described

_EVERY = 10.0  # seconds between two lines in a log file
_RATE_OVER = 10.0  # seconds over which calls per second are counted


@dataclass
class Cause:
    """Rows that failed alike."""

    name: str
    count: int = 0
    error: dict[str, Any] = field(default_factory=dict)
    """The first error of its kind."""
    rows: list[Any] = field(default_factory=list)
    """The ids of the first five."""


@dataclass
class Tally:
    """How many rows ended how; earlier starts of the batch included."""

    total: int
    before: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    graded: int = 0
    correct: int = 0
    ungraded: int = 0
    """Rows whose judge failed."""
    causes: dict[str, Cause] = field(default_factory=dict)

    def count(self, status: str, correct: bool | None) -> None:
        """Count a row."""
        self.statuses[status] += 1
        self.graded += correct is not None
        self.correct += correct is True

    def line(self, line: Mapping[str, Any]) -> None:
        """Count a new line; a failed row that has a reference is no right answer."""
        wrong = line["status"] == "failed" and line["reference"] is not None
        self.count(line["status"], False if wrong else line["correct"])
        judge = (line.get("grade") or {}).get("error")
        self.ungraded += bool(judge)
        error = line["error"] or judge
        if error:
            cause = self.causes.setdefault(error["name"], Cause(error["name"], error=error))
            cause.count += 1
            if len(cause.rows) < 5:
                cause.rows.append(line["id"])

    @property
    def done(self) -> int:
        """Rows that have a line."""
        return self.statuses.total()

    def to_json(self, left: int) -> dict[str, Any]:
        """Rows by status."""
        known = {name: self.statuses[name] for name in ("ok", "no_answer", "failed")}
        other = {name: n for name, n in self.statuses.items() if name not in known}
        return {"total": self.total, "done_before": self.before, **known, **other, "left": left}


class Display:
    """Follows a batch while it runs."""

    def __init__(self, total: int, written: Iterable[Line]) -> None:
        """For `total` rows, those with a line already counted in."""
        self.tally = Tally(total)
        for line in written:
            self.tally.count(line.status, line.correct)
        self.tally.before = self.tally.done
        self.last = Standing()
        self.begun = time.monotonic()
        self._told = self.begun
        self._rates: deque[tuple[float, int]] = deque([(self.begun, 0)])
        self._shown = False
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Show it; without this it only counts."""
        self._shown = True
        if ERR.is_terminal:
            self._live = Live(console=ERR, get_renderable=self._picture, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it; a log file gets the last standing."""
        if self._live:
            self._live.stop()
        else:
            say(self._sentence())

    def notes(self, notes: Iterable[str]) -> None:
        """Say what is to be known before the first call."""
        if self._shown:
            for note in notes:
                say(note)

    def row(self, line: Mapping[str, Any]) -> None:
        """A row is done."""
        self.tally.line(line)

    def standing(self, standing: Standing) -> None:
        """Hear how things stand."""
        self.last = standing
        now = time.monotonic()
        if now - self._rates[-1][0] >= 0.25:
            self._rates.append((now, standing.spent["calls"]))
            while now - self._rates[0][0] > _RATE_OVER and len(self._rates) > 2:
                self._rates.popleft()
        if self._shown and self._live is None and now - self._told >= _EVERY:
            self._told = now
            say(self._sentence())

    def _parts(self) -> list[str]:
        """What there is to say, most important first."""
        tally, last = self.tally, self.last
        said = [f"{tally.done} of {tally.total} rows, {tally.statuses['failed']} failed"]
        if tally.graded:
            said.append(f"{tally.correct} of {tally.graded} correct")
        (first, calls_then), (now, calls_now) = self._rates[0], self._rates[-1]
        said.append(f"{(calls_now - calls_then) / (now - first) if now > first else 0.0:.1f} calls/s")
        tokens = last.spent["prompt_tokens"] + last.spent["completion_tokens"]
        said.append(f"{tokens} tokens")
        said.append(cost(None if last.spent["unpriced"] else round(last.spent["usd"], 6)))
        if left := self._time_left():
            said.append(f"{left} left")
        if last.stopping:
            said.append(f"stopping: {last.stopping}")
        return said

    def _slots(self) -> list[str]:
        """What is in flight, by model."""
        found = []
        for model, slots in sorted(self.last.models.items()):
            allowed = f"{slots['limit']} permits" if slots["limit"] == slots["most"] else f"{slots['limit']} permits of {slots['most']}"
            found.append(f"{model}: {slots['active']} in flight, {slots['waiting']} waiting, {allowed}")
        return found

    def _sentence(self) -> str:
        return ", ".join(self._parts()) + "".join(f"; {one}" for one in self._slots())

    def _picture(self) -> Group:
        bar = ProgressBar(total=max(1, self.tally.total), completed=self.tally.done, width=40)
        lines = [", ".join(self._parts()), f"{self.last.working} rows at work", *self._slots()]
        return Group(bar, *(Text(safe(line), overflow="ellipsis", no_wrap=True) for line in lines))

    def _time_left(self) -> str | None:
        """From the rows of this start; None before there is enough to go by."""
        made = self.tally.done - self.tally.before
        if made < 3 or self.tally.done >= self.tally.total:
            return None
        return duration((time.monotonic() - self.begun) / made * (self.tally.total - self.tally.done))


def duration(seconds: float) -> str:
    """`2 h 5 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def show_summary(summary: Mapping[str, Any]) -> None:
    """What a batch came to, as a table on stdout; the failures by cause, with what helps."""
    rows = summary["rows"]
    ended = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in rows.items() if n and name not in ("total", "done_before"))
    facts = [("rows", f"{rows['total']}: {ended}")]
    if summary["accuracy"]:
        found = summary["accuracy"]
        facts.append(("accuracy", f"{found['correct']} of {found['rows']} = {found['accuracy']:.3f}; `symposia eval` gives intervals"))
    facts += [
        ("calls", f"{summary['calls']['live']} made, {summary['requests']} requests"),
        ("tokens", f"{summary['usage']['prompt_tokens']} in, {summary['usage']['completion_tokens']} out"),
        ("cost", cost(summary["cost_usd"])),
        ("seconds", f"{summary['seconds']:.1f}"),
    ]
    if summary["engines"]:
        facts.append(("engines", ", ".join(_started(name, one) for name, one in summary["engines"].items())))
    if summary["toys"]:
        facts.append(("", summary["toys"]))
    if summary["stopped"]:
        facts.append(("stopped", summary["stopped"]))
    facts.append(("next", summary["next"]))
    for name, text in facts:
        OUT.print(Text.assemble((f"{name:<9}", "dim"), safe(text)))
    if summary["failures"]:
        causes = new_table("failures", "rows", "first of them", "the first says", "what helps")
        for cause in summary["failures"]:
            ids = ", ".join(str(one) for one in cause["rows"])
            cells = (cause["name"], cause["count"], ids, cause["message"], cause["remedy"] or "")
            causes.add_row(*(Text(safe(cell)) for cell in cells))
        OUT.print(causes, soft_wrap=False)


def _started(name: str, engine: Mapping[str, Any]) -> str:
    """What became of an engine: how often it was started, and how often in vain, when its calls failed without failing every row."""
    return f"{name} started {engine['loads']}x" + (f", {engine['failures']}x in vain" if engine["failures"] else "")


def show_plan(plan: Mapping[str, Any]) -> None:
    """What a batch would do."""
    for name, value in plan.items():
        if name not in ("pool", "calls_by_model"):
            OUT.print(Text.assemble((f"{name.replace('_', ' '):<14}", "dim"), safe(value)))
    for model, calls in plan["calls_by_model"].items():
        OUT.print(Text.assemble(("calls         ", "dim"), safe(f"{model}: at most {calls}")))
    for one in plan["pool"]:
        OUT.print(Text.assemble(("pool          ", "dim"), safe(described(one))))


def tell(message: str, error: Mapping[str, Any]) -> None:
    """An error that ended the batch."""
    complain({**error, "message": f"{message}{error['message']}"}, as_json=False)
