"""What outputs of a batch are worth: graded, measured, compared.

A row that failed gave no answer, so it counts as wrong in `accuracy`, which says what the method delivers; beside it stands
`accuracy_finished`, over the rows that ended, which says what its answers are worth. A row without a reference, and one on which the judge
itself failed, is in neither: the first has no right answer, of the second nobody knows, and both are counted apart.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any, TypeVar

from symposia.grading import NO_CALLS, Grade, check_grader, grade
from symposia.nodes.grader import Params
from symposia.outputs import Asked, Line, Output, asked_of
from symposia.records import TOYS
from symposia.state.errors import BadInput
from symposia.state.store import Store
from symposia.statistics import Comparison, compare, holm, interval
from symposia.tools.settings import settings

T = TypeVar("T")
Graded = Callable[[Line, Grade], None]


def is_right(line: Line) -> bool | None:
    """Whether a row counts as right; None leaves it out."""
    if line.reference is None:
        return None
    return line.correct if line.status == "ok" else False


def check(outputs: Sequence[Output], grader: str, params: Params | None) -> None:
    """Find out before any call whether all rows can be graded.

    Raises:
        BadInput: See `check_grader`; for a judge also a row that names no run.
    """
    for output in outputs:
        check_grader(grader, params, [(line.place, line.reference) for line in output.lines])
        for line in output.lines if grader == "judge" else ():
            if _asks_judge(line) and not line.run_id:
                raise BadInput(
                    "the line has no field run_id", remedy="the judge reads the question from the run's record", place=line.place
                )


def questions_of(output: Output, asked: Mapping[str, Asked]) -> dict[str, str]:
    """What the runs behind the rows were asked, by the rows' places.

    Raises:
        BadInput: A row that a judge has to look at has no question in the store.
    """
    for line in output.lines:
        known = asked.get(line.run_id or "")
        if _asks_judge(line) and (known is None or known.question is None):
            what = (
                f"run {line.run_id} is not in the store" if known is None else f"run {line.run_id} was asked no question a judge could see"
            )
            raise BadInput(what, remedy="name the store of the batch: --store ADDRESS, or take another grader", place=line.place)
    found = ((line.place, asked.get(line.run_id or "")) for line in output.lines)
    return {place: known.question for place, known in found if known and known.question is not None}


async def regrade(
    store: Store | None,
    output: Output,
    grader: str,
    params: Params | None = None,
    questions: Mapping[str, str] | None = None,
    heard: Graded | None = None,
) -> dict[str, Any]:
    """Grade the rows of an output anew, as many at once as a model may have requests in flight.

    Args:
        store: Where the judge's calls are kept.
        output: Its lines get their `correct` and `grade`.
        grader: One of `GRADERS`.
        params: The judge's.
        questions: What `questions_of` gives, for a judge.
        heard: Is told of each row that is graded.

    Returns:
        What it cost, as `Grade.spent` says it.
    """

    async def one(line: Line) -> dict[str, Any]:
        verdict = await grade(store, line.model_dump(), (questions or {}).get(line.place), grader, params)
        line.correct, line.grade = verdict.correct, verdict.detail
        if heard:
            heard(line, verdict)
        return verdict.spent

    return _sum(await _at_most(settings().concurrency, output.lines, one))


def spent_before(output: Output) -> dict[str, Any] | None:
    """What the batch spent on its judge, as its lines say; None where none was asked."""
    grades = [line.grade for line in output.lines if line.grade and NO_CALLS.keys() <= line.grade.keys()]
    return _sum(grades) if grades else None


async def known_of(store: Store, output: Output, *, questions: bool = False) -> dict[str, Asked]:
    """What the store knows of an output's runs."""
    return await asked_of(store, [line.run_id for line in output.lines if line.run_id], questions=questions)


