"""The sentences of a report without a model: what is on record, in the words of the people there.

Every sentence is a message of its own, so that each language can put it in its own order.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from afterbell.core.basic.record import Correction, Record, StudentAnswer
from afterbell.core.english import words
from afterbell.core.narrative import Action, Narrative, StudentLabel
from afterbell.core.report.wording import sentences
from afterbell.core.session import Turn
from afterbell.core.translation import DEFAULT_LANGUAGE, Wording, gettext_noop

CONFIRMED: Final = gettext_noop("The tutor confirmed this answer in the next message.")
TOO_THIN: Final = "too_thin"
OTHER_LANGUAGE: Final = "other_language"
NO_STUDENT: Final = "no_student"
NO_TUTOR: Final = "no_tutor"
CALLED_OFF: Final = "called_off"
_SUBJECT_CHARS: Final = 40
_PARENT_CHARS: Final = 700
_STUDENT_CHARS: Final = 500
_TUTOR_CHARS: Final = 900
_GIST_CHARS: Final = 76
_GOAL_CHARS_MIN: Final = 8
_NAMED_MAX: Final = 3
_TASKS_MAX: Final = 3
_ACTIONS_MAX: Final = 6
_SHORT: Final = 40
# Written small within an English sentence; names of languages are not.
_PLAIN_SUBJECTS: Final = words(
    "mathematics maths math algebra geometry physics chemistry biology science history geography music art economics"
    " reading writing"
) | {"computer science"}

_HEADLINES: Final = {
    TOO_THIN: gettext_noop("%(subject)s: little on record"),
    OTHER_LANGUAGE: gettext_noop("%(subject)s: the lesson in numbers"),
    NO_STUDENT: gettext_noop("%(subject)s: nothing from the student"),
    NO_TUTOR: gettext_noop("%(subject)s: nothing from the tutor"),
    CALLED_OFF: gettext_noop("%(subject)s: called off"),
}
_WHY: Final = {
    TOO_THIN: gettext_noop("Too little was exchanged in this lesson to say how it went."),
    OTHER_LANGUAGE: gettext_noop("This lesson was not held in English, and the report without AI reads English only."),
    NO_STUDENT: gettext_noop("Nothing from the student is on record, so the lesson may not have been held."),
    NO_TUTOR: gettext_noop("Nothing from the tutor is on record, so the lesson may not have been held."),
    CALLED_OFF: gettext_noop("The lesson was called off, as the messages say."),
}
_LITTLE: Final = gettext_noop("There is little on record of this lesson: tell someone at home what you worked on.")
_QUOTED: Final = gettext_noop("“%(words)s”")
_TOOK_PLACE: Final = frozenset({TOO_THIN, OTHER_LANGUAGE})


@dataclass(frozen=True, slots=True)
class Story:
    """What the sentences are made of; ``labels`` are the students' by participant id, in the order they spoke up.

    ``wording`` has the sentences, in the report's language.
    """

    subject: str
    goals: tuple[str, ...]
    record: Record
    labels: Mapping[str, str]
    wording: Wording

    @property
    def is_group(self) -> bool:
        """Whether more than one student spoke."""
        return len(self.labels) > 1

    def label_of(self, turn: Turn) -> StudentLabel:
        """Whose a student's turn is."""
        return cast("StudentLabel", self.labels[turn.speaker.id])

    def quoted(self, text: str, most: int) -> str:
        """The beginning of a text in quotation marks, at most ``most`` characters in all."""
        return quoted(text, most, self.wording)

    def about(self, person: str) -> "Story":
        """The story of one student."""
        record = replace(
            self.record,
            confirmed=tuple(answer for answer in self.record.confirmed if answer.said.speaker.id == person),
            corrected=tuple(
                correction for correction in self.record.corrected if correction.answer.said.speaker.id == person
            ),
            left_open=tuple(question for question in self.record.left_open if question.turn.speaker.id == person),
        )
        return replace(self, record=record, labels={person: self.labels[person]})


