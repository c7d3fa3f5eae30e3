"""What the publisher of the log needs: see `sql/0013/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the functions and the table."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: schema and data go forward only."""
    raise MigrationError("revision 0013 cannot be undone: go on with it, or restore a dump")
