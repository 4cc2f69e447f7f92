"""Traces and logs: one trace from the HTTP request to the notification.

Without an exporter nothing is recorded and the SDK is not even imported, but trace
ids are still made and carried, so that logs and messages can be joined.
"""

import json
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.kernel.settings import ServiceSettings

METRICS_SECONDS = 15

_PROPAGATOR = TraceContextTextMapPropagator()
_LOG_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "action"}
_tracer: trace.Tracer | None = None
"""Set by ``configure`` when an exporter is named; None records nothing."""


def configure(service: str, settings: ServiceSettings) -> None:
    """Set up JSON logs on stderr, and traces and metrics for the exporter the settings name."""
    _configure_logs(service, settings.log_level)
    if settings.telemetry_exporter != "none":
        _configure_traces(service, settings)
        _configure_metrics(service, settings)


def flush() -> None:
    """Hand what is recorded to the exporters; called once, at the end of a process."""
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        shutdown = getattr(provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def _configure_traces(service: str, settings: ServiceSettings) -> None:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    exporter: SpanExporter
    if settings.telemetry_exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint}/v1/traces")
    else:
        directory = Path(settings.telemetry_directory)
        directory.mkdir(parents=True, exist_ok=True)
        exporter = ConsoleSpanExporter(
            out=(directory / f"{service}.jsonl").open("a", encoding="utf-8"),
            formatter=lambda span: span.to_json(indent=None) + "\n",
        )
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    global _tracer  # one per process, set once at start
    _tracer = provider.get_tracer("querycraft")


def _configure_metrics(service: str, settings: ServiceSettings) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    exporter: MetricExporter
    if settings.telemetry_exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        exporter = OTLPMetricExporter(endpoint=f"{settings.otlp_endpoint}/v1/metrics")
    else:
        exporter = ConsoleMetricExporter(
            out=(Path(settings.telemetry_directory) / f"{service}.metrics.jsonl").open("a", encoding="utf-8"),
            formatter=lambda data: data.to_json(indent=None) + "\n",
        )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=METRICS_SECONDS * 1000)
    metrics.set_meter_provider(MeterProvider([reader], resource=Resource.create({"service.name": service})))


@contextmanager
def span(
    name: str,
    *,
    parent: str = "",
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: dict[str, Any] | None = None,
) -> Iterator[Span]:
    """Run the body inside a span; ``parent`` is a W3C traceparent, else the current span is the parent."""
    surrounding = _PROPAGATOR.extract({"traceparent": parent}) if parent else context.get_current()
    if _tracer is None:
        made: Span = NonRecordingSpan(_child_context(trace.get_current_span(surrounding).get_span_context()))
        with trace.use_span(made):
            yield made
        return
    with _tracer.start_as_current_span(name, context=surrounding, kind=kind, attributes=attributes) as recorded:
        yield recorded


def _child_context(parent: SpanContext) -> SpanContext:
    trace_id = parent.trace_id if parent.is_valid else secrets.randbits(128) or 1
    return SpanContext(trace_id, secrets.randbits(64) or 1, is_remote=False, trace_flags=TraceFlags(0))


def note(name: str, *, parent: str, kind: SpanKind = SpanKind.INTERNAL) -> None:
    """Record a moment of the trace ``parent`` belongs to; costs nothing while nothing is recorded."""
    if _tracer is not None and parent:
        _tracer.start_span(name, context=_PROPAGATOR.extract({"traceparent": parent}), kind=kind).end()


def current_traceparent() -> str:
    """The W3C traceparent of the current span, or an empty string outside any."""
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return ""
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{int(current.trace_flags):02x}"


def current_trace_id() -> str:
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else ""


class JsonLogFormatter(logging.Formatter):
    """One JSON object a line, keyed by a stable ``action``; severity names are Cloud Logging's."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "severity": record.levelname,
            "service": self._service,
            "action": getattr(record, "action", record.name),
            "message": record.getMessage(),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        line.update({name: value for name, value in vars(record).items() if name not in _LOG_RECORD_FIELDS})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _configure_logs(service: str, level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLogFormatter(service))
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each.formatter, JsonLogFormatter)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("uvicorn.error", "httpx"):
        # At INFO these write whole addresses, and a WebSocket's or a webhook's may hold a secret.
        logging.getLogger(chatty).setLevel(logging.WARNING)
