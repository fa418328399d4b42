"""Readers of data sets: a file, standard input or a data set of the Hugging Face hub as rows, each with its place.

What spoils a whole file is raised; a bad row is given as its error, so that the reader goes on to the next.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from symposia.fields import check_columns
from symposia.parquet import opened
from symposia.state.errors import BadInput, nearest, shorten

Found = Iterator[tuple[str, "dict[str, Any] | BadInput"]]
Reader = Callable[[str, Mapping[str, str]], Found]
"""Takes the name of a source, and the mapping of fields, which a table is checked against once."""

_BATCH = 1000  # rows of a table that become Python objects at a time
_ROW = 'a row is one JSON object on one line: {"question": "..."}'


def reader_of(source: str) -> Reader:
    """What reads a source, chosen by its beginning or its suffix.

    Raises:
        BadInput: No form of rows has that suffix.
    """
    if source.startswith("hf:"):
        return _hub
    suffix = ".json" if source == "-" else Path(source).suffix.lower()
    if suffix in _READERS:
        return _READERS[suffix]
    near = nearest(suffix, _READERS, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise BadInput(
        f"{source} has {f'the suffix {suffix}' if suffix else 'no suffix'}, which names no form of rows{hint}",
        remedy=f"give a file that ends in {', '.join(_READERS)}, or hf:owner/name:config:split, or - for standard input",
    )


def name_of(source: str) -> str:
    """A source as errors call it."""
    return "standard input" if source == "-" else source


def _bytes(source: str) -> bytes:
    """What a file, or standard input, holds."""
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except FileNotFoundError:
        folder = Path(source).parent
        near = nearest(Path(source).name, (p.name for p in folder.iterdir()), 1) if folder.is_dir() else []
        hint = f"; did you mean {folder / near[0]}?" if near else ""
        raise BadInput(f"{source} cannot be read: there is no such file{hint}", remedy="name a file of rows in UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name_of(source)} cannot be read: {error.strerror}", remedy="name a file of rows in UTF-8") from None


def text_of(source: str) -> str:
    """The text of a file, or of standard input; a byte-order mark of UTF-8 is no part of it.

    Raises:
        BadInput: It cannot be read, or is no UTF-8.
    """
    data = _bytes(source)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        line = data.count(b"\n", 0, error.start) + 1
        what = "begins with the mark of UTF-16" if wide else f"is no UTF-8: byte 0x{data[error.start]:02x} in line {line}"
        remedy = f"convert it: iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8"
        raise BadInput(f"{name_of(source)} {what}", remedy=remedy) from None


def _json_lines(source: str, _: Mapping[str, str]) -> Found:
    return lines_of(source, text_of(source))


def _json(source: str, _: Mapping[str, str]) -> Found:
    """A list of objects, or a JSON object a line, as many tools write into `.json` too."""
    text, name = text_of(source), name_of(source)
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("["):
            raise BadInput(f"{name} holds no JSON: {shorten(str(error))}", remedy='a list is [{"question": "..."}, ...]') from None
        return lines_of(name, text)
    if isinstance(value, list):
        return ((place, _checked(item, place)) for place, item in ((f"{name}, row {i}", item) for i, item in enumerate(value, 1)))
    if isinstance(value, dict) and "\n" in text.strip():
        remedy = "give a list, [{...}, ...], or an object a line"
        raise BadInput(f"{name} holds one object, {', '.join(value) or 'an empty one'}, and no list of rows", remedy=remedy)
    return lines_of(name, text)


def lines_of(name: str, text: str) -> Found:
    """The objects of JSON Lines; blank lines are passed over."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{name}, line {number}"
            try:
                value = json.loads(line, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                yield place, BadInput(f"no JSON: {shorten(str(error))}", remedy=_ROW, place=place)
            else:
                yield place, _checked(value, place)


def _checked(value: Any, place: str) -> dict[str, Any] | BadInput:
    """A row, which is an object."""
    if isinstance(value, dict):
        return value
    form = "a list" if isinstance(value, list) else shorten(json.dumps(value, ensure_ascii=False), 60)
    return BadInput(f"no JSON object but {form}", remedy=_ROW, place=place)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


def _commas(source: str, mapping: Mapping[str, str]) -> Found:
    return _table(source, mapping, ",")


def _tabs(source: str, mapping: Mapping[str, str]) -> Found:
    return _table(source, mapping, "\t")


def _table(source: str, mapping: Mapping[str, str], separator: str) -> Found:
    """The rows below a header; the place of a row is the line it begins on, since quoted fields may hold new lines."""
    text = text_of(source)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = csv.field_size_limit(max(len(text), 1))  # a setting of the whole process, so only while this file is read
    try:
        header: list[str] | None = None
        while True:
            place = f"{source}, line {lines.line_num + 1}"
            try:
                cells = next(lines, None)
            except csv.Error as error:
                yield place, BadInput(f"broken quoting: {error}", remedy='double a quote inside a quoted field: "a ""b"" c"', place=place)
                continue
            if cells is None:
                return
            if not cells:
                continue
            if header is None:
                header = _header(cells, place, separator)
                check_columns(header, mapping, place)
            elif len(cells) != len(header):
                remedy = f"quote fields that hold {'a tab' if separator == chr(9) else 'a comma'}, a quote or a new line"
                yield place, BadInput(f"{len(cells)} fields, where the header has {len(header)}", remedy=remedy, place=place)
            else:
                yield place, {name: cell or None for name, cell in zip(header, cells, strict=True)}
    finally:
        csv.field_size_limit(before)


def _header(names: list[str], place: str, separator: str) -> list[str]:
    """The names of the fields, each once."""
    other = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0] and mark != separator), None)
    if other:
        remedy = "name the file .tsv" if other == "\t" else "write it with commas"
        raise BadInput(f"the fields are separated by {other!r}, no comma", remedy=remedy, place=place)
    _check_once(names, place)
    return names


