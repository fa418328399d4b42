"""Reading the answers out of the newest round of solutions, equal ones in one form."""

from typing import Annotated, Any

from symposia.state.base import Answer, BaseState
from symposia.state.channels import grow
from symposia.tools.answers import extract as read_answer
from symposia.tools.equality import canon


class Rounds(BaseState):
    """Solutions and their answers, a list per round, index-aligned: item i of each is about the same solution."""

    chains: Annotated[list[list[str]], grow]
    statuses: Annotated[list[list[str]], grow]
    answers: Annotated[list[list[Answer | None]], grow]


async def extract(state: Rounds) -> dict[str, Any]:
    """Append the answers of the newest round: None where nothing can be read or the sample is not `ok`.

    An answer that equals an earlier one, of this round or a former, is written as that one (first met), so that later nodes compare values.
    """
    task = state["task"]
    raw = [
        read_answer(text, task) if status == "ok" else None for text, status in zip(state["chains"][-1], state["statuses"][-1], strict=True)
    ]
    known = list(dict.fromkeys(a for answers in state["answers"] for a in answers if a is not None))
    return {"answers": [await canon(raw, known, task)]}
