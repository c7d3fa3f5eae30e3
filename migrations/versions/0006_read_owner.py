"""The read tables belong to a role that has no right on the log: see `sql/0006/` and `migrations/rights`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the default grants of the former owner back, and let checkpoints say that they are being rebuilt."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: before it, whoever took over a projector could write the log."""
    raise MigrationError("revision 0006 took rights from the projector: go on with it, or restore a dump of before it")
