"""The position from which on owners, references and the like are codes: see `sql/0012/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Record the position."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: without the recorded positions `verify` could not tell old texts from forged ones."""
    raise MigrationError(
        "revision 0012 recorded from which position on texts are codes: go on with it, or restore a dump"
    )
