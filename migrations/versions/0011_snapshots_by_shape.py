"""Snapshots of one call may have different shapes: see `sql/0011/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the function."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse, as every revision does."""
    raise MigrationError("revision 0011 is not undone: go on with it, or restore a dump")
