"""The fixed words of a report in the reader's language, from gettext catalogues that are read as they stand.

A message in the code is its English text; ``catalogues/de.po`` and its neighbours hold the others.
``python tools/catalogues.py`` adds to each of them what the code says anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from babel import Locale

DEFAULT_LANGUAGE: Final = "en"
LANGUAGES: Final = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "hi": "Hindi",
    "pt": "Portuguese",
    "tr": "Turkish",
    "zh": "Chinese",
}
"""The languages that reports are labelled in, by the first part of a language tag."""

_RIGHT_TO_LEFT: Final = frozenset({"ar", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"})
# Readers choose the region of a tag.
_TAGS_REMEMBERED: Final = 128
_WITHOUT_SPACES: Final = frozenset({"zh"})
# A date without a country is written the international way: 2 March 2026.
_LOCALES: Final = {"en": "en_001"}


def language_of(tag: str) -> str | None:
    """The language of a tag such as "de-AT" where reports are labelled in it: "de"; None elsewhere."""
    language = tag.replace("_", "-").partition("-")[0].lower()
    return language if language in LANGUAGES else None


def direction_of(tag: str) -> str:
    """Which way the script of a language runs: "ltr" or "rtl"."""
    return "rtl" if tag.replace("_", "-").partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def preferred(accept_language: str) -> str | None:
    """The supported language an Accept-Language header likes best; None where it names none, or is none."""
    wishes = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, weight = part.strip().partition(";q=")
        language = language_of(tag)
        likes = float(weight) if weight.replace(".", "", 1).isdecimal() else float(not weight)
        if language is not None and likes > 0:
            wishes.append((-likes, place, language))
    return min(wishes)[2] if wishes else None


def gettext_noop(message: str) -> str:
    """The message as it is: marks one for the catalogues that is looked up elsewhere."""
    return message


@dataclass(frozen=True, slots=True)
class Wording:
    """The fixed words of one language. ``tag`` is the language as asked for, region and all."""

    tag: str
    language: str
    catalogue: NullTranslations

    @property
    def direction(self) -> str:
        """Which way its lines run: "ltr" or "rtl"."""
        return direction_of(self.language)

    def gettext(self, message: str, **values: object) -> str:
        """The message, with the values put into its %(names)s."""
        return self.catalogue.gettext(message) % values

    def ngettext(self, singular: str, plural: str, count: int, **values: object) -> str:
        """The message in the form that the language has for this ``count``, which is one of its values."""
        return self.catalogue.ngettext(singular, plural, count) % ({"count": count} | values)

    def joined(self, sentences: Sequence[str]) -> str:
        """Sentences as one text."""
        return ("" if self.language in _WITHOUT_SPACES else " ").join(sentences)

    def listed(self, parts: Sequence[str]) -> str:
        """Parts as the language lists them: "a, b, and c"."""
        from babel.lists import format_list

        return format_list(parts, locale=_locale(self.tag))

    def percent(self, share: float) -> str:
        """A share of 0 to 1 in whole percent."""
        from babel.numbers import format_percent

        return format_percent(share, locale=_locale(self.tag))

    def day(self, moment: datetime) -> str:
        """The day of a moment, in the moment's own time zone: "Monday 2 March 2026"."""
        from babel.dates import format_date

        return format_date(moment.date(), "full", locale=_locale(self.tag))


@lru_cache(maxsize=_TAGS_REMEMBERED)
def wording(tag: str) -> Wording:
    """The fixed words for a language tag; English where there are none in its language."""
    language = language_of(tag)
    if language is None:
        return wording(DEFAULT_LANGUAGE)
    return Wording(tag.replace("_", "-"), language, _catalogue(language))


@cache
def _catalogue(language: str) -> NullTranslations:
    if language == DEFAULT_LANGUAGE:
        return NullTranslations()
    from babel.messages.mofile import write_mo  # 6 MB of a process that may read English reports only
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    with (files("afterbell.core") / "catalogues" / f"{language}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=_TAGS_REMEMBERED)
def _locale(tag: str) -> "Locale":
    """What is known of a language's dates and lists; the language alone where its region is unknown."""
    from babel import Locale, UnknownLocaleError

    for candidate in (_LOCALES.get(tag, tag), tag.partition("-")[0]):
        try:
            return Locale.parse(candidate.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(_LOCALES[DEFAULT_LANGUAGE])
