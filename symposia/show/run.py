"""A run, printed: its head and path, its calls, or the state after one of its steps."""

import sys
from typing import Any

from rich.console import Console

from symposia.output import emit
from symposia.records import Look, look, state_at, to_json
from symposia.show.calls import print_calls
from symposia.show.head import banner, header
from symposia.show.page import page_of
from symposia.show.path import path_table
from symposia.show.state import state_tree
from symposia.state.errors import BadInput
from symposia.state.store import Store


async def show_run(
    store: Store, run_id: str, *, step: int | None = None, calls: bool = False, as_json: bool = False, console: Console | None = None
) -> None:
    """Print a run: what it came to, and step by step what it did and why it went on as it did. No model is called.

    Args:
        store: Where it is.
        run_id: Its id, or the beginning of it.
        step: Print the whole state after this step instead.
        calls: Also print the prompts and replies of every call.
        as_json: Print one JSON object instead: that of `symposia.records.run_record`, prompts and replies only with `calls`; or, with
            `step`, `{run_id, step, state}`.
        console: Where to, by default stdout.

    Raises:
        UnknownName: There is no such run.
        BadInput: It has no such step, or its states cannot be trusted.
    """
    seen = await look(store, run_id)
    page = console or page_of(sys.stdout)
    if step is not None:
        state = _trusted_state(seen, step)
        if as_json:
            emit({"run_id": seen.record["run_id"], "step": step, "state": state})
        else:
            page.print(state_tree(seen.record["run_id"], step, state))
        return
    record = await to_json(seen, texts=calls or not as_json)
    if as_json:
        emit(record)
        return
    page.print(header(record))
    if seen.first_divergence or seen.cannot_replay:
        page.print(banner(record))
    page.print(path_table(record))
    if calls:
        for each in record["steps"]:
            print_calls(page, each)


def _trusted_state(seen: Look, step: int) -> dict[str, Any]:
    """The state after a step, or an error that says why it is not known."""
    if seen.trusted:
        return state_at(seen, step)
    first = seen.first_divergence or seen.cannot_replay or {}
    where = f"differs from the record at step {first.get('step')}" if seen.first_divergence else f"is not possible: {first.get('message')}"
    raise BadInput(
        f"the states of run {seen.record['run_id']} are not known: its replay {where}",
        remedy=f"`symposia show {seen.record['run_id']} --calls` shows what the journal holds",
    )
