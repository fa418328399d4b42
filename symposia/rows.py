"""Questions from files: rows checked before the first call, and the problems that come with the package."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from typing_extensions import get_type_hints

from symposia.inputs import REFERENCES, check_input, row_input
from symposia.registry import Loaded
from symposia.sources import Problems
from symposia.sources import read_jsonl as read_jsonl
from symposia.state.errors import BadInput, nearest
from symposia.state.packing import sound_all
from symposia.tools.answers import task_of


@dataclass
class Row:
    """A row as a run needs it."""

    id: Any
    """Its field `id`, else the number of its line."""
    inputs: dict[str, Any]
    reference: Any
    bundled: bool = False
    """Whether it came with the package."""


def rows_of(loaded: Loaded, objects: Iterable[tuple[str, Mapping[str, Any]]], extra: Mapping[str, Any]) -> list[Row]:
    """Rows for a method; `extra` are inputs for rows that do not say otherwise.

    Raises:
        BadInput: Rows lack their question, or have fields of the wrong kind; the place says line and field.
    """
    rows: list[Row] = []
    problems = Problems()
    for number, (place, given) in enumerate(objects, 1):
        with problems.caught():
            rows.append(_row(loaded, number, place, given, extra))
    problems.check()
    return rows


def folder_rows(loaded: Loaded, data: str) -> list[Mapping[str, Any]]:
    """The row that a folder stands for, where `prepare` of the method takes a repository; none for a file."""
    folder = hasattr(loaded.module, "prepare_rows") and Path(data).is_dir()
    return [{"repo_root": data}] if folder else []


def _row(loaded: Loaded, number: int, place: str, given: Mapping[str, Any], extra: Mapping[str, Any]) -> Row:
    inputs, reference = row_input(loaded, given)
    inputs = {**extra, **inputs}
    if "question" in get_type_hints(loaded.method.input) and not inputs.get("messages"):
        _check_question(inputs, given, place)
    try:
        check_task(inputs.get("task"))
        inputs = check_input(loaded, inputs)
    except BadInput as error:
        raise BadInput(error.message, remedy=error.remedy, place=place) from None
    return Row(number if given.get("id") is None else sound_all(given["id"]), inputs, sound_all(reference))


def _check_question(inputs: Mapping[str, Any], given: Mapping[str, Any], place: str) -> None:
    """A row's question is a text that says something."""
    question = inputs.get("question")
    if isinstance(question, str) and question.strip():
        return
    where = f"{place}, field question"
    if "question" in inputs:
        found = "the question is empty" if question in ("", None) or isinstance(question, str) else f"the question is {question!r}, no text"
        raise BadInput(found, remedy="give a text, or take the line out", place=where)
    like = [name for name in nearest("question", given, 1) if name not in REFERENCES]
    fields = f"did you mean {like[0]!r}?" if like else f"it has {', '.join(map(str, given)) or 'none at all'}"
    raise BadInput(f"the row has no field question; {fields}", remedy="name the field of the problem's text question", place=where)


def check_task(task: Any) -> None:
    """Know the task of an answer.

    Raises:
        BadInput: There is none of that name.
    """
    try:
        task_of(task or "auto")
    except (ValueError, AttributeError) as error:
        raise BadInput(str(error), remedy="--task NAME, or a row's field task") from None


def toy_item(loaded: Loaded) -> Row:
    """The first of the bundled problems that a method is shown on.

    Raises:
        BadInput: There is no such set.
    """
    source = files("symposia.items") / f"{loaded.method.items}.jsonl"
    if not source.is_file():
        raise BadInput(f"{loaded.method.name} comes without a problem of its own", remedy='give a question: symposia run METHOD "QUESTION"')
    first = source.read_text(encoding="utf-8").split("\n", 1)[0]
    row = rows_of(loaded, [(source.name, json.loads(first))], {})[0]
    row.bundled = True
    return row


def input_values(loaded: Loaded, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Inputs from `key=value` or `key=@FILE`: text where the method wants text, else JSON where it is some.

    Raises:
        BadInput: A file cannot be read.
    """
    kinds = get_type_hints(loaded.method.input)
    return {name: _input_value(name, text, kinds.get(name)) for name, text in pairs.items()}


def _input_value(name: str, text: str, kind: Any) -> Any:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"input {name} cannot be read: {error}", remedy=f"name a text file: --input {name}=@FILE") from None
    if kind is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
