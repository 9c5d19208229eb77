"""Traces carry names and counts: never the text of an exception, which might hold a value."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from huanshu import telemetry


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "_tracer", provider.get_tracer("test"))
    return exporter


def test_an_exception_leaves_its_class_and_not_its_text(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="canary"), telemetry.span("huanshu.test", flow="f", records=3):
        raise ValueError("canary-13800000000")
    (span,) = spans.get_finished_spans()
    assert "canary" not in span.to_json()
    assert span.status.description == "ValueError"
    assert dict(span.attributes or {}) == {"huanshu.flow": "f", "huanshu.records": 3}
    assert span.events == ()


def test_the_trace_id_is_that_of_the_span(spans: InMemorySpanExporter) -> None:
    assert telemetry.trace_id() is None
    with telemetry.span("huanshu.test"):
        told = telemetry.trace_id()
        assert told == format(trace.get_current_span().get_span_context().trace_id, "032x")
    assert len(spans.get_finished_spans()) == 1


def test_a_trace_goes_on_in_another_process_by_traceparent(spans: InMemorySpanExporter) -> None:
    with telemetry.span("here"):
        parent = telemetry.traceparent()
        mine = telemetry.trace_id()
    with telemetry.continued(parent), telemetry.span("there"):
        assert telemetry.trace_id() == mine
    here, there = spans.get_finished_spans()
    assert there.parent is not None
    assert there.parent.span_id == here.context.span_id


@pytest.mark.parametrize("parent", [None, 7, "", "00-xx-yy-01", "\r\n", {"a": 1}])
def test_a_parent_that_names_no_span_is_ignored(parent: object, spans: InMemorySpanExporter) -> None:
    with telemetry.continued(parent), telemetry.span("alone"):
        pass
    (alone,) = spans.get_finished_spans()
    assert alone.parent is None
