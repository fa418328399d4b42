"""The roles of the family propose, check, refine: each reads the problem itself, works on what it was shown, and errs at set rates."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from symposia.tools.toy.mistakes import attempt, difficulty, is_right, other_operation, slipped
from symposia.tools.toy.plan import (
    CALCULATION,
    NAMES,
    Plan,
    Ref,
    Step,
    Written,
    align,
    calculate,
    calculation,
    chain,
    read_chain,
    true_steps,
)
from symposia.tools.toy.prompts import Prompt, Role
from symposia.tools.toy.reading import read
from symposia.tools.toy.words import written

RELAPSE: Final = 0.3
"""Part of a solver's error rate at which a refiner slips in the steps it works over."""

BLIND_SPOT: Final = 3
"""Power on the chance that a checker notices a misreading which it might have made itself: as if it had to look three times."""

UNREADABLE: Final = "I cannot read this problem: I see no numbers in it that I could work with."


@dataclass(frozen=True)
class Skill:
    """How well a toy works: the chance of a slip per step, that its check of a step is right, and that it gives way in a debate."""

    error: float
    check: float
    persuade: float = 0.8
    topics: tuple[tuple[str, float], ...] = ()
    """The chance of a slip in problems of a topic, where it is another."""


@dataclass(frozen=True)
class Checked:
    """A solution beside the checker's own: its steps, the operation each stands for, and which are right."""

    plan: Plan
    truth: list[Step]
    found: list[Written]
    places: list[int | None]
    right: list[bool]

    def sight(self, n: int, check: float) -> float:
        """The chance that a check of step n (from 0) is right: lower where a hard phrase has been misread."""
        place = self.places[n]
        hard = place is not None and difficulty(self.plan.ops[place]) > 0
        return check**BLIND_SPOT if hard and not self.right[n] else check

    @property
    def missing(self) -> list[int]:
        """The operations for which the solution has no step."""
        return [i for i in range(len(self.truth)) if i not in self.places]


def check_over(prompt: Prompt) -> Checked:
    """Work the problem out and lay the solution beside it; of a problem that cannot be read, only the sums can be checked."""
    plan = read(prompt.problem) or Plan((), sure=False)
    truth = true_steps(plan) if plan.sure else []
    found = read_chain(prompt.solution)
    places = align(plan if plan.sure else Plan(()), found)
    return Checked(plan, truth, found, places, [is_right(f.step, truth) for f in found])


