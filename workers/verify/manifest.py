"""Writes `schema.txt`: the schemas of a database that was just migrated and prepared.

    python -m workers.verify.manifest

It starts an embedded PostgreSQL in a temporary folder. Run it after every change of a migration or of a read model.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from eventstore.postgres.connect import connect
from migrations import runner
from projections.engine.tables import prepare
from projections.registry import PROJECTIONS
from workers.embedded import EmbeddedPostgres
from workers.settings import READ_OWNER_ROLE
from workers.urls import with_role
from workers.verify.schema import MANIFEST, read_schema


def lines_of(url: str) -> list[str]:
    """Migrate and prepare an empty database, and return its lines. `url` is that of its owner."""
    runner.upgrade(url)
    with connect(with_role(url, READ_OWNER_ROLE), application_name="manifest") as owner:
        prepare(owner, PROJECTIONS)
    with connect(url, application_name="manifest") as connection:
        return read_schema(connection)


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory(prefix="daybook-manifest-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as a system user
        with EmbeddedPostgres(folder / "postgres") as postgres:
            lines = lines_of(postgres.url)
    MANIFEST.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
