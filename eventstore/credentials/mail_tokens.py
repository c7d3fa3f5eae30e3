"""Tokens in mails, to verify an address or to reset a password. The mail worker makes them; a hash is stored.

The event that asks for the mail comes first. A worker that ended before the mail was sent makes another token for the
same event, which takes the place of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from eventstore.credentials.store import Store, checked_id
from eventstore.credentials.tokens import LONGEST, Secret, digest, new_token

KIND: Final = "dbm"
"""The first letters of a token in a mail."""
Purpose: TypeAlias = Literal["verify", "reset"]
LIFETIMES: Final[dict[Purpose, timedelta]] = {"verify": timedelta(days=2), "reset": timedelta(hours=1)}

_ISSUE = """
INSERT INTO credentials.mail_tokens AS m (log, person, purpose, version, hash, issued_at, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (log, person, purpose) DO UPDATE
   SET version = excluded.version, hash = excluded.hash, issued_at = excluded.issued_at,
       expires_at = excluded.expires_at, ended_at = NULL, used_by = NULL
 WHERE m.version < excluded.version OR (m.version = excluded.version AND m.ended_at IS NULL)
RETURNING version
"""
_FIND = """
SELECT person, version, ended_at IS NOT NULL, used_by, greatest(%s, issued_at) >= expires_at
  FROM credentials.mail_tokens WHERE log = %s AND hash = %s AND purpose = %s
"""
_USE = """
UPDATE credentials.mail_tokens SET ended_at = greatest(%(now)s, issued_at), used_by = %(by)s
 WHERE log = %(log)s AND hash = %(hash)s AND purpose = %(purpose)s AND ended_at IS NULL
   AND greatest(%(now)s, issued_at) < expires_at
"""
_EXPIRE = """
UPDATE credentials.mail_tokens SET ended_at = greatest(%s, issued_at)
 WHERE log = %s AND hash = %s AND purpose = %s AND ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Used:
    """Whose token it is. One that `use` returns was good, and was used by this command."""

    person: str
    version: int  # of the event that asked for the mail


@dataclass(frozen=True, slots=True)
class Refused:
    """The token is worth nothing."""

    reason: Literal["unknown", "used", "expired"]


class MailTokens(Store):
    """The table of tokens in mails. Its methods block."""

    def issue(self, person: str, purpose: Purpose, version: int) -> Secret | None:
        """Make the token for the event of this version. None if it was used, or a later event asked for another."""
        now, token = self._now(), new_token(KIND)
        row = (
            self._log,
            checked_id(person),
            purpose,
            version,
            digest(token.reveal()),
            now,
            now + LIFETIMES[purpose],
        )
        with self._connected() as connection:
            return None if connection.execute(_ISSUE, row).fetchone() is None else token

    def whose(self, token: str, purpose: Purpose) -> Used | None:
        """Whose token it is, good or not, without using it. None for a token that nobody has."""
        if len(token) > LONGEST:
            return None
        with self._connected() as connection:
            row = connection.execute(_FIND, (self._now(), self._log, digest(token), purpose)).fetchone()
        return None if row is None else Used(row[0], row[1])

    def use(self, token: str, purpose: Purpose, by: str) -> Used | Refused:
        """Use a token for the command with this idempotency key. Once; a retry of that command may use it again.

        A token that is found expired has ended, whatever the clock says later.
        """
        if len(token) > LONGEST:
            return Refused("unknown")
        hash, now = digest(token), self._now()
        with self._connected() as connection:
            values = {"now": now, "by": by, "log": self._log, "hash": hash, "purpose": purpose}
            used = connection.execute(_USE, values).rowcount == 1
            row = connection.execute(_FIND, (now, self._log, hash, purpose)).fetchone()
            if row is None:
                return Refused("unknown")
            person, version, ended, used_by, _ = row
            if used or used_by == by:
                return Used(person, version)
            if not ended:
                connection.execute(_EXPIRE, (now, self._log, hash, purpose))
        return Refused("expired" if used_by is None else "used")
