"""A call of `ChatModel`: what LangChain gives it, as the runs take it, and what a run came to, as LangChain takes that."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.messages.ai import UsageMetadata

from symposia.serve.conversation import Turn
from symposia.serve.errors import Refused
from symposia.serve.work import Piece, Strand
from symposia.state.errors import BadInput, SymposiaError, from_record, shorten
from symposia.state.images import read_message

_ROLES = {"system": "system", "human": "user", "ai": "assistant", "developer": "system"}


def turns_of(messages: Sequence[BaseMessage], images: list[str]) -> list[Turn]:
    """The messages as the method takes them; their images are added to `images`.

    Raises:
        BadInput: One is of a tool, or holds something that is neither text nor an image.
    """
    turns = []
    for number, message in enumerate(map(message_chunk_to_message, messages), 1):
        place = f"message {number}"
        if message.type not in _ROLES or getattr(message, "tool_calls", None):
            raise BadInput(f"a method reads no message of type {message.type!r} or with calls of tools", place=place, remedy="leave it out")
        try:
            text = read_message(message, images)
        except BadInput as error:
            raise BadInput(error.message, place=place, remedy=error.remedy) from None
        turns.append(Turn(_ROLES[message.type], text, message.name))
    return turns


def options_of(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a single call besides `stop`: its seed, and the form of its answer.

    Raises:
        BadInput: Another option is given.
    """
    given = {name: value for name, value in options.items() if name != "stream" and value is not None}
    if others := sorted(set(given) - {"seed", "response_format"}):
        raise BadInput(f"{others[0]} cannot be honoured by a method", remedy="set parameters of the method: ChatModel(..., params={...})")
    return given


def stops_of(given: Any) -> list[str]:
    """The texts that end an answer.

    Raises:
        BadInput: One of them is empty, or no text.
    """
    texts = [given] if isinstance(given, str) else list(given or [])
    if not all(isinstance(text, str) and text for text in texts):
        raise BadInput(f"stop is {shorten(repr(given), 60)}", remedy="give texts that end the answer, none of them empty")
    return texts


def chunk_of(piece: Piece) -> AIMessageChunk:
    """A piece of the steps or of the answer."""
    if piece.kind == "content":
        return AIMessageChunk(content=piece.text)
    return AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece.text})


def metadata_of(strand: Strand) -> dict[str, Any]:
    """What the run used and came to; reasoning tokens are those of replies that are not the answer word for word."""
    result = strand.result
    assert result is not None  # noqa: S101 - the run has ended
    sent, back = result.usage["prompt_tokens"], result.usage["completion_tokens"]
    used = UsageMetadata(input_tokens=sent, output_tokens=back, total_tokens=sent + back)
    used["output_token_details"] = {"reasoning": back - strand.shown_tokens}
    told = result.to_json()
    kept = {
        name: told[name] for name in ("run_id", "method", "status", "answer", "stop_reason", "calls", "requests", "cost_usd", "seconds")
    }
    return {"usage_metadata": used, "response_metadata": {**kept, "model_name": result.method, "finish_reason": strand.finish}}


def failure_of(refused: Refused) -> SymposiaError:
    """The error of the run behind what a client of the server would be told."""
    run = refused.body.get("symposia") or {}
    if not run.get("error"):
        return SymposiaError(str(refused))
    failure = from_record(run["error"])
    failure.add_note(f"symposia show {run['run_id']} tells what happened before")
    return failure
