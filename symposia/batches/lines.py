"""Lines of an output file: what a row came to, from the record of its run."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from symposia.state.packing import digest


class Line(NamedTuple):
    """What a batch remembers of a line that it wrote."""

    run_id: str
    id: Any
    row: int
    repeat: int | None
    status: str
    correct: bool | None
    reference: bytes
    """Digest of the reference the line was graded by."""
    ungraded: bool = False
    """Whether its judge failed."""


def digest_of_reference(reference: Any) -> bytes:
    """A short digest of a JSON value."""
    return digest(json.dumps(reference, sort_keys=True).encode())[:8]


def line_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a run that has ended.

    `calls.live` counts the completions that the run paid for, in whatever execution; `replayed` those that a fork took from its parent.
    """
    inherited = record["inherited"]
    line = {
        "id": record["row"],
        "row": record["batch"]["row"],
        "run_id": record["run_id"],
        "status": record["status"],
        "answer": record["answer"],
        "reference": record["reference"],
        "correct": record["correct"],
        "stop_reason": record["stop_reason"],
        "error": record["error"],
        "calls": {"live": record["calls"] - inherited, "replayed": inherited, "by_role": record["by_role"]},
        "requests": record["requests"],
        "usage": record["usage"],
        "cost_usd": record["cost_usd"],
        "seconds": record["seconds"],
    }
    if record["batch"].get("repeat") is not None:
        line["repeat"] = record["batch"]["repeat"]
    if record.get("grade") is not None:
        line["grade"] = record["grade"]
    return line
