"""Spans of runs: their names, times and parents, what they never hold, and where they go."""

import asyncio
import gzip
import json
import os
import sys
import time

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from symposia import telemetry as module
from symposia.runs import new_record, resume, start
from symposia.spans import Spans, provider_of
from symposia.state.errors import BadInput, RateLimited
from symposia.state.store import Entry, Usage
from symposia.telemetry import telemetry
from symposia.tools.settings import configure, settings

SECRET = "What did the patient say?"
REPLY = "The patient said nothing."


def call(place="1.solve", kind="llm", model="openai/gpt-4o-mini", error=None, **request) -> Entry:
    """A journal entry of a call that took 250 ms."""
    asked = {"model": model, "messages": [{"role": "user", "content": ["Q: ", SECRET]}], **request}
    value = {"choices": [{"text": REPLY, "finish": "stop", "refusal": None}]} if kind == "llm" else 0.5
    used = Usage(role="solver", model=model, calls=1, requests=2, prompt_tokens=11, completion_tokens=7, usd=0.001, ms=250.0)
    return Entry(place, b"d", kind, asked, {"error": error} if error else {"value": value}, used, salt=17)


def effect(entry: Entry, live: bool = True) -> dict:
    return {"type": "effect", "kind": entry.kind, "role": entry.usage.role, "entry": entry, "live": live}


def events(run_id: str, *between: dict, error: dict | None = None) -> list[dict]:
    """A run of one step `1.solve`."""
    plain = [
        {"type": "run", "method": "self_consistency", "row": "r1"},
        {"type": "step", "step": -1, "ran": [], "next": ["__start__"]},
        {"type": "step", "step": 0, "ran": ["__start__"], "next": ["solve"]},
        *between,
        {"type": "node", "node": "solve"},
        {"type": "step", "step": 1, "ran": ["solve"], "next": []},
        {"type": "end", "status": "failed" if error else "ok", "error": error, "cost_usd": 0.001},
    ]
    return [{"run_id": run_id, **event} for event in plain]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the caller's shell."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def own_settings():
    """Settings of the process that a test may change."""
    before = settings().api_base
    yield
    configure(api_base=before)


