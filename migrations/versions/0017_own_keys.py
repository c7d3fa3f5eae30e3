"""Keys of the log itself cannot be erased: see `sql/0017/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the function that destroys keys."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: schema and data go forward only."""
    raise MigrationError("revision 0017 cannot be undone: go on with it, or restore a dump")
