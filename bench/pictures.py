"""Make the README's pictures again: a method's graph, runs as `symposia show` prints them, trees, plans, methods compared, the viewer.

    python bench/pictures.py [FOLDER]

All on the toy models with seed 0. The run is that of the first bundled problem that was hard and wrong before it was refined, and right
after; the comparison is of all bundled problems, k = 8 and two rounds where a method has them. The viewer's pages need Chromium and
playwright; see pages.py.
"""

import asyncio
import io
import json
import re
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from rich.console import Console

import symposia
from symposia import artefacts, registry, runs
from symposia.draw import draw_method
from symposia.inputs import row_input
from symposia.show import show_run
from symposia.state.base import Question
from symposia.state.store import Store, open_store
from symposia.trees import draw_run

GIVEN = {"k": 8, "max_rounds": 2, "seed": 0}


async def turned(store: Store) -> str:
    """The id of a run that refinement turned from wrong to right."""
    for line in (files("symposia.items") / "arithmetic.jsonl").read_text().splitlines():
        row = json.loads(line)
        record = runs.new_record(
            "magicore", GIVEN, {"question": row["question"], "task": "number"}, reference=row["answer"], checkpoints="none"
        )
        result = await runs.start(store, record)
        _, execution = await runs.replay(store, result.run_id, keep=True)
        led = next(m.values["answer"] for m in execution.moments if m.ran == ["aggregate"])
        if led != row["answer"] and result.answer == row["answer"]:
            return result.run_id
    raise SystemExit("no problem was turned from wrong to right")


async def shown(store: Store, run_id: str) -> str:
    """A run as SVG, without the fonts that its style would fetch."""
    page = Console(record=True, file=io.StringIO(), width=118, markup=False, highlight=False)
    await show_run(store, run_id, console=page)
    svg = page.export_svg(title="symposia show RUN")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def compared(picture: Path) -> None:
    """A batch of each method over the bundled problems, and what they reach against the tokens they take."""
    items = str(files("symposia.items") / "arithmetic.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        store, outputs = f"{folder}/store.db", []
        for name in registry.names():
            loaded = registry.load(name)
            if loaded.method.items != "arithmetic" or loaded.method.input is not Question or hasattr(loaded.module, "export"):
                continue  # it answers other questions, or makes training rows
            known = registry.load(name).params.model_fields
            params = {key: value for key, value in (("k", 8), ("max_rounds", 2)) if key in known}
            outputs.append(f"{folder}/{name}.jsonl")
            symposia.batch(name, items, outputs[-1], params=params, seed=0, store=store)
        command = [sys.executable, "-m", "symposia.cli", "eval", *outputs, "--store", store, "--plot", str(picture)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def persuaded(store: Store, method: str) -> str:
    """The id of a run over the first bundled problem on which somebody was persuaded of the right answer."""
    for line in (files("symposia.items") / "arithmetic.jsonl").read_text().splitlines():
        row = json.loads(line)
        given, asked = {"seed": 0, "model": "toy/weak"}, {"question": row["question"], "task": "number"}
        record = runs.new_record(method, given, asked, reference=row["answer"], checkpoints="none")
        result = await runs.start(store, record)
        dot = await draw_run(store, result.run_id, None) or ""
        if "persuaded by" in dot and _GREEN in dot and _RED in dot:
            return result.run_id
    raise SystemExit(f"nobody was persuaded in {method}")


async def argued(method: str, picture: Path) -> None:
    """The tree of such a run."""
    async with open_store(":memory:") as store:
        await draw_run(store, await persuaded(store, method), picture)


async def first_item(store: Store, method: str, **given: object) -> str:
    """The id of a run over the first bundled item of a method."""
    loaded = registry.load(method)
    row = json.loads((files("symposia.items") / f"{loaded.method.items}.jsonl").read_text().splitlines()[0])
    inputs, reference = row_input(loaded, row)
    result = await runs.start(store, runs.new_record(method, given, inputs, reference=reference, checkpoints="none"))
    return result.run_id


async def recruited(picture: Path) -> None:
    """Which skills three experts have, and which of them a question recruits."""
    arms = ["toy/default?error=0.4&money=0.05&rates=0.05", "toy/default?error=0.4&ages=0.05", "toy/default?error=0.4&sharing=0.05"]
    given = {"roles": {"expert": arms}, "seed": 1}
    rows = [json.loads(line) for line in (files("symposia.items") / "topics.jsonl").read_text().splitlines()]
    async with open_store(":memory:") as store:
        made = await artefacts.prepare(store, "symbolic_moe", rows, given)
        question = {"question": rows[2]["question"], "task": "number"}
        record = runs.new_record("symbolic_moe", {**given, "artefact": made["artefact_id"]}, question, checkpoints="none")
        await draw_run(store, (await runs.start(store, record)).run_id, picture)


async def others(folder: Path) -> None:
    """A run that refinement turned, a debugging with an edit that was taken back, and a search for plans."""
    async with open_store(":memory:") as store:
        (folder / "show.svg").write_text(await shown(store, await turned(store)))
        (folder / "rollback.svg").write_text(await shown(store, await first_item(store, "utdebug", seed=1)))
        plans = await first_item(store, "mutagrep", seed=1, node_budget=9, code_samples=1)
        await draw_run(store, plans, folder / "plan.svg")


_GREEN, _RED = "#e3f4e5", "#fbe7e4"


def main() -> None:
    """Write the pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "notebooks/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    draw_method("magicore", folder / "magicore.svg")
    asyncio.run(others(folder))
    asyncio.run(recruited(folder / "experts.svg"))
    compared(folder / "pareto.svg")
    asyncio.run(argued("pbt", folder / "tree.svg"))
    asyncio.run(argued("pbt_debate", folder / "debate.svg"))
    viewed(folder)


def viewed(folder: Path) -> None:
    """The pages of the viewer."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
    from pages import pages

    async def told(store: Store) -> dict[str, str]:
        return {"tree": await persuaded(store, "pbt"), "tests": await first_item(store, "utdebug", seed=1)}

    pages(folder, told)


if __name__ == "__main__":
    main()
