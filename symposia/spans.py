"""A run's events as OpenTelemetry spans: one per run, per execution of a node, and per call of a model.

Names follow OpenTelemetry's conventions for generative AI (`invoke_agent METHOD`, `chat MODEL`, `gen_ai.*`), spelled out here because they
are still being developed and Python's package of constants no longer carries them. What is ours is named `symposia.*`. Prompts, replies and
messages of errors, which may quote them, stay out unless `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says otherwise.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from symposia.execution import Event
from symposia.state.packing import text_of
from symposia.state.store import Entry
from symposia.tools.compatible import NAME as COMPATIBLE
from symposia.tools.providers import litellm, route

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_OPERATIONS = {"llm": "chat", "embed": "embeddings"}
_PROVIDERS = {
    **{"azure": "azure.ai.openai", "azure_ai": "azure.ai.inference", "bedrock": "aws.bedrock", "bedrock_converse": "aws.bedrock"},
    **{"vertex_ai": "gcp.vertex_ai", "vertex_ai_beta": "gcp.vertex_ai", "gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"},
    **{"watsonx": "ibm.watsonx.ai", "cohere_chat": "cohere", "moonshot": "moonshot_ai", COMPATIBLE: "openai_compatible"},
}
"""LiteLLM's names of providers that the conventions call something else; the others keep theirs."""
_SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty")


@dataclass(slots=True)
class _Node:
    """The executions of a node in one step, which `Send` makes several of: a span until the last of them has ended."""

    span: Any
    ended: int | None = None  # nanoseconds since 1970


@dataclass(slots=True)
class _Open:
    """A run that has not ended."""

    span: Any
    nodes: dict[tuple[str, str], _Node] = field(default_factory=dict)


class Spans:
    """Makes spans of the events of any number of runs at once; of a run that has ended it keeps nothing."""

    def __init__(self, provider: Any) -> None:
        """Give the spans to this tracer provider."""
        from opentelemetry import trace

        self._trace = trace
        self._tracer = provider.get_tracer("symposia")
        self._content = os.environ.get(_CONTENT, "").strip().lower() in ("true", "span_only", "span_and_event")
        self.open: dict[str, _Open] = {}

    def __call__(self, event: Event) -> None:
        """Hear of an event."""
        if event["type"] == "run":
            self._begin(event)
        elif run := self.open.get(event["run_id"]):
            match event["type"]:
                case "step":
                    self._step(run, event)
                case "node":
                    self._node_ended(run, event["node"])
                case "effect":
                    self._effect(run, event)
                case "end":
                    self._end(run, event)

    def _begin(self, event: Event) -> None:
        left = self.open.pop(event["run_id"], None)
        if left:  # an execution that was cut off without its end, and is tried again
            self._close(left, {"status": "stopped", "error": None})
        named = {"run_id": event["run_id"], "method": event["method"], "row": _scalar(event.get("row"))}
        attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": "symposia",
            "gen_ai.agent.name": event["method"],
            "gen_ai.conversation.id": event["run_id"],
            **{f"symposia.{name}": value for name, value in named.items() if value is not None},
        }
        span = self._tracer.start_span(f"invoke_agent {event['method']}", kind=self._trace.SpanKind.INTERNAL, attributes=attributes)
        self.open[event["run_id"]] = _Open(span)

    def _step(self, run: _Open, event: Event) -> None:
        self._close_nodes(run)
        step = event["step"] + 1
        for node in dict.fromkeys(event["next"]):
            if not node.startswith("__"):
                attributes = {"symposia.step": step, "symposia.node": node, "symposia.run_id": event["run_id"]}
                span = self._tracer.start_span(f"node {node}", context=self._inside(run.span), attributes=attributes)
                run.nodes[str(step), node] = _Node(span)

    def _node_ended(self, run: _Open, name: str) -> None:
        for (_, node), execution in run.nodes.items():
            if node == name:
                execution.ended = time.time_ns()

    def _effect(self, run: _Open, event: Event) -> None:
        """A call of a model that was made now; what is read from the journal, and what calls no model, has no span."""
        entry: Entry = event["entry"]
        used = entry.usage
        if not event["live"] or not used.model:
            return
        operation = _OPERATIONS.get(entry.kind, entry.kind)
        now = time.time_ns()
        frame = entry.place.split("/", 1)[0].split(".")
        node = run.nodes.get((frame[0], frame[1].split("~")[0]))
        span = self._tracer.start_span(
            f"{operation} {used.model}",
            context=self._inside(node.span if node else run.span),
            kind=self._trace.SpanKind.CLIENT,
            attributes=_asked(entry, operation) | {"gen_ai.conversation.id": event["run_id"]},
            start_time=now - int(used.ms * 1e6),
        )
        span.set_attributes(_answered(entry) | (_texts(entry) if self._content else {}))
        self._blame(span, entry.outcome.get("error"))
        span.end(now)

    def _end(self, run: _Open, event: Event) -> None:
        del self.open[event["run_id"]]
        self._close(run, event)

    def _close(self, run: _Open, event: Mapping[str, Any]) -> None:
        self._close_nodes(run)
        run.span.set_attribute("symposia.status", event["status"])
        if event.get("cost_usd") is not None:
            run.span.set_attribute("symposia.cost_usd", event["cost_usd"])
        self._blame(run.span, event["error"])
        run.span.end()

    def _close_nodes(self, run: _Open) -> None:
        for execution in run.nodes.values():
            execution.span.end(execution.ended)
        run.nodes.clear()

    def _blame(self, span: Any, error: Mapping[str, Any] | None) -> None:
        if error:
            span.set_attribute("error.type", error["name"])
            description = error["message"] if self._content else None
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, description))

    def _inside(self, span: Any) -> Any:
        return self._trace.set_span_in_context(span)


