"""Finds text in a session that speaks to the writer of the report instead of to the people in the session.

Looked for are orders to set the writer's instructions aside, words addressed to a model with something to say of the
child, demands on this report and on what parents read, forged lines of a transcript and the schema's own field names;
in English and other languages (``lexicons/injection.txt``), also behind invisible characters, look-alike letters,
spaced-out or leet spelling, base64, rot13 and reversed text. A lesson about reports, models, rules or prompts is
teaching: a phrase says what is asked of the report, not only that there is one.

What is found is withheld from the model and shown to staff. This list cannot be complete, so it is one gate of several:
see ``grounding`` for what holds when it misses.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from afterbell.core.safety.lexicon import folded, lexicon
from afterbell.core.session import Transcript, texts_of

_SCANNED_CHARS: Final = 8_000
# The transcript's own marks, which no words tell. What begins with few signs is searched for many times as fast.
_MARKS: Final = re.compile(
    r"goal_progress|parent_summary|insufficient_evidence|goal_evidence|tutor_note|\"level\"\s*:\s*\"independent"
    r"|</\s*(?:session|transcript|problems|facts)\b"
    r"|\[\s*\"t\d+\"\s*,|<\|\w+\|>|\[/?inst\]|\#{2,}\s*(?:system|new instructions?)\b"
)
_TURN_LINE: Final = re.compile(r"\n\W{0,8}t\d{1,5}\W{1,4}(?:tutor|teacher)\b")
_END_OF: Final = re.compile(r"-{2,}\s*end of\b")
_LINE_OF_TUTOR: Final = re.compile(r"(?:^|\n)\W{0,4}(?:tutor|teacher|coach)\W{0,3}:\s*(.{0,400})")
_PRAISED: Final = re.compile(
    r"\b(?:alone|on (?:your|her|his) own|by (?:your|her|him)self|independent\w*|perfect\w*|no h(?:ints|elp)"
    r"|goals?|master\w*"
    r"|excellent|without help|brilliant\w*|all (?:right|correct))\b"
)
_BLOB_CHARS_MIN: Final = 20
_BLOB: Final = re.compile(rf"[A-Za-z0-9+/_-]{{{_BLOB_CHARS_MIN},}}={{0,2}}")
_SPACED: Final = re.compile(r"(?<!\w)(?:\w[ ._*-]){4,}\w(?!\w)")
# Words an instruction is made of: where letters were changed or moved, at least one of them comes to light.
_DISGUISED: Final = ("ignore", "disregard", "instruction", "report", "independent", "prompt", "system", "parents")
_TURNED: Final = tuple(form for word in _DISGUISED for form in (codecs.encode(word, "rot13"), word[::-1]))
_UNLEET: Final = str.maketrans("013457@$", "oieastas")
_BETWEEN_LETTERS: Final = str.maketrans("", "", " ._*-")
_LOOK_ALIKE: Final = str.maketrans("аеорсухіјѕԁһԛѡοανρτυικε", "aeopcyxijsdhqwoavptuike")


@dataclass(frozen=True, slots=True)
class Hostile:
    """The turns by id, and every text to withhold: whole turns and goals, since nothing beside a demand is safe."""

    turn_ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def hostile_in(transcript: Transcript) -> Hostile:
    """The turns and texts of a session that speak to the report's writer."""
    first = len(texts_of(transcript)) - len(transcript.turns)
    about = [text for text in texts_of(transcript)[:first] if speaks_to_writer(text)]
    by_tutor = {turn.text for turn in transcript.turns if turn.speaker.role == "tutor"}
    by_others = {turn.text for turn in transcript.turns if turn.speaker.role != "tutor"}
    hostile = {*filter(speaks_to_writer, by_tutor | by_others), *filter(_forges_a_line, by_others)}
    turns = [turn for turn in transcript.turns if turn.text in hostile]
    withheld = (*(turn.text for turn in turns), *about)
    return Hostile(tuple(turn.id for turn in turns), tuple(dict.fromkeys(withheld)))


def speaks_to_writer(text: str) -> bool:
    """Whether a text tells whoever writes the report what to write, in any way it may be read."""
    phrases = lexicon("injection")
    return any(
        phrases.headings_in(folded(reading)) or _is_forged(reading) for reading in _readings(text[:_SCANNED_CHARS])
    )


def _is_forged(reading: str) -> bool:
    """Whether a reading has marks of the transcript or of the schema in it."""
    return bool(_MARKS.search(reading) or _TURN_LINE.search(f"\n{reading}") or _END_OF.match(reading))


def _forges_a_line(text: str) -> bool:
    """Whether somebody who is not the tutor writes a line as the tutor's, in which the tutor praises."""
    return any(_PRAISED.search(line) for line in _LINE_OF_TUTOR.findall(text[:_SCANNED_CHARS].lower()))


def _readings(text: str) -> Iterator[str]:
    """The text as it may be meant, each reading only where there is something to suspect."""
    low = (text if text.isascii() else _plain(text)).lower().replace("a+", "aplus")
    yield low
    if any(map(low.__contains__, _TURNED)):
        yield codecs.encode(low, "rot13")
        yield low[::-1]
    unleet = low.translate(_UNLEET)
    bare = unleet.translate(_BETWEEN_LETTERS)
    if any(word in bare and word not in low for word in _DISGUISED):
        yield _SPACED.sub(lambda run: run[0].translate(_BETWEEN_LETTERS), low.replace("  ", "\n"))
        yield unleet
    for part in text.split():
        for blob in _BLOB.findall(part) if len(part) >= _BLOB_CHARS_MIN else ():
            yield _decoded(blob)


def _plain(text: str) -> str:
    visible = "".join(char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf")
    return visible.lower().translate(_LOOK_ALIKE) if _mixes_scripts(visible) else visible


def _mixes_scripts(text: str) -> bool:
    """Whether a word has Latin and other letters: Russian text is none, a look-alike hides among Latin ones."""
    return any(
        any("a" <= char.lower() <= "z" for char in word) and any(char > "\u036f" and char.isalpha() for char in word)
        for word in text.split()
    )


def _decoded(blob: str) -> str:
    padded = blob.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4)).decode("utf-8", "ignore").lower()
    except (binascii.Error, ValueError):
        return ""
