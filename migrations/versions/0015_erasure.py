"""Erasing a person, and the events of those who were erased before: see `sql/0015/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the functions, and append the missing events."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: an older program does not know the event."""
    raise MigrationError("revision 0015 recorded erasures as events: go on with it, or restore a dump")
