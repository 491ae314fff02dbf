"""Telephone numbers in a text: a rule for what may be dialled, and ``phonenumbers`` for what is a number somewhere.

Digits of an exercise look alike, so a number without a "+" or a word that says it is one must be a telephone number of
one of the countries below, written as people there write theirs; a bare run of digits must be one of a mobile phone.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException

from afterbell.core.english import words
from afterbell.core.privacy.cues import Cues, Searched, rule

_DIGITS_MIN: Final = 7
_DIGITS_MIN_WHERE_SAID: Final = 6
_DIGITS_MAX: Final = 15
_CONTEXT_CHARS: Final = 32
_REGIONS: Final = sorted(
    words(
        "US GB DE FR ES IT TR BR PT IN CN RU PL UA NL BE AT CH SE NO DK FI GR CZ HU RO MX AR CO CL PE EG SA"
        " AE MA DZ TN IQ JO LB IL IR PK BD LK NP ID MY SG PH VN TH KR JP TW HK AU NZ ZA NG KE GH ET"
    )
)
_BARE_DIGITS: Final = range(10, 12)
_GROUPED_DIGITS: Final = range(9, 12)
_BETWEEN: Final = r"(?: ?\(0\) ?|\) ?-?|/|[ .-])?"
# Each begins with the signs it may begin with and looks back behind them, which is many times as fast.
# What a number does not stand beside; scripts without spaces write on.
_LETTERS: Final = "A-Za-z0-9_\u00c0-\u024f\u0370-\u052f"
_CANDIDATE: Final = re.compile(
    rf"[+(\d](?<![{_LETTERS}$€£¥₹/^+][+(\d])(?<!\d[.,][+(\d])"
    rf"(?:(?<=\+) ?\(?\d|(?<=\()\d|(?<=\d))(?:{_BETWEEN}\(?\d){{5,18}}"
    rf"(?![{_LETTERS}]|[.,:]\d|\s?[=+*×÷^%€$£°])"
)
_SAID_TO_BE: Final = re.compile(
    r"\b(?:call|phone|tel|telephone|mobile|cell|whats ?app|text me|sms|dial|ring (?:me|us|him|her)|reach (?:me"
    r"|us) (?:at|on)"
    r"|(?:my|his|her|our|their|mum'?s|mom'?s|dad'?s|phone|mobile|cell) number|telefon\w*|handy\w*|nummer"
    r"|tel[eé]fono|celular"
    r"|m[oó]vil|n[uú]mero (?:de tel|es|é)|portable|num[eé]ro (?:est|de t)|telefone|telemóvel|numaram?|cep"
    r"|telefonum)\b[^\d\n]{0,14}$"
    r"|(?:телефон|номер|звони|电话|電話|手机|手機|号码|微信|번호|전화|فون|هاتف|جوال|رقم[يه]|तلفن|تلفن|शماره|شماره|फोन|फ़ोन|नंबर"
    r"|मोबाइल)"
    r"[^\d\n]{0,14}$",
    re.IGNORECASE,
)
_MATHS_BEFORE: Final = re.compile(r"(?:[=+*×÷^<>√]|\b(?:ratio|minus|plus|times|by|equals|x) ?)\s*-?$", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d{2}(?!\d)|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2}(?!\d)")
_NORTH_AMERICAN: Final = re.compile(r"\(?\d{3}\)?[-.]\d{3}[-.]\d{4}|\(\d{3}\) ?\d{3}[-. ]\d{4}")
_LOCAL: Final = re.compile(r"555(?<![\w.,-]555)[-. ]\d{4}(?![\w-])")
_DECIMAL: Final = re.compile(r"\d+\.\d+|0[ .].*")
_GROUPS: Final = re.compile(r"\d+")
_DIGIT_WORDS: Final = (
    "zero|oh|one|two|three|four|five|six|seven|eight|nine|double|null|eins|zwei|drei|vier|fünf|sechs|sieben|acht|neun"
)
_SPOKEN: Final = Cues((rule("zero oh null", rf"(?:[ ,-]+(?:{_DIGIT_WORDS})\b){{6,}}", any_case=True),))


def phones_in(searched: Searched) -> Iterator[tuple[int, int]]:
    """(start, end) of each telephone number in a text whose digits are ASCII ones."""
    text = searched.text
    for match in _CANDIDATE.finditer(text):
        start = match.start() + (match[0].startswith("(") and ")" not in match[0])
        if _is_phone(text[start : match.end()], text[max(0, start - _CONTEXT_CHARS) : start]):
            yield start, match.end()
    yield from (match.span() for match in _LOCAL.finditer(text))
    yield from _SPOKEN.matches(searched)


def _is_phone(written: str, before: str) -> bool:
    digits = "".join(filter(str.isdigit, written))
    if len(digits) > _DIGITS_MAX + len("00"):
        return False
    if _SAID_TO_BE.search(before):
        return len(digits) >= _DIGITS_MIN_WHERE_SAID and not _DATE.match(written)
    if len(digits) < _DIGITS_MIN:
        return False
    if written.startswith("+"):
        return _is_possible(digits)
    if _MATHS_BEFORE.search(before) or _is_arithmetic(written, digits):
        return False
    if _NORTH_AMERICAN.fullmatch(written):
        return True
    return _is_number_of_a_country(written, digits)


def _is_arithmetic(written: str, digits: str) -> bool:
    """Binary numbers, sequences, thousands, round numbers, decimals, dates and products in brackets."""
    groups = _GROUPS.findall(written)
    steps = {int(b) - int(a) for a, b in pairwise(digits)}
    return (
        set(digits) <= {"0", "1"}
        or len(set(digits)) < 3
        or (len(steps) == 1 and len(groups) == 1)
        or sum(group.endswith("00") for group in groups) > 1
        or digits.endswith("00000")
        or (len(groups) > 1 and all(len(group) == 3 for group in groups[1:]) and not written.startswith("0"))
        or written.count("(") > 1
        or _DECIMAL.fullmatch(written) is not None
        or bool(_DATE.match(written))
        or not _is_grouped_as_spoken(groups)
    )


def _is_grouped_as_spoken(groups: list[str]) -> bool:
    """Behind the first group the others grow or shrink, and none has but one digit: "010-20-3040-55" is a ratio."""
    sizes = [len(group) for group in groups[1:]]
    return sizes in (sorted(sizes), sorted(sizes, reverse=True)) and 1 not in sizes


def _is_number_of_a_country(written: str, digits: str) -> bool:
    if digits.startswith("00"):
        return _is_possible(digits[2:])
    if digits.startswith("0") or "(" in written or "/" in written:
        return bool(_national().fullmatch(digits))
    return len(digits) in (_BARE_DIGITS if written.isdigit() else _GROUPED_DIGITS) and bool(_mobile().fullmatch(digits))


def _is_possible(digits: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}"))
    except NumberParseException:
        return False


@cache
def _national() -> re.Pattern[str]:
    """All numbers of the countries above as they are dialled at home, from the library's own patterns."""
    return _either((land.national_prefix, land.general_desc) for land in _lands())


@cache
def _mobile() -> re.Pattern[str]:
    """The numbers of mobile phones alone, with and without the digit that is dialled before them at home."""
    return _either((land.national_prefix, land.mobile) for land in _lands())


def _lands() -> Iterator[phonenumbers.PhoneMetadata]:
    for region in _REGIONS:
        land = phonenumbers.PhoneMetadata.metadata_for_region(region)
        if land is not None:
            yield land


def _either(kinds: Iterable[tuple[str | None, phonenumbers.PhoneNumberDesc | None]]) -> re.Pattern[str]:
    return re.compile(
        "|".join(
            f"(?:{prefix or ''})?(?:{described.national_number_pattern})"
            for prefix, described in kinds
            if described is not None and described.national_number_pattern
        )
    )
