"""The toys in a debate: debaters that check what they are shown and may be persuaded, a referee, and judges of an open debate.

Nobody is told who is right. A debater works the problem out again and lays each solution beside its own working; how often that check is
right is its `check`, and how often it then gives way to another answer is its `persuade`.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from symposia.tools.toy.mistakes import attempt, difficulty
from symposia.tools.toy.plan import Plan, chain, true_steps
from symposia.tools.toy.reading import read
from symposia.tools.toy.roles import BLIND_SPOT, UNREADABLE, Skill
from symposia.tools.toy.words import written

Part = Literal["debater", "opponent", "referee", "lister", "judge", "panelist"]

_HEADER: Final = re.compile(
    r"^(Problem|Solution of another agent|(?:Latest |First |Last )?argument of the (?:other|affirmative|negative) side"
    r"|Candidate answers|Explanation \(confidence [\d.]{1,8}\)|Answer [^\n:]{1,80}, held by \d{1,4} of \d{1,4} agents):",
    re.IGNORECASE | re.MULTILINE,
)
_BOX: Final = re.compile(r"\\boxed\{([^{}]*)\}")
_QUOTED: Final = ("solution of", "latest argument", "explanation")


@dataclass(frozen=True)
class Turn:
    """What somebody in a debate is asked: its part, the problem, its own last solution, and what others said under which header."""

    part: Part
    problem: str
    own: str
    said: list[tuple[str, str]]
    confident: bool


def read_turn(messages: Sequence[Mapping[str, str]]) -> Turn | None:
    """The turn that a chat asks for, or None when it is no debate."""
    text = messages[-1]["content"] if messages else ""
    found = list(_HEADER.finditer(text))
    ends = [*(m.start() for m in found[1:]), len(text)]
    parts = [(m[1].lower(), text[m.end() : end].strip()) for m, end in zip(found, ends, strict=False)]
    problem = next((body for name, body in parts if name == "problem"), "")
    own = next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), "")
    said = [(name, body) for name, body in parts if name != "problem"]
    part = _part({name for name, _ in said}, text, bool(own))
    return Turn(part, problem, own, said, "CONFIDENCE:" in text) if part and problem else None


def _part(names: set[str], text: str, spoke: bool) -> Part | None:
    if '"settled"' in text:
        return "referee"
    if "candidate answers" in names:
        return "judge"
    if any(name.startswith(("first argument", "last argument")) for name in names):
        return "lister"
    if "argument of the affirmative side" in names:
        return "opponent"
    if "CONFIDENCE:" in text:
        return "panelist"
    heard = any(name.startswith(_QUOTED) for name in names)
    return "debater" if heard or (spoke and "once more" in text) else None


def boxed(text: str) -> str:
    """The last boxed answer of a text, or ""."""
    found: list[str] = _BOX.findall(text)
    return found[-1].strip() if found else ""


def believes(answer: str, plan: Plan, skill: Skill, rng: random.Random) -> bool:
    """Whether somebody who works the problem out again comes to this answer; a misread hard phrase deceives the checker as well."""
    right = answer == written(true_steps(plan)[-1].result)
    hard = not right and any(difficulty(op) > 0 for op in plan.ops)
    return right == (rng.random() < (skill.check**BLIND_SPOT if hard else skill.check))


def debate(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """Check the answers at hand, the one that most hold first and its own first among equals, and take the first that a check confirms.

    Another's answer is taken only by somebody who lets itself be persuaded; where no check confirms any, the problem is worked out anew.
    """
    plan = read(turn.problem)
    if plan is None:
        return UNREADABLE
    held = [(boxed(body), body) for body in (turn.own, *(body for name, body in turn.said if name.startswith(_QUOTED)))]
    answers = [answer for answer, _ in held if answer]
    for answer in sorted(dict.fromkeys(answers), key=lambda a: -answers.count(a)):
        if not believes(answer, plan, skill, rng):
            continue
        if answer == boxed(turn.own):
            return f"I stay with my solution.\n{_body(turn.own)}"
        if rng.random() < skill.persuade:
            return f"I checked the answer {answer} and come to it as well.\n{_body(next(body for a, body in held if a == answer))}"
    return chain(attempt(plan, rng, skill.error))


def _body(text: str) -> str:
    """A solution from its first step on, without what was said before it and the confidence after it."""
    start = re.search(r"^Step 1\b", text, re.MULTILINE)
    lines = (text[start.start() :] if start else text).splitlines()
    return "\n".join(line for line in lines if not line.startswith("CONFIDENCE:")).strip()


def oppose(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """The negative side's opening: grant the answer if a check confirms it and it lets itself be persuaded, else an own solution."""
    body = turn.said[0][1]
    plan = read(turn.problem)
    if plan is None:
        return UNREADABLE
    if believes(boxed(body), plan, skill, rng) and rng.random() < skill.persuade:
        return f"I looked for a mistake and find none.\n{_body(body)}"
    return f"I disagree, for I come to another result.\n{chain(attempt(plan, rng, skill.error))}"


def argue(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """An agent at a round table: as in a debate, but with a confidence, which follows from a check of its own."""
    text = debate(turn, skill, rng)
    plan = read(turn.problem)
    sure = plan is not None and believes(boxed(text), plan, skill, rng)
    return f"{text}\nCONFIDENCE: {rng.betavariate(*((9, 1.5) if sure else (4, 5))):.2f}"


def rule(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """The referee's ruling as JSON: settled where both sides agree, or where its check confirms the answer of one side alone."""
    plan = read(turn.problem)
    sides = [(name.split()[-2], boxed(body)) for name, body in turn.said]
    answers = {answer for _, answer in sides}
    held = [(s, a) for s, a in sides if a and plan and (len(answers) == 1 or believes(a, plan, skill, rng))]
    settled = bool(held) and len({answer for _, answer in held}) == 1
    side, answer = held[0] if settled else (None, None)
    reason = "Both sides say the same." if len(answers) == 1 else "I come to this answer too." if settled else "I cannot tell yet."
    return json.dumps({"settled": settled, "side": side, "reason": reason, "answer": answer})


def collect(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """The answers that the two sides have given, each once."""
    answers = dict.fromkeys(a for _, body in turn.said if (a := boxed(body)))
    return "\n".join(f"- \\boxed{{{a}}}" for a in answers) or "Neither side gave an answer."


def choose(turn: Turn, skill: Skill, rng: random.Random) -> str:
    """The first candidate that a check confirms, else the first one."""
    plan = read(turn.problem)
    listed = next(body for name, body in turn.said if name == "candidate answers")
    answers = [a.strip() for a in _BOX.findall(listed)]
    if not answers or plan is None:
        return "There is no answer to choose from."
    chosen = next((a for a in answers if believes(a, plan, skill, rng)), answers[0])
    return f"Of the candidates I come closest to this one.\nThe answer is \\boxed{{{chosen}}}."


PLAY: Final[Mapping[Part, Callable[[Turn, Skill, random.Random], str]]] = {
    "debater": debate,
    "opponent": oppose,
    "panelist": argue,
    "referee": rule,
    "lister": collect,
    "judge": choose,
}
