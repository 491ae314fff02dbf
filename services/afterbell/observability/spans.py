"""Steps of a request's trace, handed to whatever listens: ``export.py`` sends them to an OpenTelemetry collector.

The ids are ours (``core/trace.py``), which the log, the record and the model's provider have as well; what is exported
are steps that have ended, so a span costs nothing while it lasts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time_ns
from typing import Any, Final, Literal

from afterbell.core.trace import Trace

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
def sent_to(sink: Sink) -> Iterator[None]:
    """Hand every span that ends in the block to ``sink``."""
    _sinks.append(sink)
    try:
        yield
    finally:
        _sinks.remove(sink)


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
    """Hand over a step that has ended, if anything listens."""
    for sink in _sinks:
        sink(ended)
