"""Whether the answers that a run held on its way are right: judged as batches judge them, so that a page and its batch say the same."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symposia.state.show import Show
from symposia.tools.answers import TASKS
from symposia.viewer.persuasion import FIELDS, held_in, is_right
from symposia.viewer.turning import comparable

_MOST = 200  # answers of a run that are judged
_PATIENCE = 2.0  # seconds until no further answer is judged: the page waits, and one comparison by algebra may take five
_LONG = 200  # characters of an answer above which it is a text


async def verdicts(steps: Sequence[Mapping[str, Any]], last: Mapping[str, Any], show: Show, reference: Any) -> list[list[Any]]:
    """`[answer, whether it is right]` of the answers in a run; none without a reference that answers can be held against.

    Answers that would take the page too long are left out.

    Args:
        steps: The steps with the values that they wrote.
        last: The state at the end.
        show: The method's hints, which say where answers stand.
        reference: The known answer, or several.
    """
    if not comparable(reference):
        return []
    given = last.get("task")
    task = given if isinstance(given, str) and given in TASKS else "auto"
    found = {repr(answer): answer for answer in _answers(steps, last, show)}
    judged: list[list[Any]] = []
    until = time.monotonic() + _PATIENCE
    for answer in list(found.values())[:_MOST]:
        if time.monotonic() > until:
            break
        judged.append([answer, await is_right(reference, answer, task)])
    return judged


def _answers(steps: Sequence[Mapping[str, Any]], last: Mapping[str, Any], show: Show) -> Iterator[Any]:
    """The answers of speakers, experts, samples and critics, wherever the method or the shape says that they are."""
    kinds = show.kinds.items()
    keys = {"answer", "answers", *(key for keys in FIELDS for key in keys), *([show.leading] if show.leading else [])}
    keys |= {key for key, hint in kinds if hint.kind == "votes"}
    keys |= {hint.keys["answers"] for _, hint in kinds if "answers" in hint.keys}
    told = {key for key, hint in kinds if hint.kind in ("dialogue", "people")} - keys  # in which texts are no answers
    fields = {"answer", *(hint.fields["answer"] for _, hint in kinds if "answer" in hint.fields)}
    for step in steps:
        for key, change in step["wrote"].items():
            if key in keys:
                yield from _said(change["value"], fields)
            elif key in told and isinstance(change["value"], list):
                yield from _said([item for item in change["value"] if isinstance(item, Mapping)], fields)
    for answers in held_in(last, show) or []:
        yield from _said(answers, fields)


def _said(value: Any, fields: set[str]) -> Iterator[Any]:
    """The answers in lists, and under their field in records."""
    if isinstance(value, list):
        for item in value:
            yield from _said(item, fields)
    elif isinstance(value, Mapping):
        for field in fields & value.keys():
            yield from _said(value[field], fields)
    elif isinstance(value, int | float) or (isinstance(value, str) and 0 < len(value) <= _LONG):
        yield value
