"""A person's answer, as an effect: asked once, and in the journal from then on.

What LangGraph hands to its clients for a question also has the form of its agent inbox, which Agent Chat UI and LangGraph's other pages
show with a box to answer in; what such a box gives back counts as its text, or as what the text is the JSON of.
"""

import json
from collections.abc import Mapping
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
        return answer_of(interrupt({**inbox(question), **question, "place": place}))

    run = current()
    if (run.strict or run.stop_reason) and run.find(place, request_digest("person", question, None)) is None:
        await asked()  # the replay of a run that waits for its answer waits as well, and so does a run that takes no new work
    return await effect("person", question, asked)


def inbox(question: Mapping[str, Any]) -> dict[str, Any]:
    """A question as LangGraph's agent inbox shows one; the question as it is stands in `action_request.args`."""
    config = {"allow_respond": True, "allow_accept": False, "allow_edit": False, "allow_ignore": False}
    shown = question.get("question")
    text = shown if isinstance(shown, str) else json.dumps(dict(question), ensure_ascii=False)
    return {"action_request": {"action": "answer", "args": dict(question)}, "config": config, "description": text}


def question_of(asked: Any) -> Any:
    """What a graph asks and where, from the value of its interrupt."""
    if not isinstance(asked, Mapping) or not {"place", "action_request", "config"} <= asked.keys():
        return asked
    return {"place": asked["place"], **asked["action_request"]["args"]}


def answer_of(given: Any) -> Any:
    """A person's answer, also as the agent inbox gives it: `[{"type": "response", "args": TEXT}]`."""
    boxed = given[0] if isinstance(given, list) and len(given) == 1 else None
    if not isinstance(boxed, Mapping) or boxed.keys() != {"type", "args"} or boxed["type"] != "response":
        return given
    text = boxed["args"]
    try:
        return json.loads(text) if isinstance(text, str) and text.lstrip()[:1] in ("{", "[") else text
    except ValueError:
        return text
