"""Calls of the model with their cost, budgets, and reports that wait for a model to be written by one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TOKENS = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Create the books, and add what tenants and reports need for them."""
    op.add_column("tenants", sa.Column("budget_day_usd", sa.Numeric))
    op.add_column("tenants", sa.Column("budget_month_usd", sa.Numeric))
    op.add_column("reports", sa.Column("upgrade_pending", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("reports_upgrade_idx", "reports", ["finished_at"], postgresql_where=sa.text("upgrade_pending"))
    _create_calls()
    op.create_table(
        "budget_ledger",
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("reserved_usd", sa.Numeric, nullable=False),
        sa.Column("spent_usd", sa.Numeric, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "period", "starts_on", name="budget_ledger_pkey"),
        sa.CheckConstraint("period IN ('day', 'month')", name=op.f("budget_ledger_period_check")),
    )


def downgrade() -> None:
    """Drop them again, with all they hold."""
    op.drop_table("budget_ledger")
    op.drop_table("model_calls")
    op.drop_column("reports", "upgrade_pending")
    op.drop_column("tenants", "budget_month_usd")
    op.drop_column("tenants", "budget_day_usd")


def _create_calls() -> None:
    op.create_table(
        "model_calls",
        sa.Column("id", UUID, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False),
        sa.Column("report_id", UUID),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("client_request_id", sa.Text, nullable=False),
        sa.Column("reserved_usd", sa.Numeric, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        *(sa.Column(name, sa.Text) for name in ("outcome", "served_model", "request_id")),
        *(sa.Column(name, sa.BigInteger) for name in _TOKENS),
        sa.Column("estimated", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("cost_usd", sa.Numeric),
        sa.Column("price_version", sa.Text),
        sa.PrimaryKeyConstraint("id", name="model_calls_pkey"),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="model_calls_report_id_fkey", ondelete="SET NULL"),
    )
    op.create_index("model_calls_open_idx", "model_calls", ["started_at"], postgresql_where=sa.text("outcome IS NULL"))
    op.create_index("model_calls_day_idx", "model_calls", ["day", "tenant_id"])
    op.create_index("model_calls_report_idx", "model_calls", ["report_id"])
