"""Questions from files: rows of JSON Lines, checked before the first call, and the problems that come with the package."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NoReturn

from typing_extensions import get_type_hints

from symposia.registry import Loaded
from symposia.runs import REFERENCES, check_input, row_input
from symposia.state.errors import BadInput, nearest, shorten
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


def read_jsonl(path: Path | None, text: str | None = None) -> list[tuple[str, dict[str, Any]]]:
    """The objects of a JSON Lines file, each with its place (`FILE, line N`); blank lines are passed over.

    Args:
        path: The file.
        text: What it holds, when it has been read already, such as from standard input.

    Raises:
        BadInput: The file cannot be read, a line is no JSON object, or there is none at all.
    """
    name = str(path) if path else "standard input"
    if text is None:
        try:
            text = Path(name).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{name} cannot be read: {error}", remedy="name a JSON Lines file in UTF-8") from None
    found = [(f"{name}, line {i}", line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not found:
        raise BadInput(f"{name} holds no row", remedy='a row is a JSON object on a line of its own: {"question": "..."}')
    return [(place, _object(line, place)) for place, line in found]


def _object(line: str, place: str) -> dict[str, Any]:
    """The JSON object on a line."""
    remedy = 'a row is one JSON object on one line: {"question": "..."}'
    try:
        value = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"no JSON: {shorten(str(error))}", remedy=remedy, place=place) from None
    if not isinstance(value, dict):
        raise BadInput(f"no JSON object but {shorten(line, 60)}", remedy=remedy, place=place)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def rows_of(loaded: Loaded, objects: Iterable[tuple[str, Mapping[str, Any]]], extra: Mapping[str, Any]) -> list[Row]:
    """Rows for a method; `extra` are inputs for rows that do not say otherwise.

    Raises:
        BadInput: A row lacks its question, or has a field of the wrong kind; the place says line and field.
    """
    return [_row(loaded, number, place, given, extra) for number, (place, given) in enumerate(objects, 1)]


def _row(loaded: Loaded, number: int, place: str, given: Mapping[str, Any], extra: Mapping[str, Any]) -> Row:
    inputs, reference = row_input(loaded, given)
    inputs = {**extra, **inputs}
    if "question" in get_type_hints(loaded.method.input) and not inputs.get("messages"):
        _check_question(inputs, given, place)
    try:
        check_task(inputs.get("task"))
        check_input(loaded, inputs)
    except BadInput as error:
        raise BadInput(error.message, remedy=error.remedy, place=place) from None
    return Row(given.get("id", number), inputs, reference)


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
