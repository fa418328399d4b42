"""How a method's state is best shown: hints for the viewer, as plain data in the method's file.

`SHOW = Show({"answers": votes(weight="vote_weights"), "feedback": review(of="chains")}, summary={"finish": "{stop_reason}"},
fold=("extract",), leading="answer")`, or only the mapping. A hint names a kind and the keys of the state that it needs besides its own; a
key without a hint is shown by the shape of its value, so a method needs none. Hints stand in a constant and not inside `Annotated`, where
LangGraph takes whatever follows a reducer for the reducer.

A summary is a template as `str.format` takes it, over keys of the state: `{history[-1][quality]:.2f}` reads the last item of a list, and
`{is_hard:hard|easy}` a yes or no.
"""

import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from symposia.state.errors import BadInput, UnknownName

KINDS = (
    *("votes", "rewards", "review", "dialogue", "tree", "plan", "tests", "arms", "people"),
    *("messages", "code", "text", "number", "table"),
)
"""What a value can be shown as."""

_LIST = 4  # items of a list that a summary tells


@dataclass(frozen=True)
class Hint:
    """A kind, the keys of the state that it needs besides its own, and the names of fields inside its items."""

    kind: str
    keys: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a kind that nobody can draw.

        Raises:
            UnknownName: There is no such kind.
        """
        if self.kind not in KINDS:
            raise UnknownName.of("kind", self.kind, KINDS, remedy=f"there are {', '.join(KINDS)}")


@dataclass(frozen=True)
class Show:
    """The hints of a method."""

    kinds: Mapping[str, Hint] = field(default_factory=dict)
    """By key of the state."""
    summary: Mapping[str, str] = field(default_factory=dict)
    """By node: what its step found, as a template over the keys of the state, such as `"share {top_share:.2f}"`."""
    fold: tuple[str, ...] = ()
    """Nodes that only carry things from one place to another."""
    leading: str | None = None
    """The key that holds the answer that leads so far; else it is `answer`, or what the newest votes say."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def votes(*, weight: str | None = None) -> Hint:
    """Short values, None where there is none to read; `weight` is the key with `{answer, weight, count}` for each."""
    return _hint("votes", weight=weight)


def rewards(*, of: str | None = None) -> Hint:
    """Lists of numbers in 0..1, one for each step of the texts under the key `of`."""
    return _hint("rewards", of=of)


def review(*, of: str, answers: str | None = None) -> Hint:
    """Critiques by index: `of` is the key with the texts before and after, `answers` that with what was read from them."""
    return _hint("review", of=of, answers=answers)


def dialogue(
    *, answers: str | None = None, speakers: Sequence[str] = (), speaker: str = "speaker", text: str = "text", answer: str = "answer"
) -> Hint:
    """Turns, or rounds of texts with one of each speaker.

    Args:
        answers: The key with what was read from each text, in the same shape.
        speakers: Who speaks, in turn; by default they are numbered, or named by the turns.
        speaker: The field of a turn with who spoke.
        text: That with what was said.
        answer: That with the answer held after it.
    """
    named = {"speakers": ", ".join(speakers)} if speakers else {}
    return Hint("dialogue", _hint("dialogue", answers=answers).keys, {"speaker": speaker, "text": text, "answer": answer, **named})


def tree(*, chosen: str | None = None, parent: str = "parent", **fields: str) -> Hint:
    """Nodes by id, or in one another, or as nodes and edges.

    Args:
        chosen: The key with the chosen node, or with the path to it.
        parent: The field of a node with the one above it.
        fields: Those with `value`, `visits`, `who`, `text`, and `pruned`, the reason why a branch ends.
    """
    return Hint("tree", _hint("tree", chosen=chosen).keys, {"parent": parent, **fields})


def plan(
    *,
    nodes: str | None = None,
    chosen: str | None = None,
    values: str | None = None,
    visited: str | None = None,
    waiting: str | None = None,
    ended: str | None = None,
    **fields: str,
) -> Hint:
    """A tree whose nodes hold steps, each an intent with symbols.

    Args:
        nodes: The key with the tree, where the hint stands at another, such as that of the chosen node.
        chosen: The key with the node that was chosen.
        values: That with the score of each node, a number or a record whose field `value` holds it.
        visited: That with the nodes that were expanded, in that order.
        waiting: That with the nodes that were not.
        ended: That with the reason why those never were.
        fields: Names of fields: `value`, `parent`, `steps`, `intent`, `symbols`.
    """
    return Hint(
        "plan", _hint("plan", nodes=nodes, chosen=chosen, values=values, visited=visited, waiting=waiting, ended=ended).keys, fields
    )


