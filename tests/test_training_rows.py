"""What can be trained on, and what is refused before anything is loaded; the training itself is tests/train/."""

import json
from pathlib import Path
from typing import Any

import pytest

from symposia import training
from symposia.state.errors import BadInput, SymposiaError
from symposia.training_rows import Loss, find_file, find_validation, read_training

USER = [{"role": "user", "content": "2 + 2?"}]
GOOD, BAD = ([{"role": "assistant", "content": text}] for text in ("4", "5"))
PAIR = {"prompt": USER, "chosen": GOOD, "rejected": BAD}


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("loss", "row", "kept"),
    [
        ("dpo", {**PAIR, "answers": {"A": None}}, PAIR),
        ("orpo", {"prompt": "a", "chosen": "b", "rejected": "c"}, {"prompt": "a", "chosen": "b", "rejected": "c"}),
        ("kto", PAIR, PAIR),
        ("kto", {"prompt": USER, "completion": BAD, "label": False}, {"prompt": USER, "completion": BAD, "label": False}),
        ("sft", {"messages": [{**USER[0], "name": "x"}, *GOOD]}, {"messages": USER + GOOD}),
        ("sft", {"prompt": USER, "completion": GOOD, "score": 1}, {"prompt": USER, "completion": GOOD}),
        ("sft", {"text": "a"}, {"text": "a"}),
    ],
)
def test_a_row_keeps_the_columns_that_its_loss_reads(loss: Loss, row: dict[str, Any], kept: dict[str, Any], tmp_path: Path) -> None:
    assert read_training(written(tmp_path, row, row), loss) == [kept, kept]


@pytest.mark.parametrize(
    ("loss", "row", "said"),
    [
        ("dpo", {"prompt": USER, "rejected": BAD}, "no `chosen`"),
        ("dpo", {**PAIR, "chosen": ""}, "`chosen` is ''"),
        ("dpo", {**PAIR, "chosen": []}, "`chosen` is"),
        ("dpo", {**PAIR, "chosen": [{"role": "assistant"}]}, "`chosen` is"),
        ("dpo", {**PAIR, "chosen": "4"}, "texts beside messages"),
        ("dpo", {"prompt": "a", "chosen": "b", "rejected": "c"}, "as text, the first one prompt, chosen, rejected as messages"),
        ("kto", {"prompt": USER, "completion": BAD, "label": 1}, "`label` is 1"),
        ("sft", PAIR, "no `messages`|no `completion`"),
    ],
)
def test_a_bad_row_is_named(loss: Loss, row: dict[str, Any], said: str, tmp_path: Path) -> None:
    good = {"messages": USER} if loss == "sft" else PAIR
    with pytest.raises(BadInput) as found:
        read_training(written(tmp_path, good, row), loss)
    assert found.value.place == f"{tmp_path / 'rows.jsonl'}, line 2"
    assert found.value.remedy
    assert any(part in found.value.message for part in said.split("|")), found.value


def test_every_bad_row_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="2 problems"):
        read_training(written(tmp_path, PAIR, {}, {"prompt": USER}), "dpo")
    with pytest.raises(BadInput, match="there is no such file"):
        read_training(tmp_path / "none.jsonl", "dpo")


def test_a_folder_has_a_file_for_each_loss_and_arm(tmp_path: Path) -> None:
    for name in ("preference.balanced.train", "preference.balanced.valid", "preference.negative.train", "supervised.train"):
        (tmp_path / f"{name}.jsonl").touch()
    assert find_file(tmp_path, "dpo").name == "preference.balanced.train.jsonl"
    assert find_file(tmp_path, "kto", "negative").name == "preference.negative.train.jsonl"
    assert find_file(tmp_path, "sft").name == "supervised.train.jsonl"
    found = find_validation(tmp_path, "orpo")
    assert found is not None
    assert found.name == "preference.balanced.valid.jsonl"
    assert find_validation(tmp_path, "orpo", "negative") is None
    with pytest.raises(BadInput, match=r"no preference.positive.train.jsonl; training files there: preference.balanced"):
        find_file(tmp_path, "dpo", "positive")
    with pytest.raises(BadInput, match="is no folder"):
        find_file(tmp_path / "x.jsonl", "dpo", "positive")


def test_settings_are_those_of_the_authors_until_said_otherwise() -> None:
    sft, dpo = training.settings_for("sft"), training.settings_for("dpo", beta=None, seed=3)
    assert (sft.max_steps, sft.batch_size, dpo.max_steps, dpo.epochs, dpo.batch_size, dpo.beta, dpo.seed) == (240, 80, None, 5, 35, 0.1, 3)
    assert training.settings_for("sft", epochs=2).max_steps is None
    assert training.settings_for("sft", epochs=2, max_steps=7).max_steps == 7


def test_a_missing_extra_and_a_taken_folder_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, out, settings = written(tmp_path, PAIR), tmp_path / "out", training.settings_for("dpo")
    monkeypatch.setattr(training, "find_spec", lambda name: None if name == "trl" else object())
    with pytest.raises(SymposiaError, match="needs trl") as found:
        training.train("any", rows, out, settings)
    assert found.value.remedy == "pip install 'symposia[train]'"
    out.mkdir()
    (out / training.RECORD).touch()
    with pytest.raises(BadInput, match="holds a trained model already"):
        training.train("any", rows, out, settings)
