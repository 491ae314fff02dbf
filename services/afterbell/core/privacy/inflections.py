"""Endings that languages write onto a name: "Annę", "Петрову", "Ayşenin", "ومحمد", "अनन्याजी"."""

import re
from collections.abc import Iterator
from typing import Final

from afterbell.core.english import words
from afterbell.core.privacy.alphabets import spellings

STEM_CHARS_MIN: Final = 3
_TURKISH_STEM_CHARS_MIN: Final = 3
_ENGLISH_STEM_CHARS_MIN: Final = 4
# In the ASCII letters of ``alphabets.spellings``; Polish, Czech, Croatian and Russian together.
_SLAVIC_ENDINGS: Final = words(
    "a ya e ye i y ie u yu iu o om em iem owi evi ovi ami yami ach yakh akh am yam oy oi ey ei iy ym im ogo ego"
    " omu emu uyu ou ou"
    " oyu eyu ej ich ych ikh ykh ow ov ev"
)
_SLAVIC_NOMINATIVES: Final = ("iy", "yy", "ya", "ia", "a", "y", "i", "e", "o")
_TURKISH_ENDINGS: Final = words(
    "nin nun in un yi yu i u ya ye a e da de ta te dan den tan ten la le yla yle lar ler larin lerin m im um cim"
    " cigim nim"
    " ya ydi mis dir dur"
)
_SHARE_MIN: Final = 0.01
_SLAVIC_TEXT: Final = re.compile("[ąćęłńśźżčďěňřšťůžđĄĆĘŁŃŚŹŻČĎĚŇŘŠŤŮŽĐ]")
_TURKISH_TEXT: Final = re.compile("[ığşİĞŞ]")
_SLAVIC_LETTER: Final = re.compile("[\u0400-\u052fąćęłńśźżčďěňřšťůžđ]")
_TURKISH_LETTER: Final = re.compile("[ığşüöç]")
_ARABIC: Final = re.compile("[وفبلك]?(?:ل)?([\u0621-\u064a]{3,}?)[يه]?")
_HEBREW: Final = re.compile("[ובלהמשכ]{1,2}([\u05d0-\u05ea]{3,})")
_HINDI: Final = re.compile("([\u0900-\u097f]{2,}?)(?:जी|ने|को|का|की|के|से|में|भैया|दीदी)")
_CYRILLIC: Final = re.compile("[\u0400-\u052f]")


def languages_of(text: str) -> str:
    """Which endings words in ASCII letters may have in a text: "s" Slavic, "t" Turkish, as its other letters show."""
    if text.isascii():
        return ""
    enough = len(text) * _SHARE_MIN
    return "".join(
        sign for sign, letters in (("s", _SLAVIC_TEXT), ("t", _TURKISH_TEXT)) if len(letters.findall(text)) > enough
    )


def slavic_stem(spelling: str) -> str:
    """A name without the ending of its nominative: "ann" of "anna"."""
    for ending in _SLAVIC_NOMINATIVES:
        if spelling.endswith(ending) and len(spelling) - len(ending) >= 2:
            return spelling[: -len(ending)]
    return spelling


def slavic_stems(word: str, languages: str) -> Iterator[str]:
    """The stems of a word in a Slavic text; a short stem counts only with a capital."""
    if not languages and word.isascii():
        return
    if "s" not in languages and not _SLAVIC_LETTER.search(word.lower()):
        return
    capital = word[0].isupper()
    least = 2 if capital and _CYRILLIC.match(word) else STEM_CHARS_MIN
    if not capital and word.isascii():
        return
    for spelling in spellings(word):
        for ending in _SLAVIC_ENDINGS:
            if spelling.endswith(ending) and len(spelling) - len(ending) >= least:
                yield spelling[: -len(ending)]
        if capital and len(spelling) > STEM_CHARS_MIN:
            yield spelling


def bases(word: str, languages: str) -> Iterator[str]:
    """What a word is with an ending or a prefix of its language taken off, in small ASCII letters."""
    if word[0].isupper() and word.endswith("s") and len(word) > _ENGLISH_STEM_CHARS_MIN:
        yield from spellings(word[:-1])
    if languages == "" and word.isascii():
        return
    if "t" in languages or _TURKISH_LETTER.search(word.lower()):
        for spelling in spellings(word):
            for ending in _TURKISH_ENDINGS:
                if spelling.endswith(ending) and len(spelling) - len(ending) >= _TURKISH_STEM_CHARS_MIN:
                    yield spelling[: -len(ending)]
    for written in (_ARABIC, _HEBREW, _HINDI):
        if match := written.fullmatch(word):
            yield from spellings(match[1])
