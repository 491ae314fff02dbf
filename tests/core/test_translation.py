import re
from collections import Counter
from datetime import UTC, datetime

import pytest
from babel.messages.catalog import Message
from tools import catalogues

from afterbell.core.translation import LANGUAGES, direction_of, language_of, preferred, wording

TRANSLATED = sorted(LANGUAGES.keys() - {"en"})
PLACEHOLDER = re.compile(r"%\(\w+\)s|%%|%")


def placeholders(text: str) -> Counter[str]:
    return Counter(PLACEHOLDER.findall(text))


def forms(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if isinstance(message.string, list | tuple) else (message.string,)


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_catalogue_has_every_message_and_no_other(language: str) -> None:
    wanted = {message.id for message in catalogues.messages() if message.id}
    stored = {message.id: message for message in catalogues.read(language) if message.id}
    assert (wanted - stored.keys(), stored.keys() - wanted) == (set(), set()), "run tools/catalogues.py"
    assert not [message.id for message in stored.values() if message.fuzzy or not all(forms(message))]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_values_of_its_message(language: str) -> None:
    for message in catalogues.read(language):
        if not message.id:
            continue
        *_, most = message.id if isinstance(message.id, tuple) else (message.id,)
        # A form for one or two may say the number in words.
        without = (
            placeholders(most) - placeholders("%(count)s") if isinstance(message.id, tuple) else placeholders(most)
        )
        for form in forms(message):
            assert placeholders(form) in (placeholders(most), without), (message.id, form)


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_is_stored_as_its_tool_writes_it(language: str) -> None:
    path = catalogues.CATALOGUES / f"{language}.po"
    assert path.read_bytes() == catalogues.updated(language), "run tools/catalogues.py"


def test_the_six_forms_of_arabic_are_told_apart() -> None:
    arabic = wording("ar")
    said = [arabic.ngettext("%(count)s minute", "%(count)s minutes", count) for count in (0, 1, 2, 3, 11, 100)]
    assert said == ["أقل من دقيقة", "دقيقة واحدة", "دقيقتان", "3 دقائق", "11 دقيقة", "100 دقيقة"]


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("en", "2 March 2026"),
        ("en-US", "March 2, 2026"),
        ("de-AT", "2. März 2026"),
        ("pt-BR", "2 de março de 2026"),
        ("tr", "2 Mart 2026"),
        ("zh", "2026年3月2日"),
        ("hi", "2 मार्च 2026"),
        ("ar", "2 مارس 2026"),
        ("de-XX", "2. März 2026"),
        ("ja", "2 March 2026"),
    ],
)
def test_a_day_is_written_as_its_readers_write_it(tag: str, said: str) -> None:
    assert said in wording(tag).day(datetime(2026, 3, 2, 16, tzinfo=UTC))


def test_shares_and_lists_follow_the_language() -> None:
    assert [wording(tag).percent(0.456) for tag in ("en", "de", "tr")] == ["46%", "46\N{NO-BREAK SPACE}%", "%46"]
    assert wording("zh").listed(["一", "二"]) == "一和二"
    assert wording("zh").joined(["一。", "二。"]) == "一。二。"
    assert wording("es").joined(["Uno.", "Dos."]) == "Uno. Dos."


def test_a_tag_names_the_language_it_begins_with() -> None:
    assert [language_of(tag) for tag in ("de", "DE-at", "zh_Hans", "ja", "")] == ["de", "de", "zh", None, None]
    assert [direction_of(tag) for tag in ("ar-EG", "he", "de")] == ["rtl", "rtl", "ltr"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("ja,fr;q=0.4,es;q=0.7", "es"),
        ("ja, *;q=0.5", None),
        ("fr;q=0, tr;q=0.1", "tr"),
        ("fr;q=x;q=1,,;;=,en;q=²", None),
        ("", None),
    ],
)
def test_the_language_a_browser_likes_best_is_taken(header: str, language: str | None) -> None:
    assert preferred(header) == language
