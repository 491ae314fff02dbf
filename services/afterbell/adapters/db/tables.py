"""The tables, as the statements use them. Migrations are written by hand; a test compares the two."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

DELIVERY_STATUSES: Final = ("pending", "delivered", "failed")
STATUSES: Final = ("queued", "deferred", "running", "succeeded", "failed", "cancelled")
_UNFINISHED: Final = "status IN ('queued', 'deferred', 'running')"

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _at(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


tenants = Table(
    "tenants",
    metadata,
    Column("id", Text, primary_key=True),
    # Turns a student's id into the name a provider hears; nobody but the worker reads it.
    Column("safety_key", UUID, nullable=False, server_default=func.gen_random_uuid()),
    _now("created_at"),
    # This tenant's own budget, where it is not that of the settings.
    Column("budget_day_usd", Numeric),
    Column("budget_month_usd", Numeric),
)

# One for all sessions: one that is deleted and stored again has no edition that it had before.
_editions = Sequence("session_editions", metadata=metadata)
sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("level", Text),
    Column("language", Text),
    Column("report_language", Text),
    # An IANA name: the day of a lesson is counted where it was held.
    Column("time_zone", Text),
    Column("goals", JSONB, nullable=False),
    Column("participants", JSONB, nullable=False),
    Column("ai_processing_allowed", Boolean, nullable=False, server_default=text("true")),
    _at("started_at"),
    _at("ended_at"),
    Column("last_seq", Integer, nullable=False, server_default="0"),
    # Counts changes of the content: a report written from an older revision can be asked for again.
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("input_sha256", Text, nullable=False),
    # Another number whenever who takes part or what was said already differs; a trigger sees to it.
    Column("edition", BigInteger, nullable=False, server_default=_editions.next_value()),
    _now("created_at"),
    _now("updated_at"),
    # Its messages were deleted after their time, and a trigger forgets that when the session changes again.
    _at("emptied_at"),
)
# The way in of whoever exports or erases a student, and of the retention job.
Index(
    "sessions_participants_idx",
    sessions.c.participants,
    postgresql_using="gin",
    postgresql_ops={"participants": "jsonb_path_ops"},
)
Index("sessions_updated_at_idx", sessions.c.updated_at)
# What retention empties, oldest first.
Index(
    "sessions_transcript_idx",
    sessions.c.updated_at,
    postgresql_where=text("emptied_at IS NULL AND last_seq > 0"),
)

messages = Table(
    "messages",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("session_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("text", Text, nullable=False),
    _at("at"),
    _now("created_at"),
    ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "session_id", "client_id"),
)
# Everything somebody wrote, also in sessions they have left: for an export or an erasure.
Index("messages_sender_idx", messages.c.tenant_id, messages.c.sender)

reports = Table(
    "reports",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("session_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="queued"),
    Column("progress", SmallInteger, nullable=False, server_default="0"),
    Column("stage", Text, nullable=False, server_default="queued"),
    # Numbers the starts. A worker's writes name it, so a late worker's writes match nothing.
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("requested_by", Text, nullable=False),
    # Nobody waits for it: it starts after every report that somebody waits for.
    Column("bulk", Boolean, nullable=False, server_default=text("false")),
    # W3C Trace Context of the request that asked for it.
    Column("traceparent", Text),
    Column("content", JSONB),
    Column("error", Text),
    # Written without a model because none could be had: worth writing again when one can.
    Column("upgrade_pending", Boolean, nullable=False, server_default=text("false")),
    _now("created_at"),
    _at("put_at"),
    _at("started_at"),
    _at("finished_at"),
    _now("updated_at"),
    # The queue cannot take it, and why; it is tried again now and then.
    _at("parked_at"),
    Column("parked_because", Text),
    ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "session_id", "version"),
    CheckConstraint("status IN (" + ", ".join(f"'{status}'" for status in STATUSES) + ")", name="status"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
)
# The sweeper's and the position's way in: only what is unfinished, oldest first.
Index("reports_unfinished_created_at_id_idx", reports.c.created_at, reports.c.id, postgresql_where=text(_UNFINISHED))
# What retention deletes, oldest first.
Index(
    "reports_ended_idx",
    func.coalesce(reports.c.finished_at, reports.c.created_at),
    postgresql_where=text("status IN ('succeeded', 'failed', 'cancelled')"),
)

# Lists of jobs, newest first, whole or of one status.
Index("reports_created_at_id_idx", reports.c.created_at, reports.c.id)
Index("reports_tenant_id_created_at_id_idx", reports.c.tenant_id, reports.c.created_at, reports.c.id)
Index("reports_status_created_at_id_idx", reports.c.status, reports.c.created_at, reports.c.id)
Index("reports_error_idx", reports.c.created_at, reports.c.id, postgresql_where=text("error IS NOT NULL"))

Index("reports_upgrade_idx", reports.c.finished_at, postgresql_where=text("upgrade_pending"))

report_attempts = Table(
    "report_attempts",
    metadata,
    Column("report_id", UUID, ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker", Text, nullable=False),
    _now("started_at"),
    _at("ended_at"),
    Column("outcome", Text),
    Column("error", Text),
    Column("model", Text),
    Column("request_id", Text),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("log", JSONB),
)
Index("report_attempts_ended_idx", report_attempts.c.ended_at, postgresql_where=text("outcome IS NOT NULL"))

# Every call of a model, opened before it is made. Outlives its report: what was paid stays in the books.
model_calls = Table(
    "model_calls",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("report_id", UUID, ForeignKey("reports.id", ondelete="SET NULL")),
    Column("attempt", Integer, nullable=False),
    Column("day", Date, nullable=False),
    Column("model", Text, nullable=False),
    Column("client_request_id", Text, nullable=False),
    # The most it can cost; held against the budgets until it is known what it did cost.
    Column("reserved_usd", Numeric, nullable=False),
    _now("started_at"),
    _at("ended_at"),
    Column("outcome", Text),
    Column("served_model", Text),
    Column("request_id", Text),
    Column("input_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("estimated", Boolean, nullable=False, server_default=text("false")),
    # Null where it is not known: the price list has no such model.
    Column("cost_usd", Numeric),
    Column("price_version", Text),
)
Index("model_calls_open_idx", model_calls.c.started_at, postgresql_where=text("outcome IS NULL"))
Index("model_calls_day_idx", model_calls.c.day, model_calls.c.tenant_id)
Index("model_calls_report_idx", model_calls.c.report_id)

# Sums of the calls that ended, kept by a trigger on model_calls: an account of a year reads no call.
daily_costs = Table(
    "daily_costs",
    metadata,
    Column("day", Date, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("reports", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_usd", Numeric, nullable=False),
    Column("estimated_calls", BigInteger, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
)

# Sums of model_calls by tenant and period ("day" and "month", which begin on starts_on in UTC); tenant "" is everybody.
budget_ledger = Table(
    "budget_ledger",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("starts_on", Date, primary_key=True),
    Column("reserved_usd", Numeric, nullable=False),
    Column("spent_usd", Numeric, nullable=False),
    CheckConstraint("period IN ('day', 'month')", name="period"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("secret", Text, nullable=False),
    # After a rotation both sign, until the receivers know the new one.
    Column("previous_secret", Text),
    _at("previous_until"),
    Column("created_by", Text, nullable=False),
    _now("created_at"),
    _now("updated_at"),
    _at("disabled_at"),
    Column("disabled_because", Text),
    _at("accepted_at"),
    # One sender at a time, of all processes: until then, unless it says earlier that it is done.
    _at("sending_until"),
)
Index("webhook_endpoints_tenant_id_idx", webhook_endpoints.c.tenant_id)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", UUID, primary_key=True, server_default=func.gen_random_uuid()),
    Column("endpoint_id", UUID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("report_id", UUID, ForeignKey("reports.id", ondelete="CASCADE")),
    Column("event", Text, nullable=False),
    # As it is signed and sent, byte for byte, at every attempt.
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    _now("due_at"),
    _now("created_at"),
    _at("ended_at"),
    Column("answer_status", Integer),
    Column("error", Text),
    CheckConstraint("status IN (" + ", ".join(f"'{status}'" for status in DELIVERY_STATUSES) + ")", name="status"),
)
# Only for the question when the next one is due, which alone names this condition.
Index(
    "webhook_deliveries_soonest_idx",
    webhook_deliveries.c.due_at,
    postgresql_where=text("status = 'pending' AND attempt >= 0"),
)
Index(
    "webhook_deliveries_endpoint_id_created_at_idx", webhook_deliveries.c.endpoint_id, webhook_deliveries.c.created_at
)
Index(
    "webhook_deliveries_next_idx",
    webhook_deliveries.c.endpoint_id,
    webhook_deliveries.c.due_at,
    postgresql_where=text("status = 'pending'"),
)
Index("webhook_deliveries_ended_idx", webhook_deliveries.c.ended_at, postgresql_where=text("status <> 'pending'"))
Index("webhook_deliveries_report_id_idx", webhook_deliveries.c.report_id)

# Append-only: a trigger refuses changes, and deletions by anybody but the retention job.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _now("at"),
    Column("tenant", Text),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text),
    Column("details", JSONB, nullable=False),
)
Index("audit_log_tenant_id_idx", audit_log.c.tenant, audit_log.c.id)
Index("audit_log_tenant_subject_idx", audit_log.c.tenant, audit_log.c.subject)
Index("audit_log_at_idx", audit_log.c.at)

# Who does what one process at a time does.
work_locks = Table(
    "turns",
    metadata,
    Column("work", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    _at("until", nullable=False),
)

# The last run of retention for each kind: what it was told, and whether it deleted all that was due.
retention_runs = Table(
    "retention_runs",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("keep_s", BigInteger, nullable=False),
    _at("ran_at", nullable=False),
    _at("completed_at"),
    Column("deleted", BigInteger, nullable=False),
    Column("error", Text),
)
