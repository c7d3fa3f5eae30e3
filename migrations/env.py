"""Alembic's entry: run the versions on the connection, and inside the transaction, that the runner opened."""

from alembic import context
from sqlalchemy import Connection

from migrations import MigrationError
from migrations.runner import VERSION_SCHEMA, VERSION_TABLE

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise MigrationError("migrations run through migrations.runner (daybook migrate), not through the alembic command")
context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=VERSION_SCHEMA)
context.run_migrations()
