"""The sentences of a report written without a model: plain, warm, and never saying more than was seen.

A sentence may come in variants; a session always gets the same ones. No display names: the reader
knows who is meant.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from afterbell.core.dialogue import Slip
from afterbell.core.narrative import Action, Narrative
from afterbell.core.session import Transcript

CONFIRMED_RATIONALE: Final = "The tutor confirmed an answer on this during the session."
TOO_THIN: Final = "too_thin"
OTHER_LANGUAGE: Final = "other_language"
_SUBJECT_CHARS: Final = 40
_PARENT_CHARS: Final = 700
_STUDENT_CHARS: Final = 500
_TUTOR_CHARS: Final = 900
_TASK_CHARS: Final = 200
# Written small within a sentence; names of languages are not.
_PLAIN_SUBJECTS: Final = frozenset(
    {
        *(
            "mathematics",
            "maths",
            "math",
            "algebra",
            "geometry",
            "physics",
            "chemistry",
            "biology",
            "science",
        ),
        *("history", "geography", "music", "art", "economics", "computer science", "reading", "writing"),
    }
)
_ROLE_WORDS: Final = frozenset({"student", "tutor", "teacher", "assistant", "observer", "parent", "child", "you"})


@dataclass(frozen=True, slots=True)
class Praise:
    """One thing done, worded for each place: as a strength, to the parent first or second, to the student."""

    praise: str
    to_parent: tuple[str, ...]
    besides: str
    to_student: str


PUT_RIGHT: Final = Praise(
    "Stayed with a step that was not right yet until it was.",
    (
        "One step was not right at first; your child stayed with it until the tutor could confirm it.",
        "There was a step that took more than one try. Your child did not let go of it, and it came right.",
    ),
    "A step that was not right at first was put right before the end.",
    "You stayed with a step that was not right at first until you had it. That is how things get learned.",
)
NOTICED: Final = Praise(
    "Saw where an earlier step had gone wrong, and said so.",
    (
        "Your child saw where an earlier step had gone wrong and said so openly.",
        "At one point your child looked back, found where a step had gone wrong and named it.",
    ),
    "Just as good: seeing where an earlier step had gone wrong, and saying so.",
    "You saw for yourself where an earlier step had gone wrong, and said so. That takes a careful eye.",
)
EXPLAINED: Final = Praise(
    "Gave the reasons for an answer, one step after another.",
    (
        "Your child did more than give answers and put the reasoning into words, one step after another.",
        "Rather than only naming a result, your child said how it came about, step by step.",
        "You would have heard your child explain an answer, not just give it.",
    ),
    "Along the way the reasoning was put into words, not just the results.",
    "You did not just give answers: you said how you got there, one step after another.",
)
ASKED: Final = Praise(
    "Asked when something was not clear.",
    ("When something was not clear, your child asked.",),
    "It was also good to see a question asked where something was not clear.",
    "When something was not clear, you asked. Keep doing that.",
)
CONFIRMED: Final = Praise(
    "Worked out an answer that the tutor confirmed.",
    ("Your child worked out an answer that the tutor confirmed.",),
    "The tutor could confirm an answer, too.",
    "You worked out an answer that your tutor confirmed.",
)


@dataclass(frozen=True, slots=True)
class Told:
    """What the prose is made of; positions in ``slips`` and ``explained`` point into ``turn_ids``."""

    subject: str
    goals: tuple[str, ...]
    topics: tuple[str, ...]
    praises: tuple[Praise, ...]
    slips: tuple[Slip, ...]
    explained: tuple[int, ...]
    confirmed: bool
    open_question: bool
    work_set: tuple[str, ...]
    turn_ids: tuple[str, ...]

    def unsettled(self) -> bool:
        """Whether nothing was called right after the last thing that was called wrong."""
        return bool(self.slips) and self.slips[-1].status != "resolved"

    def pick(self, *variants: str) -> str:
        """One of the variants, always the same one for the same session."""
        seed = "|".join((self.subject, *self.goals, *self.topics, *self.turn_ids[-1:]))
        return variants[crc32(seed.encode()) % len(variants)]


def blank(subject: str, reason: str) -> Narrative:
    """The narrative of a session with nothing to write from; ``reason``: TOO_THIN or OTHER_LANGUAGE."""
    thin = reason == TOO_THIN
    missing = (
        "Everything but the numbers: too little was said."
        if thin
        else "Everything but the numbers: this kind of report reads English only."
    )
    why = (
        "This time too little was written down to say how the session went, and we would rather not guess."
        if thin
        else "This session was not held in English, and this kind of report can only read English so far."
    )
    return Narrative(
        headline=f"{capital(_subject(subject))}: {'a brief session' if thin else 'the session in numbers'}",
        topics=(),
        skills=(),
        misconceptions=(),
        strengths=(),
        open_questions=(),
        goal_progress="not_discussed",
        goal_evidence=(),
        actions=(Action("parent", "Ask your child what the session was about.", 5, "anytime"),),
        concerns=(),
        parent_summary=f"{why} Your child and the tutor can tell you what was worked on.",
        student_note="There is no note on this session. Tell someone at home one thing you remember from it.",
        tutor_note=f"{why} A line from you to the parent would help.",
        insufficient_evidence=(missing,),
    )


def headline(told: Told) -> str:
    """One line, 10 to 120 characters."""
    if told.goals:
        about = told.goals[0]
    elif told.topics:
        about = listed(told.topics[:2])
    else:
        about = _subject(told.subject)
    return cut(f"{capital(cut(about, 70))}: {_outcome(told)}", 120)


def parent_summary(told: Told) -> str:
    """What was worked on, what went well, what needs attention, what comes next."""
    first = [told.pick(*praise.to_parent) for praise in told.praises[:1]]
    second = [praise.besides for praise in told.praises[1:2]]
    return _fit([_opening(told), *first, *second, *_attention(told), *_outlook(told)], _PARENT_CHARS)


def student_note(told: Told) -> str:
    """One thing done well and one next step, as "you"."""
    praise = told.praises[0].to_student if told.praises else "Thank you for thinking along in this session."
    if told.unsettled():
        step = "One step was not called right yet. Bring it up first thing next time: it is a good place to begin."
    elif told.work_set:
        step = "Next up is what you and your tutor agreed on; it is in the list below."
    elif told.slips:
        step = "Next step: do one more like the one that took a second try, and say each step out loud."
    elif told.topics:
        step = f"Next step: make up a question about {told.topics[0]} yourself and solve it."
    else:
        step = "Next step: tell someone at home how you solved one of the questions."
    return _fit([praise, step], _STUDENT_CHARS)


def tutor_note(told: Told) -> str:
    """Observations with turn ids, never a verdict."""
    return _fit(list(_observations(told)), _TUTOR_CHARS)


def actions(told: Told) -> tuple[Action, ...]:
    """Up to five small things to do."""
    return tuple(_actions(told))


def slip_description(topic: str | None, status: str) -> str:
    """What a correction shows, and no more: what was wrong stands in the quotes."""
    about = f"A step about {topic}" if topic else "One step"
    after = {
        "resolved": "was not right at first and was confirmed after another try.",
        "partly": "was not right at first; it got clearer, but was not settled for certain.",
        "open": "was not right yet, and no later answer to it was confirmed.",
    }
    return f"{about} {after[status]}"


def names_of(transcript: Transcript) -> tuple[str, ...]:
    """The display names in a transcript and their parts, longest first; role words are not names."""
    full = {turn.speaker.display_name.strip() for turn in transcript.turns}
    parts = {part for name in full for part in re.findall(r"[^\W\d_][\w'-]+", name)}
    names = {name for name in full | parts if len(name) > 1 and name.lower() not in _ROLE_WORDS}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def nameless(text: str, transcript: Transcript) -> str:
    """The text without names: dropped where they address someone, "the student" elsewhere."""
    names = names_of(transcript)
    if not names:
        return " ".join(text.split())
    name = "(?:" + "|".join(re.escape(one) for one in names) + ")"
    text = re.sub(rf"^(?:(?:hi|hello|hey|ok|okay|so)[, ]+)?{name}\s*[,!:]\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(rf",\s*{name}(?=\s*[,.!?]|\s*$)", "", text)
    text = re.sub(rf"(?<!\w){name}(?!\w)", "the student", text)
    return capital(" ".join(text.split()))


def listed(parts: Sequence[str]) -> str:
    """ "a", "a and b" or "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


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


