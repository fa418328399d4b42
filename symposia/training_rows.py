"""Rows to train on, as a method exported them or as anybody wrote them, in the formats that TRL reads.

A row for a preference loss has `prompt`, `chosen` and `rejected`; for KTO it may have `prompt`, `completion` and `label` (true or false)
instead. A row for supervised training has `messages`, or `prompt` and `completion`, or `text`. Prompts and replies are lists of messages
or, in all rows of a file alike, texts. Further columns are left out. TRL judges a file by its first row, so every row is looked at here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from symposia.sources import Problems, read_jsonl
from symposia.state.errors import BadInput, shorten

Loss = Literal["dpo", "kto", "orpo", "sft"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
ARM = "balanced"

_PAIR = ("prompt", "chosen", "rejected")
_JUDGED = ("prompt", "completion", "label")
_SHAPES: dict[Loss, tuple[tuple[str, ...], ...]] = {
    "dpo": (_PAIR,),
    "kto": (_PAIR, _JUDGED),
    "orpo": (_PAIR,),
    "sft": (("messages",), ("prompt", "completion"), ("text",)),
}
_MESSAGES = '[{"role": "user", "content": "..."}]'


def find_file(data: Path, loss: Loss, arm: str | None = None) -> Path:
    """The training file: in a folder `preference.ARM.train.jsonl` or `preference.train.jsonl`, for SFT `supervised...`.

    Args:
        data: The folder, or the file itself.
        loss: What is trained.
        arm: Which of the training sets in the folder; by default the balanced one.

    Raises:
        BadInput: There is none in the folder, or an arm of a single file is asked for.
    """
    if not data.is_dir():
        if arm is not None:
            raise BadInput(f"{data} is no folder with an arm {arm!r}", remedy="name the folder that `symposia export` wrote, or no arm")
        return data
    names = _names(loss, arm, "train")
    found = next((data / name for name in names if (data / name).is_file()), None)
    if found is None:
        there = ", ".join(sorted(path.name for path in data.glob("*.train.jsonl"))) or "none"
        what = f"{data} has no {' or '.join(names)}; training files there: {there}"
        raise BadInput(what, remedy="name another --arm or --loss, or a file")
    return found


def find_validation(data: Path, loss: Loss, arm: str | None = None) -> Path | None:
    """The file beside the training file to choose the best epoch by, if there is one; a single file has none."""
    return next((data / name for name in _names(loss, arm, "valid") if (data / name).is_file()), None)


def _names(loss: Loss, arm: str | None, split: str) -> list[str]:
    form = "supervised" if loss == "sft" else "preference"
    return [f"{form}.{arm or ARM}.{split}.jsonl", *([] if arm else [f"{form}.{split}.jsonl"])]


def read_training(file: Path, loss: Loss) -> list[dict[str, Any]]:
    """The rows of a file, checked, with the columns that the loss reads.

    Raises:
        BadInput: The file cannot be read, a row has not the form, or rows differ in form; up to ten bad rows are named.
    """
    rows: list[dict[str, Any]] = []
    problems, first = Problems(), ""
    for place, row in read_jsonl(file):
        with problems.caught():
            kept, form = _checked(row, loss, place)
            first = first or form
            if form != first:
                raise BadInput(f"the row has {form}, the first one {first}", remedy="one file holds rows of one form", place=place)
            rows.append(kept)
    problems.check()
    return rows


def _checked(row: Mapping[str, Any], loss: Loss, place: str) -> tuple[dict[str, Any], str]:
    """The columns that a loss reads of a row, and the form that they have in words."""
    columns = next((shape for shape in _SHAPES[loss] if all(name in row for name in shape)), None)
    if columns is None:
        nearest = max(_SHAPES[loss], key=lambda shape: sum(name in row for name in shape))
        missing = next(name for name in nearest if name not in row)
        wanted = ", or ".join(" and ".join(f"`{name}`" for name in shape) for shape in _SHAPES[loss])
        raise BadInput(f"the row has no `{missing}`", remedy=f"a row for {loss} has {wanted}", place=place)
    kept = {name: _value(row[name], name, place) for name in columns}
    kinds = {"messages" if isinstance(kept[name], list) else "text" for name in columns if name != "label"}
    if len(kinds) > 1:
        raise BadInput("the row has texts beside messages", remedy=f"write all of {', '.join(columns)} as {_MESSAGES}", place=place)
    return kept, f"{', '.join(columns)} as {kinds.pop()}"


def _value(value: Any, name: str, place: str) -> Any:
    """A text, a list of messages with nothing but role and content, or a label."""
    if name == "label":
        if not isinstance(value, bool):
            raise BadInput(f"`label` is {shorten(str(value), 60)}", remedy="say true for a good completion, else false", place=place)
        return value
    if name != "messages" and isinstance(value, str) and value:
        return value
    if name != "text" and isinstance(value, list) and value and all(map(_is_message, value)):
        return [{"role": message["role"], "content": message["content"]} for message in value]
    form = "a text" if name == "text" else f"messages such as {_MESSAGES}"
    raise BadInput(f"`{name}` is {shorten(repr(value), 60)}", remedy=f"write {form} there, not empty", place=place)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)
