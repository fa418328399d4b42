"""What is shown while runs execute: a line on a terminal, a bar over rows, or a line now and then in a log."""

from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.text import Text

from symposia.execution import Event
from symposia.output import ERR, safe, say


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
