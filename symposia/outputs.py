"""Outputs of `symposia batch`, read back: a checked line per row, and what the store knows of their runs.

A file that a killed writer left is fine: its torn last line is passed over and said, and of two lines for one row the last one counts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, StrictBool, ValidationError

from symposia.grading import question_of
from symposia.output import models_of
from symposia.records import params_of
from symposia.registry import load
from symposia.state.errors import BadInput, UnknownName, shorten
from symposia.state.store import Store

_REMEDY = "name an output of `symposia batch METHOD IN -o OUT.jsonl`"
_AT_ONCE = 500  # runs asked for in one query


class Line(BaseModel):
    """What a row of a batch came to; further fields are passed over."""

    id: str | int | float | None = None
    row: Any = None
    repeat: int = 1
    run_id: str | None = None
    status: Literal["ok", "no_answer", "failed", "stopped", "paused"]
    answer: Any = None
    reference: Any = None
    correct: StrictBool | None = None
    stop_reason: str | None = None
    error: dict[str, Any] | None = None
    calls: dict[str, Any] = {}
    requests: int | None = None
    usage: dict[str, int] = {}
    cost_usd: float | None = None
    seconds: float | None = None
    grade: dict[str, Any] | None = None
    place: str = ""
    """Where it stands: `OUT.jsonl, line 3`."""

    @property
    def key(self) -> tuple[str, int]:
        """The row: its problem and which repeat it is; ids are compared as text, since Parquet keeps them so."""
        return str(self.id), self.repeat

    @property
    def finished(self) -> bool:
        """Whether its run came to an end, with an answer or without."""
        return self.status in ("ok", "no_answer")

    @property
    def total_calls(self) -> int:
        """Completions of the run, made or read from the journal."""
        return int(self.calls.get("live", 0)) + int(self.calls.get("replayed", 0))

    @property
    def tokens(self) -> int:
        """Of prompts and completions."""
        return self.usage.get("prompt_tokens", 0) + self.usage.get("completion_tokens", 0)


@dataclass
class Output:
    """A file of lines, a line per row."""

    path: Path
    label: str
    lines: list[Line]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """What the store knows of a run: its method, its models, and its question."""

    method: str
    models: tuple[str, ...]
    question: str | None


def read_outputs(paths: Sequence[Path]) -> list[Output]:
    """The files, labelled by their names without suffix, or whole where two would have the same label.

    Raises:
        BadInput: A file is named twice or cannot be read, or a line is broken.
    """
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise BadInput(f"{paths[i]} is given twice", remedy="name each output once")
    stems = [path.stem for path in paths]
    labels = [stem if stems.count(stem) == 1 else str(path) for path, stem in zip(paths, stems, strict=True)]
    return [_read(path, label) for path, label in zip(paths, labels, strict=True)]


def read_lines(path: Path, notes: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The lines of a file as they stand in it, each with its place; a torn last one is passed over, which `notes` then say.

    Raises:
        BadInput: The file cannot be read, or a line is no JSON object.
    """
    return _parquet(path) if path.suffix == ".parquet" else _json_lines(path, notes)


async def asked_of(store: Store, run_ids: Sequence[str], *, questions: bool = False) -> dict[str, Asked]:
    """What the store knows of these runs; those it does not have are missing. `questions` keeps their questions, for a judge."""
    found: dict[str, Asked] = {}
    for start in range(0, len(run_ids), _AT_ONCE):
        part = list(run_ids[start : start + _AT_ONCE])
        sql = f"SELECT id, record FROM runs WHERE id IN ({', '.join('?' * len(part))})"  # noqa: S608
        for run_id, text in await store.read(sql, part):
            record = json.loads(text)
            found[run_id] = Asked(record["method"], _models(record), question_of(record) if questions else None)
    return found


def _models(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The models of a run, before and after an edit of its parameters; of a method that is gone, all that these name."""
    try:
        roles: Sequence[str] = load(record["method"]).method.roles
    except UnknownName:
        roles = ["*"]
    stages = (record["params"], params_of(record))
    return tuple(sorted({name for params in stages for name in models_of({"params": params}, roles).values()}))


def _read(path: Path, label: str) -> Output:
    output = Output(path, label, [])
    found = read_lines(path, output.notes)
    last: dict[tuple[str, int], Line] = {}
    for place, value in found:
        line = _line(value, place)
        last.pop(line.key, None)
        last[line.key] = line
    if len(last) < len(found):
        output.notes.append(f"{len(found) - len(last)} lines of {path} are replaced by later lines of the same row")
    output.lines = list(last.values())
    return output


def _parquet(path: Path) -> list[tuple[str, dict[str, Any]]]:
    from symposia.parquet import read_parquet

    if not path.is_file():
        raise BadInput(f"{path} cannot be read: there is no such file", remedy=_REMEDY)
    return [(f"{path}, row {i}", line) for i, line in enumerate(read_parquet(path), 1)]


def _json_lines(path: Path, notes: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a file, each with its place."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}", remedy=_REMEDY) from None
    *whole, torn = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    found = [(f"{path}, line {i}", _object(line, f"{path}, line {i}")) for i, line in enumerate(whole, 1) if line.strip()]
    if torn.strip():
        place = f"{path}, line {len(whole) + 1}"
        try:
            found.append((place, _object(torn, place)))
        except BadInput:
            notes.append(f"the last line of {path} is torn and passed over, as a killed batch leaves it; the same batch command mends it")
    return found


def _object(raw: bytes, place: str) -> dict[str, Any]:
    """The JSON object on a line."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"no JSON: {shorten(str(error))}", remedy=_REMEDY, place=place) from None
    if not isinstance(value, dict):
        raise BadInput(f"no JSON object but {shorten(raw.decode(errors='replace'), 60)}", remedy=_REMEDY, place=place)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _line(value: Mapping[str, Any], place: str) -> Line:
    """A checked line.

    Raises:
        BadInput: A field is missing or of the wrong kind.
    """
    given = {k: v for k, v in value.items() if v is not None}
    given.setdefault("id", given.get("row"))
    if given["id"] is None:
        raise BadInput("the line has no field id", remedy=_REMEDY, place=place)
    try:
        return Line.model_validate({**given, "place": place})
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        what = f"field {name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}, got {shorten(repr(fault['input']), 60)}"
        raise BadInput(what if name in given else f"the line has no field {name}", remedy=_REMEDY, place=place) from None
