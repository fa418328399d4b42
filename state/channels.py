"""Reducers of the shared state: how updates of one step join, and how much of it a checkpoint stores.

`grow` and `settled` are LangGraph's `DeltaChannel`, which keeps what was written rather than the whole value at each step: 64 rounds of
lists cost the texts once, where `operator.add` costs the square of the rounds. `chat` is a plain reducer, since LangGraph gives messages
written to a `DeltaChannel` random ids (it also turns dicts with `role` and `content` in such a list into messages: name those keys
differently).
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage, convert_to_messages, message_chunk_to_message
from langgraph.channels import DeltaChannel

from symposia.state.packing import digest, sound_all


def _extend(value: list[Any], writes: Sequence[list[Any]]) -> list[Any]:
    return [*value, *(item for write in writes for item in write)]


def _last(_value: Any, writes: Sequence[Any]) -> Any:
    return writes[-1]


def chat(value: list[AnyMessage], write: Any) -> list[AnyMessage]:
    """Chat messages: append, or replace the one of the same id; ids come from position and content, so they are always the same."""
    messages = list(value)
    places = {m.id: i for i, m in enumerate(messages)}
    for given in convert_to_messages(write if isinstance(write, list) else [write]):
        message = _fit(message_chunk_to_message(given))
        named: Any = message if message.id else _named(message, len(messages))
        if named.id in places:
            messages[places[named.id]] = named
        else:
            places[named.id] = len(messages)
            messages.append(named)
    return messages


def _fit(message: BaseMessage) -> BaseMessage:
    """The message with texts that can be stored; a client's JSON may hold lone surrogates."""
    content = sound_all(message.content)
    return message if content == message.content else message.model_copy(update={"content": content})


def _named(message: BaseMessage, position: int) -> Any:
    return message.model_copy(update={"id": digest(f"{position}|{message.type}|{message.content}".encode()).hex()})


grow: Any = DeltaChannel(_extend)
"""A list that only grows: what nodes return is appended, in the order of `Send`."""

settled: Any = DeltaChannel(_last, dict)
"""A value written once or seldom; the last write stands."""