class Kept:
    """A listener whose spans stay here."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(provider)

    def hear(self, *heard: dict) -> None:
        for event in heard:
            self.spans(event)

    def named(self, name: str):
        found = [span for span in self._exporter.get_finished_spans() if span.name == name]
        assert len(found) == 1, [span.name for span in self._exporter.get_finished_spans()]
        return found[0]

    def __len__(self) -> int:
        return len(self._exporter.get_finished_spans())


def test_a_run_its_nodes_and_its_calls_are_spans():
    kept = Kept()
    begun = time.time_ns()
    kept.hear(*events("f00", effect(call(temperature=0.7, max_tokens=64, n=3))))
    run, node, chat = kept.named("invoke_agent self_consistency"), kept.named("node solve"), kept.named("chat openai/gpt-4o-mini")
    assert len(kept) == 3
    assert (run.parent, node.parent, chat.parent) == (None, run.context, node.context)
    assert (run.kind, node.kind, chat.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL, SpanKind.CLIENT)
    assert dict(run.attributes) == {
        **{"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "symposia", "gen_ai.agent.name": "self_consistency"},
        **{"gen_ai.conversation.id": "f00", "symposia.run_id": "f00", "symposia.method": "self_consistency", "symposia.row": "r1"},
        **{"symposia.status": "ok", "symposia.cost_usd": 0.001},
    }
    assert dict(node.attributes) == {"symposia.step": 1, "symposia.node": "solve", "symposia.run_id": "f00"}
    assert dict(chat.attributes) == {
        **{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "openai/gpt-4o-mini"},
        **{"gen_ai.request.temperature": 0.7, "gen_ai.request.max_tokens": 64, "gen_ai.request.choice.count": 3},
        **{"gen_ai.request.seed": 17, "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7},
        **{"gen_ai.response.finish_reasons": ("stop",), "gen_ai.conversation.id": "f00"},
        **{"symposia.role": "solver", "symposia.place": "1.solve", "symposia.requests": 2, "symposia.cost_usd": 0.001},
    }
    assert chat.end_time - chat.start_time == 250_000_000
    assert begun <= node.start_time <= chat.end_time <= node.end_time <= run.end_time
    assert {span.status.status_code for span in (run, node, chat)} == {StatusCode.UNSET}


def test_a_failure_is_named_and_not_quoted():
    kept = Kept()
    error = RateLimited(f"429 for {SECRET}", place="1.solve").to_record()
    kept.hear(*events("f00", effect(call(error=error)), error=error))
    for name in ("invoke_agent self_consistency", "chat openai/gpt-4o-mini"):
        span = kept.named(name)
        assert (span.attributes["error.type"], span.status.status_code, span.status.description) == ("RateLimited", StatusCode.ERROR, None)
    assert kept.named("node solve").status.status_code is StatusCode.UNSET


def everything(kept: Kept) -> str:
    return " ".join(span.to_json() for span in kept._exporter.get_finished_spans())


def test_prompts_and_replies_are_in_spans_only_when_asked_for(monkeypatch):
    error = RateLimited(f"429 for {SECRET}").to_record()
    image = {"role": "user", "content": [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "data:x"}}]}
    calls = [effect(call()), effect(call(error=error)), effect(call(model="toy/default", messages=[image]))]
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "false")
    kept = Kept()
    kept.hear(*events("f00", *calls, error=error))
    assert len(kept) == 5
    assert SECRET not in everything(kept)
    assert REPLY not in everything(kept)

    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "True")
    kept = Kept()
    kept.hear(*events("f00", calls[0], calls[2], error=error))
    held = kept.named("chat openai/gpt-4o-mini").attributes
    assert json.loads(held["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": f"Q: {SECRET}"}]}]
    parts = [{"type": "text", "content": REPLY}]
    assert json.loads(held["gen_ai.output.messages"]) == [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]
    seen = json.loads(kept.named("chat toy/default").attributes["gen_ai.input.messages"])
    assert seen[0]["parts"] == [{"type": "text", "content": "See:"}, {"type": "image_url"}]
    assert kept.named("invoke_agent self_consistency").status.description == error["message"]


def test_what_calls_no_model_and_what_is_replayed_has_no_span():
    kept = Kept()
    kept.hear(
        *events("f00", effect(call(), live=False), effect(call(kind="clock", model="")), effect(call(kind="reward", model="reward/m")))
    )
    assert len(kept) == 3
    assert kept.named("reward reward/m").attributes["gen_ai.operation.name"] == "reward"


@pytest.mark.parametrize("place", ["1.solve.b3", "1.solve.s2~1.b0.n4", "1.solve.s1/2.vote.b4"])
def test_a_call_belongs_to_the_node_of_its_place(place):
    kept = Kept()
    kept.hear(*events("f00", effect(call(place))))
    assert kept.named("chat openai/gpt-4o-mini").parent == kept.named("node solve").context


def test_parallel_executions_of_a_node_are_one_span_until_the_last_ends():
    kept = Kept()
    step = {"run_id": "f00", "type": "step", "step": 1, "ran": ["plan"], "next": ["solve", "solve", "vote"]}
    ended = [{"run_id": "f00", "type": "node", "node": name} for name in ("solve", "vote", "solve")]
    kept.hear(events("f00")[0], step, ended[0], ended[1])
    between = time.time_ns()
    kept.hear({"run_id": "f00", **effect(call("2.solve.s1"))}, ended[2], {**step, "step": 2, "next": []})
    solve, vote = kept.named("node solve"), kept.named("node vote")
    assert vote.end_time <= between <= solve.end_time
    assert kept.named("chat openai/gpt-4o-mini").parent == solve.context


def test_a_run_that_ends_in_a_node_closes_it():
    kept = Kept()
    kept.hear(*events("f00")[:3], events("f00")[-1])
    assert kept.named("node solve").end_time <= kept.named("invoke_agent self_consistency").end_time


def test_thousands_of_runs_at_once_leave_nothing_behind():
    kept = Kept()
    runs = [events(f"run{i}", effect(call())) for i in range(1000)]
    for moment in zip(*runs, strict=True):
        kept.hear(*moment)
    assert len(kept) == 3000
    assert not kept.spans.open
    traces = {span.context.trace_id for span in kept._exporter.get_finished_spans()}
    assert len(traces) == 1000, "each run is a trace of its own"
    kept.hear(*runs[0][1:])
    assert len(kept) == 3000, "what comes after the end, or without a beginning, is of no run"


def test_a_run_that_was_cut_off_and_begins_again():
    kept = Kept()
    kept.hear(*events("f00")[:3], *events("f00"))
    ended = [span.attributes["symposia.status"] for span in kept._exporter.get_finished_spans() if span.name.startswith("invoke_agent")]
    assert ended == ["stopped", "ok"]
    assert not kept.spans.open


def test_providers_have_the_names_of_the_conventions(own_settings):
    names = {
        **{"openai/gpt-4o": "openai", "azure/mine": "azure.ai.openai", "bedrock/claude": "aws.bedrock", "gemini/flash": "gcp.gemini"},
        **{"hosted_vllm/qwen": "hosted_vllm", "toy/default": "toy", "gpt-4o-mini": "openai", "nobody-knows": "_OTHER"},
    }
    assert {model: provider_of(model) for model in names} == names
    configure(api_base="http://127.0.0.1:1/v1")
    assert [provider_of(model) for model in ("qwen", "org/qwen", "openai/x", "anthropic/claude")] == [
        *("openai_compatible", "openai_compatible", "openai", "anthropic"),
    ]


async def test_a_real_run_and_its_replay_after_a_pause(sqlite):
    kept = Kept()
    given = {"model": "toy/default", "seed": 1, "params": {"max_rounds": 1}}
    record = new_record("self_refine", {**given.pop("params"), **given}, {"question": "What is 17 + 4 * 3?"}, pause_before=["finish"])
    paused = await start(sqlite, record, on_event=kept.spans)
    assert paused.status == "paused"
    spans = kept._exporter.get_finished_spans()
    calls = [span for span in spans if span.name == "chat toy/default"]
    nodes = {span.context.span_id: span.attributes for span in spans if span.name.startswith("node ")}
    assert len(calls) == paused.calls["live"] > 0
    for span in calls:
        node = nodes[span.parent.span_id]
        assert span.attributes["symposia.place"].startswith(f"{node['symposia.step']}.{node['symposia.node']}")
    ended = await resume(sqlite, record["run_id"], on_event=kept.spans)
    again = kept._exporter.get_finished_spans()[len(spans) :]
    assert ended.status == "ok"
    assert not [span for span in again if span.name.startswith("chat")], "what is read from the journal is no call"
    assert "node finish" in {span.name for span in again}
    assert [s.attributes["symposia.status"] for s in (*spans, *again) if s.name.startswith("invoke_agent")] == ["paused", "ok"]
    assert not kept.spans.open


# -- where they go ----------------------------------------------------------------------------------------------------------------------


def test_it_is_off_unless_asked_for(monkeypatch):
    assert telemetry() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert telemetry(enabled=False) is None
    for name, value in (("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")):
        with monkeypatch.context() as here:
            here.setenv(name, value)
            assert telemetry() is None


def test_a_missing_package_is_a_note_and_no_failure(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    module._say_once.cache_clear()
    module._own_provider.cache_clear()
    assert telemetry() is None
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:1")
    assert [telemetry(), telemetry()] == [None, None]
    assert capsys.readouterr().err.count("pip install 'symposia[otel]'") == 1
    with pytest.raises(BadInput, match="not installed"):
        telemetry(enabled=True)


def test_another_protocol_is_a_note(monkeypatch, capsys):
    module._say_once.cache_clear()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert telemetry() is None
    assert "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" in capsys.readouterr().err


SENDER = """
import json, sys
from symposia.state.store import Entry, Usage
from symposia.telemetry import telemetry
listen = telemetry()
for event in json.load(sys.stdin):
    if event["type"] == "effect":
        event["entry"] = Entry(**{**event["entry"], "digest": b"d", "usage": Usage(**event["entry"]["usage"])})
    listen(event)
