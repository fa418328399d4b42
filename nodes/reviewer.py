"""The reviewer of step-marked solutions: a comment on each solution of the newest round.

What the prompt holds follows MAgICoRe (arXiv 2409.12147, authors' code): the role, how to read the marks, the line below which to look, no
new solution, one worked demonstration, the question and the marked solution. The demonstrations are ours.
"""

from functools import partial
from typing import Annotated, Any

from symposia.nodes.extract import Rounds
from symposia.state.channels import grow
from symposia.state.place import fan
from symposia.tools.llm import ask, prompt
from symposia.tools.steps import annotate

DEMO_QUESTION = "A baker fills 4 trays with 6 rolls each and sells 9 rolls. How many rolls are left?"
DEMO_MARKED = """\
Step 1: The trays hold 4 + 6 = 10 rolls. 1/10
Step 2: After the sale 10 - 9 = 1 roll is left. 4/10
The answer is \\boxed{1}."""
DEMO_FEEDBACK = """\
Step 1 adds the number of trays to the rolls on a tray. Each of the 4 trays holds 6 rolls, so the two numbers must be multiplied.
Step 2 subtracts the right number, but from the wrong total of step 1; it must start from the corrected one."""
DEMO_REFINED = """\
Step 1: The trays hold 4 * 6 = 24 rolls.
Step 2: After the sale 24 - 9 = 15 rolls are left.
The answer is \\boxed{15}."""

REVIEW_DEMO = (
    f"Problem: {DEMO_QUESTION}\n\nStudent's solution with marks:\n{DEMO_MARKED}\n\nFeedback on the steps with low marks:\n{DEMO_FEEDBACK}"
)


class Reviewed(Rounds):
    """Rounds of solutions with the scores of their steps and the feedback on them."""

    prm_steps: Annotated[list[list[list[float]]], grow]
    feedback: Annotated[list[list[str]], grow]


async def critique(state: Reviewed) -> dict[str, Any]:
    """Append the feedback on each solution of the newest round, "" where there is no text to review or no reply."""
    params, question = state["params"], state["question"]

    async def one(chain: str, scores: list[float]) -> str:
        if not chain:
            return ""
        messages = prompt(
            params,
            "reviewer",
            question=question,
            annotated=annotate(chain, scores),
            attention=params["attention"],
            demonstration=REVIEW_DEMO,
        )
        return (await ask(params, "reviewer", messages))["text"]

    pairs = zip(state["chains"][-1], state["prm_steps"][-1], strict=True)
    return {"feedback": [await fan([partial(one, chain, scores) for chain, scores in pairs])]}
