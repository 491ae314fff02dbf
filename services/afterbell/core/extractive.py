"""The report without a model: what the wording of an English session shows, each claim cited.

Deterministic and offline. It reads signals (``dialogue``), finds what the session kept coming back to
(``keywords``) and writes them up (``basic_prose``). It leaves empty what wording cannot show: skills are
never called independent, goals never met, and concerns are for people and models to see. Other languages and
thin sessions get an honest blank; so does a goal where the session ends on an answer that nobody judged.
"""

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

from afterbell.core import basic_prose as prose
from afterbell.core.dialogue import Confirmed, Dialogue, Slip, read, sentences
from afterbell.core.english import CONFIRMS, CORRECTS, NOTICES, REASONS, is_english
from afterbell.core.keywords import KeyPhrase, Spoken, key_phrases, shared_stems, spoken, stems_of
from afterbell.core.metrics import too_thin_to_read
from afterbell.core.narrative import (
    Evidence,
    GoalProgress,
    Misconception,
    Narrative,
    OpenQuestion,
    Skill,
    Strength,
    Topic,
)
from afterbell.core.session import Transcript, Turn

QUOTE_CHARS_MAX: Final = 240
_TOPICS_MAX: Final = 4
_GOALS_NAMED: Final = 2
_GOAL_NAME_CHARS: Final = 80
_SKILLS_MAX: Final = 3
_SLIPS_MAX: Final = 3
_QUESTIONS_MAX: Final = 3
_SAMPLE_TURNS: Final = 40
_QUOTE_CHARS_MIN: Final = 30
_ASKS: Final = re.compile(r"\?")
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Subject:
    """Something worked on: its name for a reader, the stems that mark it and the turns that hold them."""

    name: str
    stems: frozenset[str]
    turns: tuple[int, ...]
    is_goal: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """All that is known before a word is written."""

    transcript: Transcript
    said: tuple[Turn, ...]
    stems: tuple[Set[str], ...]
    subjects: tuple[_Subject, ...]
    dialogue: Dialogue

    def cite(self, position: int, stems: frozenset[str] = _NONE, marked: re.Pattern[str] | None = None) -> Evidence:
        turn = self.said[position]
        return Evidence((turn.id,), quote_from(turn.text, stems, marked))

    def cite_yes(self, yes: Confirmed, stems: frozenset[str] = _NONE) -> tuple[Evidence, Evidence]:
        return self.cite(yes.student, stems), self.cite(yes.tutor, marked=CONFIRMS)

    def is_student(self, position: int) -> bool:
        return self.said[position].speaker.role == "student"


def write_narrative(transcript: Transcript) -> Narrative:
    """The narrative of any transcript, within all bounds; every quote is a substring of its turn."""
    said = tuple(turn for turn in transcript.turns if turn.text)
    if too_thin_to_read(transcript):
        return prose.blank(transcript.subject, prose.TOO_THIN)
    if not is_english(transcript.language, " ".join(turn.text for turn in said[:_SAMPLE_TURNS])):
        return prose.blank(transcript.subject, prose.OTHER_LANGUAGE)
    session = spoken(turn.text for turn in said)
    goals = frozenset().union(*(stems_of(goal) for goal in transcript.goals))
    stems = shared_stems(session, goals) if goals else ()
    return _write(_Reading(transcript, said, stems, _subjects(transcript, session, stems), read(said)))


def quote_from(text: str, stems: frozenset[str] = _NONE, marked: re.Pattern[str] | None = None) -> str:
    """A sentence of the text: the first one ``marked``, else the one that shares most with ``stems``.

    A substring of the text, cut between words. A short sentence ("Yes.") runs on into the next ones.
    """
    parts = sentences(text[: QUOTE_CHARS_MAX * 8]) or [text.strip()]
    best = max(parts, key=lambda part: len(stems_of(part) & stems)) if stems else parts[0]
    if marked is not None:
        best = next((part for part in parts if marked.search(part)), best)
    start = text.index(best)
    end = start + len(best) if len(best) >= _QUOTE_CHARS_MIN else start + QUOTE_CHARS_MAX
    return prose.cut(text[start:end], QUOTE_CHARS_MAX)


