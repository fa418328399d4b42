"""The toys that judge two answers, discuss them as referees, review an answer, and revise one by a reviewer's reply.

A judge works the problem out again and scores an answer by whether its own check comes to it; one that has heard a debate gives way to what
most referees said, with chance `persuade`, where that differs.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from symposia.tools.toy.debate import believes, boxed
from symposia.tools.toy.prompts import Prompt, read_prompt
from symposia.tools.toy.reading import read
from symposia.tools.toy.roles import Skill, criticize, refine

_TASK: Final = re.compile(r"<text>\n(.*?)\n</text>", re.DOTALL)
_CANDIDATE: Final = re.compile(r"<candidate(?: ([AB]))?>\n(.*?)\n</candidate>", re.DOTALL)
_EARLIER: Final = re.compile(r"<earlier>\n(.*?)\n</earlier>", re.DOTALL)
_SCALE: Final = re.compile(r"from 0 \(worst\) to\s(\d{1,3})")
_CLAIM: Final = re.compile(r"Answer ([AB]) (holds|fails)")
_HIGH, _LOW = 0.9, 0.3


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The reply to a prompt of these roles; None to any other."""
    text = messages[-1]["content"] if messages else ""
    if text.startswith("You judge how well the prompt below was answered"):
        return _judge(text, skill, rng)
    if text.startswith("You are one of several referees"):
        return _remark(text, skill, rng)
    if text.startswith("Review an answer to the prompt below"):
        return _review(text, skill, rng)
    if text.startswith("A reviewer has read your latest answer"):
        return _revise(messages, skill, rng)
    return None


def _task(text: str) -> str:
    found = _TASK.search(text)
    return found[1].strip() if found else ""


def _confirmed(text: str, skill: Skill, rng: random.Random) -> dict[str, bool]:
    """Whether a check confirms each answer shown, by its name; equal answers get one check."""
    plan = read(_task(text))
    shown = {name: boxed(body) for name, body in _CANDIDATE.findall(text)}
    checks = {answer: bool(answer and plan and believes(answer, plan, skill, rng)) for answer in dict.fromkeys(shown.values())}
    return {name: checks[answer] for name, answer in shown.items()}


def _judge(text: str, skill: Skill, rng: random.Random) -> str:
    """A score for each answer, high where it is held to be right, or a pick."""
    found = _confirmed(text, skill, rng)
    earlier = _EARLIER.search(text)
    claims = _CLAIM.findall(earlier[1]) if earlier else []
    for name in found:
        said = [word == "holds" for named, word in claims if named == name]
        swayed = 2 * sum(said) != len(said) and rng.random() < skill.persuade
        found[name] = 2 * sum(said) > len(said) if swayed else found[name]
    words = "; ".join(f"{f'answer {name}' if name else 'it'} is {'right' if right else 'wrong'}" for name, right in found.items())
    return f"I worked it out again: {words}.\n{_line(text, list(found.values()))}"


def _line(text: str, held: Sequence[bool]) -> str:
    if '"PICK: x"' in text:
        return f"PICK: {'tie' if held[0] == held[-1] else 'A' if held[0] else 'B'}"
    scale = _SCALE.search(text)
    top = int(scale[1]) if scale else 10
    scores = ", ".join(f"{top * (_HIGH if right else _LOW):g}" for right in held)
    return f"{'RATINGS' if len(held) > 1 else 'RATING'}: {scores}"


def _remark(text: str, skill: Skill, rng: random.Random) -> str:
    """What a referee says of each answer."""
    found = _confirmed(text, skill, rng)
    return " ".join(f"Answer {name} {'holds' if right else 'fails'} when I work it out." for name, right in found.items())


def _review(text: str, skill: Skill, rng: random.Random) -> str:
    """Evaluation, score and feedback; the feedback is a critic's."""
    solution = next((body for _, body in _CANDIDATE.findall(text)), "")
    said = criticize(Prompt("critic", _task(text), solution, "", text), skill, rng)
    feedback, _, verdict = said.rpartition("\nVERDICT: ")
    evaluation, score = ("I find no mistake.", 9) if verdict == "correct" else ("There is a mistake.", 4)
    return f"Evaluation: {evaluation}\nScore: {score} out of 10\nFeedback: {feedback}"


def _revise(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str:
    """The latest answer worked over by the feedback in the reviewer's reply."""
    own = next((m["content"] for m in reversed(messages) if m["role"] == "assistant"), "")
    feedback = messages[-1]["content"].rpartition("Feedback: ")[2]
    return refine(Prompt("refiner", read_prompt(messages[:1]).problem, own, feedback, messages[-1]["content"]), skill, rng)