def _subject(subject: str) -> str:
    name = cut(" ".join(subject.split()), _SUBJECT_CHARS) or "the subject"
    return name.lower() if name.lower() in _PLAIN_SUBJECTS else name


def _outcome(told: Told) -> str:
    if told.unsettled():
        return told.pick("good work, and one step to come back to", "well on the way, with one step to look at again")
    if told.slips:
        return told.pick("right on the second look", "a second look that paid off", "a step put right along the way")
    if told.confirmed:
        return told.pick("worked through to a confirmed answer", "answers the tutor could confirm")
    if told.explained:
        return told.pick("thinking it through out loud", "the reasons behind the answers")
    return told.pick("a look at it together", "working on it together")


def _opening(told: Told) -> str:
    subject = _subject(told.subject)
    topics = listed(told.topics[:2]) if told.topics else ""
    if told.goals:
        tail = f", and much of the talk was about {topics}" if topics else ""
        return f"The plan for this {subject} session was “{told.goals[0]}”{tail}."
    if topics:
        return told.pick(
            f"Your child spent this {subject} session on questions about {topics}.",
            f"In this {subject} session your child and the tutor worked through questions about {topics}.",
            f"In {subject} your child worked with the tutor on questions about {topics}.",
        )
    return f"Your child and the tutor worked through {subject} together in this session."


