"""Runs migrations on the connection, and in the transaction, that `ablate.store.migrate` hands over."""

from alembic import context

from ablate.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
