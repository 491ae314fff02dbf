"""What of a turn may be quoted in which something does not belong in a lesson.

"You are stupid. 3/4 of 12 is 9." has an insult in it, which the staff read, and an answer, which is the child's own.
The answer counts like any other; what is quoted of such a turn is the longest stretch of it without the other words.
"""

import re
from typing import Final

from afterbell.core.safety.safeguarding import topics_named

_CLAUSE: Final = re.compile(r"(?:[^.!?…,;:\n।؟。！？，；]|[.,:](?=\S))+[.!?…,;:।؟。！？，；]*")  # noqa: RUF001


def fit_part(text: str) -> str:
    """The longest stretch of a text without such words: all of it for nearly every text, "" where none is left."""
    if not topics_named(text):
        return text
    runs: list[str] = [""]
    for clause in _CLAUSE.finditer(text):
        if topics_named(clause[0]):
            runs.append("")
        else:
            start = clause.start() if not runs[-1] else text.index(runs[-1])
            runs[-1] = text[start : clause.end()]
    longest = max(runs, key=len).strip(" ,;:\n")
    # What is harmless by halves may not be as a whole.
    return "" if topics_named(longest) else longest


def unfit_parts(text: str) -> list[str]:
    """The stretches of a text around its fit part."""
    before, _, after = text.partition(fit_part(text) or "\0")
    return [part for part in (before, after) if part.strip()]
