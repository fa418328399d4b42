"""The first node of a method that judges two answers to a prompt: it checks them and makes the state say all the run depends on."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NotRequired

from langchain_core.messages import AnyMessage, convert_to_messages
from langgraph.runtime import Runtime
from langgraph.types import Overwrite
from pydantic import Field
from typing_extensions import TypedDict

from symposia.nodes.headed_texts import headed_texts
from symposia.state.channels import chat, settled
from symposia.state.errors import BadInput, shorten
from symposia.state.graph import GROWING
from symposia.state.packing import sound

_NAMES: Final = ("Prompt", "A", "B")
_HEAD: Final = re.compile(rf"^[ \t]*({'|'.join(_NAMES)}):", re.IGNORECASE | re.MULTILINE)


class Pair(TypedDict):
    """A prompt and two answers to it: the input of a method that compares them."""

    prompt: NotRequired[Annotated[str, Field(title="Prompt", description="what was asked")]]
    a: NotRequired[Annotated[str, Field(title="Answer A", description="the first answer")]]
    b: NotRequired[Annotated[str, Field(title="Answer B", description="the second answer")]]
    messages: NotRequired[Annotated[list[AnyMessage], Field(description="a chat whose last message holds prompt and answers"), chat]]


class Received(Pair):
    """The input and the parameters, which a thread that has answered before holds already."""

    params: Annotated[dict[str, Any], settled]


def from_messages(messages: Sequence[Any]) -> Pair:
    """The input that a chat's last message holds: lines "Prompt:", "A:" and "B:", in this order, each followed by its text.

    The first of each counts; a later line that begins alike is part of a text.

    Raises:
        BadInput: One of the three is not there.
    """
    text = str(convert_to_messages([messages[-1]])[0].text) if messages else ""
    remedy = 'write "Prompt:", "A:" and "B:", each at the beginning of a line and followed by its text'
    found = headed_texts(text, _HEAD, _NAMES, what="the last message holds no prompt with two answers", remedy=remedy, once=False)
    asked, a, b = (text.strip() for text in found)
    return Pair(prompt=asked, a=a, b=b)


def check_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt and the two answers, from an input or from the chat that stands for one; an answer may be empty.

    Raises:
        BadInput: One is missing or no text, or the prompt is empty.
    """
    messages = convert_to_messages(given.get("messages") or [])
    asked: Mapping[str, Any] = from_messages(messages) if messages and messages[-1].type == "human" else given
    for key in ("prompt", "a", "b"):
        value, name = asked.get(key), "prompt" if key == "prompt" else f"answer {key}"
        remedy = f"give it: --input {key}=@FILE, or a row's field {key}"
        if not isinstance(value, str):
            raise BadInput(f"the {name} is {'missing' if value is None else f'no text: {shorten(repr(value), 60)}'}", remedy=remedy)
        if key == "prompt" and not value.strip():
            raise BadInput("the prompt is empty", remedy=remedy)
    return {key: sound(asked[key]) for key in ("prompt", "a", "b")}


async def intake(state: Received, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state and check the pair; on a thread that has answered before, the lists of the former one are emptied.

    Raises:
        BadInput: As `check_input`.
    """
    given = check_input(state)
    old: dict[str, Any] = {key: Overwrite([]) for key in GROWING.get()} if state["params"] else {}
    return {**old, **given, "params": runtime.context.model_dump(mode="json")}
