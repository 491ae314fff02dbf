"""What prose may say of mastery: as much as was proven, in every language of the reports."""

from dataclasses import replace

import pytest

from afterbell.core.report.mastery import NOTHING_PROVEN, Proven, is_unproven

ADDING = frozenset({"addin", "fract"})
ONE_SKILL = Proven(alone=True, wholly=False, goal=False, named=ADDING)
ALL_OF_IT = Proven(alone=True, wholly=True, goal=True, named=ADDING)

NEVER_BY_ONE_SKILL = [
    "Your child has fully mastered fractions.",
    "Your child has mastered everything.",
    "She completely understands fractions.",
    "He has a perfect command of adding fractions.",
    "She knows fractions inside out.",
    "He can do everything on his own.",
    "Your child has mastered ratios.",
    "Her mastery of decimals shows.",
    "The goal was fully met.",
    "Ihr Kind hat Brüche vollständig verstanden.",
    "Ihr Kind beherrscht alle Brüche.",
    "Su hijo domina las fracciones por completo.",
    "Su hija comprende perfectamente las fracciones.",
    "Votre enfant a compris parfaitement les fractions.",
    "Votre enfant maîtrise tout.",
    "Seu filho entende perfeitamente as frações.",
    "Çocuğunuz kesirleri tamamen öğrendi.",
    "आपका बच्चा भिन्न पूरी तरह समझ गया है।",
    "您的孩子完全掌握了分数。",
    "يفهم طفلكم الكسور بشكل كامل.",
]
BORNE_OUT = [
    "Your child has mastered adding fractions with equal denominators.",
    "She added the last two fractions on her own.",
    "He solved every step without help.",
    "She works independently on fractions.",
    "Ihr Kind löste die letzte Aufgabe ganz ohne Hilfe.",
]
SAYS_NOTHING_OF_IT = [
    "Next time, let him try to do everything on his own.",
    "She has not mastered fractions yet.",
    "All three questions were about fractions.",
    "The headmaster came in, and a complete fraction is 4/4.",
    "Sie hat Brüche noch nicht vollständig verstanden.",
    "下次可以看看是否完全掌握。",
]


@pytest.mark.parametrize("sentence", NEVER_BY_ONE_SKILL)
def test_one_skill_done_alone_is_no_mastery_of_all(sentence: str) -> None:
    assert is_unproven(sentence, ONE_SKILL)


@pytest.mark.parametrize("sentence", BORNE_OUT)
def test_what_was_done_alone_may_be_said_where_it_is_proven(sentence: str) -> None:
    assert not is_unproven(sentence, ONE_SKILL)
    assert is_unproven(sentence, NOTHING_PROVEN)


@pytest.mark.parametrize("sentence", SAYS_NOTHING_OF_IT)
def test_what_is_asked_for_or_denied_needs_no_proof(sentence: str) -> None:
    assert not is_unproven(sentence, NOTHING_PROVEN)


def test_mastery_of_all_may_be_said_where_all_was_done_alone_and_the_goal_met() -> None:
    assert not is_unproven("Your child has fully mastered fractions. The goal was met.", ALL_OF_IT)
    assert is_unproven("Your child has fully mastered fractions.", replace(ALL_OF_IT, wholly=False))
