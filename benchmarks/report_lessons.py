"""The sessions a report bench reads: real ones where AFTERBELL_DATA holds them, else lessons written here."""

import json
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from afterbell.core.session import Message, Participant, Session

SESSIONS_FILE: Final = "mathdial-sessions.jsonl"
LABELS_FILE: Final = "mathdial-labels.jsonl"
_PEOPLE: Final = (Participant("tutor", "tutor", "Quillfeather"), Participant("student", "student", "Amaryllis"))
_LINES: Final = (
    ("tutor", "Let us look at {topic}. What do you remember about {topic}, Amaryllis?"),
    ("student", "I think {topic} compare two things, because that is what we did with the garden last week."),
    ("tutor", "Good. The garden has {n} rows of plants and half of them are beans. How many is that?"),
    ("student", "I added the rows to the half, so I got {wrong} beans in the garden."),
    ("tutor", "Not quite. What happens to a number when you take half of it?"),
    (
        "student",
        "Oh, I see! Half of {n} is {right}, so there are {right} rows of beans, because two halves make a whole.",
    ),
    ("tutor", "Exactly, well done. Could you explain why the other half is just as big?"),
    ("student", "Since the two halves are the same, the other {right} rows must hold the rest of the plants."),
    ("tutor", "That is right. Please practise three more questions about {topic} for next time."),
    ("student", "Okay. Can I do the ones with the fence as well?"),
)
_TOPICS: Final = ("fractions", "ratios", "percentages", "areas", "averages", "decimals", "angles", "equations")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A session, and whether its teacher said the student solved it: yes, revealed, no; None where nobody said.

    ``used_for_rules``: the extractive engine's rules were made with it at hand, so it proves nothing about them.
    """

    session: Session
    solved: str | None = None
    used_for_rules: bool = False


def lessons(folder: Path | None) -> list[Lesson]:
    """The real sessions with their labels, or forty that say what they are."""
    if folder is None:
        return [Lesson(_written(number, 40)) for number in range(40)]
    labels = {label["id"]: _outcome(label["solved"]) for label in _lines(folder / LABELS_FILE)}
    rows = enumerate(_lines(folder / SESSIONS_FILE))
    return [Lesson(_session(data), labels.get(data["id"]), used_for_rules=row % 2 == 0) for row, data in rows]


def hour_long(source: list[Lesson], turns: int, *, first: int = 0) -> Session:
    """A session of ``turns`` messages: the lessons one after the other, held by the same two people."""
    texts = [
        (person.role, message.text)
        for lesson in source[first:] + source[:first]
        for message in lesson.session.messages
        for person in lesson.session.participants
        if person.id == message.sender
    ]
    said = tuple(Message(f"m{i}", role, text) for i, (role, text) in enumerate(islice(cycle(texts), turns)))
    goals = tuple(goal[:300] for lesson in source[first : first + 3] for goal in lesson.session.goals[:1])
    return Session("hour", "mathematics", _PEOPLE, said, "grade 7", "en", goals)


def _written(number: int, turns: int) -> Session:
    said = []
    for at, (who, text) in enumerate(islice(cycle(_LINES), turns)):
        n = 2 * (number + at + 3)
        words = {"topic": _TOPICS[(number + at // 10) % 8], "n": n, "right": n // 2, "wrong": n + n // 2}
        said.append(Message(f"m{at}", who, text.format(**words)))
    return Session(f"written-{number}", "mathematics", _PEOPLE, tuple(said), "grade 6", "en", ("Understand halves",))


def _outcome(solved: str | None) -> str | None:
    return {"Yes": "yes", "No": "no", None: None}.get(solved, "revealed")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _session(data: dict[str, Any]) -> Session:
    people = tuple(Participant(**person) for person in data["participants"])
    said = tuple(Message(message["id"], message["sender"], message["text"]) for message in data["messages"])
    return Session(data["id"], data["subject"], people, said, data["level"], data["language"], tuple(data["goals"]))
