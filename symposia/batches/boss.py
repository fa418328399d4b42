"""Hands rows out to crews, writes what they make of them, keeps the budget, and stops when it is time.

One loop for every engine: an engine opens links, a link carries an order to a crew and its report back. A link that dies costs nothing that
was finished: its rows go to others.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from symposia.batches.crew import Job
from symposia.batches.out import Out
from symposia.batches.slots import Slots
from symposia.state.errors import SymposiaError
from symposia.tools.settings import settings

_log = logging.getLogger("symposia.batches")
_HOPELESS = ("MissingKey", "ModelNotFound", "EndpointDown")
_FIRST_FAILURES = 20
"""Rows that fail before any other has ended, all for the same reason of these, until the rest is not tried."""
_KINDS = {"usd": "USD", "tokens": "tokens"}
_MOST_DEATHS = 5  # workers that die one after the other, no row done between, before the batch gives up


class WorkerDied(SymposiaError):
    """A worker ended that should not have; its rows are done by others."""


class Link(Protocol):
    """The way to a crew."""

    async def exchange(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Give an order, get a report (`crew.Crew.exchange`); raises `WorkerDied` when nobody is there any more."""

    async def close(self) -> None:
        """End the crew."""


class Engine(Protocol):
    """Where crews work."""

    name: str
    size: int
    """Crews at work at a time."""

    async def link(self) -> Link:
        """Start a crew."""

    async def close(self) -> None:
        """End all of them, and bring their journals home."""


class Audience(Protocol):
    """Whoever is shown how it goes."""

    def row(self, line: Mapping[str, Any]) -> None:
        """A row is done."""

    def standing(self, standing: "Standing") -> None:
        """How things stand."""


@dataclass(frozen=True)
class Budget:
    """What a batch may cost in all, earlier starts of it included; None for any amount."""

    usd: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    """Of this start."""
    usd_before: float = 0.0
    tokens_before: int = 0


@dataclass
class Standing:
    """How a batch stands: of this start, what was spent, slots by model, rows at work and left."""

    spent: Counter[str] = field(default_factory=Counter)
    models: dict[str, dict[str, int]] = field(default_factory=dict)
    working: int = 0
    left: int = 0
    stopping: str | None = None


