"""What finished plan searches are worth, by symbols that a good program is known to use, and their plans as files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from symposia.state.errors import BadInput
from symposia.tools import plans
from symposia.tools.overlap import chrf, overlaps, plan_precision, plan_recall
from symposia.tools.plan_contests import paired
from symposia.tools.plan_views import plan_page

Finished = tuple[Mapping[str, Any], Sequence[str]]
"""The last state of a run, and every accepted known answer."""


def report(finished: Sequence[Finished]) -> dict[str, Any]:
    """What a batch is worth by `unique_apis`, and by known programs: means over the runs that know some; other runs are counted.

    `overlap_best` and `overlap_mean` are the part of the known symbols that a run's best program, and its programs on average, call;
    `plan_recall` and `plan_precision` lay the plan's symbols beside them; `plans_to_best` counts plans made until the best recall.
    `chrf_best` and `chrf_mean` compare programs letter by letter with the row's known answer. All shares are from 0 to 1.

    Raises:
        SymposiaError: A run has a known program and sacrebleu is not installed.
    """
    rows = [_measured(state) for state, _ in finished if state["unique_apis"]]
    likenesses = [_likeness(state["codes"], known) for state, known in finished if known]
    counts = {"without_known_symbols": len(finished) - len(rows), "without_known_program": len(finished) - len(likenesses)}
    return {"runs": len(finished), **counts, **_means(rows), **_means(likenesses)}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: round(fmean(row[key] for row in rows), 4) for key in rows[0]} if rows else {}


def _likeness(codes: Sequence[str | None], known: Sequence[str]) -> dict[str, float]:
    """The ChrF of the best of a run's programs and their mean; 0 without any."""
    found = chrf([code or "" for code in codes], known) or [0.0]
    return {"chrf_best": max(found), "chrf_mean": fmean(found)}


def _measured(state: Mapping[str, Any]) -> dict[str, float]:
    apis, nodes = state["unique_apis"], sorted(state["nodes"].values(), key=lambda node: node["seq"])
    paths = plans.distinct(state["nodes"][state["best"]]["steps"])
    best, mean = overlaps([code or "" for code in state["codes"]], apis)
    recalls = [plan_recall(plans.distinct(node["steps"]), apis) for node in nodes]
    return {
        "overlap_best": best,
        "overlap_mean": mean,
        "plan_recall": plan_recall(paths, apis),
        "plan_precision": plan_precision(paths, apis),
        "best_recall": max(recalls),
        "plans_to_best": float(plans.until_best(recalls)),
        "plans": float(len(nodes)),
        "expanded": float(len(state["expansions"])),
    }


def export(finished: Sequence[Finished], folder: Path) -> dict[str, int]:
    """Write the plans of runs: `plan.md` for people, and `plans.jsonl` with request, steps, symbols and programs, a line per run.

    There `chosen` is the program that the run answered with, and `program` the known one, None without any.

    Raises:
        BadInput: A file cannot be written.
    """
    pages = [plan_page(state, f"Plan {number}") for number, (state, _) in enumerate(finished, 1)]
    rows = _rows(finished)
    _write(folder / "plan.md", "\n".join(pages))
    _write(folder / "plans.jsonl", _lines(rows))
    return {"plan.md": len(pages), "plans.jsonl": len(rows)}


def export_against(finished: Sequence[Finished], others: Sequence[Finished], folder: Path) -> dict[str, int]:
    """Write `contests.jsonl`: the programs of two batches over the same rows in pairs, as rows for `mutagrep_judge`.

    Raises:
        BadInput: The rows are not the same, or one has no known program; or the file cannot be written.
    """
    rows = paired(_rows(finished), _rows(others), "the first batch", "the one it is laid against")
    _write(folder / "contests.jsonl", _lines(rows))
    return {"contests.jsonl": len(rows)}


def _rows(finished: Sequence[Finished]) -> list[dict[str, Any]]:
    return [
        {
            "question": state["question"],
            "steps": state["nodes"][state["best"]]["steps"],
            "score": state["scores"][state["best"]]["search"],
            "stop_reason": state["search_state"],
            "codes": state["codes"],
            "chosen": state["answer"] if state["codes"] else None,
            "program": known[0] if known else None,
        }
        for state, known in finished
    ]


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}", remedy="name a folder that can be written") from None
