"""One try of one report, as a row of steps: claim, prepare, write, check, commit.

Whatever happens, PostgreSQL hears of it first and the queue afterwards; a worker that dies between the two leaves a job
whose next try finds the report finished, or claims it again under the next attempt number.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any, Final, Literal

import orjson
import structlog

from afterbell.adapters.db import content, reports, sessions, upgrades
from afterbell.adapters.db.engine import Database
from afterbell.adapters.db.reports import Claim
from afterbell.adapters.llm.answer import ModelAnswer, ModelProgress
from afterbell.core import trace
from afterbell.core.errors import AfterbellError, BudgetSpent, ModelDeclined, ModelError, StoreUnavailable
from afterbell.core.extractive import write_narrative
from afterbell.core.grounding import examine
from afterbell.core.injection import hostile_in
from afterbell.core.jobs import Dead, Defer, Done, Outcome, ReportStatus, Retry, job_id_of, report_id_of
from afterbell.core.metrics import SessionMetrics, measure, too_thin
from afterbell.core.narrative import Narrative
from afterbell.core.progress import STAGES, Step, writing_percent
from afterbell.core.prompt import DEFAULT_LANGUAGE, PROMPT_VERSION, SCHEMA_VERSION, Prompt
from afterbell.core.report import STUB_MODEL, Checks, Provenance, Report, Usage
from afterbell.core.retry import outcome_of, reason_of
from afterbell.core.session import Session, Transcript, transcript_of
from afterbell.core.trace import Trace
from afterbell.observability import spans
from afterbell.observability.logs import keeping, kept_lines
from afterbell.observability.metrics import JOB_DURATION, JOB_FAILURES, JOB_OUTCOMES, JOB_STARTS, JOB_WAIT
from afterbell.observability.spans import Span
from afterbell.worker import measured
from afterbell.worker.metered import MeteredModels
from afterbell.worker.progress import Progress, Superseded
from afterbell.worker.writing import USUAL_ROOM, OnProgress, ReportWriter, Room, safety_identifier_of, withhold

BOOK_LATE_S: Final = 1.0
# A model call costs more than a worker that waits: a failover takes tens of seconds.
SAVE_PATIENCE_S: Final = 60.0
SAVE_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is written from."""

    session: Session
    revision: int
    transcript: Transcript
    metrics: SessionMetrics
    input_sha256: str
    safety_identifier: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A narrative and who wrote it; no ``answer`` where no model was asked, or ``instead_of`` one that failed.

    ``checks`` where it is checked already.
    """

    narrative: Narrative
    answer: ModelAnswer | None
    instead_of: ModelError | BudgetSpent | None = None
    checks: Checks | None = None

    @property
    def writer(self) -> measured.Writer:
        """Who wrote it, for the metrics."""
        if self.instead_of is not None:
            return "fallback"
        return "model" if self.answer is not None else "unasked"

    @property
    def upgrade_pending(self) -> bool:
        """Whether a model would still be worth asking. One that declined this session will decline it again."""
        return self.instead_of is not None and not isinstance(self.instead_of, ModelDeclined)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Whether a report that no model writes becomes a basic one, and what it does where the budget is spent."""

    model_fails: Literal["basic", "fail"] = "basic"
    budget_spent: Literal["basic", "wait"] = "basic"

    def covers(self, error: ModelError | BudgetSpent, outcome: Outcome) -> bool:
        """True where a basic report is written now. ``outcome`` is what would become of the try without one."""
        if isinstance(error, BudgetSpent):
            return self.budget_spent == "basic"
        return self.model_fails == "basic" and isinstance(outcome, Dead)


