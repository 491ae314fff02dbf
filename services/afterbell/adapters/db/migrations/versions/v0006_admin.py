"""Lists of jobs for administrators."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("reports_created_at_id_idx", "reports", ["created_at", "id"])
    op.create_index("reports_status_created_at_id_idx", "reports", ["status", "created_at", "id"])


def downgrade() -> None:
    op.drop_index("reports_status_created_at_id_idx", "reports")
    op.drop_index("reports_created_at_id_idx", "reports")
