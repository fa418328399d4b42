"""The files made from the methods: `langgraph.json`, and the table of methods in the README.

`python -m symposia.generate` writes them into a checkout, and with `--check` only names those that are stale.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symposia import registry
from symposia.registry import Loaded
from symposia.state.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
START = "<!-- methods:start -->"
END = "<!-- methods:end -->"


def langgraph_config() -> dict[str, Any]:
    """What `langgraph.json` says: every method by its module, and that runs are kept in our store."""
    return {
        "python_version": "3.11",
        "dependencies": ["."],
        "graphs": {name: f"symposia.graphs.{name}:graph" for name in registry.names()},
        "checkpointer": {"path": "symposia.hosting.checkpointer"},
        "http": {"app": "symposia.studio:app"},
    }


def methods_table(root: Path = ROOT) -> str:
    """The README's table: a row per method, and a column of notebooks as soon as one stands in `root`."""
    loaded = [registry.load(name) for name in registry.names()]
    notebooks = {path.name: path.read_text(encoding="utf-8") for path in sorted((root / "notebooks").glob("*.ipynb"))}
    header = ["method", "paper", "family", "roles", "calls per question", *(["notebook"] if notebooks else [])]
    rows = [_row(each, notebooks) for each in loaded]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def with_table(readme: str, table: str) -> str:
    """The README's text with this table between its two markers.

    Raises:
        BadInput: The markers are not both there, once each and in order.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in before + after:
        raise BadInput(
            f"README.md has no pair of lines {START} and {END}, once each, in this order",
            remedy="put them where the table of methods belongs",
        )
    return f"{before}{START}\n{table}\n{END}{after}"


def generated(root: Path = ROOT) -> dict[Path, str]:
    """The text that each generated file should have.

    Raises:
        BadInput: `root` is no checkout, or its README has no place for the table.
    """
    readme = root / "README.md"
    if not readme.is_file():
        raise BadInput(f"{root} has no README.md", remedy="run this in a checkout of the repository")
    config = json.dumps(langgraph_config(), indent=2) + "\n"
    text = with_table(readme.read_text(encoding="utf-8"), methods_table(root))
    return {root / "langgraph.json": config, readme: text}


def stale(root: Path = ROOT) -> list[Path]:
    """The generated files that are missing or say something else than they should."""
    return [path for path, text in generated(root).items() if not path.is_file() or path.read_text(encoding="utf-8") != text]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Write the files, or with `--check` name the stale ones; returns the exit status (1: stale, 2: cannot be)."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m symposia.generate [--check]", file=sys.stderr)
        return 2
    try:
        old = stale(root)
        texts = generated(root)
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    for path in old:
        if arguments:
            print(f"{path.relative_to(root)} is stale: run `python -m symposia.generate`", file=sys.stderr)
        else:
            path.write_text(texts[path], encoding="utf-8")
            print(f"wrote {path.relative_to(root)}")
    return 1 if old and arguments else 0


def _row(loaded: Loaded, notebooks: Mapping[str, str]) -> list[str]:
    method = loaded.method
    cells = [
        f"[{method.title}](graphs/{method.name}.py) `{method.name}`",
        f"[{method.arxiv}](https://arxiv.org/abs/{method.arxiv}), {method.year}",
        method.family,
        ", ".join(method.roles),
        f"`{method.calls}`" + (f", and `{method.scoring}` of scorers" if method.scoring != "0" else ""),
    ]
    if notebooks:
        name = _notebook(loaded.method.name, notebooks)
        cells.append(f"[{name}](notebooks/{name})" if name else "")
    return [cell.replace("|", "\\|") for cell in cells]


def _notebook(method: str, notebooks: Mapping[str, str]) -> str:
    """The notebook of a method: its own, else the one that speaks of it most, first of all of its file; "" when none does."""
    if f"{method}.ipynb" in notebooks:
        return f"{method}.ipynb"
    said = {name: (f"graphs/{method}.py" in text, len(re.findall(rf"\b{method}\b", text))) for name, text in notebooks.items()}
    most = max(said, key=said.__getitem__, default="")
    return most if most and any(said[most]) else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
