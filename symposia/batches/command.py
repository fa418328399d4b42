"""`symposia batch`: options to a plan, the work under a display and Ctrl-C, a summary."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from symposia import command, output
from symposia.batches.asked import Asked, check, rows_asked
from symposia.batches.boss import Boss
from symposia.batches.progress import Display, show_plan, show_summary
from symposia.batches.start import start
from symposia.config import Config
from symposia.output import say
from symposia.params import assignments
from symposia.state.errors import BadInput


def run_batch(config: Config, asked: Asked, given: dict[str, Any], as_json: bool) -> int:
    """Run a batch and say what it came to; the exit code.

    Raises:
        BadInput: Something about the options, the rows or the output file, before any call.
    """
    check(asked)
    rows = rows_asked(asked)
    pressed = False

    @contextmanager
    def around(boss: Boss, display: Display) -> Iterator[None]:
        nonlocal pressed
        with command.Ctrl(boss.stop) as stop, display:
            yield
        pressed = stop.pressed

    _heard_logs()
    try:
        summary = command.in_store(config, lambda store: start(store, config, asked, given, rows, around))
    except KeyboardInterrupt:
        say("ended at once; what was finished is kept, and the same command goes on")
        return 130
    if as_json:
        output.emit(summary)
    elif asked.dry_run:
        show_plan(summary)
    else:
        show_summary(summary)
    if asked.dry_run:
        return 0
    return 130 if pressed else int(summary["rows"]["left"] > 0 or summary["rows"]["failed"] > 0 or summary["not_graded"] > 0)


_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(h|min|m|s)?\s*")


def seconds_of(text: str | None) -> float | None:
    """Seconds of `90`, `45s`, `30m`, `2h`, `1h30m`.

    Raises:
        BadInput: It is none of these.
    """
    if text is None:
        return None
    parts = _PART.findall(text.strip())
    if not parts or "".join(_PART.sub("", text.strip())):
        raise BadInput(f"--time-limit {text!r} is no time", remedy="such as 45s, 30m, 2h or 1h30m")
    seconds = sum(float(number) * {"h": 3600, "m": 60, "min": 60}.get(unit, 1) for number, unit in parts)
    if seconds <= 0:
        raise BadInput(f"--time-limit {text!r} is over at once", remedy="such as 45s, 30m, 2h or 1h30m")
    return seconds


class _Said(logging.Handler):
    """What our loggers tell goes to stderr, beside the display."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(record.getMessage())


def _heard_logs() -> None:
    log = logging.getLogger("symposia")
    if not any(isinstance(handler, _Said) for handler in log.handlers):
        log.addHandler(_Said())
    log.setLevel(logging.INFO)
    log.propagate = False


def mapping_of(pairs: Sequence[str] | None) -> dict[str, str]:
    """`--map question=prompt` as a mapping from our fields to the data set's."""
    return assignments(pairs or [], "--map")
