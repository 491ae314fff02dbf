"""Whether a model may read a session, and the key that names a student to a provider."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    allowed = sa.Column("ai_processing_allowed", sa.Boolean, nullable=False, server_default=sa.text("true"))
    op.add_column("sessions", allowed)
    key = sa.Column("safety_key", sa.UUID, nullable=False, server_default=sa.func.gen_random_uuid())
    op.add_column("tenants", key)


def downgrade() -> None:
    op.drop_column("tenants", "safety_key")
    op.drop_column("sessions", "ai_processing_allowed")
