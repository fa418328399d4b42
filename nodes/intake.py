"""The first node of every graph: it makes the state say everything the run depends on."""

from typing import Any

from langgraph.runtime import Runtime

from symposia.state.base import BaseParams, BaseState
from symposia.state.errors import BadInput
from symposia.state.packing import sound
from symposia.tools.answers import task_of


async def intake(state: BaseState, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state, and take the question from the last chat message when none is given.

    Raises:
        BadInput: There is no question, or its task has no such name.
    """
    params: BaseParams = runtime.context
    question = state.get("question") or _last_message(state)
    if not question or not question.strip():
        raise BadInput("the question is empty", remedy='give a text: symposia run METHOD "QUESTION", or a chat message')
    try:
        task = task_of(state.get("task") or "auto")
    except ValueError as error:
        raise BadInput(str(error)) from None
    return {"params": params.model_dump(mode="json"), "question": sound(question), "task": task}


def _last_message(state: BaseState) -> str:
    """The text of the last chat message."""
    messages = state.get("messages") or []
    return str(messages[-1].text) if messages else ""
