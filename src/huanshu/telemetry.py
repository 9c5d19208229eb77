"""OpenTelemetry, in one place: span names are given by callers, attributes are names and counts only.

Nothing is exported unless the settings name an OTLP endpoint (invariant 10). A span never carries a value
of a field, an identifier of a resident, a key or a URL; exceptions are recorded by class name alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode

_tracer = trace.get_tracer("huanshu")


@contextmanager
def span(name: str, **attributes: str | int | bool) -> Iterator[Span]:
    """A span whose attributes are prefixed ``huanshu.``; an exception marks it by class, without text."""
    named = {f"huanshu.{key}": value for key, value in attributes.items()}
    with _tracer.start_as_current_span(
        name, attributes=named, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def trace_id() -> str | None:
    """The current trace id, 32 hex digits, or None outside a recording trace."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


def export_to(endpoint: str) -> None:
    """Send spans by OTLP over HTTP to ``endpoint``. Call once per process, before the first span."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "huanshu"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
