"""A line about a run for lists and tables, made of its record, and the lines of many runs, kept until their records change."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from symposia.output import models_of, toy_note
from symposia.records import is_correct, params_of
from symposia.registry import load
from symposia.runs import ledger, result_of
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.state.place import node_of
from symposia.state.store import Entry, Store
from symposia.viewer.failing import failing_places

Head = dict[str, Any]
_AT_ONCE = 500  # records in one query
_MOST = 50_000  # lines that are kept
_BREATH = 2.0  # seconds
_SHORT = 120  # characters of a question or an answer in a list
_NOTHING: dict[str, Any] = {"answer": None, "stop_reason": None, "error": None, **ledger([])}
ENDED = ("ok", "no_answer", "failed", "stopped", "paused")


def head_of(record: Mapping[str, Any], entries: Sequence[Entry] | None = None) -> Head:
    """The object that `symposia run --json` prints, with what a list says besides: method, batch, row, started, version, toys.

    Args:
        record: The run's record.
        entries: Its journal, from which the costs of a run that has not ended are taken.
    """
    filled = {**_NOTHING, **(ledger(entries) if entries is not None else {}), **record}
    # As `Result.to_json`, whose deep copies take half of the time that a table of thousands takes.
    result = vars(result_of(filled, live=filled["calls"] - filled["inherited"]))
    batch = record.get("batch")
    return {
        **{key: value for key, value in result.items() if value is not None or key not in ("parent", "waiting")},
        "question": shorten(_asked(record), 2_000),
        "reference": record["reference"],
        "correct": record.get("correct"),
        "row": record["row"],
        "batch": {"id": record["run_id"][:9], **batch} if batch else None,
        "parent": record["parent"],
        "started": record["started"],
        "version": record["version"],
        "toy": toy_note(_models(record)),
        "part": record["graph"],
    }


async def verdict_of(record: Mapping[str, Any]) -> bool | None:
    """Whether a run's answer is right: as its batch has graded it, else held against the reference; None where that cannot be said."""
    if record.get("correct") is not None:
        return bool(record["correct"])
    try:
        return await is_correct(record)
    except (BadInput, SymposiaError):
        return None


def row_of(record: Mapping[str, Any], *, correct: bool | None, toy: bool) -> Head:
    """A line for a list of thousands: texts cut, counts summed, what is empty left out.

    Args:
        record: The run's record.
        correct: Whether its answer is right.
        toy: Whether a toy model played.
    """
    told = {**_NOTHING, **record}
    error, used, batch = told["error"], told["usage"], told.get("batch") or {}
    row = {
        **{"run": told["run_id"], "row": told["row"], "method": told["method"], "status": told["status"], "answer": _cut(told["answer"])},
        **{"reference": _cut(told["reference"]), "correct": correct, "stop": told["stop_reason"]},
        **{"question": shorten(_asked(record), _SHORT), "error": _failure(error) if error else None, "calls": told["calls"]},
        **{"tokens": used["prompt_tokens"] + used["completion_tokens"], "cost": told["cost_usd"], "seconds": told["seconds"]},
        **{"started": told["started"], "parent": told["parent"], "batch": told["run_id"][:9] if batch else None},
        **{"repeat": batch.get("repeat"), "position": batch.get("row"), "toy": toy, "waiting": bool(told.get("waiting"))},
    }
    return {key: value for key, value in row.items() if value is not None or key in ("answer", "correct", "cost")}