def blank(subject: str, reason: str, wording: Wording) -> Narrative:
    """The narrative of a session that tells nothing; ``reason`` is one of the five above."""
    say = wording.gettext
    why = say(_WHY[reason])
    if reason in _TOOK_PLACE:
        parent = say("Your child and the tutor can tell you what was worked on.")
        student = say(_LITTLE)
    else:
        parent = say("If you think this is a mistake, please ask the tutor.")
        student = say("It looks as if this lesson did not take place: if it did, tell your tutor.")
    return Narrative(
        headline=say(_HEADLINES[reason], subject=capital(_subject(subject, wording))),
        topics=(),
        skills=(),
        misconceptions=(),
        strengths=(),
        open_questions=(),
        goal_progress="not_discussed",
        goal_evidence=(),
        actions=(),
        concerns=(),
        parent_summary=wording.joined([why, parent]),
        student_note=student,
        tutor_note=wording.joined([why, say("A line from you about it would help.")]),
        insufficient_evidence=(say("What was worked on and how it went."),),
    )


def headline(story: Story) -> str:
    """One line, 10 to 120 characters."""
    subject = capital(_subject(story.subject, story.wording))
    goal = " ".join(story.goals[0].split()) if story.goals else ""
    if _GOAL_CHARS_MIN <= len(goal) <= _GIST_CHARS:
        return f"{subject}: {goal}"
    return story.wording.gettext("%(subject)s: the lesson on record", subject=subject)


def parent_summary(story: Story) -> str:
    """What was planned, confirmed, corrected, left open and set."""
    if story.is_group:
        tail = story.wording.gettext(
            "Several students took part. What is on record of each is told to their own family."
        )
        return _fit([*_opening(story), tail, *_homework(story)], _PARENT_CHARS, story.wording)
    parts = (*_opening(story), *_confirmed(story), *_corrected(story), *_left_open(story), *_homework(story))
    return _fit(parts, _PARENT_CHARS, story.wording)


def student_note(story: Story) -> str:
    """To the student: what the tutor said yes to, what to look at again, what to ask and what to do."""
    say = story.wording.gettext
    if story.is_group:
        parts = [say("Several students took part in this lesson."), *_own_homework(story)]
    else:
        parts = [*_own_answers(story), *_own_question(story), *_own_homework(story)]
    if not parts:
        parts = [say(_LITTLE)]
    return _fit(parts, _STUDENT_CHARS, story.wording)


def tutor_note(story: Story) -> str:
    """The turns to look up."""
    return _fit(_observations(story.record, story.wording), _TUTOR_CHARS, story.wording)


def actions(story: Story) -> tuple[Action, ...]:
    """The work that was set, as the tutor put it, and the questions to come back to."""
    say, quote = story.wording.gettext, story.quoted
    tasks = [
        Action("student", say("As the tutor put it: %(task)s", task=quote(work.text, 150)), None, "before_next_session")
        for work in story.record.work_set[:_TASKS_MAX]
    ]
    task = say("Come back to the question that stayed open.")
    whose = dict.fromkeys(
        story.label_of(question.turn) if story.is_group else None for question in story.record.left_open
    )
    tasks.extend(Action("tutor", task, None, "before_next_session", student) for student in whose)
    return tuple(tasks[:_ACTIONS_MAX])


def unknown(story: Story) -> tuple[str, ...]:
    """What the record does not tell; each at most 120 characters."""
    say, missing = story.wording.gettext, []
    if not story.record.confirmed:
        missing.append(say("Which answers were right: the tutor did not say so in words that fixed rules can read."))
    if story.goals:
        missing.append(say("Whether the goal was reached: fixed rules cannot judge that."))
    return tuple(missing)


