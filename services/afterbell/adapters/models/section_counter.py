"""Honest progress: the sections of an answer that are finished, counted while its JSON streams in."""

from dataclasses import fields
from typing import Final

from afterbell.adapters.models.answer import ModelProgress
from afterbell.core.narrative import Narrative

SECTIONS_TOTAL: Final = len(fields(Narrative))


class SectionCounter:
    """Counts finished top-level fields of one JSON object, each character looked at once.

    A comma at depth 1 finishes a field, the brace that closes the object finishes the last. Whether the JSON
    is valid is not asked here: the count only has to be right for answers that turn out to be.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._fields = 0

    def feed(self, piece: str) -> ModelProgress:
        """Take the next piece of the stream, however it was cut."""
        for char in piece:
            if self._in_string:
                self._within_string(char)
            else:
                self._outside_string(char)
        return ModelProgress(min(self._fields, SECTIONS_TOTAL), SECTIONS_TOTAL)

    def _within_string(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False

    def _outside_string(self, char: str) -> None:
        if char == '"':
            self._in_string = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
            self._fields += self._depth == 0
        elif char == ",":
            self._fields += self._depth == 1
