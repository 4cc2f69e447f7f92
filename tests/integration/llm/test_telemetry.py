"""A call as traces and metrics see it."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from scripts.emulators import gemini as says
from scripts.emulators.gemini import GeminiStub
from services.kernel import metrics, telemetry
from tests.integration.llm.conftest import CALLER, MakeRouter
from tests.integration.llm.test_router import GOOD, ask


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


async def test_a_call_is_a_span_with_the_gen_ai_conventions(
    stub: GeminiStub, make_router: MakeRouter, spans: InMemorySpanExporter
) -> None:
    stub.play(says.good(GOOD, served="first-001", prompt=90, candidates=20, thought=30, cached=40, tool=5))
    with telemetry.span("job"):
        await make_router().ask(ask(), CALLER, time.monotonic() + 10)
    call, job = spans.get_finished_spans()
    assert (call.name, call.kind) == ("generate_content first", SpanKind.CLIENT)
    assert call.parent is not None
    assert call.parent.span_id == job.context.span_id
    assert call.attributes is not None
    assert {k: v for k, v in call.attributes.items() if k.startswith("gen_ai")} == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "first",
        "gen_ai.request.max_tokens": 200,
        "gen_ai.request.temperature": 0.4,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "first-001",
        "gen_ai.response.finish_reasons": ("STOP",),
        "gen_ai.usage.input_tokens": 95,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 40,
    }


async def test_a_failed_call_is_a_failed_span(
    stub: GeminiStub, make_router: MakeRouter, spans: InMemorySpanExporter
) -> None:
    stub.play(says.per_day(), model="first")
    stub.play(says.good(GOOD), model="second")
    await make_router().ask(ask(), CALLER, time.monotonic() + 10)
    failed, _ = spans.get_finished_spans()
    assert failed.attributes is not None
    assert (failed.status.status_code, failed.attributes["error.type"]) == (StatusCode.ERROR, "quota_spent")


async def test_calls_tokens_and_offline_answers_are_counted(
    stub: GeminiStub, make_router: MakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    meter = provider.get_meter("test")
    monkeypatch.setattr(metrics, "MODEL_CALLS", meter.create_counter("calls"))
    monkeypatch.setattr(metrics, "MODEL_OFFLINE", meter.create_counter("offline"))
    monkeypatch.setattr(metrics, "MODEL_TOKENS", meter.create_histogram("tokens"))
    stub.play(says.limit_zero(), model="first")
    stub.play(says.not_json(), says.not_json(), model="second")
    await make_router().ask(ask(), CALLER, time.monotonic() + 10)
    data = reader.get_metrics_data()
    assert data is not None
    found = {m.name: list(m.data.data_points) for m in data.resource_metrics[0].scope_metrics[0].metrics}
    outcomes = {
        (str(p.attributes["gen_ai.request.model"]), str(p.attributes["outcome"])): p.value for p in found["calls"]
    }
    assert outcomes == {("first", "no_quota"): 1, ("second", "invalid_output"): 2}
    [offline] = found["offline"]
    assert (offline.value, offline.attributes["reason"]) == (1, "invalid_output")
    spent = {(p.attributes["gen_ai.request.model"], p.attributes["gen_ai.token.type"]): p.sum for p in found["tokens"]}
    assert spent[("second", "input")] == 200
    provider.shutdown()
