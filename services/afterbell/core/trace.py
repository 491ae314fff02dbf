"""Which requests belong together, as W3C Trace Context tells it: one id from a client's request to the model's call.

traceparent: 00-<trace id, 32 hex digits>-<span id, 16>-<flags, 2>      https://www.w3.org/TR/trace-context/
"""

import re
from dataclasses import dataclass, replace
from typing import Final

TRACE_BYTES: Final = 16
SPAN_BYTES: Final = 8
_HEADER: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trace:
    """A place in a trace; ids are lower-case hex digits, ``flags`` two of them (01: recorded)."""

    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def header(self) -> str:
        """The value of ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def child(self, fresh: bytes) -> "Trace":
        """The next step of the same trace; ``fresh`` are SPAN_BYTES random bytes."""
        return replace(self, span_id=fresh.hex())


def read(header: str | None) -> Trace | None:
    """What a header says; None where it is none or breaks the specification."""
    match = _HEADER.fullmatch(header or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or not int(trace_id, 16) or not int(span_id, 16) or (version == "00" and more):
        return None
    return Trace(trace_id, span_id, flags)


def begun(fresh: bytes) -> Trace:
    """A new trace; ``fresh`` are TRACE_BYTES + SPAN_BYTES random bytes."""
    return Trace(fresh[:TRACE_BYTES].hex(), fresh[TRACE_BYTES:].hex())
