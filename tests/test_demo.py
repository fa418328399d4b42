"""The demo: real runs of the toy models through every method, and a table that says what the store holds."""

import asyncio
import gc
import json
from pathlib import Path

import pytest

from symposia.demo import METHODS, problems, run_demo, wilson
from symposia.records import is_correct
from symposia.registry import load, names
from symposia.state.errors import BadInput
from symposia.state.store import open_store


def test_the_demo_prints_a_table_and_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    before = gc.get_threshold(), gc.get_freeze_count()
    address = str(tmp_path / "demo.db")
    assert run_demo(limit=6, store=address) == 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    out, err = capsys.readouterr()
    assert "6 arithmetic word problems, 6 methods, toy/default, seed 0; k = 8 samples, 2 rounds of refinement at most" in out
    assert "no language models" in out
    for name in METHODS:
        assert load(name).method.title in out
        assert f"running {name}\n" in err
    assert "-> solve x8 -> extract -> score x16 -> aggregate -> classify [" in out
    assert f"--calls --store {address}" in " ".join(out.split())


def test_the_table_is_what_the_store_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = str(tmp_path / "demo.db")
    assert run_demo(limit=4, seed=5, store=address, as_json=True) == 0
    report = json.loads(capsys.readouterr().out)

    async def records() -> list[tuple[str, int, int, bool | None]]:
        async with open_store(address) as store:
            found = [r for r in await store.runs(limit=100)]
            return [(r["method"], r["calls"], sum(r["usage"].values()), await is_correct(r)) for r in found]

    kept = asyncio.run(records())
    assert len(kept) == 4 * len(METHODS)
    for row in report["methods"]:
        mine = [k for k in kept if k[0] == row["method"]]
        assert row["problems"] == len(mine) == 4
        assert row["right"] == sum(bool(right) for *_, right in mine)
        assert (row["calls"] + row["scorings"]) * 4 == pytest.approx(sum(calls for _, calls, _, _ in mine))
        assert row["tokens"] * 4 == pytest.approx(sum(tokens for _, _, tokens, _ in mine))
    by_name = {row["method"]: row for row in report["methods"]}
    assert (by_name["self_consistency"]["calls"], by_name["self_consistency"]["scorings"]) == (8, 0)
    assert by_name["best_of_n"]["scorings"] == by_name["weighted_best_of_n"]["scorings"]
    assert {"k": report["k"], "rounds": report["max_rounds"], "model": report["model"]} == {"k": 8, "rounds": 2, "model": "toy/default"}
    assert "no language models" in report["note"]


def test_every_method_of_the_demo_stands() -> None:
    assert set(METHODS) <= set(names())


def test_a_limit_takes_problems_of_every_level() -> None:
    rows = problems()
    assert len(rows) >= 60
    assert problems(10_000) == rows
    assert {row["level"] for row in problems(6)} == {row["level"] for row in rows}
    assert len({row["id"] for row in problems(7)}) == 7
    with pytest.raises(BadInput, match="--limit is 0"):
        problems(0)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # by the closed form in rational arithmetic with z = 1.959964; 8 of 10 and 0 of 10 also as tabulated in textbooks
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)
