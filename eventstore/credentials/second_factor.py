"""The second factor of persons: a TOTP secret, and recovery codes.

    enrolment = factor.begin(person, "ada", "Daybook")   the secret is shown once
    factor.confirm(person, code)                         the app works
    … the command is executed: version 9 …
    factor.activate(person, 9)                           a retry may do it again
    codes = factor.make_codes(person, 9)                 shown once
    factor.check(person, code)                           at each sign-in; a code works once

The secret is sealed with the person's key, as the personal fields of events are. So this role alone cannot open it, a
rotation of the master key needs nothing here, and an erasure makes it unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.clock import Clock, system_clock
from eventstore.credentials.recovery_codes import code_digest, new_codes
from eventstore.credentials.store import CredentialsError, Store, Written, checked_id
from eventstore.credentials.tokens import LONGEST, Secret
from eventstore.credentials.totp_codes import enrolment_uri, matching_step, new_secret
from eventstore.keys.sealing import Place, Sealer

BEGUN_FOR: Final = timedelta(hours=1)
"""An enrolment that was not confirmed within this time is worth nothing."""

# A confirmed secret is not replaced for an hour: its event may be on the way.
_BEGIN = """
INSERT INTO credentials.totp AS t (log, person, version, sealed, begun_at, last_step)
VALUES (%(log)s, %(person)s, 0, %(sealed)s, %(now)s, 0)
ON CONFLICT (log, person, version) DO UPDATE SET sealed = excluded.sealed, begun_at = excluded.begun_at, last_step = 0
 WHERE t.last_step = 0 OR %(now)s NOT BETWEEN t.begun_at AND t.begun_at + %(begun_for)s
RETURNING version
"""
_BEGUN = "SELECT sealed, last_step, begun_at FROM credentials.totp WHERE log = %s AND person = %s AND version = 0"
_IN_FORCE = """
SELECT sealed, last_step, version FROM credentials.totp
 WHERE log = %s AND person = %s AND version >= greatest(%s, 1) ORDER BY version DESC LIMIT 1
"""
_USE_STEP = """
UPDATE credentials.totp SET last_step = %s
 WHERE log = %s AND person = %s AND version = %s AND sealed = %s AND last_step < %s
"""
_LATEST = "SELECT max(version) FROM credentials.totp WHERE log = %s AND person = %s"
_ACTIVATE = """
UPDATE credentials.totp t SET version = %(version)s
 WHERE t.log = %(log)s AND t.person = %(person)s AND t.version = 0 AND t.last_step > 0
   AND NOT EXISTS (SELECT FROM credentials.totp o
                    WHERE o.log = t.log AND o.person = t.person AND o.version >= %(version)s)
"""
_REMOVE_BEFORE = "DELETE FROM credentials.totp WHERE log = %s AND person = %s AND version > 0 AND version < %s"
_REMOVE_CODES = "DELETE FROM credentials.recovery_codes WHERE log = %s AND person = %s AND version < %s"
# A set has the places of the one before. In the order of their numbers, so that of two sets at once one waits at the
# first place, and then finds a version that is not older.
_MAKE_CODES = """
INSERT INTO credentials.recovery_codes AS c (log, person, number, version, hash, made_at)
SELECT %s, %s, n.number, %s, n.hash, %s FROM unnest(%s::bytea[]) WITH ORDINALITY AS n(hash, number) ORDER BY n.number
ON CONFLICT (log, person, number) DO UPDATE
   SET version = excluded.version, hash = excluded.hash, made_at = excluded.made_at, used_at = NULL
 WHERE c.version < excluded.version
"""
_USE_CODE = """
UPDATE credentials.recovery_codes SET used_at = %s
 WHERE log = %s AND person = %s AND version >= %s AND hash = %s AND used_at IS NULL
"""
_LEFT = "SELECT count(*) FROM credentials.recovery_codes WHERE log = %s AND person = %s AND used_at IS NULL"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an app needs. Shown once."""

    secret: Secret
    uri: Secret


