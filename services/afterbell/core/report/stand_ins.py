"""The sentence that stands where a text of the writer's may not be shown."""

from typing import Final

from afterbell.core.translation import gettext_noop, wording

_STAND_INS: Final = {
    "headline": gettext_noop("What this lesson worked on"),
    "parent_summary": gettext_noop(
        "The topics below show what this lesson worked on. Your child and the tutor can tell you more."
    ),
    "student_note": gettext_noop("Have a look at the topics below and tell someone at home about one of them."),
    "tutor_note": gettext_noop("See the claims and the messages they cite; a note of its own could not be written."),
}
_ELSEWHERE: Final = gettext_noop("See the messages cited.")


def stand_in(name: str, language: str) -> str:
    """What stands for the field ``name`` of a narrative that is written in ``language``."""
    return wording(language).gettext(_STAND_INS.get(name, _ELSEWHERE))
