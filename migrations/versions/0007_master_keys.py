"""Master keys are known by their fingerprints, and wrapped keys are checked: see `sql/0007/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is known of master keys and sealing versions; replace the function that keeps keys."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: the version before would not know which master key a key is wrapped with."""
    raise MigrationError("revision 0007 names the master key of each wrapped key: go on with it, or restore a dump")
