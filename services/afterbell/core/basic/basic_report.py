"""The report without a model: a record of what an English lesson's wording shows, each entry cited.

Deterministic and offline. It says what was set out to do, which answers the tutor confirmed or corrected, what work was
set and which questions stayed open, in the words of the people there. It praises nothing, names no topic that nobody
named, calls no skill independent and no goal met. A lesson in another language, one with too little in it and one that
did not take place are told as such. What is quoted stays English; the sentences around it are in the report's language.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from afterbell.core.basic import prose
from afterbell.core.basic.prose import Story
from afterbell.core.basic.record import Correction, Quoted, StudentAnswer, record_of
from afterbell.core.english import is_english
from afterbell.core.narrative import (
    Evidence,
    Misconception,
    Narrative,
    OpenQuestion,
    Skill,
    StudentLabel,
    StudentTexts,
    Topic,
)
from afterbell.core.report.conduct import fit_part
from afterbell.core.report.statistics import THIN_EXCHANGES, THIN_TURNS, exchanges_in, labels_of
from afterbell.core.safety.safeguarding import Alarm, alarms_in, kept_from_families, partly_kept
from afterbell.core.session import Transcript, Turn
from afterbell.core.translation import Wording, wording

QUOTE_CHARS_MAX: Final = 240
_SKILLS_MAX: Final = 6
_CORRECTIONS_MAX: Final = 4
_QUESTIONS_MAX: Final = 3
_SAMPLE_TURNS: Final = 40


def write_narrative(transcript: Transcript, alarms: Sequence[Alarm] | None = None) -> Narrative:
    """The narrative of any transcript, within all bounds; every quote is a substring of its turn.

    ``alarms``: the turns somebody should look at, where they are known already.
    """
    alarms = alarms_in(transcript) if alarms is None else alarms
    partly = partly_kept(alarms)
    # Of a turn with an insult and an answer the answer is read; one with nothing else is kept back.
    fit = {turn.id: fit_part(turn.text) for turn in transcript.turns if turn.id in partly}
    turns = tuple(replace(turn, text=fit.get(turn.id) or turn.text) for turn in transcript.turns if turn.text)
    kept_back = kept_from_families(transcript, alarms) | {turn_id for turn_id, text in fit.items() if not text}
    words = wording(transcript.written_in)
    if reason := _unreadable(transcript, turns):
        return prose.blank(transcript.subject, reason, words)
    story = _story(transcript, turns, kept_back, words)
    if story.record.called_off and exchanges_in(turns) <= 2 * THIN_EXCHANGES:
        return prose.blank(transcript.subject, prose.CALLED_OFF, words)
    if len(turns) < THIN_TURNS or exchanges_in(turns) < THIN_EXCHANGES:
        return prose.blank(transcript.subject, prose.TOO_THIN, words)
    return _written(story, turns)


def _unreadable(transcript: Transcript, turns: tuple[Turn, ...]) -> str:
    """Why fixed rules read nothing in these turns; "" where they can."""
    if not turns:
        return prose.TOO_THIN
    if absent := _absent(turns):
        return absent
    is_read = is_english(transcript.language, " ".join(turn.text for turn in turns[:_SAMPLE_TURNS]))
    return "" if is_read else prose.OTHER_LANGUAGE


def _absent(turns: tuple[Turn, ...]) -> str:
    """Who has not said a word."""
    roles = {turn.speaker.role for turn in turns}
    if "student" not in roles:
        return prose.NO_STUDENT
    if not roles & {"tutor", "assistant"}:
        return prose.NO_TUTOR
    return ""


def _story(transcript: Transcript, turns: tuple[Turn, ...], kept_back: Collection[str], words: Wording) -> Story:
    labels = labels_of(turns)
    students = {turn.speaker.id for turn in turns if turn.speaker.role == "student"}
    return Story(
        subject=transcript.subject,
        goals=tuple(goal for goal in transcript.goals if goal.strip()),
        record=record_of(turns, kept_back),
        labels={person: label for person, label in labels.items() if person in students},
        wording=words,
    )


def _written(story: Story, turns: tuple[Turn, ...]) -> Narrative:
    record = story.record
    skills = tuple(_skill(answer, story) for answer in record.confirmed[:_SKILLS_MAX])
    return Narrative(
        headline=prose.headline(story),
        topics=() if record.plan is None else (_topic(record.plan, story),),
        skills=skills,
        misconceptions=_misconceptions(story),
        strengths=(),
        open_questions=tuple(_question(question, story) for question in record.left_open[:_QUESTIONS_MAX]),
        goal_progress="not_discussed",
        goal_evidence=(),
        actions=prose.actions(story),
        concerns=(),
        parent_summary=prose.parent_summary(story),
        student_note=prose.student_note(story),
        tutor_note=prose.tutor_note(story),
        insufficient_evidence=prose.unknown(story),
        per_student=tuple(_texts_of(story, person, turns) for person in story.labels) if story.is_group else (),
    )


def _texts_of(story: Story, person: str, turns: tuple[Turn, ...]) -> StudentTexts:
    own = story.about(person)
    label: StudentLabel = story.label_of(next(turn for turn in turns if turn.speaker.id == person))
    return StudentTexts(label, prose.parent_summary(own), prose.student_note(own))


def _topic(plan: Quoted, story: Story) -> Topic:
    return Topic(story.quoted(plan.text, 80), "introduced", (_cite(plan.turn, plan.text),))


def _skill(answer: StudentAnswer, story: Story) -> Skill:
    name = story.quoted(prose.gist(answer.said.text), 80)
    why = story.wording.gettext(prose.CONFIRMED)
    evidence = (_cite_answer(answer.said), _cite(answer.reply))
    return Skill(name, "with_help", "first_seen", why, evidence, story.label_of(answer.said))


def _misconceptions(story: Story) -> tuple[Misconception, ...]:
    """One entry for what would read the same."""
    entries = [_misconception(correction, story) for correction in story.record.corrected]
    return tuple({(entry.description, entry.student): entry for entry in entries}.values())[:_CORRECTIONS_MAX]


def _misconception(correction: Correction, story: Story) -> Misconception:
    cited = [_cite_answer(correction.answer.said), _cite(correction.answer.reply)]
    if correction.settled is not None:
        cited.append(_cite_answer(correction.settled.said))
        if correction.status == "resolved":
            cited[1] = Evidence((correction.answer.reply.id, correction.settled.reply.id), cited[1].quote)
    description = prose.correction(correction, story)
    return Misconception(description, correction.status, tuple(cited), story.label_of(correction.answer.said))


def _question(question: Quoted, story: Story) -> OpenQuestion:
    text = prose.cut(question.text, QUOTE_CHARS_MAX)
    evidence = [_cite(question.turn, text), *([_cite(question.reply)] if question.reply else [])]
    return OpenQuestion(text, tuple(evidence), story.label_of(question.turn))


def _cite(turn: Turn, words: str | None = None) -> Evidence:
    return Evidence((turn.id,), prose.excerpt(words or turn.text, QUOTE_CHARS_MAX))


def _cite_answer(turn: Turn) -> Evidence:
    """An answer too long to quote is cited by the part of it that is told."""
    return _cite(turn, turn.text if len(turn.text) <= QUOTE_CHARS_MAX else prose.gist(turn.text))
