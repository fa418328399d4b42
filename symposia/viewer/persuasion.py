"""Which way a debate moved its speakers: from wrong to right, from right to wrong, from one wrong answer to another, or not at all.

A dialogue is found by the method's hint, else, in a method of the debates, by its shape: rounds of answers with one of each speaker, or
`tools/trees.py`' tree of two agents. What a speaker answers is held against what it answered before, turn by turn; a speaker without an
answer is wrong. Without a reference a change is only a change.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from symposia.records import any_same, known_answers
from symposia.state.show import Hint, Show
from symposia.tools import trees
from symposia.tools.answers import task_of
from symposia.tools.equality import same_pure
from symposia.viewer.turning import comparable

MOVES = ("wrong-right", "right-wrong", "wrong-wrong", "changed", "held")
"""What may become of an answer; `changed` is all that can be said of a change without a reference."""
FIELDS = (("own", "after"), ("read",), ("answers",))
"""Keys of a debate's state that hold the answers of one speaker in order, or of all in rounds."""
_SYMBOLIC = ("auto", "math")

Held = list[list[Any]]
"""What each speaker answered, in order."""


def held_in(values: Mapping[str, Any], show: Show, *, debate: bool = False) -> Held | None:
    """The answers in a state's dialogue, by speaker; None where it has no dialogue with answers.

    Args:
        values: The state after the last step.
        show: The method's hints.
        debate: Whether the method is one of the debates, whose state may be read by its shape.
    """
    for key, hint in show.kinds.items():
        if hint.kind == "dialogue" and (found := _hinted(values, key, hint)) is not None:
            return found
    tree = next(filter(_is_tree, values.values()), None)
    if tree is not None:
        return _turns_of(tree)
    if debate:
        for keys in FIELDS:
            if all(key in values for key in keys):
                found = _rounds(values[keys[0]] if len(keys) == 1 else [values[key] for key in keys])
                if found is not None:
                    return found
    return None


async def moves_of(held: Held, reference: Any, task: str = "auto") -> dict[str, int]:
    """How many answers moved which way, and how many were held."""
    known = comparable(reference)
    verdicts: dict[str, bool] = {}

    async def right(answer: Any) -> bool:
        if not known or answer is None:
            return False
        if repr(answer) not in verdicts:
            verdicts[repr(answer)] = await is_right(reference, answer, task)
        return verdicts[repr(answer)]

    found: Counter[str] = Counter()
    for one, two in ((before, after) for answers in held for before, after in pairwise(map(_said, answers))):
        sides = await right(one), await right(two)
        if all(sides) or _alike(one, two):
            found["held"] += 1
        elif not known:
            found["changed"] += 1
        else:
            found[f"{_word(sides[0])}-{_word(sides[1])}"] += 1
    return {move: found[move] for move in MOVES if found[move]}


def _hinted(values: Mapping[str, Any], key: str, hint: Hint) -> Held | None:
    value: Any = values.get(key)
    if _is_tree(value):
        return _turns_of(value)
    if isinstance(value, list) and value and all(isinstance(turn, Mapping) for turn in value):
        return _by_speaker(value, hint)
    speakers = [name for name in hint.fields.get("speakers", "").split(", ") if name]
    return _rounds(values.get(hint.keys.get("answers", "answers")), max(1, len(speakers)))


def _by_speaker(turns: Sequence[Mapping[str, Any]], hint: Hint) -> Held | None:
    """Answers of turns that name their speakers."""
    speaker, answer = hint.fields.get("speaker", "speaker"), hint.fields.get("answer", "answer")
    found: dict[Any, list[Any]] = {}
    for turn in turns:
        if answer in turn:
            found.setdefault(str(turn.get(speaker)), []).append(turn[answer])
    return list(found.values()) or None


def _rounds(value: Any, speakers: int = 1) -> Held | None:
    """Answers of rounds, one of each speaker; in rounds of a single answer the speakers take turns."""
    if not isinstance(value, list) or not value:
        return None
    if all(_is_answer(answer) for answer in value):
        return [value[speaker::speakers] for speaker in range(speakers)]
    width = len(value[0]) if isinstance(value[0], list) else 0
    if not width or not all(isinstance(r, list) and len(r) == width and all(map(_is_answer, r)) for r in value):
        return None
    if width == 1:
        return [[round_[0] for round_ in value[speaker::speakers]] for speaker in range(speakers)]
    return [[round_[speaker] for round_ in value] for speaker in range(width)]


def _is_tree(value: Any) -> bool:
    """Whether something is a dialogue tree of two agents."""
    nodes, edges = (value.get("nodes"), value.get("edges")) if isinstance(value, Mapping) else (None, None)
    if not isinstance(nodes, list) or not isinstance(edges, list) or not all(isinstance(part, Mapping) for part in (*nodes, *edges)):
        return False
    turns = {
        node["id"] for node in nodes if isinstance(node.get("id"), str) and "text" in node and node.get("agent") in (None, *trees.AGENTS)
    }
    ends = [edge.get(end) for edge in edges for end in ("source", "target")]
    return trees.ROOT in turns and len(turns) == len(nodes) and all(isinstance(end, str) and end in turns for end in ends)


def _turns_of(tree: dict[str, Any]) -> Held:
    """What each turn of a tree made of its speaker's last answer; a turn that several continuations share is one."""
    graph = trees.read_tree(tree)
    pairs = trees.resolved(graph)
    found: Held = []
    for turn, pair in pairs.items():
        before, agent = trees.parent_of(graph, turn), graph.nodes[turn]["agent"]
        if before is not None and pairs[before][agent] is not None:
            found.append([pairs[before][agent], pair[agent]])
    return found


def _is_answer(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _said(answer: Any) -> Any:
    """An answer, None where a turn states none or only takes a side."""
    return answer if not isinstance(answer, str) or trees.is_answer(answer) else None


def _alike(one: Any, two: Any) -> bool:
    return repr(one) == repr(two) or (one is not None and two is not None and same_pure(one, two) is True)


async def is_right(reference: Any, answer: Any, task: str) -> bool:
    """Whether an answer is right; algebra is asked only where the task may need it."""
    verdicts = [same_pure(one, answer) for one in known_answers(reference)]
    if True in verdicts:
        return True
    return None in verdicts and task_of(task) in _SYMBOLIC and await any_same(reference, answer)


def _word(right: bool) -> str:
    return "right" if right else "wrong"