def _write(reading: _Reading) -> Narrative:
    talk = reading.dialogue
    topics = tuple(_topic(reading, subject) for subject in reading.subjects)
    skills = tuple(_skills(reading))[:_SKILLS_MAX]
    misconceptions = tuple(_misconception(reading, slip) for slip in talk.slips[:_SLIPS_MAX])
    praises = tuple(_praises(reading))[:2]
    questions = tuple(_open_questions(reading))
    progress, goal_evidence = _goal(reading)
    told = _told(reading, praises)
    return Narrative(
        headline=prose.headline(told),
        topics=topics,
        skills=skills,
        misconceptions=misconceptions,
        strengths=tuple(strength for _, strength in praises),
        open_questions=questions,
        goal_progress=progress,
        goal_evidence=goal_evidence,
        actions=prose.actions(told),
        concerns=(),
        parent_summary=prose.parent_summary(told),
        student_note=prose.student_note(told),
        tutor_note=prose.tutor_note(told),
        insufficient_evidence=tuple(_unknown(reading, skills, progress)),
    )


def _subjects(transcript: Transcript, session: Spoken, shared: Sequence[Set[str]]) -> tuple[_Subject, ...]:
    names = prose.names_of(transcript)
    goals = list(_goal_subjects(transcript, shared))[:_GOALS_NAMED]
    avoid = frozenset(part.lower() for name in names for part in re.findall(r"\w+", name))
    phrases = key_phrases(session, avoid=avoid, most=_TOPICS_MAX)
    taken = frozenset().union(*(goal.stems for goal in goals))
    found = [_of_phrase(phrase) for phrase in phrases if not taken.issuperset(phrase.stems)]
    return (*goals, *found)[:_TOPICS_MAX]


def _of_phrase(phrase: KeyPhrase) -> _Subject:
    return _Subject(phrase.text, frozenset(phrase.stems), phrase.turns, is_goal=False)


def _goal_subjects(transcript: Transcript, shared: Sequence[Set[str]]) -> Iterator[_Subject]:
    """Goals short enough to be a name, and touched in the session: a whole exercise names nothing."""
    for goal in transcript.goals:
        name = prose.nameless(goal, transcript).rstrip(".! ")
        stems = stems_of(goal)
        if 0 < len(name) <= _GOAL_NAME_CHARS and "?" not in name and _touching(shared, stems):
            yield _Subject(name, stems, _touching(shared, stems, enough=1), is_goal=True)


def _touching(shared: Sequence[Set[str]], stems: frozenset[str], enough: int = 2) -> tuple[int, ...]:
    """The turns that share ``enough`` stems, or all of them where there are fewer."""
    least = min(enough, len(stems))
    return tuple(i for i, words in enumerate(shared) if least and len(words & stems) >= least)


def _topic(reading: _Reading, subject: _Subject) -> Topic:
    """Cites where it came up and what a student last said of it, preferring a confirmed turn."""
    confirmed = {yes.student for yes in reading.dialogue.confirmed}
    students = [position for position in subject.turns if reading.is_student(position)]
    students.sort(key=lambda position: (position in confirmed, position))
    others = [position for position in subject.turns if not reading.is_student(position)]
    cited = sorted({*others[:1], *students[-1:]})
    evidence = tuple(reading.cite(position, subject.stems) for position in cited)
    return Topic(prose.capital(subject.name), "practised" if students else "introduced", evidence)


def _skills(reading: _Reading) -> Iterator[Skill]:
    """What the tutor confirmed, once each. How much help it took is unknown: never "independent"."""
    free = list(reversed(reading.dialogue.confirmed))
    for subject in reading.subjects:
        yes = next((pair for pair in free if pair.student in subject.turns), None)
        if yes is None:
            continue
        free.remove(yes)
        evidence = reading.cite_yes(yes, subject.stems)
        name = subject.name if subject.is_goal else f"Questions about {subject.name}"
        yield Skill(prose.capital(name), "with_help", "first_seen", prose.CONFIRMED_RATIONALE, evidence)


