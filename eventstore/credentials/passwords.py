"""The passwords of persons.

The event that sets a password comes first, and its row names the version that it gave to the person's stream:

    hash = passwords.hash(text)                     argon2, in a thread
    … the command is executed: version 7 …
    passwords.write(person, 7, hash)                a retry may write again, and changes nothing
    passwords.check(person, text, version=7)        a row that is older than the person's last such event is not used
"""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.clock import Clock, system_clock
from eventstore.credentials.password_rules import MOST, normalised
from eventstore.credentials.store import Store, Written, checked_id

_WRITE = """
INSERT INTO credentials.passwords AS p (log, person, version, hash, set_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (log, person) DO UPDATE SET version = excluded.version, hash = excluded.hash, set_at = excluded.set_at
 WHERE p.version < excluded.version
RETURNING version
"""
_VERSION = "SELECT version FROM credentials.passwords WHERE log = %s AND person = %s"
_FIND = "SELECT version, hash FROM credentials.passwords WHERE log = %s AND person = %s AND version >= %s"
_REHASH = """
UPDATE credentials.passwords SET hash = %s WHERE log = %s AND person = %s AND version = %s AND hash = %s
"""


class Checked(NamedTuple):
    """Whether the password is right, and the version of the event that set it."""

    matches: bool
    version: int | None


class Passwords(Store):
    """The table of passwords. Its methods block."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        log_number: int,
        argon2: Argon2,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(pool, log_number, clock)
        self._argon2 = argon2

    def hash(self, password: str) -> str:
        """The hash to write. The password has passed `broken_rules`. Raises `BusyError`."""
        return self._argon2.hash(password)

    def write(self, person: str, version: int, hash: str) -> Written:
        """Keep the hash of the password that the event of this version set. A later one is never replaced."""
        with self._connected() as connection:
            row = (self._log, checked_id(person), version, hash, self._now())
            if connection.execute(_WRITE, row).fetchone() is not None:
                return Written.WRITTEN
            found = connection.execute(_VERSION, (self._log, person)).fetchone()
        return Written.ALREADY if found == (version,) else Written.SUPERSEDED

    def check(self, person: str | None, password: str, *, version: int = 0) -> Checked:
        """Compare a password with that of a person. One call of argon2, whether the person exists (None) or not.

        `version`: that of the person's last event that set a password. An older row is not used: the process that was
        to write the new one has ended before it did. Raises `BusyError`.
        """
        too_long = _too_long(password)
        known, stored = self._find(None if too_long else person, version) or (None, None)
        verdict = self._argon2.verify(stored, "" if too_long else password)
        if not verdict.matches:
            return Checked(False, None)
        if verdict.outdated and person is not None:
            self._hash_anew(person, known, stored, password)
        return Checked(True, known)

    def _find(self, person: str | None, version: int) -> tuple[int, str] | None:
        """The row. Nobody is looked for too, so that an unknown name takes as long."""
        wanted = None if person is None else checked_id(person)
        with self._connected() as connection:
            return connection.execute(_FIND, (self._log, wanted, version)).fetchone()

    def _hash_anew(self, person: str, version: int | None, stored: str | None, password: str) -> None:
        """Write a hash with the parameters of today, unless another password was set meanwhile."""
        fresh = self._argon2.hash(password)
        with self._connected() as connection:
            connection.execute(_REHASH, (fresh, self._log, person, version, stored))


def _too_long(password: str) -> bool:
    """Whether no person can have this password, as it is longer than the rules allow."""
    return len(password) > 4 * MOST or len(normalised(password)) > MOST