class ReportPipeline:
    """Writes reports. ``now`` is the wall clock of ``created_at``; nothing is decided by it."""

    def __init__(
        self,
        database: Database,
        models: MeteredModels,
        *,
        worker: str,
        ladder_s: tuple[float, ...],
        now: Callable[[], datetime],
        fallback: Fallback = Fallback(),
        room: Room = USUAL_ROOM,
    ) -> None:
        self._database, self._models, self._worker = database, models, worker
        self._ladder_s, self._now, self._fallback = ladder_s, now, fallback
        self._room = room
        self._bookings: set[asyncio.Task[None]] = set()

    async def run(self, job_id: str, failures: int) -> Outcome:
        """One try. ``failures`` tries have failed before. Raises StoreUnavailable where PostgreSQL is away."""
        async with self._database.transaction() as connection:
            claimed = await reports.claim(connection, report_id_of(job_id), self._worker)
        if claimed is None:
            log.info("report_already_ended")
            return Done()
        if claimed.attempt == 1:
            JOB_WAIT.observe((self._now() - claimed.requested_at).total_seconds())
        asked = trace.read(claimed.traceparent)
        claimed, step = _traced(claimed, asked)
        self._tell_wait(claimed, asked)
        with keeping(attempt=claimed.attempt, tenant_id=claimed.tenant_id, session_id=claimed.session_id,
                     trace_id=step.trace_id), spans.span("try", "consumer", step, asked) as told:  # fmt: skip
            outcome = await self._measured(claimed, failures)
            told.facts = {"afterbell.job": job_id, "afterbell.attempt": claimed.attempt,
                          "afterbell.outcome": type(outcome).__name__.lower()}  # fmt: skip
            told.failed = None if isinstance(outcome, Done) else type(outcome).__name__.lower()
            return outcome

    def _tell_wait(self, claimed: Claim, asked: Trace | None) -> None:
        if claimed.attempt == 1 and asked is not None:
            began, now = (round(at.timestamp() * 1e9) for at in (claimed.requested_at, self._now()))
            step = asked.child(secrets.token_bytes(trace.SPAN_BYTES))
            spans.tell(Span("wait in the queue", "internal", step, asked, began, now))

    async def _measured(self, claimed: Claim, failures: int) -> Outcome:
        started = monotonic()
        JOB_STARTS.labels("first" if claimed.attempt == 1 else "again").inc()
        log.info("try_started", worker=self._worker, failures=failures)
        outcome = await self._try(claimed, failures)
        JOB_DURATION.observe(monotonic() - started)
        JOB_OUTCOMES.labels(type(outcome).__name__.lower()).inc()
        log.info("try_ended", outcome=type(outcome).__name__.lower(), seconds=round(monotonic() - started, 3))
        return outcome

    async def give_up(self, job_id: str) -> None:
        """The queue gave the job up because its workers vanished."""
        async with self._database.transaction() as connection:
            await reports.bury(connection, report_id_of(job_id), "its workers were lost while they ran it")
        JOB_FAILURES.labels("workers_lost").inc()
        JOB_OUTCOMES.labels("dead").inc()

    async def _try(self, claimed: Claim, failures: int) -> Outcome:
        progress = Progress(self._database, claimed)
        written: Written | None = None
        try:
            material = await self._prepare(claimed)
            log.info("session_prepared", revision=material.revision, turns=len(material.transcript.turns))
            await progress.reach(Step.PREPARED)
            written = await self._write_or_basic(claimed, material, progress, failures)
            await self._commit(claimed, material, written, progress)
        except Superseded:
            log.warning("result_refused")
            await self._book_late(claimed, written, "superseded")
            return Done()
        except asyncio.CancelledError:
            # Lost, cancelled or drained: the queue knows which, and does not wait for us.
            await self._book_late(claimed, written, "stopped")
            raise
        except Exception as error:
            return await self._end_try(claimed, error, outcome_of(error, failures=failures, ladder_s=self._ladder_s))
        return Done()

    async def _prepare(self, claimed: Claim) -> Material:
        async with self._database.transaction() as connection:
            found = await sessions.load(connection, claimed.tenant_id, claimed.session_id)
            key = await sessions.safety_key(connection, claimed.tenant_id)
        if found is None:
            raise Superseded
        session, revision = found
        transcript = transcript_of(session)
        digest = hashlib.sha256(orjson.dumps([[turn.id, turn.speaker.id, turn.text] for turn in transcript.turns]))
        return Material(
            session,
            revision,
            transcript,
            measure(session, transcript),
            digest.hexdigest(),
            safety_identifier_of(session, key),
        )

    async def _write_or_basic(self, claimed: Claim, material: Material, progress: "Progress", failures: int) -> Written:
        try:
            return await self._write(claimed, material, progress)
        except (ModelError, BudgetSpent) as error:
            outcome = outcome_of(error, failures=failures, ladder_s=self._ladder_s)
            if claimed.is_upgrade or not self._fallback.covers(error, outcome):
                raise
            log.warning("basic_report", error=reason_of(error))
            return Written(write_narrative(material.transcript), None, error)

    async def _write(self, claimed: Claim, material: Material, progress: "Progress") -> Written:
        if too_thin(material.metrics) or not material.session.ai_processing_allowed:
            # Too little was said to pay a model for inventing the rest, or nobody outside may read it.
            return Written(write_narrative(material.transcript), None)

        async def on_progress(model: ModelProgress) -> None:
            percent = writing_percent(model.sections_finished, model.sections_total)
            await progress.reach(percent, STAGES[Step.WRITING])

        async def ask(prompt: Prompt, label: str, on_progress: OnProgress) -> ModelAnswer:
            answer = await self._models.write(
                claimed,
                prompt,
                client_request_id=f"{job_id_of(claimed.report_id)}-{claimed.attempt}{label}",
                safety_identifier=material.safety_identifier,
                on_progress=on_progress,
            )
            measured.model_called(answer.usage, "answered")
            log.info("model_answered", model=answer.model, request_id=answer.request_id,
                     input_tokens=answer.usage.input_tokens, output_tokens=answer.usage.output_tokens)  # fmt: skip
            return answer

        writer = ReportWriter(ask, withhold(material.session, material.transcript), self._room)
        await progress.reach(Step.SENT)
        draft = await writer.write(material.metrics, on_progress)
        return Written(draft.narrative, draft.answer, checks=draft.checks)

    async def _commit(self, claimed: Claim, material: Material, written: Written, progress: "Progress") -> None:
        narrative, checks = _checked(written, material)
        await progress.reach(Step.CHECKED, now=True)
        log.info("report_checked", claims=checks.claims, grounded_ratio=checks.grounded_ratio, repaired=checks.repaired)
        answer = written.answer
        report = Report(
            id=str(claimed.report_id),
            session_id=claimed.session_id,
            version=claimed.version,
            language=material.session.language or DEFAULT_LANGUAGE,
            narrative=narrative,
            metrics=material.metrics,
            checks=checks,
            provenance=_provenance(answer, material),
            created_at=self._now(),
        )
        await progress.reach(Step.SAVING, now=True)
        await self._save(claimed, report, material.revision, written)
        measured.report_written(written.writer, claimed, report)

    async def _save(self, claimed: Claim, report: Report, revision: int, written: Written) -> None:
        """Save what was paid for, however often PostgreSQL has to be asked within SAVE_PATIENCE_S."""
        give_up_at = monotonic() + SAVE_PATIENCE_S
        while True:
            try:
                await self._save_once(claimed, report, revision, written)
                return
            except StoreUnavailable as error:
                if monotonic() >= give_up_at:
                    raise
                log.warning("save_waits", error=str(error))
                await asyncio.sleep(SAVE_AGAIN_S)

    async def _save_once(self, claimed: Claim, report: Report, revision: int, written: Written) -> None:
        async with self._database.transaction() as connection:
            done = await reports.finish(
                connection, claimed, content.dump(report), revision, upgrade_pending=written.upgrade_pending
            )
            if not done:
                raise Superseded
            await reports.book(connection, claimed, **_succeeded(written), log=kept_lines())

    async def _book_late(self, claimed: Claim, written: Written | None, outcome: str) -> None:
        """An answer that came too late was paid for as well.

        In a task of its own: a refused try is often cancelled while it books, once the queue says the lease is lost.
        """
        booking = asyncio.create_task(self._book_unused(claimed, written, outcome))
        self._bookings.add(booking)
        booking.add_done_callback(self._bookings.discard)
        await asyncio.wait([booking], timeout=BOOK_LATE_S)

    async def _book_unused(self, claimed: Claim, written: Written | None, outcome: str) -> None:
        try:
            async with self._database.transaction() as connection:
                cost = _cost_of(written.answer if written else None)
                await reports.book(connection, claimed, outcome=outcome, **cost, log=kept_lines())
        except StoreUnavailable as error:
            log.warning("cost_unbooked", error=str(error))

    async def _end_try(self, claimed: Claim, error: Exception, outcome: Outcome) -> Outcome:
        status, stage = _status_after(outcome)
        known = error if isinstance(error, ModelError) else None
        JOB_FAILURES.labels(error.code if isinstance(error, AfterbellError) else "unexpected").inc()
        if known is None:
            log.error("try_failed", exc_info=error)
        else:
            measured.model_called(known.usage, known.code)
            log.warning("model_failed", code=known.code, request_id=known.request_id, error=reason_of(error),
                        then=type(outcome).__name__.lower())  # fmt: skip
        if claimed.is_upgrade and isinstance(outcome, Dead):
            return await self._drop(claimed, error)
        async with self._database.transaction() as connection:
            await reports.end_try(connection, claimed, status, stage, reason_of(error))
            await reports.book(
                connection,
                claimed,
                outcome=type(outcome).__name__.lower(),
                error=reason_of(error),
                request_id=known.request_id if known else None,
                usage=known.usage if known else None,
                log=kept_lines(),
            )
        return outcome

    async def _drop(self, claimed: Claim, error: Exception) -> Outcome:
        """No better version for now: the basic report stands, and is upgraded later unless the model declined it."""
        async with self._database.transaction() as connection:
            await upgrades.drop(connection, claimed.report_id, claimed.attempt,
                                again=not isinstance(error, ModelDeclined))  # fmt: skip
        return Done()