"""

HOST = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
with provider.get_tracer("host").start_as_current_span("request"):
"""


async def python(script: str, heard: list[dict], **variables: str) -> str:
    """What a process prints that is given the events."""
    plain = [
        {**event, "entry": {**vars_of(event["entry"]), "usage": vars_of(event["entry"].usage)}} if "entry" in event else event
        for event in heard
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **variables},
    )
    out, err = await process.communicate(json.dumps(plain).encode())
    assert process.returncode == 0, err.decode()
    assert err == b""
    return out.decode()


def vars_of(value) -> dict:
    return {name: getattr(value, name) for name in value.__slots__ if name not in ("digest", "seq", "usage")}


async def test_an_otlp_receiver_gets_the_spans_when_the_process_ends():
    received: list[ExportTraceServiceRequest] = []

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        received.append(ExportTraceServiceRequest.FromString(body if body[:2] != b"\x1f\x8b" else gzip.decompress(body)))
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        await python(SENDER, events("f00", effect(call())), OTEL_EXPORTER_OTLP_ENDPOINT=address, SYMPOSIA_API_KEY="sk-secret")
    finally:
        await runner.cleanup()
    resources = [resource for request in received for resource in request.resource_spans]
    spans = {span.name: span for resource in resources for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"invoke_agent self_consistency", "node solve", "chat openai/gpt-4o-mini"}
    chat, node = spans["chat openai/gpt-4o-mini"], spans["node solve"]
    assert (chat.trace_id, chat.parent_span_id) == (node.trace_id, node.span_id)
    assert chat.end_time_unix_nano - chat.start_time_unix_nano == 250_000_000
    held = {attribute.key: attribute.value for attribute in chat.attributes}
    assert held["gen_ai.usage.input_tokens"].int_value == 11
    names = {a.key: a.value.string_value for a in resources[0].resource.attributes}
    assert names["service.name"] == "symposia"
    assert not any(secret in str(received) for secret in (SECRET, REPLY, "sk-secret"))


async def test_a_host_application_gets_the_spans_inside_its_own():
    indented = "".join(f"    {line}\n" for line in SENDER.splitlines())
    show = "print(json.dumps([[s.name, s.parent is not None] for s in kept.get_finished_spans()]))"
    out = await python(HOST + indented + show, events("f00", effect(call())))
    names = [["chat openai/gpt-4o-mini", True], ["node solve", True], ["invoke_agent self_consistency", True], ["request", False]]
    assert json.loads(out) == names
