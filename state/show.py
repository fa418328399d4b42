"""How a method's state is best shown: hints for the viewer, as plain data in the method's file.

`SHOW = Show({"answers": votes(weight="vote_weights"), "feedback": review(of="chains")}, summary={"finish": "{stop_reason}"},
fold=("extract",), leading="answer")`, or only the mapping. A hint names a kind and the keys of the state that it needs besides its own; a
key without a hint is shown by the shape of its value, so a method needs none. Hints stand in a constant and not inside `Annotated`, where
LangGraph takes whatever follows a reducer for the reducer.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from symposia.state.errors import BadInput, UnknownName

KINDS = (
    *("votes", "rewards", "review", "dialogue", "tree", "plan", "tests", "arms", "people"),
    *("messages", "code", "text", "number", "table"),
)
"""What a value can be shown as."""


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


def dialogue(*, speaker: str = "speaker", text: str = "text", answer: str = "answer") -> Hint:
    """Turns; the names are those of the fields of a turn."""
    return Hint("dialogue", fields={"speaker": speaker, "text": text, "answer": answer})


def tree(*, chosen: str | None = None, parent: str = "parent", **fields: str) -> Hint:
    """Nodes by id, or in one another; `chosen` is the key with the chosen path, `fields` such as `value`, `visits`, `pruned`."""
    return Hint("tree", _hint("tree", chosen=chosen).keys, {"parent": parent, **fields})


def plan(*, chosen: str | None = None, **fields: str) -> Hint:
    """A tree whose nodes hold intents and symbols."""
    return Hint("plan", _hint("plan", chosen=chosen).keys, fields)


def tests(*, cases: str | None = None, code: str | None = None, edits: str | None = None) -> Hint:
    """Results of tests: the keys with the cases, the code that was run, and the edits with whether each was kept."""
    return _hint("tests", cases=cases, code=code, edits=edits)


def arms(*, pulls: str | None = None, rewards: str | None = None, chosen: str | None = None) -> Hint:
    """Weights of a bandit's arms, round by round; the keys with pulls, rewards and the arm chosen."""
    return _hint("arms", pulls=pulls, rewards=rewards, chosen=chosen)


def people(*, answers: str | None = None, **fields: str) -> Hint:
    """Recruited experts; `answers` is the key with what each said in the end, `fields` name theirs: `name`, `skills`, `model`."""
    return Hint("people", _hint("people", answers=answers).keys, fields)


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
    """
    named = [*show.kinds, *(key for hint in show.kinds.values() for key in hint.keys.values()), *([show.leading] if show.leading else [])]
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
    try:
        return template.format_map(values)
    except (KeyError, TypeError, IndexError, AttributeError):
        return None
    except ValueError as error:
        if "format code" in str(error):  # a value of another kind than the template expects, such as None
            return None
        raise BadInput(f"SHOW's summary of {node}: {error}", remedy="write it as str.format takes it") from None


def _hint(kind: str, **keys: str | None) -> Hint:
    return Hint(kind, {name: key for name, key in keys.items() if key is not None})
