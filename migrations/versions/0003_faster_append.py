"""The append in less time, the same proof: see `sql/0003/`."""

from pathlib import Path

from alembic import op

from migrations import MigrationError
from migrations.sql import execute_files

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the function, and the one of the library that calls it."""
    execute_files(op.get_bind(), Path(__file__).parent / "sql" / revision)


def downgrade() -> None:
    """Refuse: the code of before 0003 is not there to call the function of before 0003."""
    raise MigrationError("revision 0003 replaced log.append: run the Daybook of before it only on a dump of before it")
