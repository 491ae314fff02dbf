"""Planted cases, all written for this project: what of a message must not leave, and what must stay as it is.

Each block of ``corpus.txt`` is a lesson in one script: a name for the student and the tutor, then a message a line.
What stands between braces must be withheld; every other letter must stay.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Case:
    """A message of a lesson held by a student and a tutor of these names."""

    script: str
    student: str
    tutor: str
    marked: str

    @property
    def text(self) -> str:
        """The message as it was written."""
        return self.marked.replace("{", "").replace("}", "")


_FILE: Final = Path(__file__).with_name("corpus.txt")


def _cases() -> tuple[Case, ...]:
    cases = []
    heading = ("", "", "")
    for line in filter(None, _FILE.read_text(encoding="utf-8").splitlines()):
        if line.startswith("## "):
            script, student, tutor = line.removeprefix("## ").split(" | ")
            heading = (script, student, tutor)
        else:
            cases.append(Case(*heading, line))
    return tuple(cases)


CASES: Final = _cases()
