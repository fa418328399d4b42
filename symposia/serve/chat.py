"""`/v1/chat/completions`: a chat answered by a method, in one piece or as a stream."""

import time
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from symposia.serve.asked import REFUSED, AskedFor, Longest, Wanted
from symposia.serve.errors import Refused
from symposia.serve.parts import JsonObject, Plain, Said, Schema, Strict, without_refused
from symposia.serve.work import Strand, Work

MOST = 16
"""Runs that one request may ask for with `n`."""
_STOP = Annotated[str, Field(min_length=1, max_length=1000)]
_STOPS = Annotated[list[_STOP], Field(max_length=4)]
_IN_MESSAGES: dict[str, tuple[tuple[Any, ...], str]] = {
    "tool_calls": ((None, []), "no method calls tools of the client"),
    "function_call": ((None,), "no method calls functions of the client"),
    "audio": ((None,), "the methods take text"),
    "annotations": ((None, []), "no method reads annotations"),
    "refusal": ((None,), "put what was said into the content"),
    "provider_specific_fields": ((None, {}, {"refusal": None}), "no method reads what a client notes beside a message"),  # LiteLLM's
    "thinking_blocks": ((None, []), "no method reads what another model thought"),
}


class Message(Said):
    """A message of the chat. `reasoning_content`, which clients send back, tells of steps and is no part of the chat."""

    name: Annotated[str | None, Field(max_length=100)] = None
    reasoning_content: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _honourable(cls, given: Any) -> Any:
        """Refuse what no method can take."""
        return without_refused(given, _IN_MESSAGES)


class JsonSchema(Strict):
    """A JSON object of a schema."""

    type: Literal["json_schema"]
    json_schema: Schema

    @property
    def form(self) -> dict[str, Any]:
        """The form itself."""
        return self.json_schema.form


class ChatRequest(AskedFor):
    """A chat to be answered by a method."""

    messages: Annotated[list[Message], Field(min_length=1)]
    n: Annotated[int | None, Field(ge=1, le=MOST, description="answers, a run each")] = None
    seed: Annotated[int | None, Field(ge=0, le=2**31 - 1 - MOST, description="of the run; of further ones with n, the next numbers")] = None
    stop: Annotated[_STOP | _STOPS | None, Field(description="texts that end the answer")] = None
    max_tokens: Longest = None
    max_completion_tokens: Longest = None
    response_format: Annotated[Plain | JsonObject | JsonSchema | None, Field(discriminator="type", description="of the answer")] = None

    @model_validator(mode="before")
    @classmethod
    def _honourable(cls, given: Any) -> Any:
        """Refuse what no method can honour."""
        return without_refused(given, REFUSED)

    def wanted(self) -> Wanted:
        """As the runs need it."""
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise Refused(400, "max_tokens and max_completion_tokens differ", param="max_tokens")
        images: list[str] = []
        turns = [message.turn(images, message.name) for message in self.messages]
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        form = self.response_format.form if self.response_format else None
        return self.wants(turns, images, self.max_completion_tokens or self.max_tokens, form, n=self.n or 1, seed=self.seed, stops=stops)


def completion(work: Work, model: str) -> dict[str, Any]:
    """The answers of runs that have ended."""
    choices = [
        {
            "index": strand.index,
            "message": {
                **{"role": "assistant", "content": strand.texts["content"], "refusal": None},
                "reasoning_content": strand.texts["reasoning"],
            },
            "logprobs": None,
            "finish_reason": strand.finish,
        }
        for strand in work.strands
    ]
    return {**_frame(work, model, "chat.completion"), "choices": choices, "usage": usage(work), "symposia": told(work)}


async def chunks(work: Work, model: str, *, with_usage: bool) -> AsyncIterator[Mapping[str, Any]]:
    """The chunks of a stream, as things happen: the steps as reasoning, then the answer.

    Raises:
        Refused: A run failed.
    """
    frame = _frame(work, model, "chat.completion.chunk")

    def chunk(index: int, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**frame, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    for strand in work.strands:
        begin = {"symposia": {"run_ids": work.run_ids}} if not strand.index else {}
        yield chunk(strand.index, {"role": "assistant", "content": ""}) | begin
    async for piece in work.pieces():
        yield chunk(piece.run, {"content" if piece.kind == "content" else "reasoning_content": piece.text})
    for strand in work.strands:
        last = {"symposia": told(work)} if strand is work.strands[-1] else {}
        yield chunk(strand.index, {}, strand.finish) | last
    if with_usage:
        yield {**frame, "choices": [], "usage": usage(work)}


def usage(work: Work) -> dict[str, Any]:
    """Tokens of all calls of all runs; reasoning is what no client sees word for word."""
    used = spent(work)
    hidden = {"reasoning_tokens": used["reasoning_tokens"]}
    counts = {"prompt_tokens": used["prompt_tokens"], "completion_tokens": used["completion_tokens"]}
    return {**counts, "total_tokens": sum(counts.values()), "completion_tokens_details": hidden}


def spent(work: Work) -> dict[str, int]:
    """Prompt, completion and reasoning tokens of all runs."""
    results = [(strand, strand.result.usage) for strand in work.strands if strand.result is not None]
    found = {name: sum(used.get(name, 0) for _, used in results) for name in ("prompt_tokens", "completion_tokens")}
    return {**found, "reasoning_tokens": found["completion_tokens"] - sum(strand.shown_tokens for strand, _ in results)}


def told(work: Work) -> dict[str, Any]:
    """What the runs came to, as `symposia run --json` prints it."""
    return {"run_ids": work.run_ids, "runs": [_run(strand) for strand in work.strands]}


def _run(strand: Strand) -> dict[str, Any]:
    return strand.result.to_json() if strand.result is not None else {"run_id": strand.record["run_id"], "status": "started"}


def _frame(work: Work, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{work.run_ids[0]}", "object": kind, "created": int(time.time()), "model": model}
