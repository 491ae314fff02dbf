"""Steps of a request's trace, told to an OpenTelemetry collector where one is named; else we import none of it.

The ids are ours (``core/trace.py``), which the log, the record and the model's provider have as well; what is exported
are steps that have ended, so a span costs nothing while it lasts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Final, Literal

from afterbell.core.errors import SettingsError
from afterbell.core.trace import Trace
from afterbell.settings import TelemetrySettings

Kind = Literal["server", "client", "consumer", "internal"]


@dataclass(slots=True)
class Span:
    """One step: ``trace`` has its own id, ``parent`` that of the step it belongs to. Times are ns since 1970."""

    name: str
    kind: Kind
    trace: Trace
    parent: Trace | None
    started_ns: int
    ended_ns: int = 0
    failed: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


Sink = Callable[[Span], None]
_sinks: Final[list[Sink]] = []


@contextmanager
def exporting(settings: TelemetrySettings, service: str) -> Iterator[None]:
    """Tell the collector of every span that ends in the block; the last ones at its end.

    Raises SettingsError where a collector is named and the extra is not installed.
    """
    if not settings.exports_spans:
        yield
        return
    try:
        from afterbell.observability.otel import Exporter
    except ModuleNotFoundError as missing:
        text = f"a collector is named, but there is no {missing.name}: pip install 'afterbell[otel]'"
        raise SettingsError(text, field="OTEL_EXPORTER_OTLP_ENDPOINT") from None
    exporter = Exporter(service)
    _sinks.append(exporter.send)
    try:
        yield
    finally:
        _sinks.remove(exporter.send)
        exporter.close()


@contextmanager
def span(name: str, kind: Kind, trace: Trace, parent: Trace | None, **facts: Any) -> Iterator[Span]:
    """The block as a step; an error that leaves it is the step's."""
    now = Span(name, kind, trace, parent, time_ns(), facts=facts)
    try:
        yield now
    except BaseException as error:
        now.failed = type(error).__name__
        raise
    finally:
        now.ended_ns = time_ns()
        tell(now)


def tell(ended: Span) -> None:
    """Export a step that has ended, if anybody listens."""
    for sink in _sinks:
        sink(ended)
