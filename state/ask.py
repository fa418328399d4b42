"""A person's answer, as an effect: asked once, and in the journal from then on."""

from typing import Any

from langgraph.types import interrupt

from symposia.state.journal import effect
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

    return await effect("person", question, asked)
