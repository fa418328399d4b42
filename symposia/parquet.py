"""Results as a Parquet file, which comes back exactly as it was written.

A column whose values are all of one plain type has that type; any other (mixed, nested, integers beyond 64 bits) holds JSON text. Which is
which stands in the metadata of the column.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from symposia.state.errors import BadInput, SymposiaError, shorten

_MARK = b"symposia"
_OWN_TYPE = ("id", "row", "answer", "reference")
"""Columns in which 1 and 1.0 are two values; elsewhere whole numbers among fractions become fractions."""


def write_parquet(path: str | Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects as a table: all of it or, if anything fails, nothing.

    Raises:
        BadInput: The package for it is missing.
        SymposiaError: The file cannot be written.
    """
    pq, pa = _pyarrow()
    rows = list(lines)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [_column(pa, name, rows) for name in names]
    table = pa.table([values for _, values in columns], schema=pa.schema([field for field, _ in columns]))
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with draft.open("xb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        remedy = (
            "make room, or name a file in a folder that can be written to; the results are in the store, and the same command reads them"
        )
        raise SymposiaError(f"cannot write {path}: {error.strerror or error}", remedy=remedy) from error
    finally:
        draft.unlink(missing_ok=True)


def read_parquet(path: str | Path) -> list[dict[str, Any]]:
    """The objects that `write_parquet` wrote; of another Parquet file its rows.

    Raises:
        BadInput: The file cannot be read, or the package for it is missing.
    """
    with opened(path) as file:
        table = file.read()
    marks = {field.name: json.loads((field.metadata or {}).get(_MARK, b"{}")) for field in table.schema}
    return [_line(row, marks) for row in table.to_pylist()]


def check_package() -> None:
    """Know whether Parquet can be read and written here.

    Raises:
        BadInput: The package for it is missing.
    """
    _pyarrow()


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """A Parquet file, open for reading.

    Raises:
        BadInput: There is none, or what reads it is missing.
    """
    pq, pa = _pyarrow()
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        what = f"there is no file {path}" if missing else f"{path} is no Parquet file: {shorten(str(error))}"
        raise BadInput(what, remedy="name a Parquet file") from None
    with file:
        yield file


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise BadInput("Parquet files need another package", remedy="pip install 'symposia[data]'") from None
    return pyarrow.parquet, pyarrow


def _column(pa: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """A column's field and values. Where some lines lack it, a missing value is null; a None beside those is the text `null`."""
    gaps = any(name not in row for row in rows)
    present = [row[name] for row in rows if name in row]
    kind = None if gaps and None in present else _kind(name, present)
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    mark = json.dumps({"json": kind is None, "gaps": gaps}).encode()
    field = pa.field(name, types[kind or str], metadata={_MARK: mark})
    if kind is None:
        values = [_text(row[name]) if name in row and (gaps or row[name] is not None) else None for row in rows]
    else:
        values = [row.get(name) for row in rows]
    return field, pa.array(values, type=field.type)


def _kind(name: str, values: Sequence[Any]) -> type | None:
    """The plain type that all values but None have; None when it takes JSON to keep them apart."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float} and name not in _OWN_TYPE and all(float(v) == v for v in values if isinstance(v, int)):
        return float
    if len(kinds) > 1:
        return None
    kind = kinds.pop() if kinds else str
    return kind if all(_fits(kind, value) for value in values if value is not None) else None


def _fits(kind: type, value: Any) -> bool:
    """Whether a column of this type holds the value."""
    if kind is int:
        return bool(-(2**63) <= value < 2**63)
    return _encodes(value) if kind is str else kind in (bool, float)


def _text(value: Any) -> str:
    """JSON, readable in any script; escaped where a lone surrogate would not encode."""
    text = json.dumps(value, ensure_ascii=False)
    return text if _encodes(text) else json.dumps(value)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _line(row: Mapping[str, Any], marks: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]:
    line = {}
    for name, value in row.items():
        if value is None and marks[name].get("gaps"):
            continue
        line[name] = json.loads(value) if value is not None and marks[name].get("json") else value
    return line


def sync_folder(folder: Path) -> None:
    """Have the new name on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
