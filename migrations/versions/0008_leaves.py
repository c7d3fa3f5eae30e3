"""Positions from which on something holds, commands by position, and the canonical leaf: see `sql/0008/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, the index and the functions."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: without the recorded positions `verify` could not tell old units from forged ones."""
    raise MigrationError(
        "revision 0008 recorded from which position on events name their keys: go on with it, or restore a dump"
    )