def solve(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """A solution in numbered steps, with the answer in a box if the problem could be read at all."""
    plan = read(prompt.problem)
    return chain(attempt(plan, rng, skill.error)) if plan else UNREADABLE


def review(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """What is wrong in the steps with low marks, why, and what they should be."""
    checked = check_over(prompt)
    limit = re.search(r"below (\d+(?:\.\d+)?)", prompt.text)
    below = float(limit[1]) if limit else 6.0
    low = [n for n, f in enumerate(checked.found) if f.mark is None or f.mark < below]
    if not low:
        return "No step has a low mark, and I find nothing to change."
    lines = []
    for n in low:
        sees_right = checked.right[n] == (rng.random() < checked.sight(n, skill.check))
        lines.append(f"Step {n + 1} looks right to me." if sees_right else accuse(checked, n))
    lines += [line for line in missing(checked) if rng.random() < skill.check]
    return "\n".join(lines)


def accuse(checked: Checked, n: int) -> str:
    """Say what is wrong in step n (from 0); of a right step, what somebody would say who takes its operation for another one."""
    step, place = checked.found[n].step, checked.places[n]
    if step is None:
        return f"Step {n + 1} shows no calculation that I could check."
    if place is None or place >= len(checked.truth):
        held = calculate(step.sign, step.left, step.right) == step.result
        right = calculation(Step(None, "", step.sign, step.left, step.right, calculate(step.sign, step.left, step.right)))
        return f"Step {n + 1} does not follow from the problem." if held else f"Step {n + 1} makes a slip: it should be {right}."
    truth = other_operation(checked.truth[place]) if checked.right[n] else checked.truth[place]
    return f"Step {n + 1} {_why(step, truth, checked.plan)}: it should be {calculation(truth)}."


def _why(step: Step, truth: Step, plan: Plan) -> str:
    if step.sign != truth.sign:
        return f'{NAMES[step.sign]} where the text {NAMES[truth.sign]} ("{truth.phrase}")'
    if (step.left, step.right) == (truth.left, truth.right):
        return "has the right idea but a slip in its calculation"
    taken, told = (step.left, truth.left) if step.left != truth.left else (step.right, truth.right)
    term = plan.ops[truth.op or 0].left if step.left != truth.left else plan.ops[truth.op or 0].right
    if isinstance(term, Ref):
        return f"goes on with the wrong number {written(taken)} of an earlier step"
    return f'takes {written(taken)} where the text says {written(told)} ("{truth.phrase}")'


def missing(checked: Checked) -> list[str]:
    """A line for every operation that the solution leaves out, though it has steps enough to tell."""
    if not checked.plan.sure or 2 * len(checked.missing) > len(checked.truth):
        return []
    lines = []
    for i in checked.missing:
        after = next((n for n, p in enumerate(checked.places) if p is not None and p > i), None)
        where = f"Before step {after + 1}" if after is not None else "At the end"
        lines.append(f'{where} a step is missing ("{checked.truth[i].phrase}"): it should be {calculation(checked.truth[i])}.')
    return lines


def refine(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """The solution with the steps worked over that the feedback names, the others kept, and all that follows worked out anew."""
    checked = check_over(prompt)
    if not checked.plan.ops:
        return UNREADABLE
    if not checked.plan.sure or 2 * len(checked.missing) > len(checked.plan.ops):
        return chain(attempt(checked.plan, rng, skill.error))
    fixes = _fixes(checked, prompt.feedback)
    results: list[Fraction] = []
    steps: list[Step] = []
    for i, op in enumerate(checked.plan.ops):
        n = checked.places.index(i) if i in checked.places else None
        old, mark = (checked.found[n].step, checked.found[n].mark) if n is not None else (None, None)
        new = fixes.get(i)
        if new and _distrusts(new, checked.truth[i], mark, skill, rng):
            new = checked.truth[i]
        model = new or old
        if model is None and (rng.random() > skill.check * RELAPSE) and (steps or i < len(checked.plan.ops) - 1):
            results.append(results[op.left.step] if isinstance(op.left, Ref) else op.left)
            continue
        step = _redo(model or checked.truth[i], i, checked.plan, results)
        if new is None and old and (old.left, old.right) == (step.left, step.right):
            step = Step(i, op.phrase, step.sign, step.left, step.right, old.result)
        slips = new is not None and rng.random() < skill.error * RELAPSE
        steps.append(slipped(step, op, rng, rng.choice(("operation", "number", "sum")) if slips else None))
        results.append(steps[-1].result)
    return chain(steps)


def _distrusts(new: Step, own: Step, mark: float | None, skill: Skill, rng: random.Random) -> bool:
    """Whether a refiner follows its own reading where the feedback says something else; the more so, the higher the mark."""
    differs = (new.sign, new.result) != (own.sign, own.result)
    return differs and rng.random() < skill.check * (mark if mark is not None else 5) / 10


def _redo(model: Step, i: int, plan: Plan, results: Sequence[Fraction]) -> Step:
    """Operation i as `model` has it, but with the new results of the steps it rests on."""
    op = plan.ops[i]
    left = results[op.left.step] if isinstance(op.left, Ref) else model.left
    right = results[op.right.step] if isinstance(op.right, Ref) else model.right
    return Step(i, op.phrase, model.sign, left, right, calculate(model.sign, left, right))


def _fixes(checked: Checked, feedback: str) -> dict[int, Step]:
    """Which operation of the plan the feedback wants done how."""
    fixes: dict[int, Step] = {}
    for line in feedback.splitlines():
        wanted = CALCULATION.findall(line)
        named = re.search(r"\bstep (\d{1,4})\b", line, re.IGNORECASE)
        if not wanted:
            continue
        left, sign, right, result = wanted[-1]
        step = Step(None, "", sign, Fraction(left), Fraction(right), Fraction(result))
        if "missing" in line:
            alike = [i for i in checked.missing if checked.plan.ops[i].sign == sign and checked.plan.ops[i].phrase in line]
            fixes.update({i: step for i in alike[:1] if i not in fixes})
        elif named and 1 <= int(named[1]) <= len(checked.places):
            place = checked.places[int(named[1]) - 1]
            if place is not None:
                fixes[place] = step
    return fixes


def judge_outcome(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """A score for the final answer: high on the average for a right one, low for a wrong one, with overlap."""
    checked = check_over(prompt)
    boxes = re.findall(r"\\boxed\{([^{}]*)\}", prompt.solution)
    if not boxes:
        return "There is no final answer in a box.\nSCORE: 0.02"
    if not checked.plan.sure:
        return f"I cannot read the whole problem, so I go by the sums alone.\nSCORE: {rng.betavariate(4, 4):.2f}"
    right = boxes[-1].strip() == written(checked.truth[-1].result)
    hard = not right and any(difficulty(op) > 0 for op in checked.plan.ops)
    sees = right == (rng.random() < (skill.check**BLIND_SPOT if hard else skill.check))
    words = "I come to the same answer" if sees else "I come to another answer"
    return f"{words} when I work the problem out myself.\nSCORE: {_score(right, sees, rng):.2f}"


def _score(right: bool, sees: bool, rng: random.Random) -> float:
    """A mark from 0 to 1; a misjudged step gets a less certain one than a step judged well."""
    if right:
        return rng.betavariate(12, 1.5) if sees else rng.betavariate(4, 4)
    return rng.betavariate(6, 3) if sees else rng.betavariate(1.5, 6)


def judge_steps(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """A score for every step, as many as the prompt says there are."""
    checked = check_over(prompt)
    said = re.search(r"each of the (\d{1,4}) steps", prompt.text)
    n_steps = int(said[1]) if said else len(checked.right)
    right = [*checked.right, *[False] * n_steps][:n_steps]
    sight = [checked.sight(n, skill.check) if n < len(checked.right) else skill.check for n in range(n_steps)]
    seen = [r == (rng.random() < chance) for r, chance in zip(right, sight, strict=True)]
    doubtful = [n + 1 for n, s in enumerate(seen) if not s]
    words = f"I doubt step{'s' * (len(doubtful) > 1)} {', '.join(map(str, doubtful))}." if doubtful else "I doubt no step."
    scores = [_score(r, s, rng) for r, s in zip(right, seen, strict=True)]
    return f"{words}\nSCORES: {', '.join(f'{s:.2f}' for s in scores)}"


def criticize(prompt: Prompt, skill: Skill, rng: random.Random) -> str:
    """The first wrong step and how to mend it, or that there is none; the check as a whole is right with chance `check`."""
    checked = check_over(prompt)
    wrong = [n for n, right in enumerate(checked.right) if not right]
    lines = [accuse(checked, n) for n in wrong] + missing(checked)
    if rng.random() >= skill.check:
        lines = [] if lines else [accuse(checked, rng.randrange(len(checked.right)))]
    if not lines:
        return "Every step follows from the problem, and its calculation is right.\nVERDICT: correct"
    return f"{lines[0]}\nVERDICT: incorrect"


PLAY: Final[Mapping[Role, Callable[[Prompt, Skill, random.Random], str]]] = {
    "solver": solve,
    "reviewer": review,
    "refiner": refine,
    "outcome judge": judge_outcome,
    "step judge": judge_steps,
    "critic": criticize,
}
