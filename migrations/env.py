"""The entry point of Alembic: runs the versions on the connection and in the transaction of the runner."""

from alembic import context
from sqlalchemy import Connection

from migrations import MigrationError
from migrations.runner import VERSION_SCHEMA, VERSION_TABLE

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise MigrationError("migrations run through migrations.runner (daybook migrate), not through the alembic command")
context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=VERSION_SCHEMA)
context.run_migrations()
