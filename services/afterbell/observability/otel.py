"""Our spans in OpenTelemetry's words, sent over OTLP/HTTP. Imported only where a collector is named.

Where to, headers, timeout, compression and resource attributes are those of the standard variables ``OTEL_…``, which
the SDK reads itself. It batches in a thread of its own and drops what a collector that is away does not take.
"""

from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from afterbell import __version__
from afterbell.core.trace import Trace
from afterbell.observability.spans import Kind, Span

_KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}
CLOSE_MS: Final = 5_000


class Exporter:
    """Sends spans of one process, named ``service`` unless OTEL_SERVICE_NAME names it."""

    def __init__(self, service: str) -> None:
        ours = Resource({SERVICE_NAME: service, SERVICE_VERSION: __version__})
        self._resource = ours.merge(OTELResourceDetector().detect())
        self._processor = BatchSpanProcessor(OTLPSpanExporter())

    def send(self, span: Span) -> None:
        """Put it into the next batch."""
        status = Status(StatusCode.ERROR, span.failed) if span.failed else Status()
        exported = ReadableSpan(
            span.name,
            context=_context(span.trace),
            parent=None if span.parent is None else _context(span.parent),
            resource=self._resource,
            attributes={name: value for name, value in span.facts.items() if value is not None},
            kind=_KINDS[span.kind],
            status=status,
            start_time=span.started_ns,
            end_time=span.ended_ns,
        )
        self._processor.on_end(exported)

    def close(self) -> None:
        """Send what is left; wait no longer than CLOSE_MS."""
        self._processor.force_flush(CLOSE_MS)
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def _context(trace: Trace) -> SpanContext:
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=False, trace_flags=TraceFlags(1))
