"""How a toy reads a prompt: which role it asks for, and where the problem, the solution and the feedback stand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from symposia.tools.toy.reading import read

Role = Literal["solver", "reviewer", "refiner", "outcome judge", "step judge", "critic"]

_REAL: Final = re.compile(r"now the real one\.?", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"^(?!step\b)((?=[^\n:.,]{0,60}\b(?:problem|question|solution|feedback|steps to check|draft)\b)[A-Za-z][^\n:.,]{0,60}):",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE: Final = re.compile(rf"(?<=\s)(Problem|Question):|(?i:{_HEADER.pattern})", re.MULTILINE)
_ASKED: Final = re.compile(r"problem|question")
_TURN: Final = re.compile(r"^(?:User|Human|Assistant)(?: \([^()\n]{1,100}\))?:", re.MULTILINE)
_USER: Final = re.compile(r"User|Human")
_LAST: Final = re.compile(r"The latest message, which is to be answered:\s*\Z")
_CHAT: Final = re.compile(r"^(?:The latest message, which is to be answered|Instructions for the answer):", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """One prompt as a toy sees it; what it does not hold is empty."""

    role: Role
    problem: str
    solution: str
    feedback: str
    text: str


def read_prompt(messages: Sequence[Mapping[str, str]]) -> Prompt:
    """The task that the messages set: in the last user message with a labelled problem, else in the last one."""
    users = [m["content"] for m in messages if m["role"] == "user"] or [m["content"] for m in messages] or [""]
    text = next((u for u in reversed(users) if any(_ASKED.search(name) for name, _ in _sections(u))), users[-1])
    role = _role(text)
    real = list(_REAL.finditer(text))
    part = text[real[-1].end() :] if real else text
    parts = _sections(part)
    problem = next((body for name, body in parts if _ASKED.search(name) and body), "")
    return Prompt(role, latest(problem or part.strip()), _last(parts, "solution|steps to check|draft"), _last(parts, "feedback"), part)


def latest(problem: str) -> str:
    """What the user of a chat asks last, with what he said before where it goes on from that; any other problem as it is."""
    turns = list(_TURN.finditer(problem))
    if not turns or not _USER.match(turns[-1][0]) or (len(turns) == 1 and not _CHAT.search(problem)):
        return problem
    ends = [*(turn.start() for turn in turns[1:]), len(problem)]
    said = [_LAST.sub("", problem[turn.end() : end]).strip() for turn, end in zip(turns, ends, strict=True) if _USER.match(turn[0])]
    return said[-1] if read(said[-1]) else "\n".join(said)


def _role(text: str) -> Role:
    end = text.rstrip()[-80:].lower()
    if re.search(r"\bsolution:$", end):
        return "refiner"
    if "SCORES:" in text:
        return "step judge"
    if "SCORE:" in text:
        return "outcome judge"
    if "VERDICT:" in text:
        return "critic"
    if re.search(r"\bfeedback[^\n]*:$", end) or "not write a new solution" in text:
        return "reviewer"
    return "refiner" if _last(_sections(text), "feedback") else "solver"


def _sections(text: str) -> list[tuple[str, str]]:
    """What stands under each header; "Problem:" counts in the middle of a line too where no line begins with it."""
    found = list(_HEADER.finditer(text))
    if not any(_ASKED.search(m[1].lower()) for m in found):
        found = list(_INLINE.finditer(text))
    ends = [*(m.start() for m in found[1:]), len(text)]
    names = [next(name for name in m.groups() if name).lower() for m in found]
    return [(name, text[m.end() : end].strip()) for name, m, end in zip(names, found, ends, strict=False)]


def _last(parts: list[tuple[str, str]], names: str) -> str:
    return next((body for name, body in reversed(parts) if re.search(names, name) and body), "")
