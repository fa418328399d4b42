"""What a run came to: its result, its costs by role, and the end of an execution as its record has it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from symposia.execution import Execution, plain
from symposia.state.errors import Stopped, SymposiaError
from symposia.state.store import Entry, Store


@dataclass
class Result:
    """What a run came to: the object that `symposia run --json` prints."""

    run_id: str
    method: str
    status: str
    """`ok`, `no_answer`, `failed`, `paused` or `stopped`."""
    answer: Any = None
    stop_reason: str | None = None
    error: dict[str, Any] | None = None
    calls: dict[str, Any] = field(default_factory=dict)
    """Completions now made (`live`) and read from the journal (`replayed`), and `by_role` over the whole run."""
    requests: int = 0
    usage: dict[str, int] = field(default_factory=dict)
    cost_usd: float | None = 0.0
    seconds: float = 0.0
    parent: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None
    """What a paused run waits for: the step, the next nodes, and the question to a person if there is one."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `parent` and `waiting` only where they say something."""
        plain = asdict(self)
        return {k: v for k, v in plain.items() if v is not None or k not in ("parent", "waiting")}


async def conclude(store: Store, record: dict[str, Any], execution: Execution, error: SymposiaError | None, begun: float) -> Result:
    """Write the end of an execution into the record."""
    run = execution.run
    values = execution.values
    if isinstance(error, Stopped):
        status = "stopped"
    elif error is not None:
        status = "failed"
    elif execution.waiting:
        status = "paused"
    else:
        status = "ok" if values.get("answer") is not None else "no_answer"
    record |= {
        "status": status,
        "answer": plain(values.get("answer")) if status in ("ok", "paused") else None,
        "stop_reason": values.get("stop_reason") if status in ("ok", "no_answer") else None,
        "error": error.to_record() if error else None,
        "waiting": execution.waiting if status == "paused" else None,
        "seconds": round(record["seconds"] + time.monotonic() - begun, 3),
    }
    found = [e for e in run._found.values() if e.usage.calls or e.usage.requests]
    record |= ledger(found)
    await run.settle()
    await store.put_run(record)
    return result_of(record, live=sum(e.usage.calls for e in run.live))


def result_of(record: Mapping[str, Any], live: int) -> Result:
    """A finished record as what it came to, `live` completions of it made just now."""
    return Result(
        run_id=record["run_id"],
        method=record["method"],
        status=record["status"],
        answer=record["answer"],
        stop_reason=record["stop_reason"],
        error=record["error"],
        calls={"live": live, "replayed": record["calls"] - live, "by_role": record["by_role"]},
        requests=record["requests"],
        usage=record["usage"],
        cost_usd=record["cost_usd"],
        seconds=record["seconds"],
        parent=record["parent"],
        waiting=record.get("waiting"),
    )


def ledger(entries: Sequence[Entry]) -> dict[str, Any]:
    """Completions by role of all entries; requests, tokens and USD of those the run paid for itself, which a fork's inherited ones are not.

    The cost is None when a model's price is not known.
    """
    by_role: dict[str, int] = {}
    for entry in entries:
        if entry.usage.calls:
            by_role[entry.usage.role] = by_role.get(entry.usage.role, 0) + entry.usage.calls
    own = [e.usage for e in entries if not e.copied]
    prices = [u.usd for u in own if u.calls]
    return {
        "calls": sum(by_role.values()),
        "inherited": sum(e.usage.calls for e in entries if e.copied),
        "by_role": by_role,
        "requests": sum(u.requests for u in own),
        "usage": {"prompt_tokens": sum(u.prompt_tokens for u in own), "completion_tokens": sum(u.completion_tokens for u in own)},
        "cost_usd": None if any(p is None for p in prices) else round(sum(p for p in prices if p is not None), 6),
    }
