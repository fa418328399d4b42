"""A line about a run for lists and tables, made of its record, and the lines of many runs, kept until their records change."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from symposia.output import models_of, toy_note
from symposia.records import is_correct, params_of
from symposia.registry import load
from symposia.result import ledger, result_of
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.state.place import node_of
from symposia.state.store import Entry, Store
from symposia.viewer.failing import failing_places

Head = dict[str, Any]
Whole = Mapping[str, bytes]
"""Digests of the answer and the reference of a run, of those that its line holds cut."""
_AT_ONCE = 500  # records in one query
_MOST = 50_000  # lines that are kept
_BREATH = 2.0  # seconds
_SHORT = 120  # characters of a question or an answer in a list
_SPENT = (
    "SELECT run, sum(calls), sum(CASE WHEN copied = 0 THEN prompt_tokens + completion_tokens ELSE 0 END),"
    " sum(CASE WHEN copied = 0 THEN usd ELSE 0 END), sum(CASE WHEN copied = 0 AND usd IS NULL THEN calls ELSE 0 END)"
    " FROM entries WHERE run IN ({}) GROUP BY run"
)
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
        self._known: dict[str, tuple[Any, Head, Whole]] = {}
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
        # What others forget while this waits for the store stays here.
        known = {run_id: self._known[run_id] for run_id in order if run_id in self._known}
        stale = await _changed(store, known)
        read = Lines()
        for part in _parts([run_id for run_id in order if run_id not in known or run_id in stale]):
            fresh: dict[str, tuple[Any, Head, Whole]] = {}
            for run_id, status, text in await store.read(f"SELECT id, status, record FROM runs WHERE id IN ({_marks(part)})", part):  # noqa: S608
                fresh[run_id] = ((status, len(text)), *await read.line(text))
            await _place(store, {run_id: head for run_id, (_, head, _) in fresh.items()})
            known |= fresh
            self._known |= fresh
        heads = {run_id: known[run_id][1] for run_id in order if run_id in known}
        heads |= await _spent(store, [head for head in heads.values() if head["status"] not in ENDED])
        if paths:
            went = await self._follow(store, {run_id: known[run_id][0] for run_id in heads})
            heads = {run_id: _with_path(head, went[run_id]) for run_id, head in heads.items()}
        self._forget(heads)
        found = list(heads.values())
        self._last = (asked, time.monotonic(), found)
        return found

    def _forget(self, kept: Mapping[str, Any]) -> None:
        """Let go of the oldest lines above the bound, but for those that were just asked for."""
        over = len(self._known) - _MOST
        others = (run_id for run_id in list(self._known) if run_id not in kept) if over > 0 else ()
        for run_id in islice(others, max(0, over)):
            self._known.pop(run_id, None)
            self._paths.pop(run_id, None)

    def stamp(self, run_id: str) -> Any:
        """What changes when a run's record does; None of a run whose line is not known."""
        return self._known[run_id][0] if run_id in self._known else None

    def whole(self, run_id: str) -> Whole:
        """The digests of what a run's line holds cut; none of a run whose line is not known."""
        return self._known[run_id][2] if run_id in self._known else {}

    async def _follow(self, store: Store, stamps: Mapping[str, Any]) -> dict[str, dict[str, int]]:
        """The paths of runs by their recorded steps: how often each node was visited."""
        kept = {run_id: self._paths[run_id] for run_id in stamps if run_id in self._paths}
        found = {r: visits for r, (stamp, visits) in kept.items() if stamp == stamps[r] and stamp[0] in ENDED}
        for part in _parts([run_id for run_id in stamps if run_id not in found]):
            went: dict[str, list[str]] = {run_id: [] for run_id in part}
            sql = f"SELECT run, next FROM steps WHERE frame = '' AND run IN ({_marks(part)})"  # noqa: S608
            for run_id, text in await store.read(sql, part):
                went[run_id].append(text)
            for run_id, steps in went.items():
                found[run_id] = _visits(tuple(steps))
                self._paths[run_id] = (stamps[run_id], found[run_id])
        return found


async def _place(store: Store, heads: Mapping[str, Head]) -> None:
    """Say where runs failed whose errors do not."""
    errors = {run_id: error for run_id, head in heads.items() if (error := head.get("error")) and error["node"] is None}
    if errors:
        for run_id, place in (await failing_places(store, list(errors))).items():
            errors[run_id] |= {"node": node_of(place), "place": place}


async def _changed(store: Store, known: Mapping[str, tuple[Any, ...]]) -> set[str]:
    """Runs whose records are not as they were when they were read."""
    found: set[str] = set()
    for part in _parts(list(known)):
        sql = f"SELECT id, status, length(record) FROM runs WHERE id IN ({_marks(part)})"  # noqa: S608
        found |= {run_id for run_id, status, size in await store.read(sql, part) if known[run_id][0] != (status, size)}
    return found


async def _spent(store: Store, heads: Sequence[Head]) -> dict[str, Head]:
    """The lines of runs that go on, whose records know no costs yet, with what their journals have come to, as `result.ledger` has it."""
    lines = {head["run"]: head for head in heads}
    found: dict[str, Head] = {}
    for part in _parts(list(lines)):
        for run_id, calls, tokens, usd, unpriced in await store.read(_SPENT.format(_marks(part)), part):
            cost = None if unpriced else round(float(usd or 0), 6)
            found[run_id] = {**lines[run_id], "calls": int(calls), "tokens": int(tokens), "cost": cost}
    return found


def _with_path(head: Head, visits: dict[str, int]) -> Head:
    return {**head, "visited": visits, "rounds": max(0, max(visits.values(), default=0) - 1)}


class Lines:
    """Reads the records of many runs: parameters, which the rows of a batch share and which are most of a record, are read once."""

    def __init__(self) -> None:
        """No record has been read."""
        self._text = ""
        self._params: dict[str, Any] = {}
        self._toy: tuple[str, dict[str, Any], bool] | None = None

    async def line(self, text: str) -> tuple[Head, Whole]:
        """The line of a run, from its record as it is stored, and the digests of what it holds cut."""
        record = self.record(text)
        return row_of(record, correct=await verdict_of(record), toy=self._toys(record)), _whole(record)

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
    return shorten(_text(value), _SHORT)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _whole(record: Mapping[str, Any]) -> Whole:
    """Digests of the answer and the reference where a cell does not hold all of them."""
    texts = {key: _text(value).strip() for key in ("answer", "reference") if isinstance(_cut(value := record.get(key)), str)}
    return {key: _digest(text) for key, text in texts.items() if shorten(text, _SHORT) != text}


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _models(record: Mapping[str, Any]) -> list[str]:
    try:
        roles: Sequence[str] = load(record["method"]).method.roles
    except BadInput:
        roles = ()
    params = params_of(record)
    return list(models_of({"params": {"roles": {}, "model": "", **params}}, roles).values())
