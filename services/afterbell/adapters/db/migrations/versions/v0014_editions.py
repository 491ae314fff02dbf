"""An edition for each session: a number that is another one whenever who takes part or what was said already differs.

Triggers, not the statements: whoever changes a session, an older version during a rollout included, cannot forget it.
A message that is appended is no new edition, so the statement that a chat waits for tells nobody and waits for no one.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and the triggers that give a new edition and tell the api processes of it.

    Numbers come from one sequence, so that a session deleted and stored again never has an edition it had before.
    """
    op.execute("CREATE SEQUENCE session_editions")
    op.execute("ALTER TABLE sessions ADD COLUMN edition bigint NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE sessions ALTER COLUMN edition SET DEFAULT nextval('session_editions')")
    op.execute("ALTER SEQUENCE session_editions OWNED BY sessions.edition")
    op.execute(
        """CREATE FUNCTION afterbell_new_edition() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.edition := nextval('session_editions');
          PERFORM pg_notify('afterbell_sessions', json_build_array(NEW.tenant_id, NEW.id)::text);
          RETURN NEW;
        END $$"""
    )
    op.execute(
        """CREATE TRIGGER sessions_edition BEFORE UPDATE ON sessions FOR EACH ROW WHEN (
          NEW.participants <> OLD.participants
          OR (NEW.emptied_at IS NOT NULL AND NEW.emptied_at IS DISTINCT FROM OLD.emptied_at)
          OR (NEW.revision <> OLD.revision AND NOT (NEW.last_seq = OLD.last_seq + 1 AND NEW.input_sha256 = '')))
        EXECUTE FUNCTION afterbell_new_edition()"""
    )
    op.execute(
        """CREATE FUNCTION afterbell_session_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM pg_notify('afterbell_sessions', json_build_array(OLD.tenant_id, OLD.id)::text);
          RETURN NULL;
        END $$"""
    )
    op.execute(
        """CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions
        FOR EACH ROW EXECUTE FUNCTION afterbell_session_deleted()"""
    )


def downgrade() -> None:
    """Remove them; versions before know no editions."""
    op.execute("DROP TRIGGER sessions_deleted ON sessions")
    op.execute("DROP FUNCTION afterbell_session_deleted()")
    op.execute("DROP TRIGGER sessions_edition ON sessions")
    op.execute("DROP FUNCTION afterbell_new_edition()")
    op.execute("ALTER TABLE sessions DROP COLUMN edition")