def _asked(entry: Entry, operation: str) -> dict[str, Any]:
    """What is known of a call before it is made."""
    request = entry.request
    found = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider_of(entry.usage.model),
        "gen_ai.request.model": entry.usage.model,
        "gen_ai.request.choice.count": request.get("n"),
        "gen_ai.request.seed": entry.salt,
        "gen_ai.output.type": "json" if request.get("response_format") else None,
        **{f"gen_ai.request.{name}": _scalar(request.get(name)) for name in _SAMPLING},
        "symposia.role": entry.usage.role,
        "symposia.place": entry.place,
    }
    return {k: v for k, v in found.items() if v is not None}


def _answered(entry: Entry) -> dict[str, Any]:
    """What a call cost, and how its replies ended."""
    used = entry.usage
    found = {
        "gen_ai.usage.input_tokens": used.prompt_tokens,
        "gen_ai.usage.output_tokens": used.completion_tokens,
        "symposia.requests": used.requests,
        "symposia.cost_usd": used.usd,
        "gen_ai.response.finish_reasons": [str(choice["finish"]) for choice in _choices(entry)] or None,
    }
    return {k: v for k, v in found.items() if v is not None}


def _texts(entry: Entry) -> dict[str, str]:
    """Prompts and replies, as JSON of the conventions' form; of what is no text, such as an image, its type alone."""
    asked = [{"role": m["role"], "parts": _parts(m["content"])} for m in entry.request.get("messages", [])]
    said = [
        {"role": "assistant", "parts": _parts(choice["refusal"] or choice["text"]), "finish_reason": str(choice["finish"])}
        for choice in _choices(entry)
    ]
    found = {"gen_ai.input.messages": asked, "gen_ai.output.messages": said}
    return {name: json.dumps(messages) for name, messages in found.items() if messages}


def _parts(content: Any) -> list[dict[str, Any]]:
    text = text_of(content)
    if isinstance(text, str):
        return [{"type": "text", "content": text}]
    parts = [part if isinstance(part, Mapping) else {"type": "text", "text": str(part)} for part in text or []]
    return [{"type": "text", "content": p["text"]} if p.get("type") == "text" else {"type": str(p.get("type"))} for p in parts]


def _choices(entry: Entry) -> list[Mapping[str, Any]]:
    value = entry.outcome.get("value")
    return value["choices"] if entry.kind == "llm" and isinstance(value, Mapping) else []


def provider_of(model: str) -> str:
    """The provider of a model as the conventions call it; `openai_compatible` for a bare name at an address of one's own."""
    name = str(route(model)["model"])
    prefix = name.split("/", 1)[0] if "/" in name else _bare_provider(name)
    return _PROVIDERS.get(prefix, prefix)


@cache
def _bare_provider(model: str) -> str:
    """The provider that LiteLLM takes for a name without one, such as OpenAI for `gpt-4o`."""
    try:
        return str(litellm().get_llm_provider(model)[1])
    except Exception:  # it knows none: the conventions' word for that
        return "_OTHER"


def _scalar(value: Any) -> Any:
    """A value that a span can hold."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