class SecondFactor(Store):
    """The tables of TOTP secrets and recovery codes. Its methods block."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        log_number: int,
        sealer: Sealer,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(pool, log_number, clock)
        self._sealer = sealer

    def begin(self, person: str, name: str, issuer: str) -> Enrolment | None:
        """Make a secret. None if another one was confirmed within the hour and waits for its event.

        Raises `SealingError` for a person whose key was erased.
        """
        place, secret = _place(checked_id(person)), new_secret()
        self._sealer.prepare([person])
        values = {
            "log": self._log,
            "person": person,
            "sealed": self._sealer.seal(place, secret.reveal()),
            "now": self._now(),
            "begun_for": BEGUN_FOR,
        }
        with self._connected() as connection:
            if connection.execute(_BEGIN, values).fetchone() is None:
                return None
        return Enrolment(secret, enrolment_uri(secret, name, issuer))

    def confirm(self, person: str, code: str) -> bool:
        """Whether the code is one of the secret that was begun. The code is used up."""
        with self._connected() as connection:
            row = connection.execute(_BEGUN, (self._log, checked_id(person))).fetchone()
            if row is None:
                return False
            sealed, last_step, begun_at = row
            late = self._now() - begun_at >= BEGUN_FOR
            return not late and self._use(connection, person, 0, sealed, last_step, code)

    def activate(self, person: str, version: int) -> Written:
        """Put the confirmed secret in force by the event of this version. The secret before is removed.

        Raises `CredentialsError` if nothing was confirmed.
        """
        with self._connected() as connection, connection.transaction():
            values = {"log": self._log, "person": checked_id(person), "version": version}
            changed = connection.execute(_ACTIVATE, values).rowcount
            latest = _number(connection.execute(_LATEST, (self._log, person)).fetchone())
            if changed == 0 and latest < version:
                raise CredentialsError("no second factor was confirmed for this person: begin again")
            connection.execute(_REMOVE_BEFORE, (self._log, person, version))
        return Written.WRITTEN if changed else Written.ALREADY if latest == version else Written.SUPERSEDED

    def remove(self, person: str, version: int) -> None:
        """Remove secret and codes by the event of this version. Those of later events stay."""
        with self._connected() as connection, connection.transaction():
            connection.execute(_REMOVE_BEFORE, (self._log, checked_id(person), version))
            connection.execute(_REMOVE_CODES, (self._log, person, version))

    def in_force(self, person: str) -> int | None:
        """The version of the event that switched it on; None if it is off."""
        with self._connected() as connection:
            row = connection.execute(_IN_FORCE, (self._log, checked_id(person), 0)).fetchone()
        return None if row is None else int(row[2])

    def check(self, person: str, code: str, *, version: int = 0) -> bool:
        """Whether the code is right, and was not used before. Of two requests with one code, one gets true.

        `version`: that of the person's last event that set a second factor. An older secret is not used: the process
        that was to replace it has ended before it did.
        """
        with self._connected() as connection:
            row = connection.execute(_IN_FORCE, (self._log, checked_id(person), version)).fetchone()
            if row is None:
                return False
            sealed, last_step, version = row
            return self._use(connection, person, version, sealed, last_step, code)

    def make_codes(self, person: str, version: int) -> list[Secret] | None:
        """Make ten recovery codes for the event of this version. The set before is removed.

        None if this event or a later one has its codes already: they were shown once, and a retry does not show others.
        """
        codes = new_codes()
        values = (self._log, checked_id(person), version, self._now(), [_digest_of(code) for code in codes])
        with self._connected() as connection:
            made = connection.execute(_MAKE_CODES, values).rowcount
        assert made in (0, len(codes)), "a set is made whole"
        return codes if made else None

    def use_recovery_code(self, person: str, code: str, *, version: int = 0) -> bool:
        """Use a recovery code. Of two requests with one code, one gets true.

        `version`: that of the person's last event that gave them codes. Older ones are not used.
        """
        hash = code_digest(code) if len(code) <= LONGEST else None
        if hash is None:
            return False
        values = (self._now(), self._log, checked_id(person), version, hash)
        with self._connected() as connection:
            return connection.execute(_USE_CODE, values).rowcount == 1

    def codes_left(self, person: str) -> int:
        """How many recovery codes are unused."""
        with self._connected() as connection:
            return _number(connection.execute(_LEFT, (self._log, checked_id(person))).fetchone())

    def _use(
        self, connection: Connection[Any], person: str, version: int, sealed: str, last_step: int, code: str
    ) -> bool:
        self._sealer.look_up([person])
        opened = self._sealer.open(_place(person), sealed)
        if opened is None:  # the person was erased
            return False
        step = matching_step(Secret(opened), code, self._now(), last_step)
        if step is None:
            return False
        return connection.execute(_USE_STEP, (step, self._log, person, version, sealed, step)).rowcount == 1


def _place(person: str) -> Place:
    return Place(person, 0, "credentials.totp", "secret", person)


def _digest_of(code: Secret) -> bytes:
    found = code_digest(code.reveal())
    assert found is not None, "what is made is a code"
    return found


def _number(row: tuple[Any, ...] | None) -> int:
    return 0 if row is None or row[0] is None else int(row[0])
