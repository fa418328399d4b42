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
    before = COUNT.get()
    place = next_place()
    COUNT.set(before)

    async def asked() -> Any:
        return interrupt({"place": place, **question})

    run = current()
    if (run.strict or run.stop_reason) and run.find(place, request_digest("person", question, None)) is None:
        await asked()  # the replay of a run that waits for its answer waits as well, and so does a run that takes no new work
    return await effect("person", question, asked)
