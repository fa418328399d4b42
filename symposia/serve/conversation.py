"""A chat as a method's input.

A method with `from_messages` reads the chat itself. Any other answers a question: the last message as it stands when it is all there is,
else a text that holds the instructions, the turns before it and then that message, so that every role of the method sees all of it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from typing_extensions import get_type_hints

from symposia.registry import Loaded
from symposia.state.errors import BadInput
from symposia.state.packing import sound

_SPEAKERS = {"user": "User", "assistant": "Assistant"}


class Turn(NamedTuple):
    """One message of a chat: `system`, `user` or `assistant`, its text, and the name of who wrote it, if there is one."""

    role: str
    text: str
    name: str | None = None


def input_of(loaded: Loaded, turns: Sequence[Turn], task: str | None = None, images: Sequence[str] = ()) -> dict[str, Any]:
    """The input that a chat gives a method; `images` are those that its texts mention by number.

    Raises:
        BadInput: The chat does not end with the user, says nothing, or has instructions or images that the method cannot take.
    """
    if images and "images" not in get_type_hints(loaded.method.input):
        raise BadInput(f"{loaded.method.name} reads no images", remedy="`symposia methods NAME` says what a method takes")
    if not turns or turns[-1].role != "user":
        raise BadInput("the chat does not end with a message of the user", remedy="a method answers the user; it continues no answer")
    extra = {"task": task} if task else {}
    if hasattr(loaded.module, "from_messages"):
        if any(turn.role == "system" for turn in turns):
            raise BadInput(f"{loaded.method.name} takes no system message", remedy="its input is data: see `symposia methods`")
        return {**loaded.module.from_messages([{"role": t.role, "content": sound(t.text)} for t in turns]), **extra}
    if not turns[-1].text.strip():
        raise BadInput("the last message is empty", remedy="ask something")
    return {"question": sound(question_of(turns)), **({"images": list(images)} if images else {}), **extra}


def question_of(turns: Sequence[Turn]) -> str:
    """The question that a chat asks, with what has to be known for it."""
    *before, last = turns
    if not before and not last.name:
        return last.text
    rules = [turn.text for turn in before if turn.role == "system"]
    said = [f"{_speaker(turn)}: {turn.text}" for turn in before if turn.role != "system"]
    parts = ["Instructions for the answer:\n" + "\n\n".join(rules)] if rules else []
    parts += ["The conversation so far:\n\n" + "\n\n".join(said)] if said else []
    return "\n\n".join([*parts, f"The latest message, which is to be answered:\n\n{_speaker(last)}: {last.text}"])


def _speaker(turn: Turn) -> str:
    return _SPEAKERS[turn.role] + (f" ({turn.name})" if turn.name else "")
