"""The position from which on refusals are on the log: see `sql/0010/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Record the position."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: without the recorded position `verify` would call the refusals of before unsound."""
    raise MigrationError("revision 0010 is not undone: go on with it, or restore a dump")
