"""`/v1/responses`: the same runs in the form of OpenAI's newer interface; one answer, no state kept between requests."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from symposia.serve.asked import REFUSED, REFUSED_OF_RESPONSES, AskedFor, Longest, Wanted
from symposia.serve.chat import spent, told
from symposia.serve.conversation import Turn
from symposia.serve.errors import Refused
from symposia.serve.parts import JsonObject, Plain, Said, Schema, Strict, without_refused
from symposia.serve.work import Work

Event = dict[str, Any]


class InputMessage(Said):
    """A message of the chat; `id` and `status` stand in answers that clients send back."""

    type: Literal["message"] = "message"
    id: str | None = None
    status: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _honourable(cls, given: Any) -> Any:
        """Drop what clients add to an answer that they send back, where it says nothing."""
        return without_refused(given, {"phase": ((None,), "no method thinks in phases of the client")})


class JsonSchema(Schema):
    """A JSON object of a schema, its fields not nested here."""

    type: Literal["json_schema"]


class TextOptions(Strict):
    """Of the answer's text."""

    format: Annotated[Plain | JsonObject | JsonSchema | None, Field(discriminator="type", description="of the answer")] = None

    @model_validator(mode="before")
    @classmethod
    def _honourable(cls, given: Any) -> Any:
        """Refuse what no method can honour."""
        return without_refused(given, {"verbosity": REFUSED["verbosity"]})


class ResponseRequest(AskedFor):
    """A text or chat to be answered by a method."""

    input: Annotated[str, Field(min_length=1)] | Annotated[list[InputMessage], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Longest = None
    text: TextOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _honourable(cls, given: Any) -> Any:
        """Refuse what no method can honour; steps of an earlier answer, which clients send back, are no part of the chat."""
        found = without_refused(given, REFUSED_OF_RESPONSES)
        items = found.get("input") if isinstance(found, Mapping) else None
        if not isinstance(items, list):
            return found
        return {**found, "input": [item for item in items if not (isinstance(item, Mapping) and item.get("type") == "reasoning")]}

    def wanted(self) -> Wanted:
        """As the runs need it."""
        images: list[str] = []
        turns = [Turn("user", self.input)] if isinstance(self.input, str) else [message.turn(images) for message in self.input]
        rules = [Turn("system", self.instructions)] if self.instructions else []
        form = self.text.format.form if self.text and self.text.format else None
        return self.wants(rules + turns, images, self.max_output_tokens, form)


def response(work: Work, body: ResponseRequest, status: str = "completed", error: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The response object; with its output and usage when the run has ended."""
    strand = work.strands[0]
    done = strand.result is not None and status == "completed"
    cut = done and strand.finish != "stop"
    reason = {"length": "max_output_tokens"}.get(strand.finish, strand.finish)
    return {
        **{"id": f"resp_{work.run_ids[0]}", "object": "response", "created_at": int(strand.record["started"]), "model": body.model},
        **{"status": "incomplete" if cut else status, "error": error, "incomplete_details": {"reason": reason} if cut else None},
        **{"completed_at": int(time.time()) if done else None, "instructions": body.instructions, "metadata": body.metadata or {}},
        **{"output": [_reasoning(work), _message(work)] if done else [], "usage": _usage(work) if done else None},
        **{"parallel_tool_calls": False, "tool_choice": "none", "tools": [], "temperature": body.temperature, "top_p": body.top_p},
        **{"max_output_tokens": body.max_output_tokens, "previous_response_id": None, "text": {"format": _format(body)}},
        **{"reasoning": {"effort": None, "summary": None}, "truncation": "disabled", "user": body.user, "symposia": told(work)},
    }


def _format(body: ResponseRequest) -> dict[str, Any]:
    """The form of the answer, as it was asked for."""
    chosen = body.text.format if body.text else None
    return chosen.model_dump(by_alias=True, exclude_none=True) if chosen else {"type": "text"}


async def events(work: Work, body: ResponseRequest) -> AsyncIterator[Event]:
    """The events of a stream, numbered: steps as a summary of reasoning, then the answer."""
    number = 0
    async for event in _events(work, body):
        yield {**event, "sequence_number": number}
        number += 1


async def _events(work: Work, body: ResponseRequest) -> AsyncIterator[Event]:
    strand = work.strands[0]
    for kind in ("response.created", "response.in_progress"):
        yield {"type": kind, "response": response(work, body, "in_progress")}
    yield {"type": "response.output_item.added", "output_index": 0, "item": _reasoning(work, empty=True)}
    steps = {"item_id": f"rs_{work.run_ids[0]}", "output_index": 0, "summary_index": 0}
    text = {"item_id": f"msg_{work.run_ids[0]}", "output_index": 1, "content_index": 0}
    yield {"type": "response.reasoning_summary_part.added", **steps, "part": {"type": "summary_text", "text": ""}}
    answering = False
    try:
        async for piece in work.pieces():
            if piece.kind == "content" and not answering:
                answering = True
                for event in (*_steps_done(work, steps), *_answer_begun(work, text)):
                    yield event
            if piece.kind == "content":
                yield {"type": "response.output_text.delta", **text, "delta": piece.text, "logprobs": []}
            else:
                yield {"type": "response.reasoning_summary_text.delta", **steps, "delta": piece.text}
    except Refused as refusal:
        error = {"code": refusal.body["error"]["code"] or "server_error", "message": refusal.body["error"]["message"]}
        yield {"type": "response.failed", "response": response(work, body, "failed", error)}
        return
    if not answering:
        for event in (*_steps_done(work, steps), *_answer_begun(work, text)):
            yield event
    yield {"type": "response.output_text.done", **text, "text": strand.texts["content"], "logprobs": []}
    yield {"type": "response.content_part.done", **text, "part": _part(strand.texts["content"])}
    yield {"type": "response.output_item.done", "output_index": 1, "item": _message(work)}
    ended = response(work, body)
    yield {"type": f"response.{ended['status']}", "response": ended}


def _steps_done(work: Work, steps: Mapping[str, Any]) -> list[Event]:
    summary = work.strands[0].texts["reasoning"]
    return [
        {"type": "response.reasoning_summary_text.done", **steps, "text": summary},
        {"type": "response.reasoning_summary_part.done", **steps, "part": {"type": "summary_text", "text": summary}},
        {"type": "response.output_item.done", "output_index": 0, "item": _reasoning(work)},
    ]


def _answer_begun(work: Work, text: Mapping[str, Any]) -> list[Event]:
    item = {**_message(work), "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": 1, "item": item},
        {"type": "response.content_part.added", **text, "part": _part("")},
    ]


def _reasoning(work: Work, *, empty: bool = False) -> dict[str, Any]:
    summary = [] if empty else [{"type": "summary_text", "text": work.strands[0].texts["reasoning"]}]
    return {"id": f"rs_{work.run_ids[0]}", "type": "reasoning", "summary": summary}


def _message(work: Work) -> dict[str, Any]:
    content = [_part(work.strands[0].texts["content"])]
    return {"id": f"msg_{work.run_ids[0]}", "type": "message", "role": "assistant", "status": "completed", "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(work: Work) -> dict[str, Any]:
    used = spent(work)
    return {
        **{"input_tokens": used["prompt_tokens"], "output_tokens": used["completion_tokens"]},
        **{"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": used["reasoning_tokens"]}},
        "total_tokens": used["prompt_tokens"] + used["completion_tokens"],
    }
