"""The output file of a batch: a line per row, each on the disk before it counts as written.

A file belongs to one batch at a time: it is locked, and the ids of its runs begin with the batch's id. A line that a kill cut off is taken
away when the file is opened again; its row is in the store and gets its line from there.
"""

import asyncio
import errno
import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from symposia.batches.lines import Line, digest_of_reference
from symposia.output import finite
from symposia.state.errors import BadInput, StoreError, shorten


class Out:
    """An output file of JSON Lines; `Parquet` differs in being written at the end."""

    from_store = False
    """Whether `finish` needs all lines."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.path = path
        self.lines: dict[str, Line] = {}
        """What it held when it was opened, by run id."""
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Lock the file and read what it holds.

        Raises:
            BadInput: Another batch writes to it, it cannot be written, or it holds something that is no line of a batch.
        """
        self._file = _locked(self.path, self.path)
        self._file.seek(0)
        end = 0
        for number, raw in enumerate(self._file, 1):
            if not raw.endswith(b"\n"):
                break  # cut off by a kill
            end += len(raw)
            if raw.strip():
                line = _line(raw, f"{self.path}, line {number}")
                self.lines[line.run_id] = line
        os.ftruncate(self._file.fileno(), end)

    @property
    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise StoreError(f"{self.path} is not open")
        return self._file

    def keep(self, wanted: Mapping[str, Line]) -> None:
        """Take away all lines but these, in one step: a kill leaves the old file or the new one."""
        file = self._opened
        fresh_path = self.path.with_name(f"{self.path.name}.tmp")
        fresh = _locked(fresh_path, self.path)
        os.ftruncate(fresh.fileno(), 0)
        file.seek(0)
        written: set[str] = set()
        for number, raw in enumerate(file, 1):
            run_id = _line(raw, f"{self.path}, line {number}").run_id if raw.strip() else None
            if run_id in wanted and run_id not in written:
                written.add(str(run_id))
                fresh.write(raw)
        fresh.flush()
        os.fsync(fresh.fileno())
        os.replace(fresh_path, self.path)
        _sync_folder(self.path.parent)
        file.close()
        self._file = fresh

    async def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines; they are on the disk when this returns.

        Raises:
            StoreError: The disk is full, or the file cannot be written; what was written of them is taken back.
        """
        number = self._opened.fileno()
        before = os.fstat(number).st_size
        data = "".join(json.dumps(finite(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()
        try:
            await asyncio.to_thread(_write, number, data)
        except OSError as error:
            os.ftruncate(number, before)
            raise _explained(self.path, error) from error

    async def finish(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Nothing is left to do: every line is written."""

    def close(self) -> None:
        """Unlock it."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Parquet(Out):
    """An output table, written whole at the end from the store; until then a lock beside it keeps others away."""

    from_store = True

    def open(self) -> None:
        """Lock it and read what an earlier start wrote."""
        from symposia.parquet import read_parquet

        self._lock = self.path.with_name(f"{self.path.name}.lock")
        self._file = _locked(self._lock, self.path)
        rows = read_parquet(self.path) if self.path.exists() else []
        self.lines = {line.run_id: line for line in (_line_of(row, f"{self.path}, row {i}") for i, row in enumerate(rows, 1))}

    def keep(self, wanted: Mapping[str, Line]) -> None:
        """The table is made from the store: there is nothing to take away."""

    async def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """The store has them."""

    async def finish(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the table.

        Raises:
            StoreError: The disk is full, or the file cannot be written.
        """
        from symposia.parquet import write_parquet

        try:
            await asyncio.to_thread(write_parquet, self.path, [finite(line) for line in lines])
        except OSError as error:
            raise _explained(self.path, error) from error

    def close(self) -> None:
        """Unlock it."""
        if self._file is not None:
            self._lock.unlink(missing_ok=True)
        super().close()


def out_of(path: Path) -> Out:
    """The output file of a name: Parquet by its ending, else JSON Lines."""
    return Parquet(path) if path.suffix == ".parquet" else Out(path)


def _locked(path: Path, named: Path) -> IO[bytes]:
    """The file, open for reading and appending, locked against other batches."""
    if path.exists() and not path.is_file():
        raise BadInput(f"{named} is no regular file", remedy="name another output file: -o FILE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab+")  # noqa: SIM115 - stays open as long as the batch
    except OSError as error:
        raise BadInput(f"{named} cannot be written: {error.strerror or error}", remedy="name another output file: -o FILE") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise BadInput(f"another batch is writing to {named}", remedy="wait for it, or name another output file: -o FILE") from None
    return file


def _line(raw: bytes, place: str) -> Line:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"no JSON: {shorten(str(error))}", remedy="name another output file: -o FILE", place=place) from None
    return _line_of(value, place)


def _line_of(value: Any, place: str) -> Line:
    try:
        reference = digest_of_reference(value["reference"])
        return Line(value["run_id"], value["id"], value["row"], value.get("repeat"), value["status"], value["correct"], reference)
    except (TypeError, KeyError):
        text = shorten(json.dumps(value), 60)
        raise BadInput(f"no line of a batch: {text}", remedy="name another output file: -o FILE", place=place) from None


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe or a device, which nothing makes durable
            raise


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _explained(path: Path, error: OSError) -> StoreError:
    remedy = "free some space and start the same command again: finished rows are in the store"
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return StoreError(f"{path}: no space left on the disk", remedy=remedy)
    return StoreError(f"{path} cannot be written: {error.strerror or error}", remedy="mend that and start the same command again")
