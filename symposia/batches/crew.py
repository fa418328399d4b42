"""Executes rows in this process: as many at a time as keep the models busy, and no more.

A crew takes orders and gives reports, both plain JSON, so that it works the same in this process, in another, or on another machine
(`symposia.batches.boss` gives the orders). Rows start when few calls wait for a slot, so the number of live graphs follows the models'
speed; a row is done when its journal is on the disk.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from symposia import runs
from symposia.batches.lines import line_of
from symposia.batches.order import ByModel
from symposia.batches.purse import Purse
from symposia.execution import Event
from symposia.grading import Grade, Params, grade, question_of
from symposia.state.errors import Stopped, StoreError, SymposiaError, UnknownName, from_record, shorten
from symposia.state.journal import Run
from symposia.state.store import Store
from symposia.telemetry import telemetry
from symposia.tools import limits
from symposia.tools.settings import settings

Job = dict[str, Any]
"""A row to do: `run_id`, `row` (its position, from 1), `id`, `repeat`, `input`, `reference`, `known` (the status its run is recorded with,
or None), and `over`, what its record has in place of the template's."""

FINISHED = ("ok", "no_answer")
_TICK = 0.01  # seconds between two looks at whether another row may start
_REPORT = 0.2  # seconds after which a report is given, news or not
_CANCEL_POLL = 0.5


