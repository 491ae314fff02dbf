"""One narrative out of those of a session's parts."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final, TypeVar

from afterbell.core.narrative import Narrative

T = TypeVar("T")

_MOST: Final = {
    "topics": 6,
    "skills": 8,
    "misconceptions": 5,
    "strengths": 4,
    "open_questions": 5,
    "actions": 6,
    "concerns": 10,
    "insufficient_evidence": 8,
    "goal_evidence": 3,
}


def merged(parts: Sequence[Narrative]) -> Narrative:
    """The claims of all parts in turns, so that the middle is heard too; prose and goal of the last one."""
    lists: dict[str, Any] = {
        name: _in_turns([getattr(part, name) for part in parts])[:most] for name, most in _MOST.items()
    }
    # The last word on each student, as on the whole.
    lists["per_student"] = tuple({entry.student: entry for part in parts for entry in part.per_student}.values())
    last = parts[-1]
    if last.goal_progress == "not_discussed":
        lists["goal_evidence"] = ()
    return replace(last, **lists)


def _in_turns(lists: Sequence[tuple[T, ...]]) -> tuple[T, ...]:
    rounds = zip_longest(*lists)
    return tuple(dict.fromkeys(item for taken in rounds for item in taken if item is not None))
