"""The solver: one prompt, k independent samples."""

from typing import Any

from symposia.nodes.prompts import answer_format, asked
from symposia.state.base import BaseState
from symposia.tools.llm import prompt, quorum, sample


async def fanout(state: BaseState) -> dict[str, Any]:
    """Sample `k` solutions of the question (one when the method has no `k`), as the first round of `chains`.

    Raises:
        SymposiaError: Fewer than `quorum` samples came back.
    """
    params = state["params"]
    messages = prompt(params, "solver", question=asked(state), answer_format=answer_format(state["task"]))
    samples = await sample(params, "solver", messages, params.get("k", 1))
    quorum(samples, params["quorum"])
    return {"chains": [[s["text"] for s in samples]], "statuses": [[s["status"] for s in samples]]}
