from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.core.sessions import TEXTS

from afterbell.core import keywords
from afterbell.core.keywords import END, key_phrases, shared_stems, spoken, stem

PIECES = (st.text("aZé5_-'.,!?=+ſİ", min_size=1, max_size=8) | st.text(min_size=1, max_size=6)).filter(
    lambda said: said.split() == [said]
)
TALK = st.lists(
    st.lists(
        st.sampled_from(
            ("the", "of", "apple", "apples", "Apple.", "pie", "Okan", "is", "per", "3/4", "+", "=", "_", "cutting")
        ),
        max_size=14,
    ).map(" ".join)
    | TEXTS,
    max_size=8,
)


@given(PIECES)
def test_a_piece_is_cut_at_once_as_the_pattern_cuts_it(piece: str) -> None:
    low = piece.lower()
    assert keywords._tokens_of(piece) == (keywords._ASCII_TOKEN if low.isascii() else keywords._TOKEN).findall(low)


@given(TALK)
def test_all_pieces_are_looked_up_in_their_order(texts: list[str]) -> None:
    session = spoken(texts)
    assert session.each({piece: piece for piece in session.said}) == tuple(session.pieces)
    assert session.said == Counter(session.pieces)
    assert session.said[END] == len(texts)


@given(TALK)
def test_a_run_that_is_passed_over_has_no_phrase_of_weight(texts: list[str]) -> None:
    session = spoken(texts)
    topical = {word: stem(word) for word in session.words if keywords._carries(word, frozenset())}
    runs = keywords._runs(session, topical)
    places = keywords._places(runs)
    words = {run: run.split("_")[1:] for run in places}
    every: dict[keywords.Stems, keywords._Tally] = keywords.defaultdict(keywords._Tally)
    some: dict[keywords.Stems, keywords._Tally] = keywords.defaultdict(keywords._Tally)
    for run in places:
        keywords._count(every, words[run][-3:], run[0] == "+", places[run])
    for run in keywords._promising(places, words, topical):
        keywords._count(some, words[run][-3:], run[0] == "+", places[run])
    heavy = {stems for stems, tally in every.items() if keywords._weight(stems, tally, {}, len(texts)) > 0}
    assert all(every[stems] == some[stems] for stems in heavy)


@given(TALK)
def test_a_text_shares_the_stems_of_the_words_it_holds(texts: list[str]) -> None:
    shared = shared_stems(spoken(texts), {"apple", "pie"})
    assert [set(found) for found in shared] == [
        {stem(word) for piece in text[:2_000].split() for word in keywords._tokens_of(piece)} & {"apple", "pie"}
        for text in texts
    ]


@given(TALK)
def test_names_are_no_phrases_and_phrases_share_no_word(texts: list[str]) -> None:
    phrases = key_phrases(spoken(texts), avoid=frozenset({"apple"}), most=4)
    assert len(phrases) <= 4
    used = [part for phrase in phrases for part in phrase.stems]
    assert len(used) == len(set(used))
    assert not any("apple" in phrase.text.split() for phrase in phrases)
