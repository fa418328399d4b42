"""The output file of a batch: a line per row, each on the disk before it counts as written.

A file belongs to one batch at a time: it is locked, and the ids of its runs begin with the batch's id. A line that a kill cut off is taken
away when the file is opened again; its row is in the store and gets its line from there.
"""

import asyncio
import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from symposia.batches.lines import Line, digest_of_reference
from symposia.output import finite
from symposia.parquet import sync_folder
from symposia.state.errors import BadInput, StoreError, shorten

_OTHERS = (".csv", ".tsv", ".json", ".xlsx", ".txt", ".arrow", ".feather", ".db")


class Out:
    """An output file of JSON Lines; `Parquet` differs in being written from the store."""

    from_store = False
    """Whether `finish` needs all lines."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is opened yet."""
        self.path = path
        self.lines: dict[str, Line] = {}
        """What it held when it was opened, by run id."""
        self.torn = False
        """Whether it ends in the middle of a line, as a kill leaves it."""
        self._real = path.resolve()
        self._file: IO[bytes] | None = None
        self._end = 0
        self._writing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def open(self) -> None:
        """Lock the file, if there is one, and read what it holds; nothing in it is changed.

        Raises:
            BadInput: Another batch writes to it, it cannot be written, or it holds something that is no line of a batch.
        """
        if not self._real.exists():
            return
        self._file = _locked(self._real, self.path)
        self._file.seek(0)
        for number, raw in enumerate(self._file, 1):
            if not raw.endswith(b"\n"):
                self.torn = True
                return
            self._end += len(raw)
            if raw.strip():
                line = _line(raw, f"{self.path}, line {number}")
                self.lines[line.run_id] = line

    def begin(self, wanted: Mapping[str, Line]) -> None:
        """Be ready to append: take away a line that was cut off, and all lines but these, in one step.

        Raises:
            BadInput: The file cannot be written, or another batch has begun to write it meanwhile.
        """
        if self._file is None:
            self._file = _locked(self._real, self.path)
            if os.fstat(self._file.fileno()).st_size:
                raise BadInput(f"another batch has written to {self.path} meanwhile", remedy="start the same command again")
        try:
            if self.torn:
                os.ftruncate(self._file.fileno(), self._end)
            if len(wanted) < len(self.lines):
                self._keep(self._file, wanted)
        except OSError as error:
            raise _explained(self.path, error) from error

    def _keep(self, file: IO[bytes], wanted: Mapping[str, Line]) -> None:
        """Write the lines that stay into a new file, and put it in the old one's place: a kill leaves the one or the other."""
        draft = self._real.with_name(f".{self._real.name}.{secrets.token_hex(4)}")
        try:
            with open(draft, "xb+") as fresh:
                file.seek(0)
                written: set[str] = set()
                for raw in file:
                    run_id = _line(raw, str(self.path)).run_id if raw.strip() else ""
                    if run_id in wanted and run_id not in written:
                        written.add(run_id)
                        fresh.write(raw)
                fresh.flush()
                os.fsync(fresh.fileno())
            shutil.copymode(self._real, draft)
            locked = _locked(draft, self.path)
            os.replace(draft, self._real)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self._real.parent)
        file.close()
        self._file = locked

    async def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines; they are on the disk when this returns.

        Raises:
            StoreError: The disk is full, or the file cannot be written; what was written of them is taken back.
        """
        if self._file is None:
            raise StoreError(f"{self.path} is not open")
        number = self._file.fileno()
        data = "".join(json.dumps(finite(line), ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()
        async with self._turn:
            before = os.fstat(number).st_size
            self._writing = asyncio.create_task(asyncio.to_thread(_write, number, data))
            try:
                await asyncio.shield(self._writing)
            except OSError as error:
                os.ftruncate(number, before)
                raise _explained(self.path, error) from error

    async def finish(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Nothing is left to do: every line is written."""

    async def close(self) -> None:
        """Wait for what is being written, and unlock the file."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._file is not None:
            self._file.close()
            self._file = None


class Parquet(Out):
    """An output table, written whole from the store when the batch ends or stops; until then a lock beside it keeps others away."""

    from_store = True

    def open(self) -> None:
        """Read what an earlier start wrote.

        Raises:
            BadInput: It holds something else, cannot be read, or the package for it is missing.
        """
        from symposia.parquet import check_package, read_parquet

        check_package()
        rows = read_parquet(self.path) if self.path.exists() else []
        self.lines = {line.run_id: line for line in (_line_of(row, f"{self.path}, row {i}") for i, row in enumerate(rows, 1))}

    def begin(self, wanted: Mapping[str, Line]) -> None:
        """Lock it; the table is made anew from the store."""
        self._lock = self._real.with_name(f".{self._real.name}.lock")
        self._file = _locked(self._lock, self.path)

    async def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """The store has them."""

    async def finish(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write the table.

        Raises:
            SymposiaError: The disk is full, or the file cannot be written.
        """
        from symposia.parquet import write_parquet

        await asyncio.to_thread(write_parquet, self._real, [finite(line) for line in lines])

    async def close(self) -> None:
        """Unlock it."""
        if self._file is not None:
            self._lock.unlink(missing_ok=True)
        await super().close()


def out_of(path: Path) -> Out:
    """The output file of a name: Parquet by its ending, else JSON Lines.

    Raises:
        BadInput: The ending promises another form.
    """
    if path.suffix.lower() in _OTHERS:
        raise BadInput(f"no output of the form {path.suffix}", remedy="name OUT.jsonl, or OUT.parquet")
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
        ungraded = bool((value.get("grade") or {}).get("error"))
        return Line(value["run_id"], value["id"], value["row"], value.get("repeat"), value["status"], value["correct"], reference, ungraded)
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


def _explained(path: Path, error: OSError) -> StoreError:
    remedy = "free some space and start the same command again: finished rows are in the store"
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return StoreError(f"{path}: no space left on the disk", remedy=remedy)
    return StoreError(f"{path} cannot be written: {error.strerror or error}", remedy="mend that and start the same command again")
