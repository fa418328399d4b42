"""How far the detect stage of MAMM-Refine agrees with the labels of the bundled summaries, per kind of error and per arm.

    python bench/detect.py [--model toy/default] [--other toy/strong] [--rounds 10] [--seed 0] [--limit N]

Arms: one agent; two of one model, without and with debate; two models with debate, the second given by `--other`. Only the detect stage is
called. With toy models the figures show that the measurement runs, and say nothing of language models or of the paper.
"""

import argparse
import asyncio
import json
from contextlib import aclosing
from importlib.resources import files
from typing import Any

from symposia.graphs.mamm_refine import Params, build
from symposia.nodes.detector import INCONSISTENT
from symposia.tools.agreement import Agreement, agreement, by_kind

IN_FLIGHT = 16  # documents


async def labels_of(graph: Any, row: dict[str, Any], params: Params) -> tuple[list[str], int]:
    """The labels of a row's sentences, and how many calls they took; the run ends with the detect stage."""
    inputs = {key: row[key] for key in ("document", "summary", "topic", "sentences")}
    calls = 0
    async with aclosing(graph.astream(inputs, context=params, stream_mode="updates")) as updates:
        async for update in updates:
            for node, written in update.items():
                calls += sum(len(ballot["votes"]) for ballot in (written or {}).get("verdicts", []))
                if node == "detect_close":
                    return written["labels"][0], calls
    raise RuntimeError("the run ended before its detect stage did")


async def flags_of(rows: list[dict[str, Any]], params: Params) -> tuple[list[bool], int]:
    """Whether each sentence of all rows is flagged, and the calls of all."""
    graph, gate = build().compile(), asyncio.Semaphore(IN_FLIGHT)

    async def one(row: dict[str, Any]) -> tuple[list[str], int]:
        async with gate:
            return await labels_of(graph, row, params)

    done = await asyncio.gather(*(one(row) for row in rows))
    return [label == INCONSISTENT for labels, _ in done for label in labels], sum(calls for _, calls in done)


def line(name: str, found: Agreement) -> str:
    """A row of the table."""
    cells = (found.flagged_of_wrong, found.kept_of_right, found.balanced_accuracy, found.kappa)
    return f"  {name:12} {found.wrong:5} {found.items:9}" + "".join(f"{'-':>10}" if c is None else f"{c:10.3f}" for c in cells)


def main() -> None:
    """Print a table per arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="toy/default")
    parser.add_argument("--other", default="toy/strong")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=None, help="documents to take")
    options = parser.parse_args()
    text = (files("symposia.items") / "summaries.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(row) for row in text.splitlines()][: options.limit]
    kinds = [kind for row in rows for kind in row["kinds"]]
    wrong = [not label for row in rows for label in row["labels"]]
    arms: list[tuple[str, dict[str, Any]]] = [
        ("one agent", {"detectors": 1}),
        ("two agents, no debate", {"max_rounds": 0}),
        ("two agents, debate", {"max_rounds": options.rounds}),
        ("two models, debate", {"max_rounds": options.rounds, "roles": {"detector": [options.model, options.other]}}),
    ]
    print(f"{len(rows)} documents, {len(wrong)} sentences, {sum(wrong)} wrong; {options.model}, other model {options.other}")
    for name, given in arms:
        flagged, calls = asyncio.run(flags_of(rows, Params(model=options.model, seed=options.seed, **given)))
        print(f"\n{name}: {calls} calls\n  {'kind':12} {'wrong':>5} {'sentences':>9}   flagged      kept  balanced     kappa")
        for kind, found in by_kind(flagged, kinds).items():
            print(line(kind, found))
        print(line("all", agreement(flagged, wrong)))


if __name__ == "__main__":
    main()
