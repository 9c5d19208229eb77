"""OpenTelemetry, in one place: span names are given by callers, attributes are names and counts only.

Nothing is exported unless the settings name an OTLP endpoint (invariant 10). A span never carries a value
of a field, an identifier of a resident, a key or a URL; exceptions are recorded by class name alone.

A trace crosses to the keeper as a W3C ``traceparent`` beside the request, so that the entry a task causes bears
the task's own trace id. It is a hint for people who look for the way of an entry, never evidence: a client may
send any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_tracer = trace.get_tracer("huanshu")
_propagator = TraceContextTextMapPropagator()


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
    current = trace.get_current_span().get_span_context()
    return format(current.trace_id, "032x") if current.is_valid else None


def traceparent() -> str | None:
    """The current span for another process (W3C Trace Context, ``traceparent``), or None outside a trace."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def continued(parent: object) -> Iterator[None]:
    """Spans inside are children of the span another process named; anything that names none is ignored."""
    carrier: Mapping[str, str] = {"traceparent": parent} if isinstance(parent, str) else {}
    attached = context.attach(_propagator.extract(carrier))
    try:
        yield
    finally:
        context.detach(attached)


def export_to(endpoint: str) -> None:
    """Send spans by OTLP over HTTP to ``endpoint``. A process that has a provider already (a task that Airflow
    traces) keeps it: its spans and ours then make one trace."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    provider = TracerProvider(resource=Resource.create({"service.name": "huanshu"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


def flush() -> None:
    """Hand on what is recorded. A task's process ends without the interpreter's own clean-up."""
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.force_flush(2_000)
