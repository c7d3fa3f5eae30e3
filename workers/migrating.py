"""Migration: prepares a database with schema, roles, rights, the log and the read tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.postgres.connect import connect
from migrations import MigrationError, runner
from projections.engine.tables import ShapeError, prepare
from projections.registry import PROJECTIONS
from workers.databases import LONG_STATEMENT_SECONDS
from workers.policies import create_policies
from workers.settings import Settings
from workers.verify.schema import planted

SHOWN = 3
"""Most objects that a message names."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result of a migration."""

    revision: str
    notes: tuple[str, ...]  # sentences for the operator: repairs, and what is left to do


def migrate(settings: Settings, *, replica: bool = False) -> Migrated:
    """Bring the database of the settings to the newest schema, create the log and policies, and make the read tables.

    A `replica` gets no log: it comes with the copy, and so do the policies.

    It can be run again at any time. If the schema is the newest already, it repairs owners and rights, for instance
    after a restore, and says so. Raises `MigrationError`, `psycopg.Error`.
    """
    url = settings.owner_url()
    notes: list[str] = []
    before = runner.rights(url) if runner.current(url) == runner.head() else None
    revision = runner.upgrade(url, notes.append)
    with connect(url, application_name="daybook-migrate") as connection:
        if not replica and not connection.execute("SELECT FROM log.copies").fetchall():
            connection.execute("SELECT log.create_log(%s)", (settings.log,))
            create_policies(connection)
    with connect(
        settings.read_owner_url(), application_name="daybook-migrate", statement_seconds=LONG_STATEMENT_SECONDS
    ) as connection:
        refuse_planted(connection)
        try:
            prepare(connection, PROJECTIONS)
        except ShapeError as error:
            notes.append(f"{error}.")
    if before is not None:
        notes.extend(_repaired(before, runner.rights(url)))
    notes.extend(_unbounded_readers(url))
    return Migrated(revision, tuple(notes))


def refuse_planted(connection: Connection[Any]) -> None:
    """Raise `MigrationError` if making read tables would run foreign code with the rights of the database's owner.

    The read owner may put a constraint or a trigger on its tables. In a session of the read owner's login such code
    has the rights of the read owner only. A session of the database's owner that acts as the read owner is different:
    the code can set the role back, and is the owner then.
    """
    row = connection.execute("SELECT pg_has_role(session_user, 'daybook_owner', 'MEMBER')").fetchone()
    assert row is not None
    found = planted(connection) if row[0] else []
    if found:
        raise MigrationError(
            f"{_some(found)}: this version makes no such thing, and migrating would run its code with the rights of "
            f"the owner. Find out who made it, and drop it"
        )


# A group role cannot have such a bound, only a login can. The login that migrates may be a member of every role.
_UNBOUNDED = """
SELECT quote_ident(r.rolname) FROM pg_roles r
 WHERE r.rolcanlogin AND r.rolconnlimit < 0 AND NOT r.rolsuper AND r.rolname NOT IN (current_user, session_user)
   AND pg_has_role(r.oid, 'daybook_reader', 'MEMBER')
 ORDER BY r.rolname
"""


def _unbounded_readers(url: str) -> list[str]:
    with connect(url, application_name="daybook-migrate") as connection:
        return [
            f"The login {name} reads reports and may take all connections of the server: "
            f"ALTER ROLE {name} CONNECTION LIMIT 20."
            for (name,) in connection.execute(_UNBOUNDED)
        ]


def _repaired(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    changed = [name for name in sorted(after) if name in before and before[name] != after[name]]
    if not changed:
        return []
    return [f"Owners or rights were not those of this version; they are repaired: {_some(changed)}."]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
