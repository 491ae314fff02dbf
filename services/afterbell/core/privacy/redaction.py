"""What a provider is not told: who took part, and how to reach anybody. Put back once the answer is home.

    Mina, see okan@example.org   →   [STUDENT_1], see [EMAIL_1]

Names are those of the session's participants and of people somebody introduces, as ``names`` finds them; contact data
is what ``contacts`` finds. Each form of a text has a placeholder of its own, so putting back gives every quote letter
for letter; something that already looks like a placeholder is replaced as well, so that nobody can write one. What was
not withheld is returned by ``Redacted.text``.

Contact data never gets into a report: in prose it becomes a word for it, and a quote that holds any is left out.
"""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import accumulate
from typing import Any, Final, TypeVar

from afterbell.core.narrative import Evidence, Narrative
from afterbell.core.privacy.contacts import contacts_in
from afterbell.core.privacy.cues import Searched
from afterbell.core.privacy.introductions import introduced_in
from afterbell.core.privacy.names import NameFinder
from afterbell.core.privacy.text_spans import TextSpan, apart
from afterbell.core.session import Participant, Transcript, Turn, clean, texts_of

_PLACEHOLDER: Final = re.compile(r"\[([A-Z]+)_(\d+)(?:_(\d+))?\]", re.IGNORECASE)
_ALL_REMOVED: Final = re.compile(r"(?:\[REMOVED_\d+\]\s*)+")
_IN_QUOTATION_MARKS: Final = re.compile(r"[“\"„«][^“”\"„«»]+[”\"“»]")
_QUOTE_CHARS_MAX: Final = 240
_INTRODUCED: Final = "PERSON"
# Between two texts that are searched together: ``clean`` leaves it in none, and nothing that is looked for spans it.
_BETWEEN: Final = "\n\0\n"
_BATCH_CHARS: Final = 100_000
_IN_PROSE: Final = {
    "EMAIL": "an e-mail address",
    "LINK": "a link",
    "HANDLE": "a user name",
    "NUMBER": "a number",
    "PHONE": "a phone number",
    "ADDRESS": "an address",
    "BIRTHDAY": "a date of birth",
    "REMOVED": "a message",
    "PERSON": "someone",
    "STUDENT": "the student",
    "TUTOR": "the tutor",
    "ASSISTANT": "the assistant",
    "OBSERVER": "the observer",
}
_PEOPLE: Final = frozenset({"STUDENT", "TUTOR", "ASSISTANT", "OBSERVER", "PERSON"})

T = TypeVar("T")


@dataclass(slots=True)
class Redacted:
    """The withheld texts of one session by placeholder, and whom a placeholder of a person means."""

    withheld: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str], str] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)

    def placeholder(self, kind: str, text: str) -> str:
        """The placeholder of a text; the same one for the same text. ``kind`` may be a person's ``STUDENT_1``."""
        if (kind, text) not in self._known:
            self._last[kind] = number = self._last.get(kind, 0) + 1
            of_person = kind in self.names
            name = kind if of_person and number == 1 else f"{kind}_{number}"
            self._known[kind, text] = placeholder = f"[{name}]"
            self.withheld[placeholder] = text
        return self._known[kind, text]

    def text(self, redacted: str) -> str:
        """The text as it was before."""
        return _PLACEHOLDER.sub(lambda placeholder: self.withheld.get(placeholder[0].upper(), placeholder[0]), redacted)

    def prose(self, written: str) -> str:
        """What a model wrote, with names put back and words in the place of contact data and of people introduced.

        What it puts between quotation marks is somebody's own words, so there a name is put back as it was said.
        """
        as_said = _IN_QUOTATION_MARKS.sub(lambda quoted: _PLACEHOLDER.sub(self._said, quoted[0]), written)
        return _PLACEHOLDER.sub(self._spoken, as_said)

    def quote(self, quoted: str | None) -> str | None:
        """A quote with names put back, letter for letter; None where it holds anything else that was withheld."""
        if quoted is None or any(
            placeholder[1].upper() not in _PEOPLE for placeholder in _PLACEHOLDER.finditer(quoted)
        ):
            return None
        return self.text(quoted)[:_QUOTE_CHARS_MAX].strip() or None

    def _said(self, placeholder: re.Match[str]) -> str:
        is_person = placeholder[1].upper() in _PEOPLE
        return self.withheld.get(placeholder[0].upper(), placeholder[0]) if is_person else placeholder[0]

    def _spoken(self, placeholder: re.Match[str]) -> str:
        kind, number = placeholder[1].upper(), placeholder[2]
        return self.names.get(f"{kind}_{number}", _IN_PROSE.get(kind, "something"))


