"""The scorer of whole solutions: a number for each solution of the newest round."""

from functools import partial
from typing import Annotated, Any

from symposia.nodes.extract import Rounds
from symposia.nodes.prompts import asked
from symposia.state.base import Answer
from symposia.state.channels import grow
from symposia.state.place import fan
from symposia.tools import rewards


class Scored(Rounds):
    """Rounds of solutions with a score each; None where there is none to be had."""

    scores: Annotated[list[list[float | None]], grow]


async def score(state: Scored) -> dict[str, Any]:
    """Append the outcome scores of the newest round, in 0..1, one solution per call so that no solution colours another's score.

    Without a call, a solution that gives no answer scores 0 and one without any text None, as does one whose scorer failed.
    """
    params, question = state["params"], asked(state)

    async def one(chain: str, answer: Answer | None) -> float | None:
        if not chain:
            return None
        return 0.0 if answer is None else await rewards.outcome(params, question, chain)

    rows = zip(state["chains"][-1], state["answers"][-1], strict=True)
    return {"scores": [await fan([partial(one, *row) for row in rows])]}
