"""One try of one report, as a row of steps: claim, prepare, write, check, commit.

Whatever happens, PostgreSQL hears of it first and the queue afterwards; a worker that dies between the two leaves a job
whose next try finds the report finished, or claims it again under the next attempt number.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, Final

import structlog

from afterbell.adapters.db import sessions
from afterbell.adapters.db.database import Database
from afterbell.adapters.db.reports import rows as reports
from afterbell.adapters.db.reports import stored_report, upgrades
from afterbell.adapters.db.reports.rows import Claim
from afterbell.adapters.models.answer import ModelAnswer, ModelProgress
from afterbell.core import trace
from afterbell.core.errors import AfterbellError, BudgetSpent, ModelDeclined, ModelError, StoreUnavailable
from afterbell.core.narrative import Narrative
from afterbell.core.queue.outcomes import Dead, Defer, Done, Outcome, ReportStatus, Retry, job_id_of, report_id_of
from afterbell.core.queue.retry_policy import outcome_of, reason_of
from afterbell.core.report.grounding import speakers_of, tells_of_harm
from afterbell.core.report.progress import STAGES, Step, writing_percent
from afterbell.core.report.prompt import Prompt
from afterbell.core.report.report import Checks, Report
from afterbell.core.report.statistics import too_thin
from afterbell.core.trace import Trace
from afterbell.observability import spans
from afterbell.observability.logs import keeping, kept_lines
from afterbell.observability.metrics import JOB_DURATION, JOB_FAILURES, JOB_OUTCOMES, JOB_STARTS, JOB_WAIT
from afterbell.observability.spans import Span
from afterbell.service import Background
from afterbell.worker import report_metrics
from afterbell.worker.attempt import USUAL_FALLBACK, Fallback, Written
from afterbell.worker.material import Material, material_of
from afterbell.worker.metered import MeteredModels
from afterbell.worker.progress_writer import ProgressWriter, Superseded
from afterbell.worker.writer import USUAL_ROOM, OnProgress, ReportWriter, Room, redact_session

BOOK_LATE_S: Final = 1.0
# A model call costs more than a worker that waits: a failover takes tens of seconds.
SAVE_PATIENCE_S: Final = 60.0
PATIENCE_S: Final = 900.0
"""How long after its first try a report waits for models that ask to wait; AFTERBELL_MODEL_PATIENCE_SECONDS."""
SAVE_AGAIN_S: Final = 1.0
CONCERN_TURNS_LOGGED: Final = 20

log = structlog.get_logger(__name__)


class ReportPipeline:
    """Writes reports. ``now`` is the wall clock of ``created_at``; nothing is decided by it."""

    def __init__(
        self,
        database: Database,
        models: MeteredModels,
        *,
        worker: str,
        backoff_s: tuple[float, ...],
        now: Callable[[], datetime],
        patience_s: float = PATIENCE_S,
        fallback: Fallback = USUAL_FALLBACK,
        room: Room = USUAL_ROOM,
    ) -> None:
        self._database, self._models, self._worker = database, models, worker
        self._backoff_s, self._now, self._fallback = backoff_s, now, fallback
        self._patience_s = patience_s
        self._room = room
        self._bookings = Background("late_booking")

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
        with (
            keeping(
                attempt=claimed.attempt,
                tenant_id=claimed.tenant_id,
                session_id=claimed.session_id,
                trace_id=step.trace_id,
            ),
            spans.span("try", "consumer", step, asked) as span,
        ):
            outcome = await self._measured(claimed, failures)
            span.facts = {
                "afterbell.job": job_id,
                "afterbell.attempt": claimed.attempt,
                "afterbell.outcome": type(outcome).__name__.lower(),
            }
            span.failed = None if isinstance(outcome, Done) else type(outcome).__name__.lower()
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
        progress = ProgressWriter(self._database, claimed)
        written: Written | None = None
        try:
            material = await self._prepare(claimed)
            log.info("session_prepared", revision=material.revision, turns=len(material.transcript.turns))
            await self._raise_concern(claimed, material)
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
            return await self._end_try(claimed, error, self._outcome_of(claimed, error, failures))
        return Done()

    def _outcome_of(self, claimed: Claim, error: Exception, failures: int) -> Outcome:
        """What becomes of the try. A report that has waited for models long enough waits no longer."""
        is_patient = claimed.waited_s < self._patience_s
        return outcome_of(error, failures=failures, backoff_s=self._backoff_s, is_patient=is_patient)

    async def _prepare(self, claimed: Claim) -> Material:
        async with self._database.transaction() as connection:
            loaded = await sessions.load(connection, claimed.tenant_id, claimed.session_id)
            key = await sessions.safety_key(connection, claimed.tenant_id)
        if loaded is None:
            raise Superseded
        session, revision = loaded
        # Off the loop: a session may have two megabytes, and the leases of other jobs are renewed on it.
        return await asyncio.to_thread(material_of, session, revision, key)

    async def _raise_concern(self, claimed: Claim, material: Material) -> None:
        """Tell the staff of what was found before anything else is tried: whoever writes the report, or nobody."""
        alarms = [alarm for alarm in material.alarms if alarm.is_for_staff]
        if not alarms or claimed.is_upgrade:
            return
        async with self._database.transaction() as connection:
            await reports.raise_concern(connection, claimed)
        topics = sorted({alarm.topic for alarm in alarms})
        report_metrics.concerns_raised(topics if claimed.attempt == 1 else ())
        turns = list(dict.fromkeys(alarm.turn.id for alarm in alarms))
        log.warning("concern_raised", topics=topics, turns=turns[:CONCERN_TURNS_LOGGED])

    async def _write_or_basic(
        self, claimed: Claim, material: Material, progress: "ProgressWriter", failures: int
    ) -> Written:
        try:
            return await self._write(claimed, material, progress)
        except (ModelError, BudgetSpent) as error:
            outcome = self._outcome_of(claimed, error, failures)
            if claimed.is_upgrade or not self._fallback.covers(error, outcome):
                raise
            log.warning("basic_report", error=reason_of(error))
            return Written(await asyncio.to_thread(material.basic_narrative), None, error)

    async def _write(self, claimed: Claim, material: Material, progress: "ProgressWriter") -> Written:
        if too_thin(material.metrics) or not material.session.ai_processing_allowed:
            # Too little was said to pay a model for inventing the rest, or nobody outside may read it.
            return Written(await asyncio.to_thread(material.basic_narrative), None)

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
            report_metrics.model_called(answer.usage, "answered")
            log.info(
                "model_answered",
                model=answer.model,
                request_id=answer.request_id,
                input_tokens=answer.usage.input_tokens,
                output_tokens=answer.usage.output_tokens,
            )
            return answer

        prepared = await asyncio.to_thread(
            redact_session, material.session, material.transcript, material.alarms, material.hostile
        )
        writer = ReportWriter(ask, prepared, self._room)
        await progress.reach(Step.SENT)
        draft = await writer.write(material.metrics, on_progress)
        return Written(draft.narrative, draft.answer, checks=draft.checks)

    async def _commit(self, claimed: Claim, material: Material, written: Written, progress: "ProgressWriter") -> None:
        narrative, checks = await asyncio.to_thread(_checked, written, material)
        await progress.reach(Step.CHECKED, now=True)
        log.info("report_checked", claims=checks.claims, grounded_ratio=checks.grounded_ratio, repaired=checks.repaired)
        answer = written.answer
        provenance = material.provenance(answer)
        report = Report(
            language=material.language(provenance.engine),
            lesson_language=material.session.language,
            id=str(claimed.report_id),
            session_id=claimed.session_id,
            version=claimed.version,
            narrative=narrative,
            metrics=material.metrics,
            checks=checks,
            provenance=provenance,
            created_at=self._now(),
            speakers=speakers_of(narrative, material.transcript),
        )
        await progress.reach(Step.SAVING, now=True)
        await self._save(claimed, report, material.revision, written)
        report_metrics.report_written(written.writer, claimed, report)
        if not any(alarm.is_for_staff for alarm in material.alarms) and tells_of_harm(narrative):
            # Nothing was raised before it was written: only the model saw it.
            report_metrics.concerns_raised(["model"])

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
                log.warning("save_delayed", error=str(error))
                await asyncio.sleep(SAVE_AGAIN_S)

    async def _save_once(self, claimed: Claim, report: Report, revision: int, written: Written) -> None:
        async with self._database.transaction() as connection:
            done = await reports.finish(
                connection, claimed, stored_report.dump(report), revision, upgrade_pending=written.upgrade_pending
            )
            if not done:
                raise Superseded
            await reports.book(connection, claimed, **_succeeded(written), log=kept_lines())

    async def _book_late(self, claimed: Claim, written: Written | None, outcome: str) -> None:
        """An answer that came too late was paid for as well.

        In a task of its own: a refused try is often cancelled while it books, once the queue says the lease is lost.
        """
        booking = self._bookings.begin(self._book_unused(claimed, written, outcome))
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
            report_metrics.model_called(known.usage, known.code)
            log.warning(
                "model_failed",
                code=known.code,
                request_id=known.request_id,
                error=reason_of(error),
                then=type(outcome).__name__.lower(),
            )
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
            await upgrades.drop(
                connection, claimed.report_id, claimed.attempt, again=not isinstance(error, ModelDeclined)
            )
        return Done()


def _traced(claimed: Claim, asked: Trace | None) -> tuple[Claim, Trace]:
    """The try as a step of the request's trace, or of one of its own."""
    fresh = secrets.token_bytes(trace.TRACE_BYTES + trace.SPAN_BYTES)
    step = (asked or trace.begun(fresh)).child(fresh[trace.TRACE_BYTES :])
    return replace(claimed, traceparent=step.header), step


def _checked(written: Written, material: Material) -> tuple[Narrative, Checks]:
    if written.checks is not None:
        return written.narrative, written.checks
    return material.checked(written.narrative)


def _cost_of(answer: ModelAnswer | None) -> dict[str, Any]:
    return {} if answer is None else {"model": answer.model, "request_id": answer.request_id, "usage": answer.usage}


def _succeeded(written: Written) -> dict[str, Any]:
    error = written.instead_of
    if error is None:
        return {"outcome": "succeeded", **_cost_of(written.answer)}
    known = error if isinstance(error, ModelError) else None
    return {
        "outcome": "basic",
        "error": reason_of(error),
        "request_id": known and known.request_id,
        "usage": known and known.usage,
    }


def _status_after(outcome: Outcome) -> tuple[ReportStatus, str]:
    if isinstance(outcome, Retry):
        return "queued", f"waits {outcome.delay_s:g} s for the next try"
    if isinstance(outcome, Defer):
        return "deferred", f"told to wait {outcome.delay_s:g} s"
    return "failed", "failed"
