"""The trace a report was asked for in."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reports", sa.Column("traceparent", sa.Text))


def downgrade() -> None:
    op.drop_column("reports", "traceparent")