class Boss:
    """One start of a batch."""

    def __init__(self, jobs: list[Job], out: Out, engine: Engine, budget: Budget, audience: Audience) -> None:
        """Nothing is handed out yet."""
        self._jobs = deque(jobs)
        self._out = out
        self._engine = engine
        self._budget = budget
        self._audience = audience
        self._assigned: dict[str, dict[str, Job]] = {}
        self._spent: dict[str, dict[str, Any]] = {}
        self._allowed: dict[str, dict[str, float | None]] = {}
        self._live: dict[str, int] = {}
        self._working: dict[str, int] = {}
        self._want: dict[str, int] = {}
        self._hungry: set[str] = set()
        self._slots = Slots(engine.size)
        self._deaths = 0
        self._first_failures: Counter[str] | None = Counter()
        self._failure: SymposiaError | None = None
        self.stopping: str | None = None
        """Why no new work starts, when that is so."""
        self.begun: float | None = None
        """When the first crew was ready, by `time.monotonic`."""
        self._stopped_rows = 0

    def stop(self, reason: str) -> None:
        """Start no new call; those in flight end and are kept."""
        self.stopping = self.stopping or reason

    async def run(self) -> Standing:
        """Do all rows, or as many as budget and patience allow.

        Raises:
            SymposiaError: The store or the output file failed, or workers keep dying. What is finished is kept.
        """
        deadline = time.monotonic() + self._budget.seconds if self._budget.seconds is not None else None
        for kind, name in _KINDS.items():
            most = self._most(kind)
            if most is not None and most <= 0:
                self.stop(f"the budget in {name} is used up")
        crews = [asyncio.create_task(self._drive(f"{self._engine.name} {i + 1}", deadline)) for i in range(self._engine.size)]
        try:
            await _all(crews)
        finally:
            for crew in crews:
                crew.cancel()
            await asyncio.gather(*crews, return_exceptions=True)
            await self._engine.close()
        if self._failure:
            raise self._failure
        return self.standing()

    def standing(self) -> Standing:
        """How things stand."""
        spent: Counter[str] = Counter()
        for one in self._spent.values():
            spent.update(one)
        models: dict[str, dict[str, int]] = {}
        for crew in self._slots.reported.values():
            for name, slots in crew.items():
                models[name] = {key: models.get(name, {}).get(key, 0) + value for key, value in slots.items()}
        left = len(self._jobs) + sum(map(len, self._assigned.values())) + self._stopped_rows
        return Standing(spent, models, sum(self._working.values()), left, self.stopping)

    async def _drive(self, name: str, deadline: float | None) -> None:
        """Keep one crew at work until nothing is left; a new one takes the place of one that dies."""
        link: Link | None = None
        try:
            while self._jobs or self._assigned.get(name):
                if self.stopping and not self._assigned.get(name):
                    return
                try:
                    link = link or await self._engine.link()
                    self.begun = self.begun or time.monotonic()
                    report = await link.exchange(self._order(name))
                except WorkerDied as death:
                    if link:
                        await link.close()
                    link = None
                    self._take_back(name, death)
                    continue
                await self._take(name, report)
                if deadline is not None and time.monotonic() > deadline:
                    self.stop("the time limit is reached")
        finally:
            self._allowed.pop(name, None)  # what it was lent and has not spent is for others
            if link:
                await link.close()

    def _order(self, name: str) -> dict[str, Any]:
        rows: list[Job] = []
        want = 0 if self.stopping else self._want.get(name, settings().concurrency)
        want = min(want, -(-len(self._jobs) // self._engine.size))  # the last rows are for everybody
        while self._jobs and len(rows) < want:
            rows.append(self._jobs.popleft())
        mine = self._assigned.setdefault(name, {})
        mine |= {job["run_id"]: job for job in rows}
        allow = {kind: self._allowance(name, kind) for kind in ("usd", "tokens")}
        return {
            **{"rows": rows, "more": bool(self._jobs), "stop": self.stopping, "allow": allow},
            "permits": self._slots.order(name),
        }

    async def _take(self, name: str, report: Mapping[str, Any]) -> None:
        """Take in a report: write the lines, count what was spent."""
        mine = self._assigned[name]
        lines = [done["line"] for done in report["done"] if done["line"]]
        for done in report["done"]:
            mine.pop(done["run_id"], None)
            self._stopped_rows += done["line"] is None
        self._spent[name], self._live[name], self._want[name] = report["spent"], report["live"], report["want"]
        self._working[name] = report["working"]
        self._slots.report(name, report["models"])
        if lines:
            self._deaths = 0
            await self._write(lines)
        if self.stopping and not report["live"]:
            self._jobs.extendleft(reversed(mine.values()))
            mine.clear()
        (self._hungry.add if report["starved"] else self._hungry.discard)(name)
        if report["starved"] and not self.stopping:
            self._starved()
        self._audience.standing(self.standing())

    async def _write(self, lines: list[dict[str, Any]]) -> None:
        """Append to the output file; when that fails nothing new starts, and what is in flight still gets into the journal."""
        if not self._failure:
            try:
                await self._out.append(lines)
            except SymposiaError as error:
                self._failure = error
                self.stop("the output file cannot be written")
        for line in lines:
            self._audience.row(line)
            self._lose_hope(line)

    def _lose_hope(self, line: Mapping[str, Any]) -> None:
        """Stop when nothing but the same failure comes back: ten thousand rows would not fare better."""
        if self._first_failures is None or not line["error"] or line["error"]["name"] not in _HOPELESS:
            self._first_failures = None
            return
        self._first_failures[line["error"]["name"]] += 1
        if self._first_failures.total() >= _FIRST_FAILURES and len(self._first_failures) == 1:
            self.stop(f"the first {_FIRST_FAILURES} rows all failed: {line['error']['message']}")

    def _take_back(self, name: str, death: WorkerDied) -> None:
        """Give the rows of a dead worker to whoever comes next."""
        _log.warning("%s: %s", name, death.message)
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS:
            raise death
        rows = self._assigned.pop(name, {})
        for job in rows.values():
            job["known"] = job["known"] or "started"
        self._jobs.extendleft(reversed(rows.values()))
        self._slots.gone(name)
        for key, amount in self._spent.pop(name, {}).items():
            lost = self._spent.setdefault("gone", {})
            lost[key] = lost.get(key, 0) + amount
        self._allowed.pop(name, None)
        self._live.pop(name, None)
        self._working.pop(name, None)
        self._hungry.discard(name)
        self._want.pop(name, None)

    # -- budget -------------------------------------------------------------------------------------------------------------------------

    def _most(self, kind: str) -> float | None:
        """What this start may spend."""
        if kind == "usd":
            return None if self._budget.usd is None else self._budget.usd - self._budget.usd_before
        return None if self._budget.tokens is None else self._budget.tokens - self._budget.tokens_before

    def _free(self, kind: str) -> float:
        """What is neither spent nor lent to a crew."""
        lent = {name: max(_amount(self._spent.get(name), kind), self._allowed.get(name, {}).get(kind) or 0.0) for name in self._names()}
        return float(self._most(kind) or 0.0) - sum(lent.values())

    def _names(self) -> set[str]:
        return {*self._spent, *self._allowed}

    def _allowance(self, name: str, kind: str) -> float | None:
        """What a crew may spend in all: everything for a single one, else loans of what is free, half of an equal share at a time."""
        if self._most(kind) is None:
            return None
        mine = self._allowed.setdefault(name, {})
        spent = _amount(self._spent.get(name), kind)
        if not self._assigned.get(name):
            mine[kind] = spent  # nothing to do: what it was lent is for others
            return spent
        now = mine.setdefault(kind, 0.0) or 0.0
        free = self._free(kind)
        loan = free if self._engine.size == 1 else free / (2 * self._engine.size)
        if name in self._hungry:  # what it has left is too little for a call: it gets one's worth, until nothing is free
            calls = (self._spent.get(name) or {}).get("calls", 0)
            mine[kind] = max(now, spent) + min(free, max(loan, spent / calls if calls else free))
        elif free > 0 and now - spent < loan:
            mine[kind] = max(now, spent) + loan
        return mine[kind]

    def _starved(self) -> None:
        """Calls wait for money everywhere: when nothing is free, the budget is used up."""
        if {name for name, live in self._live.items() if live} <= self._hungry:
            for kind, said in _KINDS.items():
                most = self._most(kind)
                if most is not None and self._free(kind) <= 1e-9 * most:
                    self.stop(f"the budget in {said} is used up")


def _amount(spent: Mapping[str, Any] | None, kind: str) -> float:
    if not spent:
        return 0.0
    return float(spent["usd"] if kind == "usd" else spent["prompt_tokens"] + spent["completion_tokens"])


async def _all(tasks: list["asyncio.Task[None]"]) -> None:
    """Wait until all end, or the first that fails."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
