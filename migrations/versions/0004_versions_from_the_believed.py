"""Versions looked up from the believed one on: see `sql/0004/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the body of the function; who may call it stays as it was."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: there is nothing to gain from the body before."""
    raise MigrationError("revision 0004 made log.append faster and nothing else: go on with it, or restore a dump")
