"""What a report is written from: one session, read once, with everything that is decided before anybody writes."""

import hashlib
from dataclasses import dataclass

import orjson

from afterbell.adapters.models.answer import ModelAnswer
from afterbell.core.basic.basic_report import write_narrative
from afterbell.core.narrative import Narrative
from afterbell.core.report.grounding import examine
from afterbell.core.report.prompt import PROMPT_VERSION, SCHEMA_VERSION
from afterbell.core.report.report import Checks, Engine, Provenance, engine_of
from afterbell.core.report.statistics import SessionMetrics, measure
from afterbell.core.safety.injection import hostile_in
from afterbell.core.safety.safeguarding import Alarm, alarms_in, kept_from_families
from afterbell.core.session import Session, Transcript, transcript_of
from afterbell.core.translation import wording
from afterbell.core.usage import Usage
from afterbell.worker.writer import safety_identifier_of


@dataclass(frozen=True, slots=True)
class Material:
    """A session as its report is written from it; ``alarms`` are the turns somebody should look at."""

    session: Session
    revision: int
    transcript: Transcript
    metrics: SessionMetrics
    input_sha256: str
    safety_identifier: str | None
    alarms: tuple[Alarm, ...]

    def basic_narrative(self) -> Narrative:
        """The narrative without a model."""
        return write_narrative(self.transcript, kept_from_families(self.transcript, self.alarms))

    def checked(self, narrative: Narrative) -> tuple[Narrative, Checks]:
        """A narrative that no model wrote, with what does not hold taken out."""
        hostile = hostile_in(self.transcript)
        grounded = examine(narrative, self.transcript, hostile.turn_ids, self.alarms)
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
    )
