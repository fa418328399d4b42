"""The notebooks: each runs from top to bottom in a kernel of its own, and what is kept in it is what it gives.

The kernels are forks of one process that has LiteLLM imported (kernels.py), but for the first notebook's, which starts from nothing.
`SYMPOSIA_UPDATE_NOTEBOOKS=1 pytest tests/test_notebooks.py` writes the outputs anew. Pictures depend on the release of graphviz, so of them
only their presence is compared.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
METHODS = FOLDER / "methods"  # a method that a notebook brings along
OWN = sorted(path.name for path in METHODS.glob("*.py"))
UPDATE = os.environ.get("SYMPOSIA_UPDATE_NOTEBOOKS") == "1"
COMMAND = "SYMPOSIA_UPDATE_NOTEBOOKS=1 pytest tests/test_notebooks.py"
SIZE = 200_000  # bytes
FROM_NOTHING = "first_steps"
HANGS = 300  # seconds in one cell, after which it will not come back
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
ANSI = re.compile(r"\x1b\[[0-9;]*m")
PATHS = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|var|private|mnt|opt|usr|workspace|work|builds?)/[\w.-]*|\b[A-Z]:\\\\|file://\S*")
NO_SETTINGS = ("COLUMNS", "JUPYTER_COLUMNS", "JUPYTER_LINES", "FORCE_COLOR", "NO_COLOR")
"""Variables that change how wide or colourful a table is."""

every = pytest.mark.parametrize("file", sorted(FOLDER.glob("*.ipynb")), ids=lambda file: file.stem)


def joined(text: str | list[str]) -> str:
    """A text of a notebook file, which may be cut into lines."""
    return text if isinstance(text, str) else "".join(text)


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def kinds(notebook: dict[str, Any]) -> set[str]:
    """The kinds of outputs: `text/html` is a table, `image/svg+xml` a picture."""
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    return {kind for output in outputs for kind in output.get("data", {"stream": ""})}


def printed(notebook: dict[str, Any]) -> list[str]:
    """What a reader sees as text, cell by cell."""
    lines: list[str] = []
    for cell in code_cells(notebook):
        lines.append(f"[{cell['id']}]")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "image/svg+xml" not in data:
                text = joined(output.get("text") or data.get("text/plain", ""))
                lines += [line.rstrip() for line in text.splitlines()]
    return lines


def cleaned(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without anything of the machine and the moment it ran on: no kernel version, no times, no terminal colours."""
    cells = []
    for cell in notebook["cells"]:
        cells.append({**cell, "metadata": {}})
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output["data"]["text/plain"] = ANSI.sub("", output["data"]["text/plain"])
    return {**notebook, "metadata": METADATA, "cells": cells}


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing around it that a notebook could find or leave something in."""
    for name in [n for n in os.environ if n.startswith("SYMPOSIA_") or n in NO_SETTINGS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name in ("work", "TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the kernel `forked` in it, as Jupyter looks for one."""
    pytest.importorskip("ipykernel", reason="notebooks need a kernel: pip install ipykernel")
    folder, program = tmp_path_factory.mktemp("kernels"), str(Path(__file__).with_name("kernels.py"))
    # An address of a socket has at most a hundred characters.
    with tempfile.TemporaryDirectory() as short:
        address = f"{short}/s"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SYMPOSIA_") and k not in NO_SETTINGS}
        command = [sys.executable, program, "serve", address]
        with subprocess.Popen(command, env=kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin and server.stdout
            assert server.stdout.readline() == "ready\n"
            (folder / "kernels" / "forked").mkdir(parents=True)
            argv = [sys.executable, "-I", "-S", program, address, "{connection_file}"]
            told = {"argv": argv, "display_name": "forked", "language": "python"}
            (folder / "kernels" / "forked" / "kernel.json").write_text(json.dumps(told), encoding="utf-8")
            yield folder
            server.stdin.close()


@every
def test_a_notebook_gives_what_is_kept_in_it(
    file: Path, alone: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="notebooks are run by nbclient: pip install nbclient")
    pytest.importorskip("ipykernel", reason="notebooks need a kernel: pip install ipykernel")
    import nbformat

    if file.stem != FROM_NOTHING:
        monkeypatch.setenv("JUPYTER_PATH", str(request.getfixturevalue("kernels")))
    kept = json.loads(file.read_text(encoding="utf-8"))
    notebook = nbformat.read(file, as_version=4)
    shutil.copytree(METHODS, alone / "work" / METHODS.name, ignore=shutil.ignore_patterns("__pycache__"))
    where = {"metadata": {"path": str(alone / "work")}}
    client = nbclient.NotebookClient(
        notebook,
        timeout=HANGS,
        kernel_name="python3" if file.stem == FROM_NOTHING else "forked",
        record_timing=False,
        coalesce_streams=True,
        resources=where,
    )
    client.execute()  # a cell that fails raises here
    found = cleaned(notebook)
    if UPDATE:
        nbformat.write(nbformat.from_dict(found), file)
        kept = json.loads(file.read_text(encoding="utf-8"))
    outputs = [output for cell in code_cells(found) for output in cell["outputs"]]
    assert not [output for output in outputs if output.get("name") == "stderr"], "a cell warns"
    assert "text/html" in kinds(found), "no table"
    assert "image/svg+xml" in kinds(found) or not shutil.which("dot"), "no picture"
    assert [path.name for path in (alone / "work").rglob("*")] == [METHODS.name, *OWN], "left in the working directory"
    assert not list((alone / "TMPDIR").iterdir()), "left among the temporary files"
    differences = list(difflib.unified_diff(printed(kept), printed(found), f"{file.name}, kept", f"{file.name}, now", lineterm=""))
    if differences:
        pytest.fail("\n".join([*differences, "", f"If that is meant: {COMMAND}"]), pytrace=False)


@every
def test_a_kept_notebook_can_be_read_without_running_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    notebook = json.loads(text)
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), f"not run from top to bottom: {COMMAND}"
    assert {"text/html", "image/svg+xml", "stream"} <= kinds(notebook), "no table, no picture or no text"
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert notebook["metadata"] == METADATA
    assert not [cell for cell in notebook["cells"] if cell["metadata"]]
    assert not PATHS.findall(text), "a path of one machine"
    assert len(text.encode()) < SIZE


def test_there_are_notebooks() -> None:
    assert list(FOLDER.glob("*.ipynb")), "tests of no notebook test nothing"
