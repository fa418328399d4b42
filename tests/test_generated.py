"""Generated files say what the methods say, and the generator tells a stale file from a fresh one."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from symposia import generate, registry
from symposia.state.errors import BadInput

README = f"# Title\n\nBefore.\n\n{generate.START}\nold\n{generate.END}\n\nAfter.\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    return tmp_path


def test_the_repository_is_fresh() -> None:
    assert generate.stale() == [], "run `make generate`"


def test_langgraph_json_exports_every_method_and_keeps_runs_in_our_store() -> None:
    config = json.loads((generate.ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert config["graphs"] == {name: f"symposia.graphs.{name}:graph" for name in registry.names()}
    assert set(config) == {"python_version", "dependencies", "graphs", "checkpointer", "http"}
    named = config["checkpointer"]["path"].rpartition("."), config["http"]["app"].rpartition(":")
    assert all(callable(getattr(import_module(module), name)) for module, _, name in named)


def test_a_row_says_what_the_metadata_says(checkout: Path) -> None:
    lines = generate.methods_table(checkout).splitlines()
    assert len(lines) == 2 + len(registry.names())
    assert lines[0] == "| method | paper | family | roles | calls per question |"
    row = next(line for line in lines if "magicore" in line)
    assert row == (
        "| [MAgICoRe](graphs/magicore.py) `magicore` | [2409.12147](https://arxiv.org/abs/2409.12147), 2024 | propose, check, refine "
        "| solver, reviewer, refiner, outcome, process | `k * (1 + 2 * max_rounds)`, and `2 * k * (1 + max_rounds)` of scorers |"
    )
    plain = next(line for line in lines if "chain_of_thought" in line)
    assert plain.endswith("| `1` |")


def test_every_row_has_as_many_cells_and_links_a_file_that_exists(checkout: Path) -> None:
    header, _, *rows = generate.methods_table(checkout).splitlines()
    for row, name in zip(rows, registry.names(), strict=True):
        assert row.count("|") == header.count("|")
        assert f"(graphs/{name}.py)" in row
        assert (generate.ROOT / "graphs" / f"{name}.py").is_file()


def test_notebooks_get_a_column_when_there_is_one(checkout: Path) -> None:
    (checkout / "notebooks").mkdir()
    (checkout / "notebooks" / "magicore.ipynb").write_text("{}", encoding="utf-8")
    header, rule, *rows = generate.methods_table(checkout).splitlines()
    assert header.endswith("| notebook |")
    assert {row.count("|") for row in (header, rule, *rows)} == {header.count("|")}
    assert [row for row in rows if row.endswith("| [magicore.ipynb](notebooks/magicore.ipynb) |")] == [r for r in rows if "`magicore`" in r]


def test_a_method_without_a_notebook_of_its_own_has_the_one_that_speaks_of_it_most(checkout: Path) -> None:
    texts = {
        "a": "mad, mad and mad, then moa_tree",
        "b": "graphs/mad.py and graphs/magicore.py",
        "c": "graphs/mad.py: mad, self_refine",
        "magicore": "graphs/mad.py",
    }
    (checkout / "notebooks").mkdir()
    for name, text in texts.items():
        (checkout / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    last = {row.split("`")[1]: row.rsplit("|", 2)[1].strip() for row in generate.methods_table(checkout).splitlines()[2:]}
    links = {name: f"[{name}.ipynb](notebooks/{name}.ipynb)" for name in texts}
    assert {name: last[name] for name in ("mad", "magicore", "self_refine", "moa")} == {
        **{"mad": links["c"], "magicore": links["magicore"], "self_refine": links["c"], "moa": ""}
    }


def test_every_method_is_in_a_notebook() -> None:
    rows = generate.methods_table().splitlines()[2:]
    assert not [row for row in rows if not row.endswith(".ipynb) |")]


def test_writing_makes_fresh_and_leaves_the_rest_of_the_readme(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"], checkout) == 1
    said = capsys.readouterr().err
    assert "langgraph.json is stale" in said
    assert "README.md is stale" in said
    assert generate.main([], checkout) == 0
    assert generate.main(["--check"], checkout) == 0
    text = (checkout / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Title\n\nBefore.\n\n")
    assert text.endswith(f"{generate.END}\n\nAfter.\n")
    assert generate.methods_table(checkout) in text
    assert "old" not in text


def test_check_names_only_the_stale_file(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.main([], checkout)
    path = checkout / "langgraph.json"
    path.write_text(path.read_text(encoding="utf-8").replace("magicore:graph", "magicore:app"), encoding="utf-8")
    capsys.readouterr()
    assert generate.main(["--check"], checkout) == 1
    said = capsys.readouterr().err
    assert "langgraph.json" in said
    assert "README.md" not in said
    assert ":app" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "readme",
    ["no markers", generate.START, f"{generate.END}\n{generate.START}", f"{README}{README}"],
    ids=["none", "one", "order", "twice"],
)
def test_missing_markers_are_named(checkout: Path, capsys: pytest.CaptureFixture[str], readme: str) -> None:
    (checkout / "README.md").write_text(readme, encoding="utf-8")
    with pytest.raises(BadInput, match="methods:start"):
        generate.generated(checkout)
    assert generate.main([], checkout) == 2
    assert "methods:start" in capsys.readouterr().err
    assert (checkout / "README.md").read_text(encoding="utf-8") == readme
    assert not (checkout / "langgraph.json").exists()


def test_other_arguments_and_other_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--chek"], tmp_path) == 2
    assert "usage" in capsys.readouterr().err
    assert generate.main([], tmp_path) == 2
    assert "checkout" in capsys.readouterr().err