def _misconception(reading: _Reading, slip: Slip) -> Misconception:
    about = next((subject for subject in reading.subjects if slip.student in subject.turns), None)
    stems = about.stems if about else _NONE
    cited = [reading.cite(slip.student, stems), reading.cite(slip.tutor, marked=CORRECTS)]
    if slip.settled is not None:
        cited.append(reading.cite(slip.settled.student, stems))
    name = about.name if about and not about.is_goal else None
    return Misconception(prose.slip_description(name, slip.status), slip.status, tuple(cited))


def _praises(reading: _Reading) -> Iterator[tuple[prose.Praise, Strength]]:
    """Things a student did, the most telling first, each about another turn."""
    talk = reading.dialogue
    settled = [slip.settled for slip in talk.slips if slip.settled is not None and slip.status == "resolved"]
    found = [
        *((prose.PUT_RIGHT, yes.student, reading.cite_yes(yes)) for yes in settled[-1:]),
        *((prose.NOTICED, at, (reading.cite(at, marked=NOTICES),)) for at in talk.noticed[:1]),
        *((prose.EXPLAINED, at, (reading.cite(at, marked=REASONS),)) for at in talk.explained[:1]),
        *((prose.ASKED, at, (reading.cite(at, marked=_ASKS),)) for at in talk.student_asked[:1]),
        *((prose.CONFIRMED, yes.student, reading.cite_yes(yes)) for yes in talk.confirmed[-1:]),
    ]
    used: set[int] = set()
    for praise, position, evidence in found:
        if position not in used:
            used.add(position)
            yield praise, Strength(praise.praise, evidence)


def _open_questions(reading: _Reading) -> Iterator[OpenQuestion]:
    for asked in reading.dialogue.unanswered[:_QUESTIONS_MAX]:
        question = prose.cut(prose.nameless(asked.text, reading.transcript), QUOTE_CHARS_MAX)
        evidence = [Evidence((reading.said[asked.turn].id,), prose.cut(asked.text, QUOTE_CHARS_MAX))]
        if asked.put_off is not None:
            evidence.append(reading.cite(asked.put_off))
        yield OpenQuestion(question, tuple(evidence))


def _goal(reading: _Reading) -> tuple[GoalProgress, tuple[Evidence, ...]]:
    """What the tutor's last word on an answer shows: "partly" at most, and nothing where it is open how it ended."""
    stems = frozenset().union(*(stems_of(goal) for goal in reading.transcript.goals))
    touching = _touching(reading.stems, stems)
    if not touching:
        return "not_discussed", ()
    ending = reading.dialogue.ending
    if ending is None:
        return "not_discussed", ()
    if ending.right and ending.tutor is not None:
        return "partly", reading.cite_yes(Confirmed(ending.student, ending.tutor), stems)
    no = () if ending.tutor is None else (reading.cite(ending.tutor, marked=CORRECTS),)
    return "not_yet", (reading.cite(ending.student, stems), *no)


def _unknown(reading: _Reading, skills: Sequence[Skill], progress: GoalProgress) -> Iterator[str]:
    if not reading.subjects:
        yield "What the session was about: no topic came up often enough to be named."
    if not skills:
        yield "What the student can do now: no answer was clearly confirmed by the tutor."
    if progress == "not_discussed" and reading.transcript.goals:
        yield "Whether the goal was reached: the session does not say it in so many words."
    if progress == "partly":
        yield "Whether the goal holds without help: one session's wording does not show it."


def _told(reading: _Reading, praises: Sequence[tuple[prose.Praise, Strength]]) -> prose.Told:
    talk = reading.dialogue
    return prose.Told(
        subject=reading.transcript.subject,
        goals=tuple(subject.name for subject in reading.subjects if subject.is_goal),
        topics=tuple(subject.name for subject in reading.subjects if not subject.is_goal),
        praises=tuple(praise for praise, _ in praises),
        slips=talk.slips,
        explained=talk.explained[:1],
        confirmed=bool(talk.confirmed),
        open_question=bool(talk.unanswered),
        work_set=tuple(prose.nameless(sentence, reading.transcript) for _, sentence in talk.work_set),
        turn_ids=tuple(turn.id for turn in reading.said),
    )
