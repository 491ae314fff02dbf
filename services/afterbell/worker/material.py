"""What a report is written from: one session, read once, with everything that is decided before anybody writes."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final

import orjson

from afterbell.adapters.models.answer import ModelAnswer
from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.report.grounding import examine
from afterbell.core.report.prompt import PROMPT_VERSION, SCHEMA_VERSION
from afterbell.core.report.report import Checks, Engine, Provenance, engine_of
from afterbell.core.report.statistics import SessionMetrics, measure
from afterbell.core.safety.injection import Hostile, hostile_in
from afterbell.core.safety.safeguarding import Alarm, alarms_in
from afterbell.core.session import Message, Participant, Session, Transcript, transcript_of
from afterbell.core.translation import wording
from afterbell.core.usage import Usage
from afterbell.worker.writer import redact_session, safety_identifier_of

# Something for each gate to look at, so that what it needs is there before the first lesson.
_SAMPLE: Final = (
    "Hello! Today we look at fractions: what is 3/4 of 12?",
    "I think it is nine, because a quarter of 12 is three and my brother Ole has three of those.",
    "Exactly, that is right. Write to tutor@example.org or call 030 5550 1234 before the next lesson…",
    "Okay, is there homework?",
)


@dataclass(frozen=True, slots=True)
class Material:
    """A session as its report is written from it.

    ``alarms``: the turns somebody should look at; ``hostile``: what speaks to the report's writer.
    """

    session: Session
    revision: int
    transcript: Transcript
    metrics: SessionMetrics
    input_sha256: str
    safety_identifier: str | None
    alarms: tuple[Alarm, ...]
    hostile: Hostile

    def basic_narrative(self) -> Narrative:
        """The narrative without a model."""
        return write_narrative(self.transcript, self.alarms)

    def checked(self, narrative: Narrative) -> tuple[Narrative, Checks]:
        """A narrative that no model wrote, with what does not hold taken out."""
        grounded = examine(narrative, self.transcript, self.hostile.turn_ids, self.alarms, by_rules=True)
        return grounded.narrative, grounded.checks

    def language(self, engine: Engine) -> str:
        """What a report is written in: a model writes any language, fixed rules those that have a catalogue."""
        asked = self.transcript.written_in
        return wording(asked).tag if engine == "extractive" else asked

    def provenance(self, answer: ModelAnswer | None) -> Provenance:
        """Where a report on it comes from; no ``answer`` where no model wrote it."""
        model = answer.model if answer else None
        return Provenance(
            engine=engine_of(model),
            model=model,
            prompt_version=PROMPT_VERSION,
            schema_version=SCHEMA_VERSION,
            input_sha256=self.input_sha256,
            request_id=answer.request_id if answer else None,
            usage=answer.usage if answer else Usage(),
        )


def material_of(session: Session, revision: int, key: bytes) -> Material:
    """Everything about a session that is decided before anybody writes; ``key`` makes the safety identifier."""
    transcript = transcript_of(session)
    digest = hashlib.sha256(orjson.dumps([[turn.id, turn.speaker.id, turn.text] for turn in transcript.turns]))
    return Material(
        session=session,
        revision=revision,
        transcript=transcript,
        metrics=measure(session, transcript),
        input_sha256=digest.hexdigest(),
        safety_identifier=safety_identifier_of(session, key),
        alarms=alarms_in(transcript),
        hostile=hostile_in(transcript),
    )


@cache
def warm_up() -> None:
    """Read the lexicons and compile the rules of the gates, which the first report would wait for otherwise.

    A quarter of a second of a processor, once in a process; to be done beside the event loop.
    """
    people = (Participant("t", "tutor", "Ada Tutor"), Participant("s", "student", "Bo Student"))
    said = tuple(Message(f"m{place}", "ts"[place % 2], text) for place, text in enumerate(_SAMPLE))
    material = material_of(Session("warm-up", "Mathematics", people, said, goals=("Understand fractions",)), 0, b"")
    redact_session(material.session, material.transcript, material.alarms, material.hostile)
    material.checked(material.basic_narrative())
