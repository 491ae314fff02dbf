"""Contact data is found by its rules alone, with digits of any script and beside any sign."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterbell.core.privacy.contacts import contacts_in, holds_contact, top_level_domains
from afterbell.core.privacy.cues import Searched

CONTACTS = (
    "12 Elm Road",
    "12 Elm St",
    "okan@example.org",
    "https://example.org/a",
    "+49 171 2345678",
    "555-123-4567",
    "4111 1111 1111 1111",
    "DE89370400440532013000",
    "@mina_03",
)
BESIDE = (" ", "(", ")", ";", ":", "“", "”", "…", "'", '"', "!", "?", "\n", ", ", "。", "，")
DIGITS = ("٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "०१२३४५६७८९", "০১২৩৪৫৬৭৮৯", "๐๑๒๓๔๕๖๗๘๙", "０１２３４５６７８９")


@pytest.mark.parametrize("contact", CONTACTS)
@given(before=st.sampled_from(BESIDE), behind=st.sampled_from(BESIDE))
def test_contact_data_is_found_whatever_stands_beside_it(contact: str, before: str, behind: str) -> None:
    text = f"so{before}{contact}{behind}yes"
    matches = [text[span.start : span.end] for span in contacts_in(Searched(text))]
    assert any(contact in match or match in contact for match in matches), text
    assert holds_contact(text)


@pytest.mark.parametrize("digits", DIGITS)
@pytest.mark.parametrize(
    "number", ["call 555-123-4567", "+98 912 345 6789", "4111 1111 1111 1111", "live at 12 Elm Road"]
)
def test_digits_of_every_script_count(digits: str, number: str) -> None:
    assert holds_contact(number.translate(str.maketrans("0123456789", digits)))


@given(st.text(max_size=100))
def test_spans_are_in_order_and_apart_in_any_text(text: str) -> None:
    spans = contacts_in(Searched(text))
    assert all(span.end <= following.start for span, following in pairwise(spans))
    assert bool(spans) == holds_contact(text)


@pytest.mark.parametrize("domain", ["xyz", "tokyo", "museum", "berlin", "中国", "рф"])
def test_links_of_every_top_level_domain_are_found(domain: str) -> None:
    assert domain in top_level_domains()
    assert holds_contact(f"see my-lessons.{domain}/me")


@pytest.mark.parametrize(
    "text",
    ["Their home (12 Elm Road) is near.", "She lives at 12 Elm Road; near us.", "Write to mina at gmail dot com."],
)
def test_prose_with_contact_data_is_known_as_such(text: str) -> None:
    assert holds_contact(text)


@pytest.mark.parametrize("word", ["a", "a ", "Mina ", "0", "1 ", "0171 ", "a@", "a.", "dot ", "born ", "王", "12 Elm "])
def test_a_text_of_one_word_without_end_is_read_in_one_go(word: str) -> None:
    contacts_in(Searched(word * (100_000 // len(word))))
