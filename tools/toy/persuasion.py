"""The toys in a dialogue that is to persuade: debaters who answer in a sentence, hold out or give in, and those who read such replies.

A debater works the problem out by itself. What it makes of the other's answer hangs on its own check of both, on its `persuade`, and on the
persona it is given: one who is told to agree gives in more readily, one who is told to win seldom.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from symposia.tools.toy.debate import believes
from symposia.tools.toy.mistakes import attempt
from symposia.tools.toy.plan import Plan, calculation
from symposia.tools.toy.reading import read
from symposia.tools.toy.roles import UNREADABLE, Skill
from symposia.tools.toy.words import written

TIED: Final = 0.25
"""Part of its `persuade` at which a debater gives in when its checks confirm both answers or neither."""

STUBBORN: Final = 0.2
"""Part of its chance to give in that is left to a debater told to disagree."""

EAGER: Final = 0.6
"""The same for one who is told to win the other over."""

YIELDING: Final = 0.7
"""The chance that one who is told to agree gives in where it would have held out."""

_MANNERS: Final = {"work it out as": 0.8, "You are right": 0.7, "worked it out again": 0.65, "checked it again": 0.6}
"""How convincing a manner of speaking is."""

_ANSWER: Final = re.compile(r"answer is (-?\d{1,60}(?:[./]\d{1,60})?)")
_QUESTION: Final = re.compile(r"^Question: ?(.*?)(?=\n\n|\nReply:|\nFirst answer:|\Z)", re.DOTALL | re.MULTILINE)
_REPLY: Final = re.compile(r"^Reply: ?(.*)\Z", re.DOTALL | re.MULTILINE)
_TWO: Final = re.compile(r"^First answer: ?(.*)\nSecond answer: ?(.*)$", re.MULTILINE)


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The reply to a prompt of persuasion trees; None to any other."""
    task = messages[0]["content"] if messages else ""
    if '"FINAL ANSWER: x"' in task:
        return _extract(task.rpartition("Now the real one")[2])
    if '"same" or "different"' in task:
        two = _TWO.search(task)
        return "same" if two and two[1].strip() == two[2].strip() else "different"
    if leans := leaning(messages):
        return max(leans, key=lambda word: leans[word])
    if '"agreeing" or "disagreeing"' in task:
        return "agreeing" if _said(task.rpartition("Now the real one")[2]).startswith("You are right") else "disagreeing"
    return _speak(messages, skill, rng) if task.startswith("Two people talk about the question below") else None


def leaning(messages: Sequence[Mapping[str, str]]) -> dict[str, float] | None:
    """How likely it accepts what was said last in a dialogue, by the manner of it alone; None for any other prompt."""
    task = messages[0]["content"] if messages else ""
    if '"yes" or "no"' not in task or not task.startswith("Two people talk about the question below, and their answers"):
        return None
    last = task.strip().rpartition("\n")[2]
    sure = next((share for sign, share in _MANNERS.items() if sign in last), 0.5)
    return {"yes": sure, "no": 1 - sure}


def _said(text: str) -> str:
    found = _REPLY.search(text)
    return found[1].strip() if found else text.strip()


def _extract(text: str) -> str:
    found = _ANSWER.findall(_said(text))
    return f"FINAL ANSWER: {found[-1] if found else 'NONE'}"


def _speak(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str:
    """A first answer with its last sum, or an answer to the other's: taking it over, or holding out."""
    task = messages[0]["content"]
    asked = _QUESTION.findall(task)
    plan = read(asked[-1].strip()) if asked else None
    if plan is None:
        return UNREADABLE
    own = _last(messages, "assistant")
    theirs = _last(messages, "user")
    told = messages[-1]["content"].lower()
    if own is not None and "final answer" in told:
        return f"The answer is {own}."
    if own is not None and "are you sure" in told:
        return _doubted(plan, own, skill, rng)
    if own is None or theirs is None:
        last = attempt(plan, rng, skill.error)[-1]
        return f"I work it out as {calculation(last)}, so the answer is {written(last.result)}."
    if own == theirs:
        return f"You are right, I come to it as well: the answer is {own}."
    if rng.random() < _chance(plan, own, theirs, task, skill, rng):
        return f"You are right, I went wrong somewhere. I worked it out again, and the answer is {theirs}."
    return f"{_plea(task)} I checked it again, and the answer is {own}."


def _doubted(plan: Plan, own: str, skill: Skill, rng: random.Random) -> str:
    """What a debater says to a doubt without a reason: who can be persuaded works it out anew, above all where its check does not hold."""
    shaken = skill.persuade * (TIED if believes(own, plan, skill, rng) else 1.0)
    if rng.random() < shaken:
        last = attempt(plan, rng, skill.error)[-1]
        return f"I worked it out again, as {calculation(last)}, so the answer is {written(last.result)}."
    return f"Yes, I checked it again, and the answer is {own}."


def _last(messages: Sequence[Mapping[str, str]], role: str) -> str | None:
    found = [answer for m in messages if m["role"] == role for answer in _ANSWER.findall(m["content"])]
    return found[-1] if found else None


def _chance(plan: Plan, own: str, theirs: str, task: str, skill: Skill, rng: random.Random) -> float:
    """How likely a debater is to give in."""
    mine, other = (believes(answer, plan, skill, rng) for answer in (own, theirs))
    chance = skill.persuade if other and not mine else 0.0 if mine and not other else skill.persuade * TIED
    if "You like to agree" in task:
        return chance + (1 - chance) * YIELDING
    return chance * (STUBBORN if "always disagree" in task else EAGER if "Win them over" in task else 1.0)


def _plea(task: str) -> str:
    """How a persona begins when it holds out."""
    if "feelings" in task:
        return "No, it would make me sad to see you go wrong here."
    if "how well you know" in task:
        return "No, I have done sums like this one for years."
    return "No, yours does not follow from the text."
