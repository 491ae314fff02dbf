"""Tenants, sessions, messages, reports and their attempts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _now(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _at(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True))


def _of_session(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "session_id"],
        ["sessions.tenant_id", "sessions.id"],
        name=f"{table}_tenant_id_session_id_fkey",
        ondelete="CASCADE",
    )


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.Text, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name="tenants_pkey"),
    )
    _create_sessions()
    _create_messages()
    _create_reports()
    _create_attempts()


def downgrade() -> None:
    """Drop them again, with all they hold."""
    for table in ("report_attempts", "reports", "messages", "sessions", "tenants"):
        op.drop_table(table)


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("level", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("goals", JSONB, nullable=False),
        sa.Column("participants", JSONB, nullable=False),
        _at("started_at"),
        _at("ended_at"),
        sa.Column("last_seq", sa.Integer, nullable=False, server_default="0"),
        sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
        sa.Column("input_sha256", sa.Text, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="sessions_pkey"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="sessions_tenant_id_fkey", ondelete="CASCADE"),
    )


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("client_id", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        _at("at"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", "seq", name="messages_pkey"),
        sa.UniqueConstraint("tenant_id", "session_id", "client_id", name="messages_tenant_id_session_id_client_id_key"),
        _of_session("messages"),
    )


def _create_reports() -> None:
    op.create_table(
        "reports",
        sa.Column("id", UUID, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="queued"),
        sa.Column("progress", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("stage", sa.Text, nullable=False, server_default="queued"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("bulk", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("content", JSONB),
        sa.Column("error", sa.Text),
        _now("created_at"),
        _at("put_at"),
        _at("started_at"),
        _at("finished_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id", name="reports_pkey"),
        sa.UniqueConstraint("tenant_id", "session_id", "version", name="reports_tenant_id_session_id_version_key"),
        sa.CheckConstraint(
            "status IN ('queued', 'deferred', 'running', 'succeeded', 'failed', 'cancelled')",
            name=op.f("reports_status_check"),
        ),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("reports_progress_check")),
        _of_session("reports"),
    )
    op.create_index(
        "reports_unfinished_idx",
        "reports",
        ["created_at"],
        postgresql_where=sa.text("status IN ('queued', 'deferred', 'running')"),
    )


def _create_attempts() -> None:
    op.create_table(
        "report_attempts",
        sa.Column("report_id", UUID, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        _now("started_at"),
        _at("ended_at"),
        sa.Column("outcome", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.PrimaryKeyConstraint("report_id", "attempt", name="report_attempts_pkey"),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name="report_attempts_report_id_fkey", ondelete="CASCADE"
        ),
    )
