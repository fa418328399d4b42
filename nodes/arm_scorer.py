"""The scorer of LASeR: one of several reward models or judges marks the responses, chosen for the question."""

from functools import partial
from typing import Any

from symposia.nodes.bandit_arms import Chosen
from symposia.state.place import fan
from symposia.tools.reward_arms import mark

JUDGE_ARM = """\
Mark the solution below. {rubric} Give your reasons before you decide. End with one line of the form "SCORE: x", where x is a number from 0
(as bad as can be) to 1 (as good as can be).

Problem: {question}

Solution to judge:
{chain}"""


async def score(state: Chosen) -> dict[str, Any]:
    """Append the marks of the newest round, by the chosen arm alone, a response per call; a sample that is not `ok` gets none."""
    rows = zip(state["chains"][-1], state["statuses"][-1], strict=True)
    wanted = [partial(mark, state["params"], state["arm"], state["question"], text if status == "ok" else "") for text, status in rows]
    return {"scores": [await fan(wanted)]}
