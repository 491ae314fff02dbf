"""What a display name is made of, and every spelling under which a part of it may be written."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from afterbell.core.privacy.alphabets import HAN, HANGUL, KANA, UNSPACED, WORD, spellings
from afterbell.core.privacy.given_names import (
    HANGUL_WORDS,
    HONORIFICS,
    NAME_PARTICLES,
    ROLE_WORDS,
    SURNAMES,
    TITLES,
    is_word,
    short_forms,
)

_SHORT_FORM_CHARS_ANY_CASE: Final = 5
_USER_NAME_CHARS_MIN: Final = 5
_UNSPACED_RUN: Final = re.compile(f"[{UNSPACED}]+")
_ALL_UNSPACED: Final = re.compile(f"[{UNSPACED}]+")
_BEFORE_PARTICLE: Final = "[가-힣]"
_HONORIFIC: Final = "|".join(HONORIFICS)
_KANA_AFTER: Final = "はがをにのともへでやかねよさちく"
_JOSA: Final = "아|야|이가|이는|이의|이를|이랑|이도|이한테"


class Spelling(Enum):
    """How a part of a name must be written to count as the name."""

    ANYHOW = "whatever the case"
    CAPITAL = "with a capital"
    AS_NAME = "with a capital where a name stands, since it is a word as well"
    WITHIN = "beside the other parts of its name"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of one name: ``name`` and ``position`` say whose and which; neighbours have neighbouring positions."""

    name: int
    position: int
    written: Spelling


@dataclass(frozen=True, slots=True)
class Form:
    """A spelling in small ASCII letters of a part of a name."""

    spelling: str
    part: Part


def words_of(display_name: str) -> list[str]:
    """The words of a name; of an e-mail address given for a name those before the "@"."""
    return WORD.findall(display_name.partition("@")[0])


def forms_of(display_name: str, name: int) -> Iterator[Form]:
    """All spellings of all parts of a name, short forms of the given name included."""
    own = words_of(display_name)
    first = next((at for at, word in enumerate(own) if _stands_alone(word)), None)
    for position, word in enumerate(own):
        for spelling in spellings(word):
            yield Form(spelling, Part(name, position, _written(word, spelling)))
        if position == first:
            yield from _shorter(word, name, position)
    yield from _joined(display_name, name)
    if first is not None and len(own) > first + 1 and own[first].isascii():
        user_name = own[first][0].lower() + own[-1].lower()
        if len(user_name) >= _USER_NAME_CHARS_MIN and user_name.isalpha():
            yield Form(user_name, Part(name, first, Spelling.ANYHOW))
    yield from _romanised(own, name)


def _stands_alone(word: str) -> bool:
    return _written(word, word.lower()) is not Spelling.WITHIN


def _written(word: str, spelling: str) -> Spelling:
    low = word.lower()
    if low in ROLE_WORDS or low in TITLES or low in NAME_PARTICLES or len(word) < 2 or not word[0].isalpha():
        return Spelling.WITHIN
    return Spelling.AS_NAME if is_word(spelling) else Spelling.ANYHOW


def _shorter(word: str, name: int, position: int) -> Iterator[Form]:
    for spelling in spellings(word):
        known = spelling
        for short in short_forms(known):
            anyhow = len(short) >= _SHORT_FORM_CHARS_ANY_CASE and not known.startswith(short)
            written = Spelling.AS_NAME if is_word(short) else Spelling.ANYHOW if anyhow else Spelling.CAPITAL
            yield Form(short, Part(name, position, written))


def _joined(display_name: str, name: int) -> Iterator[Form]:
    """ "obrien" of "O'Brien", "annmarie" of "Ann-Marie"."""
    position = 0
    for chunk in display_name.partition("@")[0].split():
        own = WORD.findall(chunk)
        if len(own) > 1 and all(word.isalpha() for word in own) and sum(map(len, own)) > 3:
            for spelling in spellings("".join(own)):
                yield Form(spelling, Part(name, position, Spelling.ANYHOW))
        position += len(own)


def _romanised(own: list[str], name: int) -> Iterator[Form]:
    """The given name within a Han or Hangul full name, in Latin letters: "xiaoming" of "王小明"."""
    for position, word in enumerate(own):
        if _ALL_UNSPACED.fullmatch(word) and len(word) in (3, 4):
            for spelling in spellings(word[-2:]):
                yield Form(spelling, Part(name, position, Spelling.CAPITAL if is_word(spelling) else Spelling.ANYHOW))


def unspaced_patterns(display_name: str) -> Iterator[tuple[str, str]]:
    """(form, pattern that finds it) of each run of a script without spaces; the longest forms are not first."""
    for run in _UNSPACED_RUN.findall(display_name):
        core = re.sub(f"(?:{_HONORIFIC})$", "", run) or run
        if core[0] >= "\uac00" and re.fullmatch(f"[{HANGUL}]+", core):
            yield from _hangul(core)
        elif re.fullmatch(f"[{KANA}]+", core):
            yield core, _kana(core)
        elif re.fullmatch(f"[{HAN}]+", core):
            yield from _han(core)
        elif len(core) > 1:
            yield core, re.escape(core)


def _han(core: str) -> Iterator[tuple[str, str]]:
    if len(core) > 1:
        yield core, core
    if len(core) in (3, 4):
        yield core[-2:], core[-2:]
    if len(core) == 4 or (len(core) == 3 and core[0] not in SURNAMES):
        yield core[:2], core[:2]
    yield core[0], f"{core[0]}(?={_HONORIFIC})"
    if len(core) == 1:
        yield core, f"(?<![{HAN}]){core}(?![{HAN}])"


def _hangul(core: str) -> Iterator[tuple[str, str]]:
    start = f"(?<!{_BEFORE_PARTICLE})"
    for form in {core, core[-2:]} if len(core) in (3, 4) else {core}:
        after = f"(?={_JOSA}|{_HONORIFIC})" if form in HANGUL_WORDS else ""
        if len(form) > 1:
            yield form, f"{start}{form}{after}"
    yield core[0], f"{start}{core[0]}(?= ?(?:선생님|쌤|씨))"


def _kana(core: str) -> str:
    after = f"(?=[{_KANA_AFTER}]|[^{KANA}]|$)"
    return f"{core}{after}" if len(core) > 2 else f"(?<![{KANA}]){core}{after}"
