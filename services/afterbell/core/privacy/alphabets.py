"""Letters and digits of the world, made comparable: names by their sound in ASCII, digits and signs by their value."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from anyascii import anyascii

_MARKS: Final = "".join(
    re.escape(char) for char in map(chr, range(0x300, 0x10000)) if unicodedata.category(char) in ("Mn", "Mc")
)
HAN: Final = "\u3005\u3400-\u9fff\uf900-\ufaff"
KANA: Final = "\u3040-\u30ff"
HANGUL: Final = "\uac00-\ud7a3"
UNSPACED: Final = f"{HAN}{KANA}{HANGUL}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Scripts written without spaces between words, and Hangul, whose particles are written onto the name."""

WORD: Final = re.compile(rf"[^\W_]+(?:[{_MARKS}\u200c\u200d]+[^\W_]*)*")
"""Letters and digits in a row with their marks: vowel signs are no letters to ``re``."""

_ASCII_WORDS: Final = bytes(code if chr(code).isalnum() and code < 128 else 32 for code in range(256))

_VOWEL_POINTS: Final = re.compile("[\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u200c\u200d]")
_SEMITIC: Final = re.compile("[\u0590-\u06ff]")
_TWO_LETTERS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe"})
# Each block of 128 has its consonants, vowel signs and the sign for no vowel at the same places.
_BLOCKS: Final = range(0x900, 0xE00, 0x80)
_INDIAN: Final = re.compile("[\u0900-\u0dff]")
_INDIAN_CONSONANT: Final = re.compile(f"[{''.join(f'{chr(at + 0x15)}-{chr(at + 0x39)}' for at in _BLOCKS)}]")
_INDIAN_VOWEL_SIGN: Final = re.compile(f"[{''.join(f'{chr(at + 0x3C)}-{chr(at + 0x4D)}' for at in _BLOCKS)}]")
_SHA: Final = re.compile(f"[{''.join(f'{chr(at + 0x36)}{chr(at + 0x37)}' for at in _BLOCKS)}]")
_NO_LETTER: Final = re.compile(r"[^a-z0-9]+")
_REPEATED: Final = re.compile(r"(.)\1{2,}")
_VOWELS: Final = re.compile(r"[aeiou]+")
_DOUBLED: Final = re.compile(r"(.)\1+")


def words_in(text: str) -> frozenset[str]:
    """Every distinct ``WORD`` of a text."""
    pieces = set(text.split())
    plain = " ".join(filter(str.isascii, pieces)).encode().translate(_ASCII_WORDS).decode().split()
    others = " ".join(piece for piece in pieces if not piece.isascii())
    return frozenset((*plain, *WORD.findall(others)))


def spellings(word: str) -> tuple[str, ...]:
    """How a word may be spelt in small ASCII letters: "Müller" as "muller" and "mueller", "Мина" as "mina"."""
    if word.isascii():
        return (word.lower(),)
    return _spellings(word)


@lru_cache(maxsize=4_096)
def _spellings(word: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFKC", word)
    if _SEMITIC.search(plain):
        plain = _VOWEL_POINTS.sub("", unicodedata.normalize("NFKD", plain))
    low = plain.lower()
    forms = (_ascii(plain), _ascii(low.translate(_TWO_LETTERS)), *_with_inherent_vowels(plain))
    return tuple(dict.fromkeys(filter(None, forms)))


def _with_inherent_vowels(word: str) -> tuple[str, ...]:
    """A word of an Indian script as people write it in Latin letters: "ananya" of "अनन्या", "rahul" of "राहुल"."""
    if not _INDIAN.search(word):
        return ()
    letters = []
    for letter, following in zip(word, f"{word[1:]} ", strict=True):
        letters.append("sh" if _SHA.match(letter) else anyascii(letter))
        if _INDIAN_CONSONANT.match(letter) and not _INDIAN_VOWEL_SIGN.match(following):
            letters.append("a")
    spelt = _ascii("".join(letters))
    return (spelt, spelt.removesuffix("a")) if _INDIAN_CONSONANT.match(word[-1]) else (spelt,)


def _ascii(text: str) -> str:
    return _NO_LETTER.sub("", anyascii(text).lower())


def without_repeats(spelling: str) -> str:
    """ "minaaa" as "mina"."""
    return _REPEATED.sub(r"\1", spelling)


def consonants(spelling: str) -> str:
    """What scripts that write no vowels and Latin letters share of a name: "mhmd" of "mohammed"."""
    return _DOUBLED.sub(r"\1", _VOWELS.sub("", spelling))


@cache
def _plain_signs() -> dict[str, str]:
    signs = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    signs |= dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\u30fc", "-")
    signs |= dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u202f\u3000", " ")
    signs["\u0130"] = "I"  # its small form would be two characters
    digits = filter(str.isdecimal, map(chr, range(0x80, 0x20000)))
    return signs | {digit: str(unicodedata.decimal(digit)) for digit in digits}


def plain_signs(text: str) -> str:
    """The text with ASCII digits, dashes and full-width signs as their ASCII twins; every place stays where it is."""
    if not text.isascii():
        plain = _plain_signs()
        for sign in set(text) & plain.keys():
            text = text.replace(sign, plain[sign])
    return text
