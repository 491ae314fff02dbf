"""Whoever changes a report's state tells the api processes, in the transaction that changes it.

A trigger, not a call beside each statement: it cannot be forgotten, and nobody hears of what was rolled back.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the trigger. ``put_at`` stands for the insert, which nobody should wait for on the hot path."""
    op.execute(
        """
        CREATE FUNCTION afterbell_tell_report() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_notify('afterbell_reports', json_build_array(NEW.tenant_id, NEW.session_id)::text);
          RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER reports_tell AFTER UPDATE OF status, progress, stage, attempt, put_at ON reports
        FOR EACH ROW EXECUTE FUNCTION afterbell_tell_report()
        """
    )


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP TRIGGER reports_tell ON reports")
    op.execute("DROP FUNCTION afterbell_tell_report()")
