"""The refiner of a solution that is improved draft by draft: a complete new draft, with all former ones and their feedback in view.

Self-Refine, arXiv 2303.17651: the history of drafts and feedback keeps the refiner from repeating a mistake it was told of.
"""

from typing import Any

from symposia.nodes.critic import Critiqued, transcript
from symposia.nodes.prompts import answer_format, asked
from symposia.tools.llm import ask, prompt, quorum


async def rewrite(state: Critiqued) -> dict[str, Any]:
    """Append a new draft; where the refiner refused or its reply was cut off, the old draft once more.

    Raises:
        SymposiaError: The refiner could not be reached.
    """
    params = state["params"]
    form = answer_format(state["task"])
    messages = prompt(params, "refiner", question=asked(state), history=transcript(state), answer_format=form)
    reply = await ask(params, "refiner", messages)
    quorum([reply], 1)
    if reply["status"] != "ok":
        return {"chains": [state["chains"][-1]], "statuses": [state["statuses"][-1]]}
    return {"chains": [[reply["text"]]], "statuses": [["ok"]]}