def correction(corrected: Correction, story: Story) -> str:
    """What a correction shows, and no more; at most 240 characters."""
    say = story.wording.gettext
    answer = story.quoted(gist(corrected.answer.said.text), 75)
    if corrected.settled is None:
        return say(
            "The tutor corrected %(answer)s. The tutor did not say yes to an answer right after it.", answer=answer
        )
    following = story.quoted(gist(corrected.settled.said.text), 55)
    sentence = say(
        "The tutor corrected %(answer)s and confirmed the next answer, %(following)s.",
        answer=answer,
        following=following,
    )
    named = [say("The tutor had named it before.")] if corrected.status == "partly" else []
    return story.wording.joined([sentence, *named])


def gist(text: str) -> str:
    """The part of an answer to show where there is no room for all: its last sentence with a number, else its first.

    A number by itself says nothing: "… 2 extra friends. 2" is told by the sentence before.
    """
    if len(text) <= _GIST_CHARS:
        return text
    parts = sentences(text[:2_000]) or [text]
    return next((part for part in reversed(parts) if any(map(str.isdigit, part)) and " " in part), parts[0])


def excerpt(text: str, most: int) -> str:
    """The beginning of a text, at most ``most`` characters: whole sentences where at least one fits."""
    end = 0
    for sentence in sentences(text[: 2 * most]):
        after = text.index(sentence, end) + len(sentence)
        if after > most:
            break
        end = after
    return text[:end].strip() or cut(text, most)


def quoted(text: str, most: int, wording: Wording) -> str:
    """The beginning of a text in the language's quotation marks, at most ``most`` characters in all."""
    text = " ".join(text.split()).rstrip(" .,;:")
    short = cut(text, most - len(wording.gettext(_QUOTED, words="")) - 1)
    shown = short if len(short) == len(text) else f"{short.rstrip(' .,;:')}…"
    return wording.gettext(_QUOTED, words=shown)


def capital(text: str) -> str:
    """The text with its first letter upper case."""
    return text[:1].upper() + text[1:]


