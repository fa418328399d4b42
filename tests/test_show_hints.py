"""The hints of every method: plain data about keys that there are, drawn by kinds that there are, and lines that say what a step found."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from symposia import registry, runs
from symposia.records import look
from symposia.rows import toy_item
from symposia.state import show
from symposia.state.errors import BadInput, UnknownName
from symposia.state.show import KINDS, Hint, Show, check_show, dialogue, plan, show_of, summary_of
from symposia.state.store import Store, open_store
from symposia.viewer.join import STATIC
from symposia.viewer.records import Book
from symposia.viewer.steps import show_for

HINTED = [
    "adaptive_consistency",
    "best_of_n",
    "debate_du",
    "fellowship",
    "fellowship_evaluators",
    "genrm",
    "laser",
    "laser_pairs",
    "mad",
    "magicore",
    "mamm_refine",
    "moa",
    "mutagrep",
    "pbt",
    "pbt_balanced",
    "pbt_debate",
    "pbt_flip",
    "reconcile",
    "self_consistency",
    "self_moa",
    "self_refine",
    "symbolic_moe",
    "utdebug",
    "utgen",
    "utgen_data",
    "utgen_intrinsic",
    "weighted_best_of_n",
]
"""Whose shapes do not say it all; a new method needs no hint."""


async def run_of(store: Store, method: str, **params: Any) -> str:
    item = toy_item(registry.load(method))
    given = {"model": "toy/default?error=0.4", "seed": 3, **params}
    record = runs.new_record(method, given, item.inputs, reference=item.reference, row=item.id, checkpoints="none")
    return (await runs.start(store, record)).run_id


# -- what stands in the files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HINTED)
def test_a_hint_names_what_there_is_and_is_plain_data(name: str) -> None:
    module = registry.load(name).module
    assert isinstance(module.SHOW, Show)
    assert all(isinstance(hint, Hint) for hint in module.SHOW.kinds.values())
    assert json.loads(json.dumps(module.SHOW.to_json())) == {**module.SHOW.to_json(), "fold": list(module.SHOW.fold)}
    keys = [key for key in module.graph.channels if ":" not in key]
    check_show(module.SHOW, keys, list(module.graph.nodes))
    for hint in module.SHOW.kinds.values():
        assert "labels" not in hint.fields or callable(getattr(module, hint.fields["labels"]))


def test_every_kind_is_drawn() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (STATIC / "kinds").glob("*.js"))
    drawn = dict(re.findall(r"export const (\w+) = \{\s*name: \"(\w+)\"", sources))
    assert set(KINDS) <= set(drawn.values())
    tried = re.search(r"const KINDS = \[([^\]]*)\]", (STATIC / "kinds" / "index.js").read_text(encoding="utf-8"))
    assert tried and {drawn[name] for name in tried[1].split(", ")} >= set(KINDS)


def test_a_hint_that_names_nothing_is_refused() -> None:
    for broken in (
        Show({"tree": plan(values="gone")}),
        Show({"results": show.tests(edits="gone")}),
        Show({"chains": dialogue(answers="gone")}),
        Show(summary={"finish": "{gone[-1][share]:.2f}"}),
    ):
        with pytest.raises(UnknownName, match="unknown state key 'gone'"):
            check_show(broken, ["tree", "results", "chains"], ["finish"])
    with pytest.raises(BadInput, match="summary of finish"):
        check_show(Show(summary={"finish": "{"}), [], ["finish"])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{history[-1][score]:.2f}", "0.50"),
        ("{history[0][score]}", "0.25"),
        ("{hard:hard|easy}, {easy:hard|easy}", "hard, easy"),
        ("{names}", "a, b, c, d, ..."),
        ("{answer} of {answer:.0%}", "18 of 1800%"),
        ("{none:.2f}", None),
        ("{history[7]}", None),
        ("{gone}", None),
        ("{answer[x]}", None),
        ("{answer.real}", None),  # nothing but items is read
        ("{history.__class__}", None),
    ],
)
def test_a_summary_reads_items_and_nothing_else(template: str, said: str | None) -> None:
    values = {
        "history": [{"score": 0.25}, {"score": 0.5}],
        "hard": True,
        "easy": False,
        "names": list("abcde"),
        "answer": 18.0,
        "none": None,
    }
    assert summary_of(Show(summary={"finish": template}), "finish", values) == said


def test_hints_may_be_a_mapping_and_a_method_needs_none() -> None:
    assert show_of({"a": plan()}).kinds == {"a": plan()} and show_of(None) == Show() == show_for("no_such_method")


# -- what they make of a run --------------------------------------------------------------------------------------------------------------


async def test_lines_of_steps_say_what_was_found_and_what_only_carries(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        book = await Book.open(store, await run_of(store, "magicore", k=4, max_rounds=1, calib_mean=1.9, confidence_threshold=0.95))
    said = {step["nodes"][0]: (step["summary"], step["fold"]) for step in book.page["steps"]}
    assert re.fullmatch(r"(hard|easy): quality \d\.\d\d of 1\.90, confidence \d\.\d\d and \d\.\d\d of 0\.95", said["classify"][0])
    assert said["extract"] == (None, True) and said["solve"] == (None, False)


async def test_cases_that_an_edit_was_tried_on_are_judged_as_the_run_did(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        book = await Book.open(store, await run_of(store, "utdebug"))
        seen = await look(store, book.page["run"]["run_id"])
    states = {moment.step: moment.values for moment in seen.moments if not moment.frame}
    tried = [step["n"] for step in book.page["steps"] if step["nodes"] == ["validate"]]
    assert tried
    for n in tried:
        ran = book.step(n)["cases"]["results"]
        suite = states[n]["suite"]
        assert [case["at"] for case in ran] == list(range(len(suite))) and all(case["place"].startswith(f"{n}.validate.b") for case in ran)
        assert sum(case["status"] == "pass" for case in ran) / len(suite) == pytest.approx(states[n]["compared"]["after"])
    assert {step["n"] for step in book.page["steps"] if "debug" in step["nodes"] and book.step(step["n"])["cases"]} == set()


async def test_a_bandit_is_shown_with_what_it_had_seen_when_it_chose(tmp_path: Path) -> None:
    async with open_store(str(tmp_path / "store.db")) as store:
        ids = [await run_of(store, "laser", k=2, learn=True, bandit="b") for _ in range(3)]
        first, _, third = [(await Book.open(store, run_id)).page for run_id in ids]
        other = (await Book.open(store, await run_of(store, "best_of_n", k=2))).page
    assert first["labels"]["arm_probs"][0] == "toy/default?error=0.4 (correctness)"
    assert (first["bandit"]["seen"], sum(first["bandit"]["recent"])) == (0, 0)
    assert (third["bandit"]["seen"], sum(arm["pulls"] for arm in third["bandit"]["arms"])) == (2, 2)
    assert all((arm["mean"] is None) == (arm["pulls"] == 0) == (not arm["way"]) for arm in third["bandit"]["arms"])
    assert other["bandit"] is None and other["labels"] == {}
