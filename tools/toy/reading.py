"""A rule-based reader of controlled English: from the text of a word problem to a chain of operations.

It keeps a small world (who holds how many of what, prices, rates, what was bought and sold), changes it clause by clause, and looks the
question up in it. Whatever follows from the text alone is computed, nothing is recalled. A problem outside the rules gets a guess.
"""

import re
from copy import copy
from fractions import Fraction
from functools import lru_cache
from typing import Final

from symposia.tools.toy import grammar
from symposia.tools.toy.plan import Op, Plan, Ref, Term
from symposia.tools.toy.question import ask
from symposia.tools.toy.words import NUMBER, VERB, number, plain
from symposia.tools.toy.world import Unknown, World

MAX_QUESTION: Final = 4_000
"""Characters up to which a problem is read; of a longer one the toys look at the numbers only."""

MAX_CLAUSE: Final = 300
"""Characters up to which a clause is read."""

MAX_WAITING: Final = 8
"""Clauses kept that speak of something not yet said; with more the earliest are given up."""


def _clauses(sentence: str) -> list[str]:
    """A sentence cut before each new action; a cut needs a verb on its left, so that "Ana and Ben have" stays whole."""
    cuts, start = [], 0
    for join in grammar.JOIN.finditer(sentence):
        if re.search(rf"\b(?:{VERB})\b", sentence[start : join.start()]):
            cuts.append(sentence[start : join.start()])
            start = join.end()
    return [*cuts, sentence[start:]]


@lru_cache(maxsize=4096)
def read(question: str) -> Plan | None:
    """The chain of operations that answers a word problem, or None where the text holds no number to work with."""
    if len(question) > MAX_QUESTION:
        return _guess(question[:MAX_QUESTION])
    world = World()
    later: list[str] = []
    lost = False
    asked = None
    for sentence in grammar.SENTENCE.split(question.strip().replace('"', "'")):
        if sentence.endswith("?") and re.search(r"\bhow (?:many|much|far|old)\b", sentence, re.IGNORECASE):
            asked = sentence
            continue
        for clause in _clauses(sentence):
            later = [*later, clause][-MAX_WAITING:]
            waiting: list[str] = []
            lost = lost or len(later) == MAX_WAITING
            while later != waiting:  # a clause that could not be understood may be, once a later one has been
                later, waiting = [c for c in later if not _try(world, c)], later
    answer = None
    if asked:
        world.phrase = asked.strip()
        answer = ask(world, asked)
    if answer is None:
        return _guess(question)
    plan = _used(world.ops, answer, world.phrase)
    return Plan(plan.ops, not later and not lost)


def _try(world: World, clause: str) -> bool:
    world.phrase = clause.strip().rstrip(".!?,;")
    if len(clause) > MAX_CLAUSE:
        return False
    before = {name: copy(kept) for name, kept in vars(world).items()}
    try:
        world.tell(clause)
    except Unknown:
        vars(world).update(before)
        return False
    return True


def _used(ops: list[Op], answer: Term, phrase: str) -> Plan:
    """Only the operations the answer rests on; a number read off the text is one step of its own."""
    if isinstance(answer, Fraction):
        return Plan((Op("+", answer, Fraction(0), phrase),))
    needed: set[int] = set()
    stack = [answer.step]
    while stack:
        i = stack.pop()
        if i not in needed:
            needed.add(i)
            stack += [t.step for t in (ops[i].left, ops[i].right) if isinstance(t, Ref)]
    order = {old: new for new, old in enumerate(sorted(needed))}

    def moved(term: Term) -> Term:
        return Ref(order[term.step]) if isinstance(term, Ref) else term

    return Plan(tuple(Op(ops[i].sign, moved(ops[i].left), moved(ops[i].right), ops[i].phrase) for i in sorted(needed)))


def _guess(question: str) -> Plan | None:
    """A problem the rules do not cover: the numbers it names, put together by the words around them."""
    text = plain(question.replace('"', "'"))
    numbers = [number(n) for n in re.findall(rf"(?<![\w.]){NUMBER}", text) if not re.search(r"/0+$", n)]
    if not numbers:
        return None
    if len(numbers) == 1:
        return Plan((Op("+", numbers[0], Fraction(0), "the only number I can make out"),), sure=False)
    sign = "*" if re.search(r"\b(?:each|per|times)\b", text) else "-" if re.search(r"\b(?:left|fewer|less|difference)\b", text) else "+"
    ops = [Op(sign, numbers[0], numbers[1], "a guess, for I cannot read the whole problem")]
    for n in numbers[2:12]:
        ops.append(Op("+" if sign == "*" else sign, Ref(len(ops) - 1), n, "a guess, for I cannot read the whole problem"))
    return Plan(tuple(ops), sure=False)
