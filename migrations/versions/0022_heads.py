"""The heads of streams, which checkpoints commit to: see `sql/0022/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: schema and data go forward only."""
    raise MigrationError("revision 0022 cannot be undone: go on with it, or restore a dump")