class Heads:
    """The lines of a store's runs, each read once as long as its record stays the same."""

    def __init__(self) -> None:
        """None is known yet."""
        self._known: dict[str, tuple[Any, Head]] = {}
        self._paths: dict[str, tuple[Any, dict[str, int]]] = {}
        self._last: tuple[Any, float, list[Head]] | None = None

    async def of(self, store: Store, where: str = "", args: Sequence[Any] = (), *, paths: bool = False, rests: bool = False) -> list[Head]:
        """The lines of runs, newest first.

        Args:
            store: Where they are.
            where: A condition over the columns of the table of runs.
            args: Its values.
            paths: Say which nodes a run has `visited`, how often each, and after how many rounds it ended.
            rests: Nothing goes on with these runs, so that who asks again within a breath is told the same.
        """
        asked, last = (where, tuple(args), paths), self._last
        if rests and last is not None and last[0] == asked and time.monotonic() - last[1] < _BREATH:
            return last[2]
        sql = f"SELECT id FROM runs {where} ORDER BY started DESC, id DESC"  # noqa: S608
        order = [row[0] for row in await store.read(sql, args)]
        stale = await self._changed(store, [run_id for run_id in order if run_id in self._known])
        missing = [run_id for run_id in order if run_id not in self._known or run_id in stale]
        read = Lines()
        for part in _parts(missing):
            for run_id, status, text in await store.read(f"SELECT id, status, record FROM runs WHERE id IN ({_marks(part)})", part):  # noqa: S608
                self._known[run_id] = ((status, len(text)), await read.line(text))
            await self._place(store, [run_id for run_id in part if run_id in self._known])
        if paths:
            await self._follow(store, order)
        found = [self._line(run_id, paths) for run_id in order if run_id in self._known]
        if len(self._known) > _MOST:
            self._known.clear()
            self._paths.clear()
        self._last = (asked, time.monotonic(), found)
        return found

    def stamp(self, run_id: str) -> Any:
        """What changes when a run's record does; None of a run whose line is not known."""
        return self._known.get(run_id, (None,))[0]

    async def _place(self, store: Store, run_ids: Iterable[str]) -> None:
        """Say where runs failed whose errors do not."""
        errors = {run_id: error for run_id in run_ids if (error := self._known[run_id][1].get("error")) and error["node"] is None}
        if errors:
            for run_id, place in (await failing_places(store, list(errors))).items():
                errors[run_id] |= {"node": node_of(place), "place": place}

    async def _changed(self, store: Store, run_ids: Sequence[str]) -> set[str]:
        """Runs whose records are not as they were when they were read."""
        found: set[str] = set()
        for part in _parts(run_ids):
            sql = f"SELECT id, status, length(record) FROM runs WHERE id IN ({_marks(part)})"  # noqa: S608
            found |= {run_id for run_id, status, size in await store.read(sql, part) if self._known[run_id][0] != (status, size)}
        return found

    def _line(self, run_id: str, paths: bool) -> Head:
        head = self._known[run_id][1]
        if not paths:
            return head
        visits = self._paths[run_id][1] if run_id in self._paths else {}
        return {**head, "visited": visits, "rounds": max(0, max(visits.values(), default=0) - 1)}

    async def _follow(self, store: Store, run_ids: Iterable[str]) -> None:
        """Learn the paths of runs from their recorded steps."""
        stamps = {run_id: self._known[run_id][0] for run_id in run_ids if run_id in self._known}
        missing = [r for r, stamp in stamps.items() if stamp[0] not in ENDED or self._paths.get(r, (None,))[0] != stamp]
        for part in _parts(missing):
            went: dict[str, list[str]] = {run_id: [] for run_id in part}
            sql = f"SELECT run, next FROM steps WHERE frame = '' AND run IN ({_marks(part)})"  # noqa: S608
            for run_id, text in await store.read(sql, part):
                went[run_id].append(text)
            for run_id, steps in went.items():
                self._paths[run_id] = (stamps[run_id], _visits(tuple(steps)))


class Lines:
    """Reads the records of many runs: parameters, which the rows of a batch share and which are most of a record, are read once."""

    def __init__(self) -> None:
        """No record has been read."""
        self._text = ""
        self._params: dict[str, Any] = {}
        self._toy: tuple[str, dict[str, Any], bool] | None = None

    async def line(self, text: str) -> Head:
        """The line of a run, from its record as it is stored."""
        record = self.record(text)
        return row_of(record, correct=await verdict_of(record), toy=self._toys(record))

    def record(self, text: str) -> dict[str, Any]:
        """A record as it is stored; its parameters are those of the record before where they are the same."""
        at = text.find('"params": ')
        if self._text and text.startswith(self._text, at):
            record: dict[str, Any] = json.loads(f'{text[:at]}"params": null{text[at + len(self._text) :]}')
            record["params"] = self._params
            return record
        record = json.loads(text)
        self._params = record["params"]
        self._text = f'"params": {json.dumps(self._params)}'
        return record

    def _toys(self, record: Mapping[str, Any]) -> bool:
        """Whether a toy model played, which is said by the parameters, and so once for all that share them."""
        method, params, known = record["method"], params_of(record), self._toy
        if known is None or known[0] != method or known[1] is not params:
            known = self._toy = (method, params, toy_note(_models(record)) is not None)
        return known[2]


async def records_of(store: Store, run_ids: Sequence[str]) -> AsyncIterator[list[dict[str, Any]]]:
    """The records of runs in the order of their ids, some hundreds at a time."""
    for part in _parts(run_ids):
        sql = f"SELECT id, record FROM runs WHERE id IN ({_marks(part)})"  # noqa: S608
        found = dict(await store.read(sql, part))
        yield [json.loads(found[run_id]) for run_id in part]


@lru_cache(maxsize=4_096)
def _visits(steps: tuple[str, ...]) -> dict[str, int]:
    """How often each node was next, of the recorded steps of a run; many runs of a batch went the same way. Not to be changed."""
    found: Counter[str] = Counter()
    for text in steps:
        found.update({node for node in json.loads(text) if not node.startswith("__")})
    return dict(found)


def _parts(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many as one query takes."""
    return (run_ids[start : start + _AT_ONCE] for start in range(0, len(run_ids), _AT_ONCE))


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)


def _asked(record: Mapping[str, Any]) -> str:
    """The question, or whatever a method without one was given."""
    given = record["input"]
    if not isinstance(given, Mapping):
        return ""
    return str(given.get("question") or given.get("prompt") or (given and json.dumps(given, ensure_ascii=False, default=str)) or "")


def _failure(error: Mapping[str, Any]) -> dict[str, Any]:
    told = {"name": error["name"], "node": error.get("node") or None, "message": shorten(error["message"], _SHORT)}
    return {**told, "place": error["place"]} if error.get("place") else told


def _cut(value: Any) -> Any:
    """A value for a cell: numbers as they are, texts cut, anything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    return shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _SHORT)


def _models(record: Mapping[str, Any]) -> list[str]:
    try:
        roles: Sequence[str] = load(record["method"]).method.roles
    except BadInput:
        roles = ()
    params = params_of(record)
    return list(models_of({"params": {"roles": {}, "model": "", **params}}, roles).values())