def _attention(told: Told) -> Iterator[str]:
    if told.unsettled():
        yield "One step was questioned and then not called right before the end, so it is worth coming back to."
    elif told.slips and PUT_RIGHT not in told.praises:
        yield "One step needed a second look along the way and was right in the end."
    elif not told.slips and not told.confirmed:
        yield "The tutor did not say whether the answers were right, so the next session will tell more."
    if told.open_question:
        yield "One question stayed unanswered; it is noted for next time."


def _outlook(told: Told) -> Iterator[str]:
    if told.work_set:
        yield "There is something to do before next time, as agreed in the session."
    else:
        yield _for_parent(told)


def _for_parent(told: Told) -> str:
    if told.topics and not told.goals:
        about = f"a question about {told.topics[0]}"
        return told.pick(
            f"If you have ten minutes, let your child walk you through {about}.",
            f"For ten minutes at home: your child plays the tutor and shows you {about}.",
        )
    return "If you have ten minutes, ask your child to show you one of the questions and how it was solved."


def _actions(told: Told) -> Iterator[Action]:
    for sentence in told.work_set[:2]:
        yield Action("student", cut(f"As agreed: “{cut(sentence, 170)}”", _TASK_CHARS), None, "before_next_session")
    if told.slips and not told.unsettled():
        task = "Do one more question like the one that took a second try, and say each step out loud."
        yield Action("student", task, 10, "this_week")
    if told.topics and not told.goals:
        task = f"Ask your child to walk you through one question about {told.topics[0]}."
    else:
        task = "Ask your child to show you one of the questions and how it was solved."
    yield Action("parent", task, 10, "this_week")
    if told.unsettled():
        yield Action(
            "tutor", "Begin with the step that was not called right before the end.", 10, "before_next_session"
        )
    if told.open_question:
        yield Action("tutor", "Come back to the question that stayed open.", 5, "before_next_session")


def _observations(told: Told) -> Iterator[str]:
    at = told.turn_ids
    for slip in told.slips[:3]:
        if slip.settled is not None:
            yield (
                f"You questioned {at[slip.student]} at {at[slip.tutor]};"
                f" at {at[slip.settled.student]} the student had something you could confirm."
            )
        else:
            yield f"What you questioned at {at[slip.tutor]} was not confirmed later: a good place to begin."
    for position in told.explained:
        yield f"The student's fullest reasoning is at {at[position]}."
    if not told.slips and not told.confirmed:
        yield "No answer was called right or wrong in so many words; hearing it helps the student."
    if told.open_question:
        yield "One question was left without an answer."
    yield "This note is read from the wording alone, so take it as pointers into the transcript."


def _fit(parts: Iterable[str], most: int) -> str:
    """Whole sentences, as many as fit, in order."""
    text = ""
    for part in parts:
        longer = f"{text} {part}".strip()
        if len(longer) <= most:
            text = longer
    return text
