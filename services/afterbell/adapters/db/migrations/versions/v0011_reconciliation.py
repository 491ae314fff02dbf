"""What the queue cannot take is parked, what retention has emptied is known, and who does what in turns is a row.

Columns and small tables only: each is made in a moment. The indexes follow in a migration of their own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and tables, and the trigger for a session that changes after it was emptied."""
    op.add_column("reports", sa.Column("parked_at", sa.DateTime(timezone=True)))
    op.add_column("reports", sa.Column("parked_because", sa.Text))
    op.add_column("webhook_endpoints", sa.Column("sending_until", sa.DateTime(timezone=True)))
    op.add_column("sessions", sa.Column("emptied_at", sa.DateTime(timezone=True)))
    # A trigger, not the statements: those of the version before, still there during a rollout, count as well.
    op.execute(
        """CREATE FUNCTION afterbell_fill_session() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.emptied_at := NULL;
          RETURN NEW;
        END $$"""
    )
    op.execute(
        """CREATE TRIGGER sessions_filled BEFORE UPDATE ON sessions FOR EACH ROW
        WHEN (OLD.emptied_at IS NOT NULL AND NEW.revision <> OLD.revision) EXECUTE FUNCTION afterbell_fill_session()"""
    )
    op.create_table(
        "turns",
        sa.Column("work", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "retention_runs",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("keep_s", sa.BigInteger, nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("deleted", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    """Drop them; what is parked waits as before."""
    op.drop_table("retention_runs")
    op.drop_table("turns")
    op.execute("DROP TRIGGER sessions_filled ON sessions")
    op.execute("DROP FUNCTION afterbell_fill_session()")
    op.drop_column("sessions", "emptied_at")
    op.drop_column("webhook_endpoints", "sending_until")
    op.drop_column("reports", "parked_because")
    op.drop_column("reports", "parked_at")
