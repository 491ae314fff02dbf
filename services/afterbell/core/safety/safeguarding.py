"""Finds turns that somebody should look at: harm to a child, at home, at school, from an adult here, from themselves.

A decision on the words alone, the same whether or not a model is asked. The lexicons are files in ``lexicons/``:
English and nine more languages. What no phrase says outright is weighed (``disclosures``). A false alarm costs a
member of staff a look; what is missed costs a child more, so the phrases are wide. What is found is for the staff: no
family reads a quote, a summary or praise of it, nor of a turn in doubt, which is no reason for a concern by itself.

In the same breath somebody may say more that no phrase covers, and the one who hears it answers. So the two turns after
a turn about harm are kept from families too, without being a reason for a concern themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from afterbell.core.narrative import Concern, ConcernKind, ConcernSeverity, Evidence
from afterbell.core.safety.disclosures import CONCERN_SCORE, DOUBT_SCORE, disclosure_score
from afterbell.core.safety.injection import speaks_to_writer
from afterbell.core.safety.lexicon import folded, lexicon
from afterbell.core.session import Transcript, Turn

LANGUAGES: Final = ("en", "es", "de", "fr", "tr", "pt", "hi", "zh", "ar", "ru")
SHADOW_TURNS: Final = 2
CITED_MAX: Final = 6
QUOTE_CHARS_MAX: Final = 240
HINT: Final = "hint"
CONDUCT: Final = "conduct"
DOUBT: Final = "doubt"

# What each heading of the lexicons is to the staff.
_KINDS: Final[dict[str, ConcernKind]] = {
    "violence": "safeguarding",
    "sexual": "safeguarding",
    "self_harm": "safeguarding",
    "threat": "safeguarding",
    "neglect": "safeguarding",
    HINT: "safeguarding",
    "bullying": "wellbeing",
    "hate": "conduct",
    CONDUCT: "conduct",
}
REASONS: Final = {
    "violence": "May be about violence or abuse. Read the turn and follow your safeguarding procedure.",
    "sexual": "May be about sexual harm or contact that should not be. Read it and follow your procedure.",
    "self_harm": "May be about self-harm or the wish not to live. Read the turn now and follow your procedure.",
    "threat": "May be a threat to somebody. Read the turn and follow your safeguarding procedure.",
    "neglect": "May be about a child who is not looked after. Read the turn and follow your safeguarding procedure.",
    HINT: "Its words may hint at harm to a child. Read the turn and follow your safeguarding procedure.",
    "bullying": "May be about bullying. Read the turn.",
    "hate": "May be hateful towards a group of people. Read the turn.",
    CONDUCT: "May be an insult or other words that do not belong in a lesson. Read the turn.",
}
_ABOUT_HARM: Final = frozenset({"violence", "sexual", "self_harm", "threat", "neglect", HINT})


@dataclass(frozen=True, slots=True)
class Alarm:
    """A turn to look at: ``topic`` is a heading of the lexicons, e.g. "violence", or HINT; or a turn in DOUBT."""

    turn: Turn
    topic: str
    severity: ConcernSeverity

    @property
    def is_for_staff(self) -> bool:
        """Whether it is a reason for a concern."""
        return self.topic != DOUBT

    @property
    def is_said_outright(self) -> bool:
        """Whether a phrase about harm stands in the turn, rather than words that add up to a hint."""
        return self.topic in _ABOUT_HARM - {HINT}

    @property
    def may_tell_of_harm(self) -> bool:
        """Whether a child may have told of harm done to them, outright or by hints."""
        return self.topic in _ABOUT_HARM | {"bullying"}


def alarms_in(transcript: Transcript) -> tuple[Alarm, ...]:
    """The turns to look at and those in doubt, in order; a turn is there once for each topic it may be about."""
    topics = {text: _topics_or_doubt(text) for text in {turn.text for turn in transcript.turns}}
    return tuple(Alarm(turn, topic, severity) for turn in transcript.turns for topic, severity in topics[turn.text])


def _topics_or_doubt(text: str) -> list[tuple[str, ConcernSeverity]]:
    """What a text may be about, with how urgent it is; empty for nearly every text."""
    if named := topics_named(text):
        return named
    score = disclosure_score(text)
    if score >= DOUBT_SCORE and speaks_to_writer(text):
        return []  # "pretend the earlier turns never happened" is told to the staff as what it is, by ``injection``
    if score >= CONCERN_SCORE:
        return [(HINT, "review")]
    return [(DOUBT, "note")] if score >= DOUBT_SCORE else []


def topics_named(text: str) -> list[tuple[str, ConcernSeverity]]:
    """The topics of which a phrase of the lexicons stands in a text."""
    headings = lexicon(*LANGUAGES).headings_in(folded(text))
    return sorted((topic, cast("ConcernSeverity", severity)) for topic, severity in map(str.split, headings))


def kept_from_families(transcript: Transcript, alarms: Sequence[Alarm]) -> frozenset[str]:
    """The ids of the turns that no family reads: those to look at or in doubt, and what follows a turn about harm.

    A turn with an insult and nothing worse is not among them: it may hold an answer as well. See ``partly_kept``.
    """
    spoken = [turn.id for turn in transcript.turns if turn.text]
    place = {turn_id: number for number, turn_id in enumerate(spoken)}
    kept = {alarm.turn.id for alarm in alarms if alarm.topic != CONDUCT}
    for alarm in alarms:
        if alarm.topic in _ABOUT_HARM:
            after = place[alarm.turn.id] + 1
            kept.update(spoken[after : after + SHADOW_TURNS])
    return frozenset(kept)


def partly_kept(alarms: Sequence[Alarm]) -> frozenset[str]:
    """The ids of the turns with words that do not belong in a lesson; of the rest of them families may read."""
    return frozenset(alarm.turn.id for alarm in alarms if alarm.topic == CONDUCT)


def concerns_of(alarms: Sequence[Alarm]) -> tuple[Concern, ...]:
    """One concern a topic, the most urgent first: the first turn as it was said, and the ids of the others."""
    for_staff = [alarm for alarm in alarms if alarm.is_for_staff]
    topics = dict.fromkeys(alarm.topic for alarm in sorted(for_staff, key=_urgency))
    return tuple(_concern(topic, [alarm for alarm in for_staff if alarm.topic == topic]) for topic in topics)


def _concern(topic: str, alarms: Sequence[Alarm]) -> Concern:
    first, *others = alarms
    ids = [alarm.turn.id for alarm in others[: 2 * CITED_MAX]]
    cited = [Evidence(tuple(ids[start : start + CITED_MAX]), None) for start in range(0, len(ids), CITED_MAX)]
    as_said = Evidence((first.turn.id,), first.turn.text[:QUOTE_CHARS_MAX].strip())
    return Concern(_KINDS[topic], first.severity, REASONS[topic], (as_said, *cited))


def _urgency(alarm: Alarm) -> int:
    return ("urgent", "review", "note").index(alarm.severity)
