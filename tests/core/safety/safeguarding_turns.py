"""Turns that somebody should look at, and ordinary ones of lessons: all written for these tests, a turn a line.

The lexicons were written with ``worrying`` and ``ordinary`` at hand; the weights of ``disclosures`` are learned from
``indirect`` and ``lookalikes`` as well. The two sets held back are for measuring: no rule is made with them at hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from afterbell.core.safety.safeguarding import alarms_in
from afterbell.core.session import Participant, Transcript, Turn

HERE: Final = Path(__file__).parent


def _read(name: str) -> Iterator[tuple[str, str]]:
    language = ""
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        else:
            yield language, line


WORRYING: Final = list(_read("worrying.txt"))
"""(language, turn)."""
ORDINARY: Final = list(_read("ordinary.txt"))
"""(language, turn)."""
INDIRECT: Final = list(_read("indirect.txt"))
"""(language, turn) of disclosures that name nothing outright."""
INDIRECT_HELD_BACK: Final = list(_read("indirect_heldback.txt"))
"""(language, turn)."""
LOOKALIKES: Final = list(_read("lookalikes.txt"))
"""(language, turn) of ordinary turns in the words of disclosures: of books, wars, jokes, families."""
LOOKALIKES_HELD_BACK: Final = list(_read("lookalikes_heldback.txt"))
"""(language, turn)."""


def topics_of(text: str) -> list[str]:
    """The topics of the concerns that a student's turn raises."""
    session = Transcript("x", None, None, (), (Turn("t1", Participant("s", "student", "S"), text),))
    return [alarm.topic for alarm in alarms_in(session) if alarm.is_for_staff]
