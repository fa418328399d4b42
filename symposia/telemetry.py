"""Where OpenTelemetry spans of runs go: to the host application's tracer provider, or over OTLP to the endpoint of the environment."""

import os
import sys
from functools import cache
from typing import Any

from symposia.execution import Listener
from symposia.spans import Spans
from symposia.state.errors import BadInput

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_QUEUE = 16_384  # spans that wait to be sent: a batch makes thousands a second, and the default of 2,048 would drop some


def telemetry(enabled: bool | None = None) -> Listener | None:
    """A listener that makes spans of a run's events; None when nobody asks for any.

    Spans go to the host application's tracer provider when it has set one, else to `OTEL_EXPORTER_OTLP_ENDPOINT` (or its form for traces)
    as OTLP over HTTP, in batches, the last when the process ends. `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` turn it off.

    Args:
        enabled: False for never; True demands it, also without an endpoint named, which then is OpenTelemetry's default, port 4318 here.

    Raises:
        BadInput: It is demanded, and the package for it is missing.
    """
    off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if enabled is False or off:
        return None
    if (host := _host_provider()) is not None:
        return Spans(host)
    if not enabled and (not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_TRACES_EXPORTER") == "none"):
        return None
    protocol = next((os.environ[name] for name in _PROTOCOLS if os.environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        _say_once(f"no spans are sent: the protocol {protocol} is asked for, and Symposia sends http/protobuf; set {_PROTOCOLS[0]}")
        return None
    try:
        return Spans(_own_provider())
    except ImportError:
        if enabled:
            raise BadInput("OpenTelemetry is not installed", remedy="pip install 'symposia[otel]'") from None
        _say_once("no spans are sent: OpenTelemetry is not installed; pip install 'symposia[otel]'")
        return None


def _host_provider() -> Any:
    """The tracer provider that the application around us has set, if any; a host that has set one has imported the package."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


@cache
def _own_provider() -> Any:
    """A tracer provider of ours, one per process; the package sends what is left when the process ends."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": "symposia"}))
    queue = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or _QUEUE)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=queue))
    return provider


@cache
def _say_once(line: str) -> None:
    from symposia.output import say

    say(line)