def _traced(claimed: Claim, asked: Trace | None) -> tuple[Claim, Trace]:
    """The try as a step of the request's trace, or of one of its own."""
    fresh = secrets.token_bytes(trace.TRACE_BYTES + trace.SPAN_BYTES)
    step = (asked or trace.begun(fresh)).child(fresh[trace.TRACE_BYTES :])
    return replace(claimed, traceparent=step.header), step


def _checked(written: Written, material: Material) -> tuple[Narrative, Checks]:
    if written.checks is not None:
        return written.narrative, written.checks
    hostile = hostile_in(material.transcript)
    grounded = examine(written.narrative, material.transcript, hostile.turn_ids)
    return grounded.narrative, grounded.checks


def _cost_of(answer: ModelAnswer | None) -> dict[str, Any]:
    return {} if answer is None else {"model": answer.model, "request_id": answer.request_id, "usage": answer.usage}


def _succeeded(written: Written) -> dict[str, Any]:
    error = written.instead_of
    if error is None:
        return {"outcome": "succeeded", **_cost_of(written.answer)}
    known = error if isinstance(error, ModelError) else None
    return {"outcome": "basic", "error": reason_of(error), "request_id": known and known.request_id,
            "usage": known and known.usage}  # fmt: skip


def _status_after(outcome: Outcome) -> tuple[ReportStatus, str]:
    if isinstance(outcome, Retry):
        return "queued", f"waits {outcome.delay_s:g} s for the next try"
    if isinstance(outcome, Defer):
        return "deferred", f"told to wait {outcome.delay_s:g} s"
    return "failed", "failed"


def _provenance(answer: ModelAnswer | None, material: Material) -> Provenance:
    by_model = answer is not None and answer.model != STUB_MODEL
    return Provenance(
        engine="llm" if by_model else "extractive",
        model=answer.model if answer else None,
        prompt_version=PROMPT_VERSION,
        schema_version=SCHEMA_VERSION,
        input_sha256=material.input_sha256,
        request_id=answer.request_id if answer else None,
        usage=answer.usage if answer else Usage(),
    )
