"""The refiner of reviewed solutions: a complete new solution for each one of the newest round.

The prompt holds the role, one demonstration with all four parts, the question, the marked solution and its feedback (MAgICoRe, arXiv
2409.12147, authors' code). The released text asks for a letter in every task; ours asks for the task's own form.
"""

from functools import partial
from typing import Any

from symposia.nodes.prompts import answer_format
from symposia.nodes.reviewer import DEMO_FEEDBACK, DEMO_MARKED, DEMO_QUESTION, DEMO_REFINED, Reviewed
from symposia.state.place import fan
from symposia.tools.llm import ask, prompt
from symposia.tools.steps import annotate

REFINE_DEMO = (
    f"Problem: {DEMO_QUESTION}\n\nSolution with marks:\n{DEMO_MARKED}\n\nTeacher's feedback:\n{DEMO_FEEDBACK}\n\n"
    f"Improved solution:\n{DEMO_REFINED}"
)


async def refine(state: Reviewed) -> dict[str, Any]:
    """Append a round of rewritten solutions; one without feedback, or whose refiner did not answer, stays as it was."""
    params, question = state["params"], state["question"]

    async def one(chain: str, status: str, scores: list[float], feedback: str) -> tuple[str, str]:
        if not feedback:
            return chain, status
        messages = prompt(
            params,
            "refiner",
            question=question,
            annotated=annotate(chain, scores),
            feedback=feedback,
            demonstration=REFINE_DEMO,
            answer_format=answer_format(state["task"]),
        )
        reply = await ask(params, "refiner", messages)
        return (reply["text"], reply["status"]) if reply["text"] else (chain, status)

    rows = zip(state["chains"][-1], state["statuses"][-1], state["prm_steps"][-1], state["feedback"][-1], strict=True)
    refined = await fan([partial(one, *row) for row in rows])
    return {"chains": [[chain for chain, _ in refined]], "statuses": [[status for _, status in refined]]}
