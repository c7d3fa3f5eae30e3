"""The log, its append function, the roles and the frame of the read schema: see `sql/0001/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: below this revision there is no log, and the log is never dropped. It is the only copy of the facts."""
    raise MigrationError("revision 0001 is the first: going below it would drop the log, which is never done")