def _check_once(names: Sequence[str], place: str) -> None:
    twice = [name for name in dict.fromkeys(names) if list(names).count(name) > 1]
    if twice:
        raise BadInput(f"the field {', '.join(map(repr, twice))} is there twice", remedy="give every column a name of its own", place=place)


def _parquet(source: str, mapping: Mapping[str, str]) -> Found:
    with opened(source) as file:
        names = file.schema_arrow.names
        _check_once(names, source)
        check_columns(names, mapping, source)
        yield from _numbered(source, file.iter_batches(_BATCH))


def _numbered(source: str, tables: Iterable[Any]) -> Found:
    """The rows of Arrow tables."""
    number = 0
    for table in tables:
        for row in table.to_pylist():
            number += 1
            yield f"{source}, row {number}", row


_READERS: dict[str, Reader] = {
    **{".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json},
    **{".csv": _commas, ".tsv": _tabs, ".parquet": _parquet},
}


# -- the hub ----------------------------------------------------------------------------------------------------------------------------


def _hub(source: str, mapping: Mapping[str, str]) -> Found:
    """A data set of the Hugging Face hub, or of a local folder, read as Arrow tables, which decodes no image and no sound."""
    name, *asked = source.removeprefix("hf:").split(":")
    if not name or len(asked) > 2:
        raise BadInput(f"{source!r} names no data set", remedy="hf:owner/name:config:split; config and split may be left out")
    if name.startswith((".", "/", "~")):
        name = os.path.expanduser(name)  # keeps the `./` that tells a folder from a name of the hub
        if not Path(name).exists():
            raise BadInput(f"there is no folder {name}", remedy="name a folder of data files, or a data set of the hub: hf:owner/name")
    config, split = [*asked, "", ""][:2]
    try:
        import datasets
    except ImportError:
        raise BadInput("data sets of the hub need another package", remedy="pip install 'symposia[data]'") from None
    config = _one("configuration", config, _asked(source, lambda: datasets.get_dataset_config_names(name)), f"hf:{name}:")
    split = _one("split", split, _asked(source, lambda: datasets.get_dataset_split_names(name, config)), f"hf:{name}:{config}:")
    data = _asked(source, lambda: datasets.load_dataset(name, config, split=split))
    place = f"hf:{name}:{config}:{split}"
    check_columns(data.column_names, mapping, place)
    yield from _numbered(place, data.with_format("arrow").iter(_BATCH))


def _asked(source: str, ask: Callable[[], Any]) -> Any:
    """What the `datasets` library answers; whatever it raises is about the source."""
    try:
        return ask()
    except Exception as error:
        raise BadInput(
            f"{source} cannot be loaded: {type(error).__name__}: {shorten(str(error))}",
            remedy="correct the name, set HF_TOKEN for a private data set, or name a local folder: hf:./folder",
        ) from error


def _one(what: str, name: str, known: Sequence[str], prefix: str) -> str:
    """The configuration or split that was asked for; without a name the only one, or the one called `default`."""
    if name in known:
        return name
    if not name and (len(known) == 1 or "default" in known):
        return "default" if "default" in known else known[0]
    near = nearest(name, known, 1) if name else []
    hint = f"; did you mean {near[0]!r}?" if near else "."
    missing = f"there is no {what} {name!r}{hint}" if name else f"no {what} is named."
    raise BadInput(f"{missing} The data set has {', '.join(known) or 'none'}", remedy=f"name one: {prefix}{known[0] if known else what}")
