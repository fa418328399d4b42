"""The house: which folder may import which, what a wheel holds, what the locks hold and what no file may say."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import symposia

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("symposia", "graphs", "nodes", "tools", "state")  # imports point right only
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
DATA = {".jsonl", ".j2", ".json", ".toml", ".html", ".css", ".js"}


def repository_files() -> list[Path]:
    """Every file that belongs to the repository: what git tracks or would, else what is not hidden or ignored."""
    listing = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0 and listing.stdout:
        found = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        kept = (*ORDER, "tests", "bench", "notebooks", "requirements", ".ci")
        found = [*ROOT.glob("*"), *(path for folder in kept for path in (ROOT / folder).rglob("*"))]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def packaged(suffixes: set[str]) -> set[str]:
    """Names, as a wheel has them, of the five folders' files with one of these suffixes."""
    files = [path.relative_to(ROOT) for path in repository_files() if path.suffix in suffixes]
    files = [path for path in files if path.parts[0] in ORDER]
    return {str(path) if path.parts[0] == "symposia" else f"symposia/{path}" for path in files}


def imported_names(source: str) -> Iterator[str]:
    """Full dotted name of everything a module imports, also inside functions; relative ones keep their dots."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def wrong_imports(folder: str, source: str) -> list[str]:
    """Imports of `source`, a module of `folder`, that are relative, bare or point to a folder on the left."""
    wrong = []
    for name in imported_names(source):
        first, second = [*name.split("."), ""][:2]
        target = second if first == "symposia" and second in ORDER[1:] else first
        bare = first in ORDER[1:]
        left = target in ORDER and ORDER.index(target) < ORDER.index(folder)
        if name.startswith(".") or bare or left:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("folder", ORDER)
def test_imports_point_one_way(folder: str) -> None:
    modules = [path for path in repository_files() if path.suffix == ".py" and path.parent.is_relative_to(ROOT / folder)]
    assert modules
    wrong = {str(path.relative_to(ROOT)): wrong_imports(folder, path.read_text(encoding="utf-8")) for path in modules}
    assert not {path: names for path, names in wrong.items() if names}


@pytest.mark.parametrize(
    ("folder", "line", "fine"),
    [
        ("graphs", "from symposia.nodes.solver import solve", True),
        ("graphs", "from symposia.state import base", True),
        ("symposia", "import symposia.graphs.magicore", True),
        ("state", "from symposia.state.errors import ReplyError", True),
        ("nodes", "from symposia.graphs import magicore", False),
        ("nodes", "from symposia import graphs", False),
        ("state", "import symposia.tools.llm as llm", False),
        ("tools", "def late():\n    from symposia.cli import main", False),
        ("graphs", "from tools.llm import ask", False),
        ("graphs", "import state", False),
        ("nodes", "from . import solver", False),
    ],
)
def test_the_rule_tells_right_from_left(folder: str, line: str, fine: bool) -> None:
    assert (wrong_imports(folder, line) == []) is fine


def test_importing_symposia_loads_nothing_heavy() -> None:
    heavy = ("litellm", "langgraph.graph", "sympy", "math_verify", "networkx", "psycopg", "torch", "ray")
    script = f"import sys, symposia; print([name for name in {heavy!r} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert out.stdout.strip() == "[]"


def test_version_is_said_once() -> None:
    assert symposia.__version__ == version("symposia") == PROJECT["version"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of what belongs to the repository, so that no leftover of a build gets in."""
    clean, out = tmp_path_factory.mktemp("clean"), tmp_path_factory.mktemp("dist")
    for path in repository_files():
        target = clean / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(clean),
    ]
    subprocess.run(build, check=True)
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_package_and_its_data(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {f"symposia/{part}/__init__.py" for part in ORDER[1:]} <= names
    assert {"symposia/py.typed", *(f"symposia/{part}/py.typed" for part in ORDER[1:])} <= names
    assert packaged({".py", *DATA}) <= names
    assert {name.split("/")[0] for name in names} == {"symposia"}


def test_an_installed_wheel_imports_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """A fresh environment that sees this one's dependencies, but neither the checkout nor its editable install."""
    env = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", env], check=True)
    python = str(env / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    site = next((env / "lib").glob("python3*/site-packages"))
    (site / "dependencies.pth").write_text(str(Path(pytest.__file__).parent.parent), encoding="utf-8")
    modules = sorted(name.removesuffix(".py").replace("/", ".") for name in packaged({".py"}))
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith("__main__")]
    script = (
        f"import importlib\nfor name in {modules!r}:\n"
        f"    path = importlib.import_module(name).__file__\n    assert path.startswith({str(site)!r}), path\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    bare["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import looks for prices on the network
    subprocess.run([python, "-c", script], check=True, cwd=tmp_path, env=bare)
    subprocess.run([env / "bin" / "symposia", "--help"], check=True, cwd=tmp_path, env=bare, capture_output=True)


def requirements(lock: Path) -> dict[str, str]:
    """Each requirement of a lock by its line, with the text of its hashes and comments."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(entry.split("\\\n", 1) for entry in entries)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_has_hashes_and_no_source(lock: Path) -> None:
    entries = requirements(lock)
    assert entries
    for requirement, rest in entries.items():
        assert re.match(r"[a-z0-9-]+==\S+ ", requirement), requirement
        assert "--hash=sha256:" in rest, requirement
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert " @ " not in text
    assert not re.search(r"^-|--(?:index|extra-index|find-links|trusted)", text, flags=re.MULTILINE)


def test_locks_agree_and_meet_the_project() -> None:
    locked = {path.stem: {line.split(" ")[0] for line in requirements(path)} for path in LOCKS}
    assert {"base", "dev", "studio", "build", "lock", "train", "engines", "chat"} == set(locked)
    assert locked["base"] <= locked["studio"] <= locked["dev"]
    pins: dict[str, list[str]] = {}
    for line in locked["base"]:
        name, _, pin = line.partition("==")
        pins.setdefault(name, []).append(pin)
    for dependency in map(Requirement, PROJECT["dependencies"]):
        assert pins[dependency.name]
        assert all(dependency.specifier.contains(pin) for pin in pins[dependency.name]), dependency


FORBIDDEN = {
    "a registry's host": r"(?:pypi|pythonhosted|npmjs|anaconda)\.(?:org|com)|(?:ghcr|docker|quay)\.io",
    "a path of one machine": r"(?<![\w.:/-])/(?:work|root|home|Users|tmp/w|opt/(?:pypi|wheels))/",
    "the folder beside the checkout": r"\.\./sha" + "red",
}


def faults(text: str) -> list[str]:
    """What of `FORBIDDEN` a text says."""
    return [f"{what}: {found[0]}" for what, pattern in FORBIDDEN.items() if (found := re.search(pattern, text))]


def test_no_file_names_a_machine_or_a_registry() -> None:
    own = "FORBIDDEN = {"
    said = {}
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        if path.name == Path(__file__).name:
            text = text[: text.index(own)]
        said[str(path.relative_to(ROOT))] = faults(text)
    assert not {path: found for path, found in said.items() if found}


@pytest.mark.parametrize(
    ("text", "count"),
    [("see https://example.org/wo" + "rk/x and tests/home/x", 0), ("/ro" + "ot/x", 1), ("../sha" + "red/x https://py" + "pi.org", 2)],
)
def test_the_search_finds_what_it_looks_for(text: str, count: int) -> None:
    assert len(faults(text)) == count
