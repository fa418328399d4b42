"""What finished runs came to, for what a method makes of many of them: training files, reports."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from symposia.output import say
from symposia.outputs import Line, read_outputs
from symposia.records import known_answers
from symposia.registry import load, names
from symposia.runs import replay
from symposia.state.errors import BadInput
from symposia.state.store import Store

Finished = tuple[dict[str, Any], list[str]]
"""The last state of a run, and every accepted spelling of its right answer."""


async def finished_runs(store: Store, run_ids: Sequence[str], method: str) -> list[Finished]:
    """The last states of runs with the references of their rows, by replay; nothing is called.

    Raises:
        BadInput: A run is of another method, has not ended well, or has no reference while the method needs one.
    """
    found = []
    for run_id in run_ids:
        record = await store.run(run_id)
        if record["method"] != method:
            raise BadInput(f"run {run_id} is one of {record['method']}", remedy=f"name runs of {method}")
        if record["status"] not in ("ok", "no_answer"):
            raise BadInput(f"run {run_id} is {record['status']}", remedy=f"symposia resume {run_id}")
        if record["reference"] is None and getattr(load(method).module, "NEEDS_REFERENCES", True):
            remedy = "run it from a row with a field `answer`, a text or a list of accepted ones"
            raise BadInput(f"run {run_id} has no reference", remedy=remedy)
        _, execution = await replay(store, run_id)
        known = known_answers(record["reference"]) if record["reference"] is not None else []
        found.append((execution.values, [str(one) for one in known]))
    return found


async def export_batch(store: Store, method: str, out: Path, folder: Path, against: Path | None = None) -> dict[str, int]:
    """Write what a method makes of the runs of a batch's output, in the order of its rows: the number of rows by file name.

    Args:
        store: Where the runs are.
        method: Whose runs they are.
        out: The batch's output.
        folder: Where the files go.
        against: The output of another batch over the same rows, for files that compare the two.

    Raises:
        BadInput: The method exports nothing of this kind, or a run is not fit for it.
    """
    if against is None:
        write = _offered(method, "export", "exports nothing")
        batches = [out]
    else:
        write = _offered(method, "export_against", "exports nothing that compares two batches")
        batches = [out, against]
    written: dict[str, int] = write(*[await _finished_rows(store, method, one) for one in batches], folder)
    return written


async def report_batch(store: Store, method: str, out: Path) -> dict[str, Any]:
    """What a method measures, beside accuracy, over the runs of a batch's output.

    Raises:
        BadInput: The method measures nothing of its own, or a run is not fit for it.
    """
    measure = _offered(method, "report", "measures nothing of its own")
    found: dict[str, Any] = measure(await _finished_rows(store, method, out))
    return found


def _offered(method: str, part: str, otherwise: str) -> Callable[..., Any]:
    """A function that a method's file may have."""
    module = load(method).module
    if not hasattr(module, part):
        able = [name for name in names() if hasattr(load(name).module, part)]
        raise BadInput(f"{method} {otherwise}", remedy=f"methods that do: {', '.join(able)}")
    found: Callable[..., Any] = getattr(module, part)
    return found


async def _finished_rows(store: Store, method: str, out: Path) -> list[Finished]:
    """The finished runs of an output, in the order of the rows."""
    (found,) = read_outputs([out])
    for note in found.notes:
        say(note)
    if not found.lines:
        raise BadInput(f"{out} holds no line", remedy="name an output of `symposia batch METHOD IN -o OUT.jsonl`")
    ordered = sorted((line for line in found.lines if line.finished), key=lambda line: (line.repeat, line.row is None, line.row))
    return await finished_runs(store, [_run_of(line) for line in ordered], method)


def _run_of(line: Line) -> str:
    """The run that a line is of."""
    if line.run_id is None:
        raise BadInput("the line has no field run_id", remedy="name an output of `symposia batch METHOD IN -o OUT.jsonl`", place=line.place)
    return line.run_id