def redact(
    transcript: Transcript, participants: Iterable[Participant], removed: Iterable[str] = ()
) -> tuple[Transcript, Redacted]:
    """The transcript without what must not leave, and what puts it back. ``removed`` are texts to withhold whole.

    Reading the redacted transcript back through ``Redacted.text`` gives the original one; a turn of which nothing but
    ``removed`` texts is there is blank.
    """
    people = [(label, clean(person.display_name)) for label, person in _in_order(transcript, participants)]
    redacted = Redacted(names=dict(people))
    batches = [(texts, Searched(_BETWEEN.join(texts))) for texts in _batches(texts_of(transcript))]
    introduced = dict.fromkeys(name for _, together in batches for name in introduced_in(together))
    names = NameFinder([*people, *((_INTRODUCED, name) for name in introduced)])
    withheld_whole = frozenset(removed) - {""}
    subject, level, *others = (
        text
        for texts, together in batches
        for text in _with_placeholders(texts, _spans(texts, together, withheld_whole, names), redacted)
    )
    goals, said = others[: len(transcript.goals)], others[len(transcript.goals) :]
    outgoing = replace(
        transcript,
        subject=subject,
        level=None if transcript.level is None else level,
        goals=tuple(goals),
        turns=tuple(map(_saying, transcript.turns, said)),
    )
    return outgoing, redacted


def restore(narrative: Narrative, redacted: Redacted) -> Narrative:
    """The narrative as its readers get it, within all bounds."""
    return _restored(narrative, redacted)


def _saying(turn: Turn, text: str) -> Turn:
    if text == turn.text:
        return turn
    return Turn(turn.id, turn.speaker, "" if _ALL_REMOVED.fullmatch(text) else text, turn.at)


def _restored(value: T, redacted: Redacted) -> T:
    changed: Any = value
    if isinstance(value, str):
        changed = redacted.prose(value)
    elif isinstance(value, tuple):
        changed = tuple(_restored(part, redacted) for part in value)
    elif isinstance(value, Evidence):
        changed = replace(value, quote=redacted.quote(value.quote))
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: _fitting(value, part.name, redacted) for part in fields(value)}
        changed = replace(value, **parts)
    result: T = changed
    return result


def _fitting(owner: Any, name: str, redacted: Redacted) -> Any:
    """A field with names put back. A name may be longer than its placeholder, and a field has bounds."""
    before = getattr(owner, name)
    after = _restored(before, redacted)
    if not isinstance(before, str) or len(after) <= len(before):
        return after
    most = _longest(type(owner), name)
    return after if most is None or len(after) <= most else _cut(after, most)


def _longest(owner: type, name: str) -> int | None:
    annotation = owner.__annotations__[name]
    bounds = [part.max_length for part in getattr(annotation, "__metadata__", ()) if hasattr(part, "max_length")]
    return bounds[0] if bounds else None


def _cut(text: str, most: int) -> str:
    short = text[: most - 1]
    space = short.rfind(" ")
    return (short[:space] if space > most // 2 else short).rstrip() + "…"


def _without(searched: Searched, withheld: Sequence[TextSpan]) -> Searched:
    """The text without what is withheld already, so that a name written onto it is a word; all else keeps its place."""
    if not withheld:
        return searched
    pieces, after = [], 0
    for span in withheld:
        pieces += [searched.text[after : span.start], "\0" * (span.end - span.start)]
        after = span.end
    return Searched("".join((*pieces, searched.text[after:])))


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, as many at once as may be searched together: a search stops all else in the process."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and chars + len(text) > _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    yield batch


def _spans(texts: Sequence[str], together: Searched, removed: Set[str], names: NameFinder) -> list[TextSpan]:
    """What of texts that are searched together must not leave."""
    withheld = apart((*_special(texts, removed), *contacts_in(together)), together.text)
    return apart((*withheld, *names.spans(_without(together, withheld))), together.text)


def _special(texts: Sequence[str], removed: Set[str]) -> Iterator[TextSpan]:
    """The texts withheld whole, and what only looks like a placeholder."""
    for text, start in zip(texts, _starts(texts), strict=True):
        if text in removed:
            yield TextSpan(start, start + len(text), "REMOVED")
        else:
            for forged in _PLACEHOLDER.finditer(text):
                yield TextSpan(start + forged.start(), start + forged.end(), "TEXT")


def _with_placeholders(texts: Sequence[str], spans: Sequence[TextSpan], redacted: Redacted) -> Iterator[str]:
    """Each text with placeholders; ``spans`` are places in all texts together and stand in one text each."""
    ahead = iter(spans)
    span = next(ahead, None)
    for text, start in zip(texts, _starts(texts), strict=True):
        pieces, after = [], 0
        while span is not None and span.start < start + len(text):
            withheld = text[span.start - start : span.end - start]
            pieces += [text[after : span.start - start], redacted.placeholder(span.kind, withheld)]
            after, span = span.end - start, next(ahead, None)
        yield "".join((*pieces, text[after:]))


def _starts(texts: Sequence[str]) -> Iterator[int]:
    """Where each text begins in all of them together."""
    return accumulate((len(text) + len(_BETWEEN) for text in texts[:-1]), initial=0)


def _in_order(transcript: Transcript, participants: Iterable[Participant]) -> list[tuple[str, Participant]]:
    """Everybody with the label they have in the prompt, numbered within their role as they speak up."""
    speaking = {turn.speaker.id: turn.speaker for turn in transcript.turns if turn.text}
    everybody = {**speaking, **{person.id: person for person in participants if person.id not in speaking}}
    numbers: dict[str, int] = {}
    labelled = []
    for person in everybody.values():
        numbers[person.role] = number = numbers.get(person.role, 0) + 1
        labelled.append((f"{person.role.upper()}_{number}", person))
    return labelled
