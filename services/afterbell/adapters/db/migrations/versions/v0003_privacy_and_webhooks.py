"""Webhook endpoints and deliveries, the audit log, and the ways in of export, erasure and retention."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Nobody changes what is written; only the retention job, which says so in its transaction, takes old rows away.
_APPEND_ONLY = """
CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('afterbell.retention', true) = 'on' THEN RETURN OLD; END IF;
    RAISE EXCEPTION 'audit_log is append-only: % refused', lower(TG_OP);
END $$
"""
_GUARD = """
CREATE TRIGGER audit_log_{name} BEFORE {change} ON audit_log
FOR EACH {each} EXECUTE FUNCTION audit_log_is_append_only()
"""
_GUARDS = (
    _GUARD.format(name="rows", change="UPDATE OR DELETE", each="ROW"),
    _GUARD.format(name="whole", change="TRUNCATE", each="STATEMENT"),
)


def _now(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _at(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True))


def upgrade() -> None:
    """Create the tables, the trigger and two indexes of the sessions."""
    op.create_index(
        "sessions_participants_idx",
        "sessions",
        ["participants"],
        postgresql_using="gin",
        postgresql_ops={"participants": "jsonb_path_ops"},
    )
    op.create_index("sessions_updated_at_idx", "sessions", ["updated_at"])
    _create_endpoints()
    _create_deliveries()
    _create_audit_log()


def downgrade() -> None:
    """Drop them again, with all they hold."""
    for table in ("webhook_deliveries", "webhook_endpoints", "audit_log"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_log_is_append_only()")
    op.drop_index("sessions_updated_at_idx", "sessions")
    op.drop_index("sessions_participants_idx", "sessions")


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", UUID, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", ARRAY(sa.Text), nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("previous_secret", sa.Text),
        _at("previous_until"),
        sa.Column("created_by", sa.Text, nullable=False),
        _now("created_at"),
        _now("updated_at"),
        _at("disabled_at"),
        sa.Column("disabled_because", sa.Text),
        _at("accepted_at"),
        sa.PrimaryKeyConstraint("id", name="webhook_endpoints_pkey"),
    )
    op.create_index("webhook_endpoints_tenant_id_idx", "webhook_endpoints", ["tenant_id"])


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", UUID, nullable=False, server_default=sa.func.gen_random_uuid()),
        sa.Column("endpoint_id", UUID, nullable=False),
        sa.Column("report_id", UUID),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="pending"),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        _now("due_at"),
        _now("created_at"),
        _at("ended_at"),
        sa.Column("answer_status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="webhook_deliveries_pkey"),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoints.id"], name="webhook_deliveries_endpoint_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["report_id"], ["reports.id"], name="webhook_deliveries_report_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'failed')", name=op.f("webhook_deliveries_status_check")
        ),
    )
    op.create_index(
        "webhook_deliveries_due_idx", "webhook_deliveries", ["due_at"], postgresql_where=sa.text("status = 'pending'")
    )
    op.create_index(
        "webhook_deliveries_endpoint_id_created_at_idx", "webhook_deliveries", ["endpoint_id", "created_at"]
    )
    op.create_index("webhook_deliveries_report_id_idx", "webhook_deliveries", ["report_id"])


def _create_audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        _now("at"),
        sa.Column("tenant", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("details", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_log_pkey"),
    )
    op.create_index("audit_log_tenant_id_idx", "audit_log", ["tenant", "id"])
    op.create_index("audit_log_tenant_subject_idx", "audit_log", ["tenant", "subject"])
    for statement in (_APPEND_ONLY, *_GUARDS):
        op.execute(statement)
