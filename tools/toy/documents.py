"""The roles of a text about a document: each lays a sentence beside the document's own, and errs at set rates.

A toy compares numbers, names, months and days, negation, and how many of the words are the document's. It knows no grammar: two names that
have changed places look right to it. Its chance of a right look at a sentence or at a set of candidates is the setting `check`, of a slip
in a revision `error`.
"""

import json
import random
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from symposia.tools.toy.roles import Skill

_TAG: Final = "<document>"
_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_WORD: Final = re.compile(r"[A-Za-z]{1,40}|\d{1,12}")
_NAME: Final = re.compile(r"\b[A-Z][a-z]{1,20} [A-Z][a-z]{1,20}\b")
_DATE: Final = re.compile(
    r"\b(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)\b"
)
_NUMBER: Final = re.compile(r"\b\d{1,12}\b")
_DENIAL: Final = re.compile(r"\b(?:not|never)\b ?", re.IGNORECASE)
_PLAIN: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "and",
        "or",
        "by",
        "with",
        "from",
        "was",
        "were",
        "is",
        "are",
        "be",
        "it",
        "its",
        "that",
        "this",
        "will",
        "have",
        "has",
        "had",
    ]
)
_FIX: Final = re.compile(r'In the sentence: "([^"\n]+)"\n(?:[^\n]*\n)?Proposed correction: (?:leave the sentence out|"([^"\n]+)")')
_DROP: Final = "leave the sentence out"
STRANGE: Final = 0.5
"""Part of a sentence's words that must be the nearest sentence's, or the whole counts as added."""


class Fault(NamedTuple):
    """What is wrong in a sentence: the span, what it should be (None: nothing backs the sentence), and the document's sentence."""

    span: str
    instead: str | None
    source: str


def about_document(messages: Sequence[Mapping[str, str]]) -> str | None:
    """The prompt of a chat about a document; None when it is about something else."""
    return next((m["content"] for m in messages if _TAG in m["content"]), None)


def play(prompt: str, skill: Skill, rng: random.Random) -> str:
    """Play the role that the prompt asks for, known by what it holds and the form it asks for."""
    document = _between(prompt, "document")
    if "<candidate " in prompt:
        return pick(prompt, document, skill, rng)
    if "SCORE:" in prompt:
        return judge(document, _between(prompt, "sentence"), skill, rng)
    if "<critiques>" in prompt:
        return revise(prompt, skill, rng)
    sentence = _between(prompt, "sentence")
    if '"answer"' in prompt:
        return detect(document, sentence, skill, rng)
    return criticise(document, sentence, skill, rng)


def detect(document: str, sentence: str, skill: Skill, rng: random.Random) -> str:
    """Whether the document backs a sentence, with the reason, as JSON; right with chance `check`."""
    faults = faults_in(document, sentence)
    sees = rng.random() < skill.check
    if sees == bool(faults):
        return _verdict(faults[0].span if faults else "the sentence", "no")
    return json.dumps({"reasoning": "Its numbers, names and words are those of the document.", "answer": "yes"})


def _verdict(span: str, answer: str) -> str:
    return json.dumps({"reasoning": f"The document does not back {span!r}.", "answer": answer})


def criticise(document: str, sentence: str, skill: Skill, rng: random.Random) -> str:
    """What is wrong, the span and a correction; with chance 1 - `check` the wrong span."""
    faults = faults_in(document, sentence)
    if rng.random() >= skill.check:
        words = [w for w in _words(sentence) if w not in {f.span for f in faults}]
        return _critique(sentence, Fault(rng.choice(words or [sentence]), sentence, nearest(document, sentence)), sentence)
    if not faults:
        return "I find nothing in the sentence that the document does not back."
    return _critique(sentence, faults[0], corrected(sentence, faults))


def _critique(sentence: str, fault: Fault, instead: str | None) -> str:
    found = f'The document says: "{fault.source}"\n' if fault.instead is not None else "The document says nothing of this.\n"
    end = f'"{instead}"' if instead else f"{_DROP}."
    return f'{found}In the sentence: "{sentence}"\nInconsistent span: "{fault.span}"\nProposed correction: {end}'


