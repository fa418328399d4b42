"""A chat as a record holds it: plain JSON, with marks in place of images, and the images of the question once, beside it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
    convert_to_messages,
    message_chunk_to_message,
    message_to_dict,
    messages_from_dict,
)
from langgraph.types import Overwrite

from symposia.state.errors import BadInput, shorten
from symposia.state.images import marked, read_message
from symposia.state.packing import sound

_ROLES = ("human", "user", "ai", "assistant", "system", "developer")
_KEPT = ("name", "id", "tool_call_id", "tool_calls")


def plain_chat(inputs: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """An input of a run; where `messages` are LangChain's own, or hold images, they are made JSON without them.

    As in a graph, the question and its images are those of the last message, unless a question is given.

    Args:
        inputs: What the run is given.
        known: The keys that the method takes.

    Raises:
        BadInput: `messages` is no chat, or holds what the method cannot read.
    """
    given = inputs.get("messages")
    if not given:
        return dict(inputs)
    listed = given if isinstance(given, list) else [given]
    try:
        messages = convert_to_messages(listed)
        kept = [marked(message_chunk_to_message(message)) for message in messages]
        said = [kept_message(message) for message in kept]
        convert_to_messages(said)  # a kind that LangChain does not read again would be a record that cannot be executed
    except (ValueError, TypeError, NotImplementedError) as error:
        what = f"`messages` is no chat: {shorten(str(error), 100)}"
        raise BadInput(what, remedy='give [{"role": "user", "content": "..."}]') from None
    images: list[str] = []
    text = read_message(messages[-1], images) if "question" in known and not inputs.get("question") else ""
    if images and "images" not in known:
        raise BadInput("the last message holds an image, and this method reads none", remedy="leave it out")
    if kept == messages and not any(isinstance(one, BaseMessage) for one in listed):
        return dict(inputs)
    found: dict[str, Any] = {**inputs, "messages": said}
    if images:
        found |= {"question": sound(text), "images": images}
    return found


def kept_message(message: BaseMessage) -> dict[str, Any]:
    """A message of LangChain's as JSON that it reads again."""
    own = {key: value for key in _KEPT if (value := getattr(message, key, None))}
    return {"role": message.type, "content": message.content, **own}


def kept_messages(given: Any) -> Any:
    """Messages that an edit writes, as its record holds them: a list of JSON with marks in place of images; what replaces others as it is.

    Raises:
        BadInput: They are no messages, or one holds, besides images, what cannot be read.
    """
    written = without_images(given)
    if isinstance(written, Mapping) and "__overwrite__" in written:
        return written
    listed = written if isinstance(written, list) else [written]
    recorded = [isinstance(one, Mapping) and "data" in one for one in listed]
    try:
        messages = [(messages_from_dict if kept else convert_to_messages)([one])[0] for one, kept in zip(listed, recorded, strict=True)]
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        what = f"`messages` is no chat: {shorten(str(error), 100)}"
        raise BadInput(what, remedy='set [{"role": "user", "content": "..."}]') from None
    if any(isinstance(one, BaseMessage) for one in listed) or any(recorded) != all(recorded):
        return [message_to_dict(message_chunk_to_message(message)) for message in messages]
    return listed


def without_images(given: Any) -> Any:
    """Messages, in any form that LangChain or a record has of them, with marks in place of images.

    Raises:
        BadInput: One holds, besides images, what cannot be read.
    """
    match given:
        case BaseMessage():
            return marked(given)
        case Overwrite():
            return Overwrite(without_images(given.value))
        case [str() as role, [*parts]] if role in _ROLES:
            return (role, _marks(parts))
        case list():
            return [without_images(each) for each in given]
        case {"content": [*parts]}:
            return {**given, "content": _marks(parts)}
        case dict():
            return {key: without_images(value) if isinstance(value, list | dict) else value for key, value in given.items()}
    return given


def _marks(parts: list[Any]) -> Any:
    """The content of a message, as a text with marks where it holds images; what is no content is refused where it is used."""
    with suppress(ValueError):
        return marked(HumanMessage(parts)).content
    return parts
