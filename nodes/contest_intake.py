"""The first node of a judge of programs: it checks the request, the known program and the two that are compared with it."""

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

TEXTS: Final = ("request", "program", "a", "b")
"""The fields of the input."""

# Case counts, since a line "a:" may well stand in a program.
_NAMES: Final = ("Request", "Program", "A", "B")
_HEAD: Final = re.compile(rf"^[ \t]*({'|'.join(_NAMES)}):[ \t]*$", re.MULTILINE)


class Contest(TypedDict):
    """A request, a program known to meet it, and two programs that are compared with that one."""

    request: NotRequired[Annotated[str, Field(title="Request", description="what the code has to do")]]
    program: NotRequired[Annotated[str, Field(title="Known program", description="one that meets the request")]]
    a: NotRequired[Annotated[str, Field(title="Program A", description="the first program; empty where there is none")]]
    b: NotRequired[Annotated[str, Field(title="Program B", description="the second program; empty where there is none")]]
    messages: NotRequired[Annotated[list[AnyMessage], Field(description="a chat whose last message holds all four"), chat]]


class Received(Contest):
    """The input and the parameters, which a thread that has judged before holds already."""

    params: Annotated[dict[str, Any], settled]


def from_messages(messages: Sequence[Any]) -> Contest:
    """The input that a chat's last message holds: lines "Request:", "Program:", "A:" and "B:", in this order, each with its text below it.

    Raises:
        BadInput: One of the four is not there, or stands there twice or out of order.
    """
    text = str(convert_to_messages([messages[-1]])[0].text) if messages else ""
    what = "the last message holds no request with a known program and two others"
    remedy = 'write "Request:", "Program:", "A:" and "B:" in this order, each once, on a line of its own and followed by its text'
    found = headed_texts(text, _HEAD, _NAMES, what=what, remedy=remedy, once=True)
    request, program, a, b = (text.strip("\n") for text in found)
    return Contest(request=request.strip(), program=program, a=a, b=b)


def check_input(given: Mapping[str, Any]) -> dict[str, Any]:
    """The four texts, from an input or from the chat that stands for one; a program that is compared may be empty.

    Raises:
        BadInput: One is missing or no text, or the request or the known program is empty.
    """
    messages = convert_to_messages(given.get("messages") or [])
    asked: Mapping[str, Any] = from_messages(messages) if messages and messages[-1].type == "human" else given
    for key in TEXTS:
        value, remedy = asked.get(key), f"give it: --input {key}=@FILE, or a row's field {key}"
        if not isinstance(value, str):
            raise BadInput(f"{key} is {'missing' if value is None else f'no text: {shorten(repr(value), 60)}'}", remedy=remedy)
        if key in ("request", "program") and not value.strip():
            raise BadInput(f"{key} is empty", remedy=remedy)
    return {key: sound(asked[key]) for key in TEXTS}


async def intake(state: Received, runtime: Runtime[Any]) -> dict[str, Any]:
    """Copy the parameters into the state and check the input; on a thread that has judged before, the former votes go.

    Raises:
        BadInput: As `check_input`.
    """
    given = check_input(state)
    old: dict[str, Any] = {key: Overwrite([]) for key in GROWING.get()} if state["params"] else {}
    return {**old, **given, "params": runtime.context.model_dump(mode="json")}
