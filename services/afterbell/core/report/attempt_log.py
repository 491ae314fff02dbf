"""The log lines of one try, kept with it: few, cut, and harmless for a row of PostgreSQL and for a terminal.

The first lines say how a try began, the last ones how it ended; of a long one the middle is left out and counted.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

LINES_MAX: Final = 100
BYTES_MAX: Final = 16 * 1024
FIELD_CHARS_MAX: Final = 2_000
FIELDS_MAX: Final = 20
# Half for the beginning, half for the end; the line that counts what is left out needs room as well.
_HALF_LINES: Final = (LINES_MAX - 1) // 2
_HALF_BYTES: Final = (BYTES_MAX - 256) // 2
_LINE_OVERHEAD_BYTES: Final = 8

Line = dict[str, str]


class TryLog:
    """At most LINES_MAX lines of BYTES_MAX bytes together, as they would be sent: UTF-8, escapes counted."""

    def __init__(self) -> None:
        self._first: list[Line] = []
        self._last: deque[Line] = deque()
        self._first_bytes = self._last_bytes = self._left_out = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Keep a line: ``event`` and its fields, each as a text of at most FIELD_CHARS_MAX characters."""
        kept = {harmless(str(name), 100): harmless(str(value)) for name, value in list(line.items())[:FIELDS_MAX]}
        size = _bytes_of(kept)
        while size > _HALF_BYTES:
            kept.pop(max(kept, key=lambda name: len(kept[name])))
            size = _bytes_of(kept)
        if not self._last and len(self._first) < _HALF_LINES and self._first_bytes + size <= _HALF_BYTES:
            self._first.append(kept)
            self._first_bytes += size
            return
        self._last.append(kept)
        self._last_bytes += size
        while len(self._last) > _HALF_LINES or self._last_bytes > _HALF_BYTES:
            self._last_bytes -= _bytes_of(self._last.popleft())
            self._left_out += 1

    def lines(self) -> list[Line]:
        """What is kept, oldest first."""
        gap = [{"event": "lines_left_out", "lines": str(self._left_out)}] if self._left_out else []
        return [*self._first, *gap, *self._last]


def harmless(text: str, chars_max: int = FIELD_CHARS_MAX) -> str:
    """Cut in the middle, for a stack's end says most; control characters, half surrogates and direction marks written
    out. Line breaks and tabs stay.
    """
    cut = text
    if (over := len(text) - chars_max) > 0:
        cut = f"{text[: chars_max // 4]} …{over} characters cut… {text[-(chars_max - chars_max // 4) :]}"
    return visible(cut, "\n\t")


def visible(text: str, left: str = "") -> str:
    """With what is not printable written out, but for the characters in ``left``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in left else repr(char)[1:-1] for char in text)


def _bytes_of(line: Line) -> int:
    # Each quote, backslash and line break is written with one character more.
    texts = [text for pair in line.items() for text in pair]
    escapes = sum(text.count(char) for text in texts for char in '"\\\n\t')
    return sum(len(text.encode()) + _LINE_OVERHEAD_BYTES // 2 for text in texts) + escapes + 2
