"""API keys of persons: made for an event, found by their hash, replaced with an overlap, ended for good.

A key is shown once. A retry of the command that made it shows nothing, and its person makes another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from psycopg import Connection
from psycopg.types.json import Jsonb

from eventstore.credentials.clock import not_before
from eventstore.credentials.key_text import LENGTH, form_of, new_key, shown
from eventstore.credentials.scopes import Scope, from_json, to_json
from eventstore.credentials.store import CredentialsError, Store, checked_id
from eventstore.credentials.tokens import Secret, digest

LONGEST_OVERLAP: Final = timedelta(days=30)
LAST_USE: Final = timedelta(minutes=1)
"""The last use is written at most so often."""

_COLUMNS = """key, person, version, name, prefix, scope, per_minute, created_at, expires_at, last_used_at, replaced_by,
       overlap_ends_at, ended_at"""
_CREATE = """
INSERT INTO credentials.api_keys
       (log, key, person, version, name, hash, prefix, scope, per_minute, created_at, expires_at)
VALUES (%(log)s, %(key)s, %(person)s, %(version)s, %(name)s, %(hash)s, %(prefix)s, %(scope)s, %(per_minute)s, %(now)s,
        %(expires_at)s)
ON CONFLICT (log, key) DO NOTHING RETURNING key
"""
# One statement: the old key gets its end only if the new one is made, and the new one is made only for a key in force.
_ROTATE = """
WITH old AS (
    UPDATE credentials.api_keys SET replaced_by = %(key)s, overlap_ends_at = greatest(%(now)s, created_at) + %(overlap)s
     WHERE log = %(log)s AND key = %(old)s AND replaced_by IS NULL AND ended_at IS NULL
       AND (expires_at IS NULL OR expires_at > %(now)s)
       AND NOT EXISTS (SELECT FROM credentials.api_keys n WHERE n.log = %(log)s AND n.key = %(key)s)
    RETURNING person, name, scope, per_minute
)
INSERT INTO credentials.api_keys
       (log, key, person, version, name, hash, prefix, scope, per_minute, created_at, expires_at)
SELECT %(log)s, %(key)s, person, %(version)s, name, %(hash)s, %(prefix)s, scope, per_minute, %(now)s, %(expires_at)s
  FROM old RETURNING key
"""
_EXISTS = "SELECT FROM credentials.api_keys WHERE log = %s AND key = %s"
_FIND = f"SELECT {_COLUMNS} FROM credentials.api_keys WHERE log = %s AND hash = %s"  # noqa: S608 - a constant
_LIST = f"SELECT {_COLUMNS} FROM credentials.api_keys WHERE log = %s AND person = %s ORDER BY key LIMIT %s"  # noqa: S608
_USED = """
UPDATE credentials.api_keys SET last_used_at = %(at)s
 WHERE log = %(log)s AND key = %(key)s AND (last_used_at IS NULL OR last_used_at <= %(at)s - %(rarely)s)
"""
_END = """
UPDATE credentials.api_keys SET ended_at = greatest(%s, created_at) WHERE log = %s AND key = %s AND ended_at IS NULL
"""
_END_ALL = """
UPDATE credentials.api_keys SET ended_at = greatest(%s, created_at)
 WHERE log = %s AND person = %s AND version < %s AND ended_at IS NULL RETURNING key
