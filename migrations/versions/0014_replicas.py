"""What a replica needs: a copy of another log: see `sql/0014/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the functions and the table."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: schema and data go forward only."""
    raise MigrationError("revision 0014 cannot be undone: go on with it, or restore a dump")
