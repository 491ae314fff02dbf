"""What every migration may use. Each runs in a transaction of its own."""

from typing import Final

from alembic import op
from sqlalchemy import text

LOCK_TIMEOUT_S: Final = 2.0
"""How long a migration waits for a lock at a time: whatever asks for the table after it waits as long."""


def create_index_concurrently(name: str, on: str) -> None:
    """Make an index while the table is read and written; ``on`` is what follows ``CREATE INDEX … ON``.

    Call it in a migration that does nothing else: it ends the migration's transaction. One that was cut off leaves an
    invalid index, so such a one is dropped first, and a whole one is kept.
    """
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        is_valid = connection.scalar(
            text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)").bindparams(name=name)
        )
        if is_valid is False:
            op.execute(f"DROP INDEX CONCURRENTLY {name}")
        if not is_valid:
            # It holds up nobody, so it may wait for every statement under way, however long that takes.
            op.execute("SET lock_timeout = 0")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
            op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S:g}s'")


def drop_index_concurrently(name: str) -> None:
    """Drop an index while its table is read and written; one that is not there is dropped already."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
