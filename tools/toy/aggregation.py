"""The toys that grade a whole solution, and that make one answer of several which they are shown.

Both work the problem out again. How often that tells right from wrong is the setting `check`; what most solvers misread deceives them too.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from symposia.tools.toy.debate import believes, boxed
from symposia.tools.toy.mistakes import attempt
from symposia.tools.toy.plan import chain
from symposia.tools.toy.prompts import read_prompt
from symposia.tools.toy.reading import read
from symposia.tools.toy.roles import UNREADABLE, Skill

_CANDIDATE: Final = re.compile(r"<candidate(?: \d{1,4})?>\n(.*?)\n</candidate>", re.DOTALL)


def play(messages: Sequence[Mapping[str, str]], skill: Skill, rng: random.Random) -> str | None:
    """The reply to a prompt of these roles; None to any other."""
    first, last = (messages[0], messages[-1]["content"]) if messages else ({"role": ""}, "")
    if last.startswith("You grade one solution of the problem"):
        return _verify(last, skill, rng)
    if first["role"] == "system" and (shown := _CANDIDATE.findall(first["content"])):
        return _aggregate(read_prompt(messages).problem, shown, skill, rng)
    return None


def _verify(text: str, skill: Skill, rng: random.Random) -> str:
    """Whether the solution's answer is the one that a check comes to; without a reading of the problem, a guess."""
    solution = next(iter(_CANDIDATE.findall(text)), "")
    plan = read(read_prompt([{"role": "user", "content": text.partition("<candidate>")[0]}]).problem)
    answer = boxed(solution)
    if not answer:
        return "There is no final answer in a box.\nVERDICT: incorrect"
    if plan is None or not plan.sure:
        return f"I cannot read the whole problem, so I guess.\nVERDICT: {rng.choice(('correct', 'incorrect'))}"
    held = believes(answer, plan, skill, rng)
    words = "I come to the same answer" if held else "I come to another answer"
    return f"{words} when I work the problem out myself.\nVERDICT: {'correct' if held else 'incorrect'}"


def _aggregate(problem: str, shown: Sequence[str], skill: Skill, rng: random.Random) -> str:
    """The first solution whose answer a check confirms, answers that most gave first; an own one where it confirms none.

    An answer is checked once, however many gave it: below the accuracy of a majority, `check` makes worse of what a count has right.
    """
    plan = read(problem)
    if plan is None:
        return UNREADABLE
    answers = [boxed(text) for text in shown]
    for answer in sorted(dict.fromkeys(a for a in answers if a), key=lambda a: -answers.count(a)):
        if believes(answer, plan, skill, rng):
            return f"Of the answers I come to {answer} myself.\n{shown[answers.index(answer)]}"
    return f"I come to none of the answers, so I solve it anew.\n{chain(attempt(plan, rng, skill.error))}"
