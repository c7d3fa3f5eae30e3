"""Snapshots of streams, a cache that may be emptied at any time: see `sql/0002/`."""

from pathlib import Path

from alembic import op

from migrations.sql import execute_files

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the way into it."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Drop both: they hold nothing that is not folded from the log."""
    op.execute("DROP FUNCTION log.keep_snapshots; DROP TABLE log.snapshots")
