"""Trace ids travel even when nothing is recorded; logs are JSON keyed by an action."""

import json
import logging

from services.kernel import telemetry
from services.kernel.telemetry import JsonLogFormatter

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_span_joins_the_trace_it_is_given_and_outside_any_span_there_is_none() -> None:
    assert telemetry.current_traceparent() == ""
    with telemetry.span("outer", parent=PARENT):
        outer = telemetry.current_traceparent()
        with telemetry.span("inner"):
            inner = telemetry.current_traceparent()
    assert outer.split("-")[1] == inner.split("-")[1] == PARENT.split("-")[1]
    assert len({outer.split("-")[2], inner.split("-")[2], PARENT.split("-")[2]}) == 3


def test_a_span_without_parent_begins_a_trace() -> None:
    with telemetry.span("one"):
        first = telemetry.current_trace_id()
    with telemetry.span("two"):
        second = telemetry.current_trace_id()
    assert first != second
    assert len(first) == 32


def test_a_broken_traceparent_begins_a_new_trace() -> None:
    with telemetry.span("one", parent="nonsense"):
        assert len(telemetry.current_trace_id()) == 32


def test_a_log_line_is_json_with_action_ids_and_trace() -> None:
    record = logging.LogRecord("services.x", logging.WARNING, __file__, 1, "job %s", ("j-1",), None)
    record.__dict__.update({"action": "job.failed", "job_id": "j-1"})
    with telemetry.span("one", parent=PARENT):
        line = json.loads(JsonLogFormatter("grader").format(record))
    assert line["action"] == "job.failed"
    assert line["job_id"] == "j-1"
    assert line["message"] == "job j-1"
    assert line["severity"] == "WARNING"
    assert line["trace_id"] == PARENT.split("-")[1]
