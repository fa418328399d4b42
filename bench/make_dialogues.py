"""Make `symposia/items/dialogues.jsonl`: dialogues of toys about bundled problems, as many to resist a partner in as to accept one.

    python bench/make_dialogues.py [--pairs 10] [--seed 12] [-o symposia/items/dialogues.jsonl]

They are the prompts of the preference pairs in persuasion trees (`graphs/pbt.py`) of two toys that err often, at most one of a kind from
each tree. The same arguments make the same file. A row is {id, question, prompt, answer, kind}.
"""

import argparse
import asyncio
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from symposia.graphs.pbt import Params, graph, harvest
from symposia.state.base import Question

TEAM = ["toy/default?error=0.4", "toy/strong?error=0.3"]


async def dialogues(each: int, seed: int) -> list[dict[str, Any]]:
    """Rows of both kinds in turn."""
    found: dict[str, list[dict[str, Any]]] = {"resist": [], "accept": []}
    for line in (files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        asked = Question(question=row["question"], task=row["task"])
        state = await graph.ainvoke(asked, context=Params(seed=seed, roles={"debater": TEAM}))
        pairs = harvest(state, [str(row["answer"])])
        for kind, rows in found.items():
            prompt = next((pair["prompt"] for pair in pairs if pair["kind"] == kind), None)
            if prompt and len(rows) < each:
                rows.append({"question": row["question"], "prompt": prompt, "answer": row["answer"], "kind": kind})
    least = min(map(len, found.values()))
    mixed = [row for both in zip(found["resist"][:least], found["accept"][:least], strict=True) for row in both]
    return [{"id": f"dialogue-{number:02d}", **row} for number, row in enumerate(mixed, 1)]


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10, help="dialogues of each kind at most")
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent.parent / "symposia" / "items" / "dialogues.jsonl")
    options = parser.parse_args()
    rows = asyncio.run(dialogues(options.pairs, options.seed))
    options.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{options.out.name}: {len(rows)} dialogues, half of each kind")


if __name__ == "__main__":
    main()
