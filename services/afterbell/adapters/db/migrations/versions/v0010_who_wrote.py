"""A way to everything somebody wrote: an export or an erasure reads it, also of sessions they have left."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the messages by who wrote them."""
    op.create_index("messages_sender_idx", "messages", ["tenant_id", "sender"])


def downgrade() -> None:
    """Drop the index; the messages stay."""
    op.drop_index("messages_sender_idx", "messages")
