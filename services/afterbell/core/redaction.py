"""What a provider is not told: who took part, and how to reach anybody. Put back once the answer is home.

    Mina, see okan@example.org   →   [STUDENT_1], see [EMAIL_1]

Names are those of the session's participants: as displayed, in parts ("Mina" of "Mina Okan"), in the usual short forms,
whatever the case; a name that is also a word ("Will", "May") only where it is written as a name. E-mail addresses,
links, phone numbers, handles, card numbers and street addresses are found by their form. Each form of a text has a
placeholder of its own, so putting back gives every quote letter for letter; something that already looks like a
placeholder is replaced as well, so that nobody can write one. What was not withheld is returned by ``Redacted.text``.

Contact data never gets into a report: in prose it becomes a word for it, and a quote that holds any is left out.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

from afterbell.core.english import words
from afterbell.core.given_names import NAME_PARTICLES, is_word, short_forms
from afterbell.core.glimpse import Glance
from afterbell.core.narrative import Evidence, Narrative
from afterbell.core.session import Participant, Transcript, Turn, clean, texts_of

_ROLE_WORDS: Final = frozenset({"student", "tutor", "teacher", "assistant", "observer", "parent", "child", "you"})
_PLACEHOLDER: Final = re.compile(r"\[([A-Z]+)_(\d+)(?:_(\d+))?\]", re.IGNORECASE)
_ALL_REMOVED: Final = re.compile(r"(?:\[REMOVED_\d+\]\s*)+")
_PART: Final = re.compile(r"[^\W\d_][\w'’]*")  # noqa: RUF001  names are written with both
_UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_QUOTE_CHARS_MAX: Final = 240
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_DIGITS_OF_A_PHONE: Final = range(9, 16)


@dataclass(frozen=True, slots=True)
class _Contact:
    """How contact data looks, and what a text must hold for it: one of ``glimpses`` (lower case), digits in a row.

    What is seen at a glance saves a slow look: most texts of an hour's talk are not searched at all.
    """

    kind: str
    glimpses: tuple[str, ...]
    digits: int
    pattern: re.Pattern[str]

    def is_glimpsed_in(self, text: str, shape: bytes) -> bool:
        """Whether a text of this shape can hold any."""
        if b"0" * self.digits not in shape:
            return False
        return not self.glimpses or any(map((text.lower() + "\n").__contains__, self.glimpses))


_DOMAINS: Final = sorted(words("com org net edu gov io me app dev info de uk fr us gg"))
_STREETS: Final = sorted(
    words("Street St Avenue Ave Road Rd Lane Drive Dr Boulevard Blvd Court Way Close Crescent Terrace Place Square")
)
_ADDRESS: Final = _Contact(
    "ADDRESS",
    tuple(f" {street.lower()}{end}" for street in _STREETS for end in (" .,!?\n" if len(street) < 5 else ("",))),
    1,
    re.compile(rf"\b\d{{1,5}}[a-z]? (?:[A-Z][\w'-]+ ){{1,3}}(?:{'|'.join(_STREETS)})\b\.?"),
)
# How the last word of an address begins in a text in lower case, and what stands in it behind the house number.
_STREET: Final = re.compile(rf" (?:{'|'.join(_STREETS).lower()})(?!\w)")
_HOUSE: Final = re.compile(r"\d[a-z]? [A-Z]")
# In this order: what is found first is no longer there for the next one.
_CONTACTS: Final = (
    _Contact("EMAIL", ("@",), 0, re.compile(r"[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}")),
    _Contact(
        "LINK",
        ("://", "www.", *(f".{domain}" for domain in _DOMAINS)),
        0,
        re.compile(
            r"\b(?:https?://|www\.)[^\s<>\[\]\"']+"
            rf"|\b(?:[\w-]{{1,63}}\.){{1,5}}(?:{'|'.join(_DOMAINS)})\b(?:/[^\s<>\[\]\"']*)?",
            re.IGNORECASE,
        ),
    ),
    _Contact("HANDLE", ("@",), 0, re.compile(r"(?<![\w@.])@[A-Za-z_][\w.]{2,29}\b")),
    _Contact("NUMBER", (), 13, re.compile(r"(?<![\w.,$€£])(?:\d[ -]?){12,18}\d(?![\w]|[.,]\d)")),
    _Contact(
        "PHONE",
        (),
        9,
        re.compile(
            r"(?<![\w.,$€£*/=×÷^])(?:\+\d{1,3}|\(\d{2,5}\)|0\d{1,4}/|0\d{1,5}|\d{3}(?=[-. ]\d{3}[-. ]\d{4}\b))"  # noqa: RUF001  a times sign
            r"(?:[ .-]?\(?\d{1,6}\)?){2,6}(?![\w]|[.,]\d)"
        ),
    ),
    _ADDRESS,
    _Contact(
        "ADDRESS",
        ("straße", "strasse", "str.", "gasse", "weg", "platz"),
        1,
        re.compile(r"\b[A-ZÄÖÜ][\wäöüß-]{1,40}?(?:straße|strasse|str\.|gasse|weg|platz) \d{1,4}[a-z]?\b"),
    ),
)
_IN_PROSE: Final = {
    "EMAIL": "an e-mail address",
    "LINK": "a link",
    "HANDLE": "a user name",
    "NUMBER": "a number",
    "PHONE": "a phone number",
    "ADDRESS": "an address",
    "REMOVED": "a message",
    "PERSON": "someone",
    "STUDENT": "the student",
    "TUTOR": "the tutor",
    "ASSISTANT": "the assistant",
    "OBSERVER": "the observer",
}
_PEOPLE: Final = frozenset({"STUDENT", "TUTOR", "ASSISTANT", "OBSERVER", "PERSON"})
_INTRODUCING: Final = ("my name", "call me", "friend", *words("brother sister cousin teacher mum mom dad neighb"))
INTRODUCED_MAX: Final = 100
"""So many introduced people are looked for: each is tried at every letter of the session, which must not take hours."""
# People nobody listed, where a student introduces them.
_INTRODUCED: Final = re.compile(
    r"\b(?:[Mm]y name is|[Mm]y name's|[Cc]all me"
    r"|[Mm]y (?:best |little |big )?(?:(?:boy|girl)?friend|brother|sister|cousin|teacher|mum|mom|dad|neighbou?r)"
    r"(?: is (?:called|named))?) ([A-Z][^\W\d_]+)"
)

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
        return _PLACEHOLDER.sub(lambda found: self.withheld.get(found[0].upper(), found[0]), redacted)

    def prose(self, written: str) -> str:
        """What a model wrote, with names put back and words in the place of contact data."""
        return _PLACEHOLDER.sub(self._spoken, written)

    def quote(self, quoted: str | None) -> str | None:
        """A quote with names put back, letter for letter; None where it holds anything else that was withheld."""
        if quoted is None or any(found[1].upper() not in _PEOPLE for found in _PLACEHOLDER.finditer(quoted)):
            return None
        return self.text(quoted)[:_QUOTE_CHARS_MAX].strip() or None

    def _spoken(self, found: re.Match[str]) -> str:
        kind, number = found[1].upper(), found[2]
        return self.names.get(f"{kind}_{number}", _IN_PROSE.get(kind, "something"))


def redact(
    transcript: Transcript,
    participants: Iterable[Participant],
    removed: Iterable[str] = (),
    glance: Glance | None = None,
) -> tuple[Transcript, Redacted]:
    """The transcript without what must not leave, and what puts it back. ``removed`` are texts to withhold whole.

    Reading the redacted transcript back through ``Redacted.text`` gives the original one; a turn of which nothing but
    ``removed`` texts is there is blank. ``glance`` is one at its ``texts_of``.
    """
    texts = texts_of(transcript)
    first = len(texts) - len(transcript.turns)
    glance = glance or Glance(texts)
    people = _in_order(transcript, participants)
    redacted = Redacted(names={label: clean(person.display_name) for label, person in people})
    introducing = (texts[number] for number in sorted(glance.holding(_INTRODUCING)) if number >= first)
    introduced = dict.fromkeys(name for text in introducing for name in _INTRODUCED.findall(text))
    names = _Names(people, list(introduced)[:INTRODUCED_MAX])
    whole = _escaped(removed)
    special = re.compile(f"{whole}|(?P<forged>{_PLACEHOLDER.pattern})".lstrip("|"), re.IGNORECASE)
    searched = range(len(texts)) if whole else _suspects(texts, glance, names)

    def without(number: int) -> str:
        text = texts[number]
        if number not in searched:
            return text
        if whole or "[" in text:
            text = special.sub(lambda f: redacted.placeholder("TEXT" if f["forged"] else "REMOVED", f[0]), text)
        return names.redact(_without_contacts(text, redacted), redacted)

    told = replace(
        transcript,
        subject=without(0),
        level=None if transcript.level is None else without(1),
        goals=tuple(map(without, range(2, first))),
        turns=tuple(
            _saying(turn, without(number)) if number in searched else turn
            for number, turn in enumerate(transcript.turns, first)
        ),
    )
    return told, redacted


def _suspects(texts: Sequence[str], glance: Glance, names: "_Names") -> set[int]:
    """The numbers of the texts that may hold something to withhold."""
    # A word such as "way" stands in many texts, a house number before it in few.
    seen = (glimpse for contact in _CONTACTS if contact is not _ADDRESS for glimpse in contact.glimpses)
    housed = (number for number in glance.holding(_STREET.findall(glance.vocabulary)) if _HOUSE.search(texts[number]))
    many_digits = b"0" * min(contact.digits for contact in _CONTACTS if not contact.glimpses)
    dialled = (number for number, text in enumerate(texts) if many_digits in _shape(text))
    return {*glance.unusual, *glance.holding({"[", *names.firsts, *seen}), *housed, *dialled}


def restore(narrative: Narrative, redacted: Redacted) -> Narrative:
    """The narrative as its readers get it, within all bounds."""
    return _restored(narrative, redacted)


def _saying(turn: Turn, text: str) -> Turn:
    if text == turn.text:
        return turn
    return Turn(turn.id, turn.speaker, "" if _ALL_REMOVED.fullmatch(text) else text, turn.at)


def holds_contact(text: str) -> bool:
    """Whether a text holds contact data."""
    return _without_contacts(text, Redacted()) != text


def _restored(value: T, redacted: Redacted) -> T:
    changed: Any = value
    if isinstance(value, str):
        changed = redacted.prose(value)
    elif isinstance(value, tuple):
        changed = tuple(_restored(one, redacted) for one in value)
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


def _without_contacts(text: str, redacted: Redacted) -> str:
    shape = _shape(text)
    for kind in _CONTACTS:
        if kind.is_glimpsed_in(text, shape):
            text = kind.pattern.sub(lambda found, kind=kind.kind: _contact(kind, found[0], redacted), text)  # type: ignore[misc]
    return text


def _shape(text: str) -> bytes:
    """Each digit as "0", without the signs that stand within a phone number: its digits are in a row then."""
    if text.isascii():
        return text.encode().translate(_DIGITS, b" .-()/+")
    return b"0" * sum(map(text.count, "0123456789"))


def _contact(kind: str, found: str, redacted: Redacted) -> str:
    tail = found[len(found.rstrip(" .,;:!?)-/")) :] if kind in {"LINK", "PHONE", "NUMBER"} else ""
    body = found[: len(found) - len(tail)]
    digits = sum(char.isdigit() for char in body)
    if kind == "PHONE" and digits not in _DIGITS_OF_A_PHONE:
        return found
    if kind == "NUMBER" and not _luhn(body):
        return found
    return redacted.placeholder(kind, body) + tail


def _luhn(text: str) -> bool:
    """Whether the digits are those of a card (ISO/IEC 7812): a long number of an exercise seldom is."""
    digits = [int(char) for char in text if char.isdigit()][::-1]
    return sum(d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(digits)) % 10 == 0


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


class _Names:
    """One pattern for all forms of all names: what is found is withheld under its person's label."""

    def __init__(self, people: Sequence[tuple[str, Participant]], introduced: Iterable[str]) -> None:
        self._labels: dict[str, str] = {}
        self._words: set[str] = set()
        forms = [(form, short, label) for label, person in people for form, short in _forms(clean(person.display_name))]
        forms += [(name, True, "PERSON") for name in sorted(introduced)]
        for form, short, label in sorted(forms, key=lambda one: one[1]):
            if form.lower() not in self._labels and is_word(form, short=short):
                self._words.add(form.lower())
            self._labels.setdefault(form.lower(), label)
        ordered = sorted({form for form, _, _ in forms}, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(_whole_word, ordered)), re.IGNORECASE) if ordered else None
        # The first word of each form; one that begins another stands for both.
        firsts = {form.split()[0] for form in self._labels}
        self.firsts = [one for one in firsts if not any(one != other and one.startswith(other) for other in firsts)]

    def redact(self, text: str, redacted: Redacted) -> str:
        if self._pattern is None or (text.isascii() and not self._glimpsed(text.lower())):
            return text
        return self._pattern.sub(lambda found: self._withheld(found[0], redacted), text)

    def _glimpsed(self, text: str) -> bool:
        return any(map(text.__contains__, self.firsts))

    def _withheld(self, found: str, redacted: Redacted) -> str:
        known = " ".join(found.lower().split())
        if known in self._words and not found[0].isupper():
            return found
        # Letters that fold in unusual ways match a form without being one: better the wrong label than the name.
        return redacted.placeholder(self._labels.get(known) or next(iter(self._labels.values())), found)


def _forms(display_name: str) -> Iterator[tuple[str, bool]]:
    """A name in full, its parts, its short forms (True), and each of them without accents."""
    full = " ".join(display_name.split())
    parts = [part for part in _PART.findall(full) if part.lower() not in NAME_PARTICLES]
    shorter = [(form, True) for part in parts[:1] for form in short_forms(part)]
    for form, short in ((full, False), *((part, False) for part in parts), *shorter):
        for spelt in dict.fromkeys((form, _unaccented(form))):
            if len(spelt) > 1 and spelt.lower() not in _ROLE_WORDS and not _PLACEHOLDER.fullmatch(f"[{spelt}]"):
                yield spelt, short


def _unaccented(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _escaped(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in sorted(set(texts) - {""}, key=lambda text: (-len(text), text)))


def _whole_word(text: str) -> str:
    """Scripts without spaces have no words to be whole; a name may begin or end with a mark that is no letter."""
    before = "" if _UNSPACED.match(text[0]) or not text[0].isalnum() else r"(?<!\w)"
    after = "" if _UNSPACED.match(text[-1]) or not text[-1].isalnum() else r"(?!\w)"
    return before + r"\s+".join(map(re.escape, text.split())) + after
