"""The prompts of the roles that several methods share, and what a task adds to them.

Our own wording. What each must hold follows MAgICoRe (arXiv 2409.12147, the authors' code; `graphs/magicore.py`) for solver, reviewer and
refiner. A template's placeholders are filled by the node that sends it; a run may replace a template by one that uses some of the same.
"""

from collections.abc import Mapping
from typing import Any

from symposia.state.images import pictured
from symposia.tools.answers import task_of

SOLVE = """\
Solve the problem below. Work in numbered steps: start every step on a new line with its label, "Step 1:", "Step 2:" and so on, and do one
piece of work per step, showing the calculation. {answer_format}

Problem: {question}"""

REVIEW = """\
You are a teacher who gives step-by-step feedback on a student's solution. After each step stands a mark out of 10: 10 means the step is
surely right, 0 that it is surely wrong. Concentrate on the steps marked below {attention}. For each of them say what is wrong, why, and how
it could be fixed. Do not write a new solution.

Here is an example.
{demonstration}

Now the real one.
Problem: {question}

Student's solution with marks:
{annotated}

Feedback on the steps with low marks:"""

REFINE = """\
You are a student who corrects a solution with the help of a teacher's feedback. The mark after each step of the solution says how sure one
can be of it, from 0 (surely wrong) to 10 (surely right). Write a complete new solution in numbered steps, "Step 1:", "Step 2:" and so on.
{answer_format}

Here is an example.
{demonstration}

Now the real one.
Problem: {question}

Solution with marks:
{annotated}

Teacher's feedback:
{feedback}

Improved solution:"""

JUDGE_OUTCOME = """\
Judge how likely it is that the final answer of the solution below is correct. Check the work before you decide. End with one line of the
form "SCORE: x", where x is a number from 0 (surely wrong) to 1 (surely right).

Problem: {question}

Solution to judge:
{chain}"""

JUDGE_STEPS = """\
Check each numbered step of the solution below: does it follow from the problem and the steps before it, and is its calculation right? End
with one line of the form "SCORES: x1, x2, ..., xn", one number from 0 (surely wrong) to 1 (surely right) for each of the {n_steps} steps,
in order.

Problem: {question}

Steps to check:
{steps}"""

CRITIQUE = """\
Check the solution below and give specific, actionable feedback: name the first step that is wrong and say how to fix it, or state that
every step is right. End with one line: "VERDICT: correct" if the solution needs no change, else "VERDICT: incorrect".
{history}
Problem: {question}

Current solution:
{draft}

Feedback:"""

REWRITE = """\
Improve the latest solution of the problem below by acting on its feedback. Write a complete new solution in numbered steps, "Step 1:",
"Step 2:" and so on. {answer_format}

Problem: {question}

{history}

Improved solution:"""

_FORMATS = {
    "number": "Put the final answer, a single number, inside \\boxed{}.",
    "letter": "Put the letter of the chosen option inside \\boxed{}.",
    "math": "Put the final answer inside \\boxed{}.",
    "text": "Put the final answer inside \\boxed{}.",
    "auto": "Put the final answer inside \\boxed{}.",
}


def answer_format(task: str) -> str:
    """The sentence that says how the final answer of a task is to be written."""
    return _FORMATS[task_of(task)]


def asked(state: Mapping[str, Any]) -> str | list[str]:
    """The question as a field of a prompt, its images where it mentions them."""
    return pictured(state["question"], state.get("images"))
