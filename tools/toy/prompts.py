"""How a toy reads a prompt: which role it asks for, and where the problem, the solution and the feedback stand."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["solver", "reviewer", "refiner", "outcome judge", "step judge", "critic"]

_REAL: Final = re.compile(r"now the real one\.?", re.IGNORECASE)
_HEADER: Final = re.compile(
    r"^(?!step\b)(?P<name>(?=[^\n:.,]{0,60}\b(?:problem|question|solution|feedback|steps to check|draft)\b)[A-Za-z][^\n:.,]{0,60}):",
    re.IGNORECASE | re.MULTILINE,
)


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
    text = next((u for u in reversed(users) if re.search(r"^(?:problem|question)\b[^\n:.]{0,60}:", u, re.I | re.M)), users[-1])
    role = _role(text)
    real = list(_REAL.finditer(text))
    part = text[real[-1].end() :] if real else text
    parts = _sections(part)
    problem = next((body for name, body in parts if re.search(r"problem|question", name) and body), "")
    return Prompt(role, problem or part.strip(), _last(parts, "solution|steps to check|draft"), _last(parts, "feedback"), part)


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
    found = list(_HEADER.finditer(text))
    ends = [*(m.start() for m in found[1:]), len(text)]
    return [(m["name"].lower(), text[m.end() : end].strip()) for m, end in zip(found, ends, strict=True)] if found else []


def _last(parts: list[tuple[str, str]], names: str) -> str:
    return next((body for name, body in reversed(parts) if re.search(names, name) and body), "")
