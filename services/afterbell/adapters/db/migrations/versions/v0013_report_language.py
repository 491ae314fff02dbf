"""The language a session's report is written in, and the time zone its day is counted in."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; a session without them is reported on as before."""
    op.add_column("sessions", sa.Column("report_language", sa.Text))
    op.add_column("sessions", sa.Column("time_zone", sa.Text))


def downgrade() -> None:
    """Drop both."""
    op.drop_column("sessions", "time_zone")
    op.drop_column("sessions", "report_language")
