"""A person's answer, as an effect: asked once, and in the journal from then on."""

from typing import Any

from langgraph.types import interrupt

from symposia.state.journal import current, effect
from symposia.state.packing import request_digest
from symposia.state.place import COUNT, next_place


async def ask_person(question: dict[str, Any]) -> Any:
    """The answer of a person to `question` (JSON); the run pauses until there is one.

    The node runs again from its top when the answer comes; what it did before is read from the journal.
    """
    run = current()
    before = COUNT.get()
    place = next_place()
    COUNT.set(before)
    if run.find(place, request_digest("person", question, None)) or run.strict:
        return await effect("person", question, _nobody)
    answer = interrupt({"place": place, **question})

    async def given() -> Any:
        return answer

    return await effect("person", question, given)


async def _nobody() -> Any:
    raise AssertionError("a recorded answer is not asked for again")
