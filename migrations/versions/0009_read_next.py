"""Schemas for rebuilding read tables beside the live ones: see `sql/0009/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the schemas."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse, as every revision does."""
    raise MigrationError("revision 0009 is not undone: go on with it, or restore a dump")
