"""The first node of every graph: it makes the state say everything the run depends on."""

from typing import Annotated, Any, NotRequired

from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from typing_extensions import TypedDict

from symposia.state.base import BaseParams, BaseState, Question
from symposia.state.channels import settled
from symposia.state.errors import BadInput
from symposia.state.graph import GROWING
from symposia.state.images import check_images
from symposia.state.journal import current
from symposia.state.packing import sound
from symposia.tools.answers import task_of


async def intake(state: BaseState, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state; a chat's last message has become the question (`JournaledGraph.astream`).

    On a thread that has answered before, such as a chat's second turn, the lists of the former question are emptied; its images were
    replaced with the question.

    Raises:
        BadInput: There is no question, its task has no such name, or its images are none.
    """
    params: BaseParams = runtime.context
    question: Any = state.get("question")
    if question is not None and not isinstance(question, str):
        raise BadInput(f"the question is no text but {type(question).__name__}", remedy="give a text, options included")
    if not question or not question.strip():
        raise BadInput("the question is empty", remedy='give a text: symposia run METHOD "QUESTION", or a chat message')
    try:
        task = task_of(state.get("task") or "auto")
    except ValueError as error:
        raise BadInput(str(error)) from None
    if images := state.get("images"):
        check_images(question, images)
    artefact = current().artefact
    if params.artefact and artefact is None:
        raise BadInput(f"artefact {params.artefact} is not at hand", remedy="start the run with symposia.run, which reads it")
    old: dict[str, Any] = {**{key: Overwrite([]) for key in GROWING.get()}, "answer": None} if state["params"] else {}
    return {**old, "params": params.model_dump(mode="json"), "question": sound(question), "task": task, "artefact": artefact or {}}


class Rows(TypedDict):
    """The input of a `prepare` graph: the questions of a data set, each with its task."""

    rows: list[Question]


class PrepareState(Rows):
    """What every `prepare` graph has; `answer` is what it makes."""

    params: Annotated[dict[str, Any], settled]
    answer: NotRequired[dict[str, Any]]


async def intake_rows(state: PrepareState, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state, as `intake` does.

    Raises:
        BadInput: A row has no question, or its task has no such name; the message names the row, counted from 1.
    """
    for number, row in enumerate(state["rows"], 1):
        if not str(row.get("question") or "").strip():
            raise BadInput(f"row {number} has no question", remedy="give every row a field `question`")
        try:
            task_of(row.get("task") or "auto")
        except ValueError as error:
            raise BadInput(f"row {number}: {error}") from None
    return {"params": runtime.context.model_dump(mode="json")}
