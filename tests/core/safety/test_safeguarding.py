"""Turns that somebody should look at are found, and lessons are not taken for them."""

import json
import os
from pathlib import Path

import pytest
from tests.core.safety.safeguarding_turns import (
    INDIRECT,
    INDIRECT_HELD_BACK,
    LOOKALIKES,
    LOOKALIKES_HELD_BACK,
    ORDINARY,
    WORRYING,
    topics_of,
)
from tests.core.sessions import transcript
from tools import fit_disclosures

from afterbell.core.safety.disclosures import CONCERN_SCORE, disclosure_score
from afterbell.core.safety.safeguarding import (
    alarms_in,
    concerns_of,
    kept_from_families,
    partly_kept,
    topics_named,
)

RECALL_MIN = 0.99
FALSE_ALARMS_MAX = 0.03


@pytest.mark.parametrize("code", sorted({code for code, _ in WORRYING}))
def test_a_worrying_turn_is_seldom_missed(code: str) -> None:
    turns = [turn for language, turn in WORRYING if language == code]
    missed = [turn for turn in turns if not topics_of(turn)]
    assert len(missed) <= (1 - RECALL_MIN) * len(turns), missed


def test_an_ordinary_turn_seldom_has_a_phrase_of_the_lexicons() -> None:
    turns = [turn for _, turn in ORDINARY]
    alarms = [turn for turn in turns if topics_named(turn)]
    assert len(turns) + len(WORRYING) >= 400
    assert len(alarms) <= FALSE_ALARMS_MAX * len(turns), alarms


def test_what_is_told_in_a_roundabout_way_is_mostly_found() -> None:
    assert _share_found(INDIRECT) >= 0.95
    assert _share_found(INDIRECT_HELD_BACK) >= 0.85
    assert _share_kept(INDIRECT_HELD_BACK) >= 0.90


def test_what_only_looks_alike_is_mostly_let_be() -> None:
    assert _share_found(ORDINARY) <= 0.10
    assert _share_found(LOOKALIKES) <= 0.25
    assert _share_found(LOOKALIKES_HELD_BACK) <= 0.37


def _share_found(turns: list[tuple[str, str]]) -> float:
    return sum(bool(topics_of(turn)) for _, turn in turns) / len(turns)


def _share_kept(turns: list[tuple[str, str]]) -> float:
    sessions = [transcript(f"S: {turn}") for _, turn in turns]
    return sum(bool(kept_from_families(session, alarms_in(session))) for session in sessions) / len(turns)


def test_the_sets_do_not_overlap_and_the_weights_are_of_todays_turns() -> None:
    learned = {turn for _, turn in (*WORRYING, *INDIRECT, *ORDINARY, *LOOKALIKES)}
    assert learned.isdisjoint(turn for _, turn in (*INDIRECT_HELD_BACK, *LOOKALIKES_HELD_BACK))
    written = (fit_disclosures.LEXICONS / "disclosure_weights.txt").read_text("utf-8")
    assert fit_disclosures.digest() in written.splitlines()[0], "run `.venv/bin/python tools/fit_disclosures.py`"


def test_one_sentence_counts_in_a_long_message() -> None:
    hint = "I sleep in my clothes so I can leave"
    sums = (
        "First I multiplied the numerator by three and then I divided the whole fraction by twelve to get the ratio. "
    )
    assert disclosure_score(hint) >= CONCERN_SCORE
    assert disclosure_score(3 * sums + hint + ". " + 3 * sums) >= CONCERN_SCORE
    assert disclosure_score(6 * sums) < CONCERN_SCORE


def test_a_turn_in_doubt_is_kept_from_families_without_a_concern() -> None:
    in_doubt = next(turn for turn in map(_as_doubt, LOOKALIKES) if turn)
    session = transcript("T: How are you?", f"S: {in_doubt}", "T: Let us do sums.", "S: ok")
    alarms = alarms_in(session)
    assert [alarm.is_for_staff for alarm in alarms] == [False]
    assert concerns_of(alarms) == ()
    assert kept_from_families(session, alarms) == {"t2"}


def _as_doubt(turn: tuple[str, str]) -> str:
    alarms = alarms_in(transcript(f"S: {turn[1]}"))
    return turn[1] if [alarm.topic for alarm in alarms] == ["doubt"] else ""


def test_letters_and_marks_do_not_hide_it() -> None:
    for said in (
        "MY DAD HIT ME!!!",
        "my d\u200bad hit me",
        "My dad — again — hit me",
        "I\u2019ll kill you",
        "mi papa me pega",
    ):
        assert topics_of(said), said


def test_the_staff_gets_the_turn_and_families_get_neither_it_nor_what_follows() -> None:
    session = transcript(
        "T: How are you?", "S: my dad hit me", "T: I am sorry.", "S: with a stick", "T: Let us do sums.", "S: ok"
    )
    alarms = alarms_in(session)
    (concern,) = concerns_of(alarms)
    assert (concern.kind, concern.severity, concern.evidence[0].quote) == ("safeguarding", "urgent", "my dad hit me")
    assert kept_from_families(session, alarms) == {"t2", "t3", "t4"}


def test_a_turn_with_an_insult_is_kept_in_part_and_by_itself() -> None:
    session = transcript("T: 12 times 12?", "S: are you stupid or what? 144", "T: Please be kind.", "S: 144")
    assert kept_from_families(session, alarms_in(session)) == frozenset()
    assert partly_kept(alarms_in(session)) == {"t2"}


@pytest.mark.skipif("AFTERBELL_DATA" not in os.environ, reason="AFTERBELL_DATA names no folder of real sessions")  # noqa: TID251
def test_real_lessons_hold_next_to_none() -> None:
    path = Path(os.environ["AFTERBELL_DATA"]) / "mathdial-sessions.jsonl"  # noqa: TID251
    turns = [message["text"] for line in path.read_text().splitlines() for message in json.loads(line)["messages"]]
    assert sum(bool(topics_named(turn)) for turn in turns) == 0
    assert sum(bool(topics_of(turn)) for turn in turns) <= 3 * len(turns) / 1000