"""


class ApiKey(NamedTuple):
    """A key, without its hash."""

    key: str
    person: str
    version: int
    name: str
    prefix: str
    scope: Scope
    per_minute: int
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None
    overlap_ends_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Refused:
    """The text lets nobody in. `mistyped`: its checksum is wrong. The caller answers all of them alike but this one."""

    reason: Literal["mistyped", "unknown", "expired", "ended"]
    key: str | None = None


def refusal(key: ApiKey, now: datetime) -> Literal["expired", "ended"] | None:
    """Why a key is not in force; None if it is. A clock behind its last use is read as that time."""
    if key.ended_at is not None:
        return "ended"
    at = not_before(now, key.created_at, key.last_used_at)
    ends = [end for end in (key.expires_at, key.overlap_ends_at) if end is not None]
    return "expired" if any(at >= end for end in ends) else None


class ApiKeys(Store):
    """The table of API keys. Its methods block."""

    def create(
        self,
        key: str,
        person: str,
        version: int,
        *,
        name: str,
        scope: Scope,
        per_minute: int,
        expires_at: datetime | None = None,
    ) -> Secret | None:
        """Make a key for the event of this version. None if there is one of this id: it was shown once."""
        secret = new_key()
        values = {
            **self._fresh(key, version, secret, expires_at),
            "person": checked_id(person),
            "name": _checked_name(name),
            "scope": Jsonb(to_json(scope)),
            "per_minute": per_minute,
        }
        with self._connected() as connection:
            return None if connection.execute(_CREATE, values).fetchone() is None else secret

    def rotate(
        self, old: str, key: str, version: int, *, overlap: timedelta, expires_at: datetime | None = None
    ) -> Secret | None:
        """Replace a key by another one with the same name, scope and rate. Both work until the overlap has ended.

        None if the new key is there already. Raises `CredentialsError` if the old one is not in force.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise CredentialsError(f"an overlap lasts up to {LONGEST_OVERLAP.days} days, not {overlap}")
        secret = new_key()
        values = {**self._fresh(key, version, secret, expires_at), "old": checked_id(old), "overlap": overlap}
        with self._connected() as connection:
            if connection.execute(_ROTATE, values).fetchone() is not None:
                return secret
            if connection.execute(_EXISTS, (self._log, key)).fetchone() is not None:
                return None
        raise CredentialsError(f"the key {old} is not in force, or was replaced already: make a new one")

    def find(self, text: str) -> ApiKey | Refused:
        """The key with this text, if it is in force. Its last use is noted, to a minute.

        A key that is found expired has ended, whatever the clock says later.
        """
        if len(text) != LENGTH or form_of(text) != "key":
            return Refused("mistyped" if form_of(text[: LENGTH + 1]) == "mistyped" else "unknown")
        with self._connected() as connection:
            row = connection.execute(_FIND, (self._log, digest(text))).fetchone()
            if row is None:
                return Refused("unknown")
            found, now = _key(row), self._now()
            why = refusal(found, now)
            if why is None:
                self._note_use(connection, found, now)
                return found
            if why == "expired":
                connection.execute(_END, (now, self._log, found.key))
        return Refused(why, found.key)

    def of(self, person: str, most: int = 100) -> Sequence[ApiKey]:
        """The keys of a person, by their ids."""
        with self._connected() as connection:
            rows = connection.execute(_LIST, (self._log, checked_id(person), most)).fetchall()
        return [_key(row) for row in rows]

    def end(self, key: str) -> bool:
        """End a key. False if it had ended, or never was."""
        with self._connected() as connection:
            return connection.execute(_END, (self._now(), self._log, checked_id(key))).rowcount == 1

    def end_all(self, person: str, before_version: int) -> Sequence[str]:
        """End the keys of a person that were made before this version. Returns those that ended now."""
        with self._connected() as connection:
            values = (self._now(), self._log, checked_id(person), before_version)
            return [key for (key,) in connection.execute(_END_ALL, values)]

    def _fresh(self, key: str, version: int, secret: Secret, expires_at: datetime | None) -> dict[str, Any]:
        now = self._now()
        if expires_at is not None and expires_at <= now:
            raise CredentialsError(f"a key that is made at {now} cannot expire at {expires_at}")
        return {
            "log": self._log,
            "key": checked_id(key),
            "version": version,
            "hash": digest(secret.reveal()),
            "prefix": shown(secret),
            "now": now,
            "expires_at": expires_at,
        }

    def _note_use(self, connection: Connection[Any], key: ApiKey, now: datetime) -> None:
        if key.last_used_at is None or now - key.last_used_at >= LAST_USE:
            values = {"at": not_before(now, key.created_at), "log": self._log, "key": key.key, "rarely": LAST_USE}
            connection.execute(_USED, values)


def _key(row: tuple[Any, ...]) -> ApiKey:
    return ApiKey(*row)._replace(scope=from_json(row[5]))


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise CredentialsError("the name of a key has 1 to 100 printable characters")
    return name
