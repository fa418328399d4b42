"""Rows by model, for a machine that holds few models at a time: all ready calls of those present are made before others are wanted.

Models of the pool that fit in together are present together; any other model is present alone, since nobody here knows what its server
holds. A row whose calls all wait for absent models is put aside: its graph is dropped, and built again from the journal, without a call,
when one of its models is there. So each model is present once per stage of the method, however many rows there are.
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from symposia.state.journal import Run, current
from symposia.tools.limits import Gate, gate
from symposia.tools.pool.plan import together
from symposia.tools.settings import settings

_log = logging.getLogger("symposia.batches")
_QUIET = 2  # looks at which nothing has moved before a row counts as waiting only


@dataclass
class _Row:
    """A row that is at work."""

    job: dict[str, Any]
    run: Run
    wants: Counter[str] = field(default_factory=Counter)
    seen: tuple[int, int] = (0, 0)
    quiet: int = 0


class ByModel(Gate):
    """Lets the calls of those models through that the machine holds together."""

    def __init__(self, set_aside: Callable[[dict[str, Any]], None]) -> None:
        """No model is present; `set_aside` drops a row's graph."""
        super().__init__()
        self.more = True
        self.aside: dict[str, tuple[dict[str, Any], frozenset[str]]] = {}
        """Jobs that wait, with the models they want, by run id."""
        self._set_aside = set_aside
        self._rows: dict[str, _Row] = {}
        gate(self)

    def close(self) -> None:
        """Let everything through again."""
        gate(None)

    def opened(self, job: dict[str, Any], run: Run) -> None:
        """Know a row that begins."""
        self._rows[run.id] = _Row(job, run)

    def gone(self, run_id: str) -> None:
        """Forget a row that has ended, with its judge."""
        for one in [one for one in self._rows if one.startswith(run_id)]:
            del self._rows[one]

    def drop(self, run_ids: set[str]) -> list[dict[str, Any]]:
        """Put back no more the rows of these ids; their jobs."""
        return [self.aside.pop(run_id)[0] for run_id in run_ids & self.aside.keys()]

    def wants(self, model: str) -> None:
        """A call of the current run waits for a model that is not present; one that fits in beside those present joins them."""
        row = self._rows.get(current().id)
        if row:
            row.wants[model] += 1
        if self.present and together([*self.present, model], settings().pool):
            self._let_in({*self.present, model})

    def turn(self, idle: bool) -> list[dict[str, Any]]:
        """Put rows aside that only wait; when nothing else can be done (`idle`, and no rows are to come), bring in the next models.

        Returns:
            The jobs that these models let go on.
        """
        if not self.present and self._rows:
            self._bring(sum((row.wants for row in self._rows.values()), Counter()))
            return []
        for run_id, row in list(self._rows.items()):
            if self._waits_only(row):
                self.aside[row.job["run_id"]] = row.job, frozenset(row.wants)
                del self._rows[run_id]
                self._set_aside(row.job)
        if not idle or self.more or not self.aside:
            return []
        self._bring(Counter(model for _, wants in self.aside.values() for model in wants))
        going = [run_id for run_id, (_, wants) in self.aside.items() if self.present & wants]
        return [self.aside.pop(run_id)[0] for run_id in going]

    def _waits_only(self, row: _Row) -> bool:
        """Whether every call a row has asked for waits for an absent model, and that for a while: a node may still be computing."""
        blocked = sum(row.wants.values())
        now = row.run.asked, len(row.run.live)
        row.quiet = row.quiet + 1 if now == row.seen and blocked and row.run.asked == blocked else 0
        row.seen = now
        return row.quiet >= _QUIET

    def _bring(self, wanted: Counter[str]) -> None:
        """Make the model present that most calls wait for, equal ones by name, and by the same rule whichever fit in beside it."""
        found: list[str] = []
        for model in sorted(wanted, key=lambda name: (-wanted[name], name)):
            if not found or together([*found, model], settings().pool):
                found.append(model)
        for model in found:
            _log.info("model %s: %d calls or rows wait for it", model, wanted[model])
        if found:
            self._let_in(found)

    def _let_in(self, models: Collection[str]) -> None:
        """Let through whoever waits for these models: no row waits for them any more."""
        for row in self._rows.values():
            for model in models:
                row.wants.pop(model, None)
        self.admit(*models)
