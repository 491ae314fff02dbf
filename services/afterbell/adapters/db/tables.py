"""The tables, as the statements use them. Migrations are written by hand; a test compares the two."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

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
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant_id", Text, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("level", Text),
    Column("language", Text),
    Column("goals", JSONB, nullable=False),
    Column("participants", JSONB, nullable=False),
    Column("ai_processing_allowed", Boolean, nullable=False, server_default=text("true")),
    _at("started_at"),
    _at("ended_at"),
    Column("last_seq", Integer, nullable=False, server_default="0"),
    # Counts changes of the content: a report written from an older revision can be asked for again.
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("input_sha256", Text, nullable=False),
    _now("created_at"),
    _now("updated_at"),
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
    Column("content", JSONB),
    Column("error", Text),
    _now("created_at"),
    _at("put_at"),
    _at("started_at"),
    _at("finished_at"),
    _now("updated_at"),
    ForeignKeyConstraint(["tenant_id", "session_id"], ["sessions.tenant_id", "sessions.id"], ondelete="CASCADE"),
    UniqueConstraint("tenant_id", "session_id", "version"),
    CheckConstraint("status IN (" + ", ".join(f"'{status}'" for status in STATUSES) + ")", name="status"),
    CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
)
# The sweeper's and the position's way in: only what is unfinished, oldest first.
Index("reports_unfinished_idx", reports.c.created_at, postgresql_where=text(_UNFINISHED))

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
)
