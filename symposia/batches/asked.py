"""What a batch is asked to do, and whether it can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import get_type_hints

from symposia import registry
from symposia.inputs import REFERENCES
from symposia.rows import Row, rows_of
from symposia.sources import check_ids, read_rows
from symposia.state.errors import BadInput, UnknownName

ORDERS = ("row", "model")
RETRIES = ("no_answer",)


@dataclass(frozen=True)
class Asked:
    """What a batch is asked to do, apart from the method's parameters."""

    method: str
    source: str | None
    """A data set, as `sources.read_rows` takes it; None for a fork."""
    out: Path
    """JSON Lines, a line per row; Parquet by its ending, written at the end."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Names of the method's fields in the data set."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Inputs of rows that do not say otherwise."""
    limit: int | None = None
    repeats: int = 1
    """How often each row is run."""
    grader: str | None = None
    """None: `auto`, as far as rows have a reference."""
    judge: str | None = None
    """The model of the grader `judge`."""
    budget_usd: float | None = None
    """What the batch may cost in all, earlier starts included."""
    budget_tokens: int | None = None
    seconds: float | None = None
    """How long new calls may start."""
    order: str = "row"
    """`row`, or `model`: all ready calls of a model before those of the next."""
    engine: str = "local"
    """`local`, `processes` or `ray`."""
    workers: int | None = None
    retry: Sequence[str] = ()
    """Statuses besides `failed` that are tried again: `no_answer`."""
    origin: Path | None = None
    """Another batch's output, whose runs are forked."""
    at: int | None = None
    """The step after which the forks change."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """State that the forks set."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that the forks change."""
    prepare: str | None = None
    """A data set to make the method's artefact from first."""
    dry_run: bool = False


def check(asked: Asked) -> None:
    """What the options say must fit together.

    Raises:
        BadInput: It does not.
    """
    if asked.order not in ORDERS:
        raise UnknownName.of("order", asked.order, ORDERS, remedy="--order row, or --order model")
    for status in asked.retry:
        if status not in RETRIES:
            raise UnknownName.of("status to try again", status, RETRIES, remedy="failed rows are tried again anyway")
    if asked.order == "model" and asked.engine != "local":
        raise BadInput(f"--order model with --engine {asked.engine}", remedy="one process decides which model is there: --engine local")
    if (asked.origin is None) != (asked.at is None):
        raise BadInput("--from and --at go together", remedy="--from OUT.jsonl --at STEP")
    if asked.origin is not None and asked.source is not None:
        raise BadInput("a data set and --from are both given", remedy="--from takes its rows from the runs of the other batch")
    if asked.origin is None and asked.source is None:
        raise BadInput("there is no data set", remedy="symposia batch METHOD IN.jsonl -o OUT.jsonl")
    if asked.origin is not None and asked.origin.resolve() == asked.out.resolve():
        raise BadInput(f"--from and -o are both {asked.out}", remedy="name a new output file: -o NEW.jsonl")
    if asked.values and asked.origin is None:
        raise BadInput("--set without --from", remedy="--from OUT.jsonl --at STEP --set KEY=JSON")
    if asked.workers and asked.engine == "local":
        raise BadInput("--workers with --engine local", remedy="--engine processes, or --engine ray")
    for name, amount in (("limit", asked.limit), ("repeat", asked.repeats), ("workers", asked.workers)):
        if amount is not None and amount < 1:
            raise BadInput(f"{name} is {amount}", remedy="it is 1 or more")
    for name, most in (("budget in USD", asked.budget_usd), ("budget in tokens", asked.budget_tokens)):
        if most is not None and not most >= 0:
            raise BadInput(f"the {name} is {most}", remedy="it is 0 or more")
    if asked.origin is not None and (asked.mapping or asked.extra or asked.repeats > 1 or asked.prepare):
        raise BadInput("--map, --task, --repeat and --prepare are about a data set", remedy="leave them out: --from takes runs")
    names = {*get_type_hints(registry.load(asked.method).method.input), *REFERENCES, "id"}
    for field_name in asked.mapping:
        if field_name not in names:
            raise UnknownName.of("field", field_name, names, remedy=f"--map FIELD=NAME, FIELD being one of {', '.join(sorted(names))}")


def rows_asked(asked: Asked, objects: Sequence[Mapping[str, Any]] | None = None) -> list[Row]:
    """The rows of the data set, or of objects in place of one, checked; none for a fork.

    Raises:
        BadInput: Some are not what the method takes.
    """
    if objects is not None:
        placed = [(f"{asked.source}, row {number}", dict(row)) for number, row in enumerate(objects, 1)][: asked.limit]
    elif asked.source is not None:
        placed = read_rows(asked.source, asked.mapping, asked.limit)
    else:
        return []
    check_ids(placed)
    return rows_of(registry.load(asked.method), placed, asked.extra)