def cut(text: str, most: int) -> str:
    """The beginning of a text, at most ``most`` characters, ending between words where it can."""
    text = text.strip()
    if len(text) <= most:
        return text
    short = text[:most]
    space = max(short.rfind(" "), short.rfind("\n"))
    return (short[:space] if space > most // 2 else short).strip()


def _subject(subject: str, wording: Wording) -> str:
    name = cut(" ".join(subject.split()), _SUBJECT_CHARS) or wording.gettext("The subject")
    return name.lower() if wording.language == DEFAULT_LANGUAGE and name.lower() in _PLAIN_SUBJECTS else name


def _opening(story: Story) -> Iterator[str]:
    say, record = story.wording.gettext, story.record
    if story.goals:
        goal = story.quoted(story.goals[0], 160)
        if len(story.goals[0]) <= _GIST_CHARS:
            yield say("The goal set for this lesson: %(goal)s.", goal=goal)
        else:
            yield say("The task set for this lesson: %(task)s.", task=goal)
    if record.plan is not None:
        yield say("The tutor put the plan like this: %(plan)s.", plan=story.quoted(record.plan.text, 160))
    elif not story.goals:
        yield say("This was a lesson in %(subject)s.", subject=_subject(story.subject, story.wording))


def _confirmed(story: Story) -> Iterator[str]:
    count = len(story.record.confirmed)
    if count:
        yield story.wording.ngettext(
            "The tutor confirmed one of your child's answers: %(answers)s.",
            "The tutor confirmed %(count)s of your child's answers: %(answers)s.",
            count,
            answers=_named(story),
        )
    else:
        yield story.wording.gettext("The wording of the lesson does not show which answers were right.")


def _corrected(story: Story) -> Iterator[str]:
    count, settled = _corrections(story)
    say = story.wording
    if count:
        yield say.ngettext("The tutor corrected one answer.", "The tutor corrected %(count)s answers.", count)
    if count == 1 and settled:
        yield say.gettext("The answer right after it was confirmed.")
    elif settled:
        yield say.ngettext(
            "The answer right after one of them was confirmed.",
            "The answers right after %(count)s of them were confirmed.",
            settled,
        )


def _corrections(story: Story) -> tuple[int, int]:
    """How many answers were corrected, and after how many of them the next one was confirmed."""
    return len(story.record.corrected), sum(correction.settled is not None for correction in story.record.corrected)


def _left_open(story: Story) -> Iterator[str]:
    for question in story.record.left_open[:1]:
        asked = story.quoted(question.text, 120)
        yield story.wording.gettext("A question of your child's stayed open: %(question)s.", question=asked)


def _homework(story: Story) -> Iterator[str]:
    for work in story.record.work_set[:1]:
        task = story.quoted(work.text, 170)
        yield story.wording.gettext("Work was set, in the tutor's words: %(task)s.", task=task)


def _own_answers(story: Story) -> Iterator[str]:
    say, (corrected, settled) = story.wording, _corrections(story)
    if confirmed := len(story.record.confirmed):
        yield say.ngettext(
            "Your tutor said yes to one of your answers: %(answers)s.",
            "Your tutor said yes to %(count)s of your answers: %(answers)s.",
            confirmed,
            answers=_named(story),
        )
    if unsettled := corrected - settled:
        yield say.ngettext(
            "One answer was not there yet: have another look at it below.",
            "%(count)s answers were not there yet: have another look at them below.",
            unsettled,
        )
    if settled:
        yield say.gettext("After a correction your very next answer got a yes.")


def _own_question(story: Story) -> Iterator[str]:
    for question in story.record.left_open[:1]:
        asked = story.quoted(question.text, 120)
        yield story.wording.gettext(
            "You asked %(question)s That is still open: ask it again next time.", question=asked
        )


def _own_homework(story: Story) -> Iterator[str]:
    for work in story.record.work_set[:1]:
        task = story.quoted(work.text, 170)
        yield story.wording.gettext("For you to do, in your tutor's words: %(task)s.", task=task)


def _observations(record: Record, wording: Wording) -> Iterator[str]:
    say = wording.gettext
    if record.confirmed:
        yield say("Answers you confirmed: %(turns)s.", turns=_turns(answer.said for answer in record.confirmed))
    if record.corrected:
        yield say(
            "Answers you corrected: %(turns)s.", turns=_turns(correction.answer.said for correction in record.corrected)
        )
    if unsettled := [correction.answer.said for correction in record.corrected if correction.status == "open"]:
        yield say("Corrected, and no answer right after was confirmed: %(turns)s.", turns=_turns(unsettled))
    if record.left_open:
        yield say(
            "Questions that stayed open: %(turns)s.", turns=_turns(question.turn for question in record.left_open)
        )
    if not record.confirmed and not record.corrected:
        yield say("No answer was called right or wrong in words that fixed rules can read.")
    yield say("This note is read from the wording alone.")


def _named(story: Story) -> str:
    """The shortest answers, in order: they tell the most by themselves."""
    answers = story.record.confirmed
    short = sorted(answers, key=_length)[:_NAMED_MAX]
    named = [story.quoted(gist(answer.said.text), 80) for answer in answers if answer in short]
    return story.wording.listed(named) if len(answers) <= _NAMED_MAX else f"{', '.join(named)} …"


def _length(answer: StudentAnswer) -> tuple[bool, int]:
    return len(answer.said.text) > _SHORT, len(answer.said.text)


def _turns(turns: Iterable[Turn]) -> str:
    return ", ".join(turn.id for turn in list(turns)[:12])


def _fit(parts: Iterable[str], most: int, wording: Wording) -> str:
    """Whole sentences, as many as fit, in order."""
    kept: list[str] = []
    for part in parts:
        if len(wording.joined([*kept, part])) <= most:
            kept.append(part)
    return wording.joined(kept)