def measures(output: Output, asked: Mapping[str, Asked], confidence: float) -> dict[str, Any]:
    """The figures of an output: counts of rows, accuracies in 0..1 with their intervals, and means per row; USD, seconds, tokens.

    `cost_usd` is None where the price of a row is not known, `models` where none of the runs is in the store.
    """
    lines = output.lines
    verdicts = [(line, is_right(line)) for line in lines]
    scores = [(line.key[0], right, line.finished) for line, right in verdicts if right is not None]
    every = interval([(problem, right) for problem, right, _ in scores], confidence)
    finished = interval([(problem, right) for problem, right, ended in scores if ended], confidence)
    prices = [line.cost_usd for line in lines]
    usd = None if None in prices else sum(price for price in prices if price is not None)
    seconds = [line.seconds for line in lines if line.seconds is not None]
    models = sorted({model for known in asked.values() for model in known.models})
    return {
        "file": str(output.path),
        "label": output.label,
        "methods": sorted({known.method for known in asked.values()}),
        "models": models or None,
        "toys": [model for model in models if model.startswith(TOYS)],
        "rows": len(lines),
        "problems": len({line.key[0] for line in lines}),
        "ok": sum(line.status == "ok" for line in lines),
        "no_answer": sum(line.status == "no_answer" for line in lines),
        "failed": sum(not line.finished for line in lines),
        "without_reference": sum(line.reference is None for line in lines),
        "not_graded": sum(line.reference is not None and right is None for line, right in verdicts),
        "orders_disagree": sum(bool((line.grade or {}).get("undecided")) for line in lines),
        "correct": sum(right for _, right, _ in scores),
        "accuracy": asdict(every) if every else None,
        "accuracy_finished": asdict(finished) if finished else None,
        "calls_per_row": _mean([line.total_calls for line in lines]),
        "tokens_per_row": _mean([line.tokens for line in lines]),
        "cost_usd": usd,
        "cost_usd_per_row": None if usd is None or not lines else usd / len(lines),
        "seconds_median": _quantile(seconds, 0.5),
        "seconds_p95": _quantile(seconds, 0.95),
        "failures": failures(lines),
    }


def failures(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The failures of runs and of their judge by name, most frequent first, each with the first of its kind as an example."""
    groups: defaultdict[tuple[str, str], list[tuple[Line, Mapping[str, Any]]]] = defaultdict(list)
    for line in lines:
        for of, error in (("run", line.error), ("grader", (line.grade or {}).get("error"))):
            if error:
                groups[of, str(error.get("name"))].append((line, error))
    found = []
    for (of, name), cases in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])):
        line, error = cases[0]
        example = {"row": line.key[0], "run_id": line.run_id, "message": error.get("message"), "remedy": error.get("remedy")}
        found.append({"of": of, "name": name, "count": len(cases), **example})
    return found


def pairs(outputs: Sequence[Output], confidence: float) -> list[dict[str, Any]]:
    """Each two outputs compared on the rows they share, with p values corrected for the number of pairs.

    A row whose reference differs between the two is another problem under the same id, and left out.
    """
    found: list[tuple[Output, Output, int, Comparison]] = []
    for first, second in combinations(outputs, 2):
        references = {line.key: str(line.reference) for line in first.lines}
        other = {line.key for line in second.lines if references.get(line.key, str(line.reference)) != str(line.reference)}
        sides = [
            {line.key: right for line in o.lines if line.key not in other and (right := is_right(line)) is not None}
            for o in (first, second)
        ]
        found.append((first, second, len(other), compare(sides[0], sides[1], confidence)))
    corrected = holm([comparison.p for *_, comparison in found])
    return [
        {"labels": [a.label, b.label], "other_reference": other, **asdict(comparison), "p_holm": p}
        for (a, b, other, comparison), p in zip(found, corrected, strict=True)
    ]


def _asks_judge(line: Line) -> bool:
    """Whether a row has an answer and a reference, which is what a judge compares."""
    return line.status == "ok" and line.answer is not None and line.reference is not None


async def _at_most(n: int, items: Sequence[Line], work: Callable[[Line], Awaitable[T]]) -> list[T]:
    """Do the work on all items, `n` at a time; the results in no particular order."""
    waiting = iter(items)
    done: list[T] = []

    async def worker() -> None:
        for item in waiting:
            done.append(await work(item))

    await asyncio.gather(*(worker() for _ in range(min(n, len(items)))))
    return done


def _sum(spent: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What several gradings cost together; the cost is None where a price is not known."""
    found = {**NO_CALLS, "calls": dict(NO_CALLS["calls"]), "usage": dict(NO_CALLS["usage"])}
    for one in spent:
        for part in ("calls", "usage"):
            found[part] = {name: n + one[part][name] for name, n in found[part].items()}
        found["requests"] += one["requests"]
        found["cost_usd"] = None if None in (found["cost_usd"], one["cost_usd"]) else found["cost_usd"] + one["cost_usd"]
    return found


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _quantile(values: Sequence[float], q: float) -> float | None:
    """Between the two nearest values, as numpy does it."""
    if not values:
        return None
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = ordered[int(at)]
    return low + (at - int(at)) * (ordered[min(int(at) + 1, len(ordered) - 1)] - low)
