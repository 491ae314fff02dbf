"""Alembic's entry: runs the migrations on the connection that ``migrate.py`` hands over."""

from alembic import context

from afterbell.adapters.db.tables import metadata

# A transaction each: an index that is made beside the traffic needs none around it.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=True
)
with context.begin_transaction():
    context.run_migrations()