def revise(prompt: str, skill: Skill, rng: random.Random) -> str:
    """The text with the corrections that the critiques propose; each is overlooked with chance `error`."""
    text = _between(prompt, "text")
    for sentence, instead in _FIX.findall(_between(prompt, "critiques")):
        if rng.random() >= skill.error:
            text = " ".join(text.replace(sentence, instead).split())
    return text or "Nothing of the text is left."


def pick(prompt: str, document: str, skill: Skill, rng: random.Random) -> str:
    """The number of the best candidate, as JSON; with chance 1 - `check` of any one."""
    candidates = re.findall(r'<candidate number="\d+">\n(.*?)\n</candidate>', prompt, re.DOTALL)
    sentence = _between(prompt, "sentence")
    marks = [_critique_mark(document, sentence, c) if sentence else -_n_faults(document, c) for c in candidates] or [0]
    best = marks.index(max(marks)) if rng.random() < skill.check else rng.randrange(len(marks))
    reason = "It names what the document does not back." if sentence else "It has the fewest claims that the document does not back."
    return json.dumps({"reasoning": reason, "answer": best + 1})


def _critique_mark(document: str, sentence: str, critique: str) -> int:
    """2 for a critique whose correction the document backs, 1 for one that names a faulty span, else 0."""
    faults = faults_in(document, sentence)
    fix = _FIX.search(critique)
    if not faults:
        return int(fix is None) * 2
    named = any(f'Inconsistent span: "{f.span}"' in critique for f in faults)
    if named and fix is not None and fix[2] == (corrected(sentence, faults) or ""):
        return 2
    return int(named)


def _n_faults(document: str, text: str) -> int:
    return sum(len(faults_in(document, s)) for s in _END.split(text) if s)


def judge(document: str, sentence: str, skill: Skill, rng: random.Random) -> str:
    """A score for a sentence: high for one the document backs, low for another, with overlap where the look goes wrong."""
    backed = (not faults_in(document, sentence)) == (rng.random() < skill.check)
    score = rng.betavariate(12, 2) if backed else rng.betavariate(2, 12)
    return f"I laid the sentence beside the document's.\nSCORE: {score:.2f}"


def nearest(document: str, sentence: str) -> str:
    """The document's sentence with most words in common, the first among equals."""
    words = set(_words(sentence))
    return max(_END.split(document.strip()), key=lambda s: len(words & set(_words(s))))


def faults_in(document: str, sentence: str) -> list[Fault]:
    """What in a sentence the document does not back, as far as a toy can see."""
    source = nearest(document, sentence)
    words = [w for w in _words(sentence) if w not in _PLAIN]
    if words and sum(w in _words(source) for w in words) < STRANGE * len(words):
        return [Fault(sentence, None, source)]
    faults = []
    for kind in (_NUMBER.findall, _names, _DATE.findall):
        there, here = kind(source), kind(sentence)
        free = [item for item in there if item not in here]
        strange = [item for item in here if item not in there]
        faults += [Fault(item, free[i] if i < len(free) else None, source) for i, item in enumerate(strange)]
    denial, denied = _DENIAL.search(sentence), _DENIAL.search(source)
    if denial and not denied:
        faults.append(Fault(denial[0].strip(), "", source))
    elif denied and not denial:
        faults.append(Fault(sentence, source, source))
    return faults


def corrected(sentence: str, faults: Sequence[Fault]) -> str | None:
    """A sentence with its faults mended; None when one of them has no remedy but to leave it out."""
    for fault in faults:
        if fault.instead is None:
            return None
        gap = " " if not fault.instead else ""
        sentence = sentence.replace(fault.span + gap, fault.instead, 1)
    return sentence


def _between(prompt: str, tag: str) -> str:
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", prompt, re.DOTALL)
    return found[1].strip() if found else ""


def _names(text: str) -> list[str]:
    """Names of two words; "In May Ada Lund" holds one."""
    return _NAME.findall(_DATE.sub(",", text))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
