"""Finished reports for the tests of views and pages."""

from dataclasses import replace

from tests.core.sessions import START, lesson

from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Concern, Evidence, Narrative
from afterbell.core.report.grounding import examine, speakers_of
from afterbell.core.report.prompt import PROMPT_VERSION, SCHEMA_VERSION
from afterbell.core.report.report import Checks, Engine, Provenance, Report
from afterbell.core.report.statistics import measure
from afterbell.core.session import Session, Transcript, transcript_of
from afterbell.core.usage import Usage

LESSON = lesson(
    "T: Shall we compare fractions with different denominators today?",
    "S: I think 1/8 is the bigger fraction because the denominator is bigger, so there are more pieces.",
    "T: Not quite. What happens to the size of a piece when the denominator grows?",
    "S: Oh, I see, the pieces get smaller, so the bigger denominator means the smaller fraction.",
    "T: Exactly, well done. For next time, do questions 4 to 6 about fractions, Mina.",
    "S: Okay. My brother hit me yesterday. How do I compare 5/6 and 7/8?",
    "T: Let us come back to that next time.",
    goals=("Compare fractions with different denominators",),
)
CONCERN = Concern("safeguarding", "urgent", "Zxqv: may be hurt at home", (Evidence(("t6",), "My brother hit me"),))


def ground(narrative: Narrative, transcript: Transcript) -> tuple[Narrative, Checks]:
    """The narrative without what cites wrongly, and what was checked."""
    grounded = examine(narrative, transcript)
    return grounded.narrative, grounded.checks


def report_of(session: Session = LESSON, *, engine: Engine = "extractive", concern: bool = True) -> Report:
    """A report on a session, with a concern about t6 unless told otherwise."""
    narrative, checks = ground(write_narrative(transcript_of(session)), transcript_of(session))
    if concern:
        narrative = replace(narrative, concerns=(CONCERN,))
    return Report(
        id="r-1",
        session_id=session.id,
        version=1,
        language=transcript_of(session).written_in,
        lesson_language=session.language,
        narrative=narrative,
        metrics=measure(session),
        checks=checks,
        provenance=Provenance(
            engine,
            "a-model" if engine == "llm" else None,
            PROMPT_VERSION,
            SCHEMA_VERSION,
            "ab" * 32,
            None,
            Usage(),
        ),
        created_at=START,
        speakers=speakers_of(narrative, transcript_of(session)),
    )