def tests(*, cases: str | None = None, code: str | None = None, edits: str | None = None, results: str | None = None) -> Hint:
    """Results of tests: the keys with the cases, the code that was run, and the edits with whether each was kept.

    The results stand under the key itself, else under `results`; then the key is that of the edits.
    """
    return _hint("tests", cases=cases, code=code, edits=edits, results=results)


def code(*, against: str | None = None) -> Hint:
    """A program, marked where it differs from the one under the key `against`, else from its own last version."""
    return _hint("code", against=against)


def arms(
    *, pulls: str | None = None, rewards: str | None = None, chosen: str | None = None, seen: str | None = None, labels: str | None = None
) -> Hint:
    """Weights of a bandit's arms, round by round.

    Args:
        pulls: The key with how often each arm was chosen.
        rewards: That with what the arms, or the chosen one, brought.
        chosen: That with the chosen arm.
        seen: That with how much the bandit had seen before.
        labels: A function of the method's file that names the arms by the parameters.
    """
    keys = _hint("arms", pulls=pulls, rewards=rewards, chosen=chosen, seen=seen).keys
    return Hint("arms", keys, {"labels": labels} if labels else {})


def people(
    *,
    answers: str | None = None,
    texts: str | None = None,
    scores: str | None = None,
    skills: str | None = None,
    drawn: str | None = None,
    **fields: str,
) -> Hint:
    """Recruited experts: their names, one for each place, or records.

    Args:
        answers: The key with what each answered, or with rounds of it.
        texts: That with what each said.
        scores: That with what each was recruited by.
        skills: That with the skills that were looked for.
        drawn: That with who was recruited at first, where some were replaced.
        fields: Names of fields of a record: `name`, `skills`, `model`, `score`, `text`, `answer`.
    """
    return Hint("people", _hint("people", answers=answers, texts=texts, scores=scores, skills=skills, drawn=drawn).keys, fields)


def shown_as(kind: str) -> Hint:
    """One of the plain kinds: `messages`, `code`, `text`, `number` or `table`."""
    return Hint(kind)


def show_of(given: Any) -> Show:
    """The hints in a method's file, however they are written; without any an empty `Show`."""
    return given if isinstance(given, Show) else Show(dict(given or {}))


def check_show(show: Show, keys: Collection[str], nodes: Collection[str]) -> None:
    """Hold hints against the graph they are about.

    Raises:
        UnknownName: A key that the state lacks, or a node that the graph lacks.
        BadInput: A template of a summary is broken.
    """
    read = [key for node, template in show.summary.items() for key in _read(node, template)]
    needed = [key for hint in show.kinds.values() for key in hint.keys.values()]
    named = [*show.kinds, *needed, *read, *([show.leading] if show.leading else [])]
    for key in named:
        if key not in keys:
            raise UnknownName.of("state key", key, keys, remedy=f"SHOW names it; the state has {', '.join(sorted(keys))}")
    for node in (*show.summary, *show.fold):
        if node not in nodes:
            raise UnknownName.of("node", node, nodes, remedy=f"SHOW names it; the graph has {', '.join(sorted(nodes))}")


def summary_of(show: Show, node: str, values: Mapping[str, Any]) -> str | None:
    """What a node's step found; None without a template, or where the state lacks what it needs.

    Raises:
        BadInput: The template is broken.
    """
    template = show.summary.get(node)
    if template is None:
        return None
    _read(node, template)
    try:
        return _Summary().vformat(template, (), values)
    except (KeyError, TypeError, IndexError, ValueError):  # what is written later, or a value of another kind, such as None
        return None


class _Summary(string.Formatter):
    """`str.format` over plain JSON: nothing but items is read, from the end too, and a yes or no may be written as two words."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        first, *path = field_name.replace("]", "").split("[")
        found = kwargs[first]
        for part in path:
            found = found[int(part) if isinstance(found, list) else part]
        return found, first

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, bool) and "|" in format_spec:
            return format_spec.split("|")[not value]
        if isinstance(value, list):
            return ", ".join(self.format_field(item, format_spec) for item in value[:_LIST]) + (", ..." if len(value) > _LIST else "")
        return f"{value:g}" if isinstance(value, float) and not format_spec else format(value, format_spec)


def _read(node: str, template: str) -> list[str]:
    """The keys that a summary reads.

    Raises:
        BadInput: It is no template.
    """
    try:
        return [name.partition("[")[0] for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise BadInput(f"SHOW's summary of {node}: {error}", remedy="write it as str.format takes it") from None


def _hint(kind: str, **keys: str | None) -> Hint:
    return Hint(kind, {name: key for name, key in keys.items() if key is not None})
