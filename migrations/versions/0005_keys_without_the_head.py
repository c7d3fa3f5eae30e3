"""Keys of people are kept without waiting for the head of the log: see `sql/0005/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop the foreign key."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: with the foreign key an executor can stand in its own way."""
    raise MigrationError("revision 0005 took away what executors waited for: go on with it, or restore a dump")
