"""A line about a run for lists and tables, made of its record, and the lines of many runs, kept until their records change."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symposia.output import models_of, toy_note
from symposia.records import is_correct, params_of
from symposia.registry import load
from symposia.runs import ledger, result_of
from symposia.state.errors import BadInput, SymposiaError, shorten
from symposia.state.store import Entry, Store

Head = dict[str, Any]
_AT_ONCE = 500  # records in one query
_MOST = 50_000  # lines that are kept
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
        "question": _question(record),
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


def row_of(head: Mapping[str, Any]) -> Head:
    """A head for a list of thousands: its texts cut, its counts summed, what is empty left out."""
    error = head["error"]
    used = head["usage"]
    row = {
        **{"run": head["run_id"], "row": head["row"], "method": head["method"], "status": head["status"], "answer": _cut(head["answer"])},
        **{
            "reference": _cut(head["reference"]),
            "correct": head["correct"],
            "stop": head["stop_reason"],
            "question": _cut(head["question"]),
        },
        "error": {"name": error["name"], "node": error.get("node"), "message": shorten(error["message"], _SHORT)} if error else None,
        **{"calls": head["calls"]["live"] + head["calls"]["replayed"], "tokens": used["prompt_tokens"] + used["completion_tokens"]},
        **{"cost": head["cost_usd"], "seconds": head["seconds"], "started": head["started"], "parent": head["parent"]},
        **{"batch": head["batch"]["id"] if head["batch"] else None, "repeat": (head["batch"] or {}).get("repeat")},
        **{"position": (head["batch"] or {}).get("row"), "toy": bool(head["toy"])},
        "waiting": bool(head.get("waiting")),
    }
    return {key: value for key, value in row.items() if value is not None or key in ("answer", "correct", "cost")}


class Heads:
    """The lines of a store's runs, each read once as long as its record stays the same."""

    def __init__(self) -> None:
        """None is known yet."""
        self._known: dict[str, tuple[Any, Head]] = {}
        self._paths: dict[str, tuple[Any, dict[str, int]]] = {}

    async def of(self, store: Store, where: str = "", args: Sequence[Any] = (), *, paths: bool = False) -> list[Head]:
        """The lines of runs, newest first; `where` is a condition over the columns of the table of runs.

        With `paths` a line says which nodes the run has `visited`, how often each, and after how many rounds it ended.
        """
        sql = f"SELECT id, status, length(record) FROM runs {where} ORDER BY started DESC, id DESC"  # noqa: S608
        stamps = {row[0]: (row[1], row[2]) for row in await store.read(sql, args)}
        missing = [run_id for run_id, stamp in stamps.items() if self._known.get(run_id, (None,))[0] != stamp]
        for start in range(0, len(missing), _AT_ONCE):
            part = missing[start : start + _AT_ONCE]
            for run_id, text in await store.read(f"SELECT id, record FROM runs WHERE id IN ({_marks(part)})", part):  # noqa: S608
                record = json.loads(text)
                row = row_of({**head_of(record), "correct": await verdict_of(record)})
                self._known[run_id] = (stamps[run_id], row)
        if paths:
            await self._follow(store, stamps)
        found = [self._line(run_id, paths) for run_id in stamps if run_id in self._known]
        if len(self._known) > _MOST:
            self._known.clear()
            self._paths.clear()
        return found

    def _line(self, run_id: str, paths: bool) -> Head:
        head = self._known[run_id][1]
        if not paths:
            return head
        visits = self._paths[run_id][1] if run_id in self._paths else {}
        return {**head, "visited": visits, "rounds": max(0, max(visits.values(), default=0) - 1)}

    async def _follow(self, store: Store, stamps: Mapping[str, Any]) -> None:
        """Learn the paths of runs from their recorded steps."""
        missing = [r for r, stamp in stamps.items() if stamp[0] not in ENDED or self._paths.get(r, (None,))[0] != stamp]
        for start in range(0, len(missing), _AT_ONCE):
            part = missing[start : start + _AT_ONCE]
            visits: dict[str, Counter[str]] = {run_id: Counter() for run_id in part}
            sql = f"SELECT run, next FROM steps WHERE frame = '' AND run IN ({_marks(part)})"  # noqa: S608
            for run_id, text in await store.read(sql, part):
                visits[run_id].update({node for node in json.loads(text) if not node.startswith("__")})
            for run_id, counts in visits.items():
                self._paths[run_id] = (stamps[run_id], dict(counts))


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)


def _question(record: Mapping[str, Any]) -> str:
    """The question, or whatever a method without one was given."""
    given = record["input"]
    if not isinstance(given, Mapping):
        return ""
    found = given.get("question") or given.get("prompt") or (given and json.dumps(given, ensure_ascii=False, default=str)) or ""
    return shorten(str(found), 2_000)


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
