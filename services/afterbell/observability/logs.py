"""Structured logs: constant event names, facts as fields. JSON in production, readable lines in development."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

import structlog

from afterbell.core.report.attempt_log import Line, TryLog

# Bound once for a whole try: whoever reads its lines knows them already.
_SAME_IN_ALL: Final = frozenset({"job_id", "attempt", "tenant_id", "session_id", "trace_id"})
_kept: ContextVar[TryLog | None] = ContextVar("afterbell_try_log", default=None)


def configure(level: str = "info", style: Literal["json", "text"] = "text") -> None:
    """Set up logging for this process, once. Everything goes to standard error: standard output is for results."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=32,
            # The pretty one prints every local variable: tokens, passwords, what was said.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        keep,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Their info lines repeat ours: one line a request and one a task.
    for noisy in ("uvicorn", "uvicorn.access", "uvicorn.error", "taskiq", "httpx2", "openai", "alembic"):
        logging.getLogger(noisy).setLevel("WARNING")
        logging.getLogger(noisy).handlers.clear()
        logging.getLogger(noisy).propagate = True


@contextmanager
def keeping(**ids: object) -> Iterator[None]:
    """Within it, every line carries ``ids`` and is kept for ``kept_lines``."""
    token = _kept.set(TryLog())
    try:
        with structlog.contextvars.bound_contextvars(**ids):
            yield
    finally:
        _kept.reset(token)


def kept_lines() -> list[Line]:
    """The lines of this try so far; none outside of ``keeping``."""
    log = _kept.get()
    return [] if log is None else log.lines()


def keep(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A step of every line's way: a copy for the try it belongs to."""
    log = _kept.get()
    if log is not None:
        log.add({name: value for name, value in event.items() if name not in _SAME_IN_ALL and name[:1] != "_"})
    return event
