"""The database of the revision before roles and keys changed, to be taken over."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.support.postgres import Database

DUMP = Path(__file__).parents[1] / "fixtures" / "ce8ce5d.sql"


def as_it_was(database: Database) -> None:
    """Restore the ledger of revision ce8ce5d into this empty database, whose server has the roles of then."""
    with psycopg.connect(database.url, autocommit=True) as superuser:
        for role in ("owner", "api", "projector", "reader"):
            found = superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", (f"daybook_{role}",)).fetchone()
            if found is None:
                superuser.execute(f"CREATE ROLE daybook_{role} NOLOGIN".encode())
        superuser.execute(DUMP.read_bytes())
