"""The record beside the queue: which unfinished reports the queue may not hold, page by page, and what came of asking.

Everything here is a statement of its own. Between two of them the queue is asked, and no transaction waits for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from afterbell.adapters.db.reports.rows import PendingReport

PARKED_AGAIN: Final = timedelta(minutes=10)
"""A parked report is tried again after this: whatever kept it out may be mended."""
REASON_CHARS_MAX: Final = 500

# One array, not a list of parameters: the statement is the same text, and prepared once, for any number of reports. A
# row that somebody else holds locked is asked about again in the next pass instead of being waited for.
_FREE: Final = "SELECT id FROM reports WHERE id = ANY(:report_ids) FOR NO KEY UPDATE SKIP LOCKED"
_MARK_PUT: Final = text(
    f"""UPDATE reports SET put_at = now(), parked_at = NULL, parked_because = NULL
    WHERE id IN ({_FREE})"""  # noqa: S608  # a text of this file
).bindparams(bindparam("report_ids", type_=ARRAY(Uuid())))
_PARK: Final = text(
    f"""UPDATE reports SET parked_at = now(), parked_because = w.because
    FROM unnest(:report_ids, :reasons) AS w (id, because)
    WHERE reports.id = w.id AND reports.status IN ('queued', 'deferred', 'running') AND reports.id IN ({_FREE})"""  # noqa: S608
).bindparams(bindparam("report_ids", type_=ARRAY(Uuid())), bindparam("reasons", type_=ARRAY(Text())))
_UNFINISHED: Final = text(
    "SELECT id FROM reports WHERE id = ANY(:report_ids) AND status IN ('queued', 'deferred', 'running')"
).bindparams(bindparam("report_ids", type_=ARRAY(Uuid())))
# By PostgreSQL's clock, which wrote the times: that of a pod may be minutes off. A time of the future, left by a clock
# that was set back since, counts as long ago.
_PAGE: Final = text("""
WITH page AS (
    SELECT id, tenant_id, bulk, status, created_at, parked_at,
           CASE WHEN updated_at > now() + interval '1 minute' THEN '-infinity' ELSE updated_at END AS updated_at,
           CASE WHEN put_at > now() + interval '1 minute' THEN '-infinity' ELSE put_at END AS put_at
    FROM reports
    WHERE status IN ('queued', 'deferred', 'running')
      AND (created_at, id) > (CAST(:created_at AS timestamptz), :report_id)
    ORDER BY created_at, id LIMIT :limit
), ages AS (
    SELECT now() - CAST(:pending_after AS interval) AS pending, now() - CAST(:waiting_after AS interval) AS waiting,
           now() - CAST(:waiting_after AS interval) / 2 AS soon, now() - CAST(:run_after AS interval) AS silent,
           now() - CAST(:parked_after AS interval) AS parked
), judged AS (
    SELECT id, tenant_id, bulk, created_at, put_at IS NOT NULL AS was_enqueued,
           row_number() OVER (ORDER BY created_at, id) AS nth,
           CASE
               WHEN parked_at IS NOT NULL THEN
                   CASE WHEN parked_at NOT BETWEEN ages.parked AND now() + interval '1 minute' THEN 'parked' END
               WHEN status = 'running' THEN
                   CASE WHEN greatest(updated_at, coalesce(put_at, updated_at)) < ages.silent THEN 'silent' END
               WHEN put_at IS NULL THEN CASE WHEN created_at < ages.pending THEN 'never enqueued' END
               WHEN put_at < ages.waiting THEN 'late'
               WHEN put_at < ages.soon THEN 'soon'
           END AS due
    FROM page, ages
), told AS (
    SELECT judged.*, bool_or(due = 'late') OVER () AS any_late FROM judged
)
SELECT id, tenant_id, bulk, created_at, was_enqueued, nth,
       CASE WHEN due <> 'soon' OR any_late THEN due END AS due
FROM told WHERE due <> 'soon' OR (due = 'soon' AND any_late) OR nth = :limit ORDER BY nth
""").bindparams(bindparam("report_id", type_=Uuid()))


@dataclass(frozen=True, slots=True)
class SweepAges:
    """After how long a report is asked about: never enqueued, enqueued and still waiting, running without progress."""

    pending: timedelta
    waiting: timedelta
    silent: timedelta


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of unfinished reports ended; the next one begins after it."""

    created_at: datetime
    report_id: UUID


START: Final = Place(datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Page:
    """Reports to ask the queue about, oldest first, and the place to go on from; None after the last page."""

    due: tuple[PendingReport, ...]
    parked: tuple[PendingReport, ...]
    end: Place | None


async def page(connection: AsyncConnection, after: Place, ages: SweepAges, *, limit: int) -> Page:
    """The next ``limit`` unfinished reports, those of them the queue may not hold.

    Where one of the page was enqueued long ago, those enqueued half as long ago come along: asking costs the same for
    one and for all of a page, so a backlog costs one command a page in half of ``waiting``.
    """
    given = {
        "created_at": after.created_at,
        "report_id": after.report_id,
        "pending_after": ages.pending,
        "waiting_after": ages.waiting,
        "run_after": ages.silent,
        "parked_after": PARKED_AGAIN,
        "limit": limit,
    }
    rows = (await connection.execute(_PAGE, given)).all()
    unfinished = [
        (row.due, PendingReport(row.id, row.tenant_id, row.was_enqueued, row.bulk)) for row in rows if row.due
    ]
    last = rows[-1] if rows and rows[-1].nth == limit else None
    return Page(
        tuple(report for due, report in unfinished if due != "parked"),
        tuple(report for due, report in unfinished if due == "parked"),
        None if last is None else Place(last.created_at, last.id),
    )


async def mark_enqueued(connection: AsyncConnection, report_ids: Sequence[UUID]) -> None:
    """Remember that the queue holds these now."""
    await connection.execute(_MARK_PUT, {"report_ids": list(report_ids)})


async def park(connection: AsyncConnection, reasons: Mapping[UUID, str]) -> None:
    """Set aside reports the queue cannot take, each with its reason; they are tried again after PARKED_AGAIN."""
    kept = [reason.replace("\0", "")[:REASON_CHARS_MAX] for reason in reasons.values()]
    await connection.execute(_PARK, {"report_ids": list(reasons), "reasons": kept})


async def unfinished_of(connection: AsyncConnection, report_ids: Sequence[UUID]) -> set[UUID]:
    """Those of the reports that the record calls unfinished at this moment."""
    return set((await connection.scalars(_UNFINISHED, {"report_ids": list(report_ids)})).all())
