"""Databases of earlier revisions, for tests of take-over. Each fixture file describes how it was made."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.support.postgres import Database

FIXTURES = Path(__file__).parents[1] / "fixtures"
ROLES = ("owner", "read_owner", "api", "query", "projector", "audit", "reader")


def as_it_was(database: Database, revision: str = "ce8ce5d") -> None:
    """Restore the ledger of that revision into this empty database, and make the roles that its server had."""
    with psycopg.connect(database.url, autocommit=True) as superuser:
        for role in ROLES if revision != "ce8ce5d" else ("owner", "api", "projector", "reader"):
            found = superuser.execute("SELECT FROM pg_roles WHERE rolname = %s", (f"daybook_{role}",)).fetchone()
            if found is None:
                superuser.execute(f"CREATE ROLE daybook_{role} NOLOGIN".encode())
        superuser.execute((FIXTURES / f"{revision}.sql").read_bytes())
