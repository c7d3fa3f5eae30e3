"""Sessions and their refresh tokens. A token that is used twice ends its session, and so does one that has expired.

A refresh is one statement that uses the token only if it is unused and its session goes on. Of two requests with the
same token one changes the row. The other one finds it used, and ends the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.clock import Clock, system_clock
from eventstore.credentials.rotation import LIFETIMES, Lifetimes, Presented, Reason, Refuse, decide
from eventstore.credentials.store import Store, checked_id
from eventstore.credentials.tokens import LONGEST, Secret, digest, new_token

KIND: Final = "dbr"
"""The first letters of a refresh token."""
_TRIES = 3
"""A token is read again if another request used it or ended its session. The second reading decides."""

EndedWhy: TypeAlias = Literal["signed out", "revoked"]

_OPEN = """
WITH opened AS (
    INSERT INTO credentials.sessions (log, session, person, version, opened_at, ends_at)
    VALUES (%(log)s, %(session)s, %(person)s, %(version)s, %(now)s, %(ends_at)s)
    ON CONFLICT (log, session) DO NOTHING RETURNING session
)
INSERT INTO credentials.refresh_tokens (log, hash, session, issued_at, idle_end)
SELECT %(log)s, %(hash)s, session, %(now)s, %(idle_end)s FROM opened RETURNING session
"""
_FIND = """
SELECT s.session, s.person, s.version, s.ends_at, s.ended_at, t.issued_at, t.idle_end, t.used_at,
       s.ended_why
  FROM credentials.refresh_tokens t JOIN credentials.sessions s USING (log, session)
 WHERE t.log = %s AND t.hash = %s
"""
# The session is locked first, so that it cannot end between the check and the new token.
_ROTATE = """
WITH going_on AS MATERIALIZED (
    SELECT s.log, s.session FROM credentials.sessions s
     WHERE s.log = %(log)s AND s.session = %(session)s AND s.ended_at IS NULL FOR SHARE
), used AS (
    UPDATE credentials.refresh_tokens t SET used_at = %(at)s, replaced_by = %(next)s
      FROM going_on g
     WHERE t.log = g.log AND t.session = g.session AND t.hash = %(hash)s AND t.used_at IS NULL
    RETURNING t.session
)
INSERT INTO credentials.refresh_tokens (log, hash, session, issued_at, idle_end)
SELECT %(log)s, %(next)s, session, %(at)s, %(idle_end)s FROM used RETURNING session
"""
_END = """
UPDATE credentials.sessions SET ended_at = greatest(%s, opened_at), ended_why = %s
 WHERE log = %s AND session = %s AND ended_at IS NULL
"""
_END_ALL = """
UPDATE credentials.sessions SET ended_at = greatest(%s, opened_at), ended_why = 'revoked'
 WHERE log = %s AND person = %s AND version < %s AND session IS DISTINCT FROM %s AND ended_at IS NULL
RETURNING session
"""
_LIST = """
SELECT s.session, s.version, s.opened_at, s.ends_at, s.ended_at, s.ended_why,
       (SELECT max(t.issued_at) FROM credentials.refresh_tokens t WHERE t.log = s.log AND t.session = s.session)
  FROM credentials.sessions s WHERE s.log = %s AND s.person = %s ORDER BY s.opened_at DESC, s.session LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A session that goes on, and the token for the next time."""

    session: str
    person: str
    version: int
    token: Secret
    idle_end: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """The token is worth nothing. `ended_now` is true for the one call that ended the session for this reason."""

    reason: Reason
    session: str | None = None
    person: str | None = None
    ended_now: bool = False


class Session(NamedTuple):
    """A session, for the list of its person."""

    session: str
    version: int
    opened_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_why: str | None
    refreshed_at: datetime | None


class Sessions(Store):
    """The tables of sessions. Their methods block."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        log_number: int,
        clock: Clock = system_clock,
        lifetimes: Lifetimes = LIFETIMES,
    ) -> None:
        super().__init__(pool, log_number, clock)
        self._lifetimes = lifetimes

    def open(self, session: str, person: str, version: int) -> Refreshed | None:
        """Begin a session. `version` is that of the person's stream that the sign-in was decided on.

        None if there is a session of this id: its token was shown to whoever opened it.
        """
        now, token = self._now(), new_token(KIND)
        ends_at, idle_end = now + self._lifetimes.absolute, now + self._lifetimes.idle
        row = {
            "log": self._log,
            "session": checked_id(session),
            "person": checked_id(person),
            "version": version,
            "now": now,
            "ends_at": ends_at,
            "idle_end": idle_end,
            "hash": digest(token.reveal()),
        }
        with self._connected() as connection:
            if connection.execute(_OPEN, row).fetchone() is None:
                return None
        return Refreshed(session, person, version, token, idle_end, ends_at)

    def find(self, token: str) -> Presented | None:
        """Whose token it is, without using it. None for a token that nobody has."""
        if len(token) > LONGEST:
            return None
        with self._connected() as connection:
            row = connection.execute(_FIND, (self._log, digest(token))).fetchone()
        return None if row is None else Presented(*row)

    def refresh(self, token: str, *, not_before_version: int = 0) -> Refreshed | Refused:
        """Use a token and issue the next one.

        Sessions that were opened on a version below `not_before_version` have ended: an event after it says so.
        """
        for _ in range(_TRIES):
            row = self.find(token)
            if row is None:
                return Refused("unknown")
            now = self._now()
            if row.version < not_before_version and row.ended_at is None:
                return Refused("ended", row.session, row.person, self.end(row.session, "revoked"))
            decision = decide(row, now, self._lifetimes.idle)
            if isinstance(decision, Refuse):
                ended = decision.reason in ("reused", "expired") and self._end(row.session, decision.reason)
                return Refused(decision.reason, row.session, row.person, ended)
            fresh = new_token(KIND)
            rotated = {
                "log": self._log,
                "session": row.session,
                "hash": digest(token),
                "next": digest(fresh.reveal()),
                "at": decision.at,
                "idle_end": decision.idle_end,
            }
            with self._connected() as connection:
                if connection.execute(_ROTATE, rotated).fetchone() is not None:
                    return Refreshed(row.session, row.person, row.version, fresh, decision.idle_end, row.ends_at)
        raise AssertionError("a token that could not be used is used, or its session has ended")

    def end(self, session: str, why: EndedWhy) -> bool:
        """End a session. False if it had ended, or never was."""
        return self._end(session, why)

    def end_all(self, person: str, before_version: int, *, but: str | None = None) -> Sequence[str]:
        """End the sessions that a person opened before this version, but for one. Returns those that ended now."""
        values = (self._now(), self._log, checked_id(person), before_version, but)
        with self._connected() as connection:
            return [session for (session,) in connection.execute(_END_ALL, values)]

    def of(self, person: str, most: int = 100) -> Sequence[Session]:
        """The sessions of a person, the newest first."""
        with self._connected() as connection:
            rows = connection.execute(_LIST, (self._log, checked_id(person), most)).fetchall()
        return [Session(*row) for row in rows]

    def _end(self, session: str, why: str) -> bool:
        with self._connected() as connection:
            return connection.execute(_END, (self._now(), why, self._log, session)).rowcount == 1
