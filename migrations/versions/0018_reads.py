"""Who read what about whom, and an index of what persons sent: see `sql/0018/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema and the index."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: schema and data go forward only."""
    raise MigrationError("revision 0018 cannot be undone: go on with it, or restore a dump")
