"""What is made of finished runs on the command line: training files of a batch, and the picture of a run's tree."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from commands import Command

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def batch(symposia: Command) -> str:
    """A batch of persuasion trees over ten bundled problems; the id of its first run."""
    items = (files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    Path("in.jsonl").write_text("\n".join(items) + "\n")
    assert symposia("batch", "pbt", "in.jsonl", "-o", "out.jsonl", "--seed", 1).code == 0
    return str(json.loads(Path("out.jsonl").read_text().splitlines()[0])["run_id"])


def test_training_files_come_from_a_batch(symposia: Command, batch: str) -> None:
    done = symposia("export", "pbt", "out.jsonl", "-o", "files", "--json")
    assert done.code == 0
    rows = done.json["rows"]
    assert rows
    assert {name: len((Path("files") / name).read_text().splitlines()) for name in rows} == rows
    assert all(name.startswith(("preference.", "supervised.")) for name in rows)


def test_what_a_killed_batch_has_written_can_be_exported(symposia: Command, batch: str) -> None:
    whole = symposia("export", "pbt", "out.jsonl", "-o", "files", "--json").json["rows"]
    Path("out").write_text(Path("out.jsonl").read_text().replace('"row": ', '"number": ') + '{"id": "torn", "ro')
    done = symposia("export", "pbt", "out", "-o", "again", "--json")
    assert (done.code, done.json["rows"], "torn and passed over" in done.err) == (0, whole, True), done.err


def test_an_export_of_nothing_says_so(symposia: Command) -> None:
    items = (files("symposia.items") / "arithmetic.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    Path("in.jsonl").write_text("\n".join(items) + "\n")
    assert symposia("batch", "pbt", "in.jsonl", "-o", "out.jsonl", "--model", "toy/default?error=0").code == 0
    done = symposia("export", "pbt", "out.jsonl", "-o", "files")
    assert (done.code, done.out, "hold nothing for it" in done.err) == (0, "", True)
    assert symposia("export", "pbt", "out.jsonl", "-o", "files", "--json").json == {"folder": "files", "rows": {}}
    assert symposia("report", "pbt", "out.jsonl", "--json").json["undisputed"] == 2


def test_a_method_that_exports_nothing_says_who_does(symposia: Command, batch: str) -> None:
    done = symposia("export", "magicore", "out.jsonl", "-o", "files")
    assert (done.code, "exports nothing" in done.err, "pbt" in done.err) == (2, True, True)


def test_the_tree_of_a_run_is_drawn(symposia: Command, batch: str) -> None:
    assert symposia("draw", batch, "-o", "tree.svg").code == 0
    assert Path("tree.svg").read_text().startswith("<?xml")
    assert symposia("draw", batch).out.startswith("digraph tree {")
    run = symposia("run", "chain_of_thought", "--json").json["run_id"]
    done = symposia("draw", run)
    assert (done.code, "has no tree" in done.err) == (2, True)
    assert symposia("draw", "magicor").code == 2


def test_a_report_is_what_a_method_measures(symposia: Command, batch: str) -> None:
    assert symposia("batch", "pbt_debate", "in.jsonl", "-o", "debates.jsonl", "--seed", 1).code == 0
    found = symposia("report", "pbt_debate", "debates.jsonl", "--json").json
    assert found["orders"]["AB"]["debates"] == found["orders"]["BA"]["debates"] == 10
    assert "orders.AB.before" in symposia("report", "pbt_debate", "debates.jsonl").out
    pairs = symposia("report", "pbt", "out.jsonl", "--json").json
    assert pairs["trees"] == 10
    assert sum(pairs["pairs"].values()) > 0
    done = symposia("report", "debate_du", "out.jsonl")
    assert (done.code, "measures nothing of its own" in done.err) == (2, True)
