"""Stretches of a text that hold something, and how several finders share a text."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Something of a ``kind`` ("EMAIL", a person's label) stands from ``start`` to before ``end``."""

    start: int
    end: int
    kind: str


def apart(spans: Iterable[TextSpan], text: str) -> list[TextSpan]:
    """The spans in the order of the text, none over another: of two the one given first keeps what both cover."""
    given = list(spans)
    if len(given) < 2:
        return given
    taken = bytearray(len(text))
    kept = [part for span in given for part in _free(span, taken, text)]
    return sorted(kept, key=lambda span: span.start)


def _free(span: TextSpan, taken: bytearray, text: str) -> Iterator[TextSpan]:
    """The parts of a span that nothing has taken yet, which are taken now; what holds no letter or digit is dropped."""
    start = span.start
    while start < span.end:
        end = taken.find(1, start, span.end)
        end = span.end if end < 0 else end
        if any(map(str.isalnum, text[start:end])):
            taken[start:end] = b"\1" * (end - start)
            yield TextSpan(start, end, span.kind)
        start = taken.find(0, max(end, start + 1), span.end) if end < span.end else span.end
        if start < 0:
            return
