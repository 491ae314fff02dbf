"""How well the gates tell what must not pass: counted over the turns of the tests and over the sessions at hand."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from benchmarks.report_lessons import Lesson
from tests.core.privacy.corpus import CASES, Case
from tests.core.safety.injection_texts import AT_THE_REPORT, PUBLIC_STYLE, TEACHING
from tests.core.safety.injection_texts import lines as texts_of
from tests.core.safety.safeguarding_turns import INDIRECT_HELD_BACK, LOOKALIKES_HELD_BACK, ORDINARY, WORRYING, topics_of

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.privacy.redaction import redact
from afterbell.core.report.grounding import examine
from afterbell.core.safety.injection import hostile_in
from afterbell.core.safety.safeguarding import alarms_in, kept_from_families
from afterbell.core.session import Message, Participant, Session, Transcript, Turn, transcript_of

_BRACES = re.compile(r"\{([^}]*)\}")
_PLACEHOLDERS = re.compile(r"(?:\[[A-Z]+(?:_\d+)+\])+")
_TUTOR, _STUDENT = Participant("t", "tutor", "Tutor"), Participant("s", "student", "Student")


@dataclass(frozen=True, slots=True)
class SafetyCounts:
    """Shares are 0 to 1; false alarms are a thousand turns; the others count turns or reports."""

    recall: float
    hints: float
    hints_kept: float
    lookalike_alarms: float
    false_alarms: float
    session_alarms: float
    quoted: int
    attacks: float
    teaching: int
    contradictions: int
    named_topics: int
    left: tuple[str, ...]
    destroyed: tuple[str, ...]


def judge_safety(lessons: Iterable[Lesson]) -> SafetyCounts:
    """The counts over the turns of the tests and over the sessions of ``lessons``."""
    worrying = [turn for _, turn in WORRYING]
    ordinary = [turn for _, turn in ORDINARY]
    hints = [turn for _, turn in INDIRECT_HELD_BACK]
    attacks = texts_of(AT_THE_REPORT) + texts_of(PUBLIC_STYLE)
    sessions = [lesson.session for lesson in lessons]
    said = [message.text for session in sessions for message in session.messages]
    return SafetyCounts(
        recall=_share(worrying),
        hints=_share(hints),
        hints_kept=sum(map(_is_kept, hints)) / len(hints),
        lookalike_alarms=1000 * _share([turn for _, turn in LOOKALIKES_HELD_BACK]),
        false_alarms=1000 * _share(ordinary),
        session_alarms=1000 * _share(said),
        quoted=sum(map(_is_quoted, worrying)),
        attacks=sum(map(_is_hostile, attacks)) / len(attacks),
        teaching=sum(map(_is_hostile, texts_of(TEACHING) + said)),
        contradictions=sum(map(_contradicts_itself, sessions)),
        named_topics=sum(bool(write_narrative(transcript_of(session)).topics) for session in sessions),
        left=tuple(case.text for case in CASES if any(part in _as_prompted(case) for part in _marked(case))),
        destroyed=tuple(case.text for case in CASES if _plain_parts(case) != _PLACEHOLDERS.split(_as_prompted(case))),
    )


def _as_prompted(case: Case) -> str:
    """What a model reads of a planted message."""
    people = (Participant("s", "student", case.student), Participant("t", "tutor", case.tutor))
    session = Session("s", "Mathematics", people, (Message("m0", "t", "?"), Message("m1", "s", case.text)))
    return redact(transcript_of(session), people)[0].turns[1].text


def _marked(case: Case) -> list[str]:
    """What of it must not leave; a single letter or digit may stand elsewhere as well."""
    return [part for part in _BRACES.findall(case.marked) if len(part) > 1]


def _plain_parts(case: Case) -> list[str]:
    return _BRACES.split(case.marked)[::2]


def _share(turns: list[str]) -> float:
    return sum(bool(topics_of(turn)) for turn in turns) / max(len(turns), 1)


def _is_kept(text: str) -> bool:
    turn_alone = Transcript("x", None, "en", (), (Turn("t1", _STUDENT, text),))
    return bool(kept_from_families(turn_alone, alarms_in(turn_alone)))


def _is_hostile(text: str) -> bool:
    return bool(hostile_in(Transcript("x", None, "en", (), (Turn("t1", _STUDENT, text),))).turn_ids)


def _is_quoted(text: str) -> bool:
    """Whether a report without a model shows a family a turn, though the tutor confirms it as an answer would be."""
    said = ("What is 2 + 2?", "It is 4.", "Correct. And you?", text, "Exactly, that is right.", "It is 5.")
    turns = tuple(Turn(f"t{n}", _STUDENT if n % 2 == 0 else _TUTOR, line) for n, line in enumerate(said, start=1))
    transcript = Transcript("Mathematics", None, "en", (), turns)
    shown = replace(examine(write_narrative(transcript), transcript).narrative, concerns=())
    return text in json.dumps(asdict(shown), ensure_ascii=False)


def _contradicts_itself(session: Session) -> bool:
    """Whether an answer is both confirmed and corrected, or answers are listed and said not to be known."""
    narrative: Narrative = write_narrative(transcript_of(session))
    confirmed = {skill.evidence[0].turn_ids for skill in narrative.skills}
    corrected = {slip.evidence[0].turn_ids for slip in narrative.misconceptions}
    unknown = "does not show which answers" in narrative.parent_summary
    return bool(confirmed & corrected) or (bool(narrative.skills) and unknown)
