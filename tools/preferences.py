"""Preference pairs as training data: split by question, balanced between the two kinds, in the formats that TRL reads.

The splits and the balance follow "Teaching Models to Balance Resisting and Accepting Persuasion" (arXiv 2410.14596, the authors' code).
TRL's conversational preference format has `prompt`, `chosen` and `rejected` as lists of messages, its format for supervised training
`messages`; the other columns are for whoever reads or evaluates the file.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from symposia.state.errors import BadInput
from symposia.tools.pairs import Preference

Arm = Literal["balanced", "positive", "negative"]
ARMS: tuple[Arm, ...] = ("balanced", "positive", "negative")
"""Both kinds, only pairs that accept persuasion, only pairs that resist it."""

SPLITS = ("train", "valid", "test")
SHARES = (70, 15)
"""Percent of the trees for training and for validation; the rest is for testing."""

SEED = 12
"""Of the shuffling, as in the authors' scripts."""

FLIPS = {"resist": "flip_correct_to_incorrect", "accept": "flip_incorrect_to_correct"}
"""The persuasion that a pair of a kind is about, as the authors name it."""

_IDENTITY = ("question", "prompt", "chosen", "rejected", "kind")


def split(groups: Sequence[Sequence[Preference]]) -> dict[str, list[Preference]]:
    """The trees shared out in the order of the file, their pairs by split; equal pairs count once.

    A tree without pairs counts as well. A question that comes again stays where its first tree is, so that none is in two splits.
    """
    first, second = (len(groups) * share // 100 for share in (SHARES[0], sum(SHARES)))
    home: dict[str, str] = {}
    for i, group in enumerate(groups):
        for pair in group:
            home.setdefault(pair["question"], SPLITS[0] if i < first else SPLITS[1] if i < second else SPLITS[2])
    found: dict[str, list[Preference]] = {name: [] for name in SPLITS}
    for pair in unique(pair for group in groups for pair in group):
        found[home[pair["question"]]].append(pair)
    return found


def unique(pairs: Iterable[Preference]) -> list[Preference]:
    """The pairs, of equal ones the first."""
    found: dict[str, Preference] = {}
    for pair in pairs:
        found.setdefault(json.dumps([pair[key] for key in _IDENTITY]), pair)  # type: ignore[literal-required]
    return list(found.values())


def balance(pairs: Sequence[Preference], arm: Arm = "balanced", *, matched: bool = False, seed: int = SEED) -> list[Preference]:
    """As many pairs of one kind as of the other, shuffled; of a single kind that half alone.

    Args:
        pairs: The pairs of one split.
        arm: Which training set they are for.
        matched: Cut the balanced set to the size of the others; the released code lets it be twice as large, its manual says matched.
        seed: Of the shuffling.
    """
    kinds = {kind: [pair for pair in pairs if pair["kind"] == kind] for kind in ("accept", "resist")}
    least = min(map(len, kinds.values()))
    each = least // 2 if matched and arm == "balanced" else least
    chosen = {"balanced": ("accept", "resist"), "positive": ("accept",), "negative": ("resist",)}[arm]
    kept = [pair for kind in chosen for pair in kinds[kind][:each]]
    random.Random(seed).shuffle(kept)
    return kept


def preference_row(pair: Preference) -> dict[str, Any]:
    """A row for preference training."""
    return {
        "prompt": pair["prompt"],
        "chosen": [{"role": "assistant", "content": pair["chosen"]}],
        "rejected": [{"role": "assistant", "content": pair["rejected"]}],
        "question": pair["question"],
        "kind": pair["kind"],
        "type": FLIPS[pair["kind"]],
        "turns": [pair["parent"], pair["chosen_turn"], pair["rejected_turn"]],
        "pref_score": pair["chosen_score"],
        "dispref_score": pair["rejected_score"],
        "parent_answers": pair["parent_answers"],
        "chosen_answers": pair["chosen_answers"],
        "rejected_answers": pair["rejected_answers"],
        "gold_answers": pair["accepted"],
    }


def supervised_row(pair: Preference) -> dict[str, Any]:
    """A row for supervised training: the whole dialogue, which ends in the chosen reply."""
    return {"question": pair["question"], "messages": [*pair["prompt"], {"role": "assistant", "content": pair["chosen"]}]}


def export(groups: Sequence[Sequence[Preference]], folder: Path, *, matched: bool = False, seed: int = SEED) -> dict[str, int]:
    """Write every arm and split as JSONL: `preference.ARM.SPLIT.jsonl` and `supervised.ARM.SPLIT.jsonl`.

    Args:
        groups: The pairs of each tree, in the order of the data set.
        folder: Where the files go; it is made if need be.
        matched: As in `balance`.
        seed: Of the shuffling.

    Returns:
        The number of rows by file name; a file without rows is not written, and one that an earlier export left there is taken away, since
        its questions may be in another split now.

    Raises:
        BadInput: A pair has a kind that there is not, or a file cannot be written.
    """
    parts, rows = split(groups), dict[str, int]()
    for name, pairs in parts.items():
        for pair in pairs:
            if pair["kind"] not in FLIPS:
                raise BadInput(f"a pair of {pair['question'][:60]!r} has the kind {pair['kind']!r}", remedy="say resist or accept")
        for arm in ARMS:
            kept = balance(pairs, arm, matched=matched, seed=seed)
            for form, row in (("preference", preference_row), ("supervised", supervised_row)):
                _write(folder / f"{form}.{arm}.{name}.jsonl", list(map(row, kept)))
                if kept:
                    rows[f"{form}.{arm}.{name}.jsonl"] = len(kept)
    return rows


def _write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if rows:
            file.write_text(text, encoding="utf-8", newline="\n")
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"cannot write {file}: {error.strerror}", remedy="name a folder that can be written") from None
