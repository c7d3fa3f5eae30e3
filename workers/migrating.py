"""Everything a database needs before a process works on it: schema, roles, rights, the log, the read tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eventstore.connect import connect
from migrations import runner
from projections.rooms import ROOMS
from projections.tables import ShapeError, prepare
from workers.settings import READ_OWNER_ROLE, Settings
from workers.urls import with_role

SHOWN = 3
"""How many repaired objects a sentence names."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration came to."""

    revision: str
    notes: tuple[str, ...]  # sentences for the operator: what was repaired, what is left to do


def migrate(settings: Settings) -> Migrated:
    """Bring the database of the settings to the newest schema, create the log, and make the read tables.

    It can be run again at any time. Where the schema is the newest already, it repairs owners and rights, as after a
    restore, and says so. Raises `MigrationError`, `psycopg.Error`.
    """
    url = settings.owner_url()
    notes: list[str] = []
    before = runner.rights(url) if runner.current(url) == runner.head() else None
    revision = runner.upgrade(url, notes.append)
    with connect(url, application_name="daybook-migrate") as connection:
        connection.execute("SELECT log.create_log(%s)", (settings.log,))
    with connect(with_role(url, READ_OWNER_ROLE), application_name="daybook-migrate") as connection:
        try:
            prepare(connection, ROOMS)
        except ShapeError as error:
            notes.append(f"{error}.")
    if before is not None:
        notes.extend(_repaired(before, runner.rights(url)))
    notes.extend(_unbounded_readers(url))
    return Migrated(revision, tuple(notes))


# Group roles cannot have a bound, only logins can. Whoever migrates may be a member of every role.
_UNBOUNDED = """
SELECT r.rolname FROM pg_roles r
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
    named = ", ".join(changed[:SHOWN])
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return [f"Owners or rights were not those of this version; they are repaired: {named}{more}."]
