"""Scores of a dialogue tree and the preference pairs in it: who was right where, and which of two siblings is to be preferred, and why.

The rules are those of "Teaching Models to Balance Resisting and Accepting Persuasion" (arXiv 2410.14596), in two profiles: the paper's
Figure 2, and the released code, whose first filter (it reads answers by the wrong agent and so drops every right pair) is not followed.
Nothing here asks a model: a tree, the accepted answers and the rules determine the pairs.
"""

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from symposia.tools.latex import rational
from symposia.tools.trees import ROOT, Pair, is_answer, parent_of, partner, resolved

if TYPE_CHECKING:
    from symposia.tools.trees import Graph

Kind = Literal["resist", "accept"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_ALIKE = Fraction(1, 2)


@dataclass(frozen=True)
class Rules:
    """How pairs are chosen."""

    released: bool = False
    """Scores and gate of the released code: both answers count, siblings with unequal numbers of replies are skipped."""
    gap: Fraction | float | None = None
    """Least relative distance of two scores; by default 0.25 (ours; the released comment says it), and in the released profile 0.5,
    which there has to be passed."""
    require_parent_side: bool = True
    """The partner's turn has to be wrong where the speaker resists and right where it accepts (ours; commented out in the code)."""
    verified: bool = True
    """The verifier has to see an agreeing and a disagreeing reply."""

    @property
    def least(self) -> Fraction:
        """The gap in force."""
        return Fraction(str(self.gap)) if self.gap is not None else Fraction(1, 2) if self.released else Fraction(1, 4)


class Found(TypedDict):
    """Two replies of one agent to the same turn of which one is to be preferred."""

    parent: str
    agent: str
    chosen_turn: str
    rejected_turn: str
    chosen: str
    rejected: str
    kind: Kind
    chosen_score: int
    rejected_score: int
    parent_answers: Pair
    chosen_answers: Pair
    rejected_answers: Pair


class Preference(Found):
    """A pair with its question and the dialogue before it, free of personas, as the next speaker sees it."""

    question: str
    prompt: list[dict[str, str]]
    accepted: list[str]


PREFERENCE = TypeAdapter(Preference)


@dataclass(frozen=True)
class Label:
    """What the accepted answers say of a turn."""

    agent: str
    right: dict[str, bool | None]
    """By agent; None before it has spoken."""
    score: int

    @property
    def own(self) -> bool:
        """Whether the speaker's answer is right."""
        return bool(self.right[self.agent])

    @property
    def count(self) -> int:
        """How many of the two answers are right."""
        return sum(bool(right) for right in self.right.values())

    @property
    def complete(self) -> bool:
        """Whether both agents have answered."""
        return None not in self.right.values()


@dataclass
class Harvest:
    """The pairs of a tree, and why the other siblings gave none."""

    pairs: list[Found] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def normal(answer: str) -> str:
    """An answer as TriviaQA's evaluation compares it: lower case, what follows a bracket cut off, no punctuation, no articles."""
    plain = answer.split("(")[0].lower().translate(str.maketrans(string.punctuation, " " * len(string.punctuation)))
    return " ".join(_ARTICLES.sub(" ", plain).split())


def correct(answer: str | None, accepted: Sequence[str]) -> bool:
    """Whether an answer is one of the accepted ones; numbers are compared by value, everything else as `normal` text."""
    if answer is None or not is_answer(answer):
        return False
    number = rational(answer)
    if number is not None:
        return any(rational(one) == number for one in accepted)
    return bool(normal(answer)) and normal(answer) in {normal(one) for one in accepted}


def same_answer(first: str, second: str) -> bool:
    """Whether two answers are the same one: equal numbers, or equal as `normal` text."""
    numbers = rational(first), rational(second)
    return numbers[0] == numbers[1] if None not in numbers else normal(first) == normal(second)


def one_answer(first: str, second: str) -> bool:
    """Whether one answer is part of the other and most of it: their Levenshtein ratio is above 0.5. Numbers are not alike (ours)."""
    if rational(first) is not None or rational(second) is not None:
        return False
    short, long = sorted((normal(first), normal(second)), key=len)
    # Of a text and a part of it the distance is the difference of their lengths, so the ratio needs no alignment.
    return bool(short) and short in long and Fraction(2 * len(short), len(short) + len(long)) > _ALIKE


def _settled(pair: Pair, same: bool, accepted: Sequence[str]) -> Pair:
    """The pair with two spellings of one answer made one: the right spelling, if there is one."""
    first, second = pair["A"], pair["B"]
    if first is None or second is None or not (is_answer(first) and is_answer(second)):
        return pair
    if same:
        kept = second if correct(second, accepted) and not correct(first, accepted) else first
        return {"A": kept, "B": kept}
    return {"A": second, "B": second} if one_answer(first, second) else pair


def labels(graph: "Graph", accepted: Sequence[str], released: bool = False) -> dict[str, Label]:
    """Who is right at every turn, and its score: its own credit and the scores of all replies to it, from the leaves up.

    The credit is 1 for a speaker who is right; in the released code one for each right answer of the pair, none at the first turn.
    """
    pairs, found = resolved(graph), dict[str, Label]()
    for turn in sorted((t for t in graph if t != ROOT), key=lambda t: -int(graph.nodes[t]["level"])):
        data = graph.nodes[turn]
        pair = _settled(pairs[turn], bool(data.get("same")), accepted)
        right = {agent: None if answer is None else correct(answer, accepted) for agent, answer in pair.items()}
        own = Label(data["agent"], right, 0)
        credit = (own.count if own.complete else 0) if released else int(own.own)
        found[turn] = Label(data["agent"], right, credit + sum(found[reply].score for reply in graph.successors(turn)))
    return found


def classify(parent: Label, grand: Label, chosen: Label, rejected: Label, rules: Rules) -> Kind | None:
    """Which kind of persuasion two replies of an agent teach, if any.

    Resist: the agent was right before, stays right in the chosen reply and gives in to wrong in the other. Accept: it was wrong, and the
    chosen reply is right where the other is not.

    Args:
        parent: The partner's turn that both reply to.
        grand: The agent's own turn before that.
        chosen: The preferred reply.
        rejected: The other one.
        rules: The rules in force; outside of the released profile an agent's first turn counts by its own answer alone.
    """
    if not parent.complete or grand.right[chosen.agent] is None or (rules.released and not grand.complete):
        return None
    if not chosen.own or rejected.own:
        return None
    theirs = bool(parent.right[partner(chosen.agent)])
    if grand.right[chosen.agent]:
        return "resist" if parent.count == chosen.count and not (rules.require_parent_side and theirs) else None
    return "accept" if parent.count < chosen.count and (theirs or not rules.require_parent_side) else None


def find_pairs(graph: "Graph", accepted: Sequence[str], rules: Rules) -> Harvest:
    """The pairs of a tree, smallest relative gap first, each with its kind; siblings that give none are counted by reason."""
    marks, pairs, harvest = labels(graph, accepted, rules.released), resolved(graph), Harvest()
    gaps: dict[tuple[str, str], Fraction] = {}
    for one, other in _siblings(graph):
        verdict = _judge(graph, marks, one, other, rules)
        if isinstance(verdict, str):
            harvest.reasons[verdict] += 1
            continue
        chosen, rejected, scores, kind = verdict
        parent = str(parent_of(graph, chosen))
        gaps[chosen, rejected] = 1 - Fraction(scores[1], scores[0])
        harvest.pairs.append(
            Found(
                parent=parent,
                agent=marks[chosen].agent,
                chosen_turn=chosen,
                rejected_turn=rejected,
                chosen=graph.nodes[chosen]["text"],
                rejected=graph.nodes[rejected]["text"],
                kind=kind,
                chosen_score=scores[0],
                rejected_score=scores[1],
                parent_answers=pairs[parent],
                chosen_answers=pairs[chosen],
                rejected_answers=pairs[rejected],
            )
        )
    harvest.pairs.sort(key=lambda pair: gaps[pair["chosen_turn"], pair["rejected_turn"]])
    return harvest


def _siblings(graph: "Graph") -> Iterator[tuple[str, str]]:
    """Every two replies to the same turn, once."""
    for turn in graph:
        yield from combinations(graph.successors(turn), 2)


def _judge(
    graph: "Graph", marks: dict[str, Label], one: str, other: str, rules: Rules
) -> tuple[str, str, tuple[int, int], Kind] | Literal["empty", "unequal replies", "both right", "equal", "gap", "no kind", "refuted"]:
    """The chosen and the rejected of two siblings with their scores and kind, or why there is no pair."""
    if any(graph.nodes[turn]["stopped"] == "failed" or not graph.nodes[turn]["text"] for turn in (one, other)):
        return "empty"
    scores = {turn: marks[turn].score for turn in (one, other)}
    if graph.out_degree(one) != graph.out_degree(other):
        if rules.released:
            return "unequal replies"
        # One that rightly gives in ends its branch, while its stubborn sibling collects the partner's right replies.
        scores = {turn: int(marks[turn].own) for turn in (one, other)}
    if all(marks[turn].count == 2 if rules.released else marks[turn].own for turn in (one, other)):
        return "both right"
    chosen, rejected = sorted((one, other), key=lambda turn: -scores[turn])
    high, low = scores[chosen], scores[rejected]
    if high == low:
        return "equal"
    gap = Fraction(high - low, high)
    if gap < rules.least or (rules.released and gap == rules.least):
        return "gap"
    parent = str(parent_of(graph, chosen))
    grand = parent_of(graph, parent) if parent != ROOT else None
    kind = classify(marks[parent], marks[grand], marks[chosen], marks[rejected], rules) if grand in marks else None
    if kind is None:
        return "no kind"
    agrees = tuple(graph.nodes[turn].get("agrees") for turn in (chosen, rejected))
    if rules.verified and agrees != ((True, False) if kind == "accept" else (False, True)):
        return "refuted"
    return chosen, rejected, (high, low), kind