class Crew:
    """The rows that one process executes."""

    def __init__(self, store: Store, terms: Mapping[str, Any]) -> None:
        """Begin with nothing to do.

        Args:
            store: Where the runs are.
            terms: What holds for all rows: `template` (a run's record without what is the row's own), `order` (`row` or `model`), `grader`
                (its name) and `judge` (the parameters of a grader that is a model, or None), and `mean` (what a call has cost so far, `usd`
                and `tokens`; None before the first).
        """
        self._store = store
        self._template: dict[str, Any] = dict(terms["template"])
        self._grader = str(terms["grader"])
        self._judge = Params.model_validate(terms["judge"]) if terms["judge"] else None
        most = settings().concurrency
        self._reserve = max(4, most // 4)
        self._live_bound = most + self._reserve
        self._queue: deque[Job] = deque()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, Run] = {}
        self._ended: list[tuple[Job, dict[str, Any]]] = []
        self._done: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._stopping: str | None = None
        self._failure: BaseException | None = None
        self._purse = Purse(lambda: sum(run.in_flight for run in self._runs.values()), terms["mean"])
        self._by_model = ByModel(self._set_aside) if terms["order"] == "model" else None
        self._listen = telemetry()
        self._background = [asyncio.create_task(one) for one in (self._start_rows(), self._settle(), self._heed())]
        for task in self._background:
            task.add_done_callback(self._ended_badly)

    async def exchange(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Take an order; the report comes when a row is done, and after 0.2 s at the latest.

        Args:
            order: `rows` (jobs to do), `more` (whether others may follow), `stop` (a reason to start no new call, or None), `allow` (what
                may be spent in all, `usd` and `tokens`, each None for any amount), and `permits` (slots by model, or None).

        Returns:
            `done` (`run_id` and `line`, None of a row that was stopped), `spent`, `models` (slots by model), `want` (rows that could be
            taken), `live` (rows in hand), `working` (those of them that have begun), `starved` (calls wait for an allowance).

        Raises:
            StoreError: The store fails, so nothing can go on.
        """
        self._queue.extend(order["rows"])
        if not self._stopping:
            self._purse.allow(order["allow"])
        for model, most in (order["permits"] or {}).items():
            limits.limiter(model).lease(most)
        if self._by_model:
            self._by_model.more = bool(order["more"])
        if order["stop"] and not self._stopping:
            self._stop(order["stop"])
        if not self._done and not self._failure:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _REPORT)
        self._news.clear()
        if self._failure:
            raise self._failure
        done, self._done = self._done, []
        aside = len(self._by_model.aside) if self._by_model and not self._stopping else 0
        busy = len(self._tasks) + len(self._ended) + len(self._queue) + aside
        return {
            "done": done,
            "spent": self._purse.spent(),
            "models": {name: _slots(one) for name, one in limits.limiters().items()},
            "want": 0 if self._stopping else max(0, self._live_bound - len(self._queue)),
            "live": busy,
            "working": len(self._tasks),
            "starved": self._purse.starved,
        }

    async def close(self) -> None:
        """Drop what is at work; what is paid for is in the journal."""
        tasks = [*self._background, *self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._by_model:
            self._by_model.close()

    # -- starting rows ------------------------------------------------------------------------------------------------------------------

    async def _start_rows(self) -> None:
        while True:
            while self._queue and self._may_start():
                self._start(self._queue.popleft())
            if self._by_model:
                idle = not self._tasks and not self._queue and not self._stopping
                self._queue.extend(self._by_model.turn(idle))
            await asyncio.sleep(_TICK)

    def _may_start(self) -> bool:
        """Whether too few calls are on their way: those that wait for a slot, those in flight, and those of rows that still compute."""
        if self._stopping or len(self._tasks) >= self._live_bound:
            return False
        known = limits.limiters().values()
        waiting = sum(one.waiting for one in known)
        begun = sum(run.begun for run in self._runs.values())
        asking = sum(run.asked > 0 for run in self._runs.values())
        coming = sum(one.active for one in known) + waiting + len(self._tasks) - asking
        enough = (sum(int(one.limit) for one in known) or self._live_bound) + self._reserve
        return waiting + (len(self._tasks) - begun) < self._reserve and coming < enough

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._execute(job))
        self._tasks[job["run_id"]] = task
        task.add_done_callback(lambda done: self._gone(job, done))

    def _gone(self, job: Job, task: "asyncio.Task[None]") -> None:
        """A row's task has ended: with its result, put aside, or with an error that no row may cause."""
        self._tasks.pop(job["run_id"], None)
        for run_id in [run_id for run_id in self._runs if run_id.startswith(job["run_id"])]:
            del self._runs[run_id]
        if self._by_model:
            self._by_model.gone(job["run_id"])
        self._ended_badly(task)
        if self._stopping:
            self._news.set()

    def _ended_badly(self, task: "asyncio.Task[None]") -> None:
        """Keep the first error of a task that nobody waits for: the next report tells it."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = self._failure or task.exception()
            self._news.set()

    async def _execute(self, job: Job) -> None:
        """Execute one row and grade it; of one that has ended already only the latter."""
        record = await self._record(job)
        record["reference"] = job["reference"]
        if job["known"] not in FINISHED:
            await runs.execute(self._store, record, on_event=self._hear, on_open=lambda run: self._opened(job, run), alone=False)
            job["known"] = record["status"]
            failure = from_record(record["error"]) if record["error"] else None
            if isinstance(failure, StoreError):
                raise failure  # no fault of the row's: the batch cannot go on
        try:
            graded = None if record["status"] == "stopped" else await self._graded(job, record)
        except Stopped:
            graded = None
        if graded is None:
            self._ended.append((job, {}))
            return
        record |= {"correct": graded.correct, "grader": self._grader, "grade": graded.detail and {**graded.detail, **graded.spent}}
        await self._store.put_run(record)
        self._ended.append((job, record))

    async def _graded(self, job: Job, record: dict[str, Any]) -> Grade:
        """The grade of a run; what goes wrong is told in its line."""

        def opened(run: Run) -> None:
            self._opened(job, run)
            run.on_effect = lambda entry, live: self._purse.pay(entry.usage) if live else None

        try:
            return await grade(self._store, record, question_of(record), self._grader, self._judge, opened)
        except (Stopped, StoreError):
            raise
        except Exception as error:
            told = error if isinstance(error, SymposiaError) else SymposiaError(f"{type(error).__name__}: {shorten(str(error))}")
            return Grade(None, {"grader": self._grader, "error": told.to_record()})

    async def _record(self, job: Job) -> dict[str, Any]:
        """The run's record: the recorded one of a run that has begun, else a new one."""
        if job["known"]:
            with contextlib.suppress(UnknownName):  # a worker may have died before it wrote the record
                return {**await self._store.run(job["run_id"]), "batch": {"row": job["row"], "repeat": job["repeat"]}}
        return {
            **self._template,
            **{"run_id": job["run_id"], "input": job["input"], "reference": job["reference"], "row": job["id"], "started": time.time()},
            **{"batch": {"row": job["row"], "repeat": job["repeat"]}, "marks": []},
            **job["over"],
        }

    def _opened(self, job: Job, run: Run) -> None:
        self._runs[run.id] = run
        run.admit = self._purse.admit
        if self._stopping:
            run.stop(self._stopping)
        if self._by_model:
            self._by_model.opened(job, run)

    def _hear(self, event: Event) -> None:
        if event["type"] == "effect" and event["live"]:
            self._purse.pay(event["entry"].usage)
        if self._listen:
            self._listen(event)

    def _set_aside(self, job: Job) -> None:
        """Drop a row's graph: it waits for a model that is not there, and is built again from the journal."""
        job["known"] = job["known"] if job["known"] in FINISHED else "started"
        self._tasks[job["run_id"]].cancel()

    # -- ending -------------------------------------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Hand over rows once their journal is on the disk, those that end together in one flush."""
        while True:
            if self._ended:
                ended, self._ended = self._ended, []
                await self._store.flush()
                self._done += [{"run_id": job["run_id"], "line": line_of(record) if record else None} for job, record in ended]
                self._news.set()
            await asyncio.sleep(_TICK)

    def _stop(self, reason: str) -> None:
        """Let no new call start."""
        self._stopping = reason
        self._queue.clear()
        for run in self._runs.values():
            run.stop(reason)
        limits.wake_stopped()
        self._purse.allow({"usd": None, "tokens": None})  # whoever waits for money goes on to see that the run is stopped

    async def _heed(self) -> None:
        """Stop the runs that somebody names with `symposia cancel`."""
        while True:
            await asyncio.sleep(_CANCEL_POLL)
            asked = await self._store.cancelled()
            for run_id in asked & self._runs.keys():
                self._runs[run_id].stop("cancelled")
            if asked:
                limits.wake_stopped()
                self._purse.wake()
            if self._by_model:
                self._ended += [(job, {}) for job in self._by_model.drop(asked)]


def _slots(one: limits.Limiter) -> dict[str, Any]:
    return {"active": one.active, "waiting": one.waiting, "limit": int(one.limit), "most": one.most}
