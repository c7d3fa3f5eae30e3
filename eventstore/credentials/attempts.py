"""Counts failed attempts beside the log, and makes the next one wait.

An attempt is counted before the secret is looked at, and taken back if it was right. So a hundred guesses at once are
as slow as a hundred one after the other.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, LiteralString, NamedTuple, TypeAlias

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.clock import Clock, system_clock
from eventstore.credentials.store import CredentialsError, Store, checked_id
from eventstore.credentials.waits import (
    ADDRESS,
    CODE,
    FORGOTTEN_AFTER,
    PERSON,
    Failures,
    Waits,
    locks_out,
    remaining,
)

Kind: TypeAlias = Literal["person", "address", "code"]
_TRIES: Final = 3
WAITS: Final[dict[Kind, Waits]] = {"person": PERSON, "address": ADDRESS, "code": CODE}

# Rows are made and locked in the order of the key, so that two attempts are never in each other's way. A row is made
# before it is counted: else many first attempts at once would all find none.
_ADD = """
INSERT INTO credentials.attempts (log, kind, subject, failures, failed_at)
SELECT %s, n.kind, n.subject, 0, %s FROM unnest(%s::text[], %s::text[]) AS n(kind, subject)
 ORDER BY n.kind COLLATE "C", n.subject COLLATE "C"
ON CONFLICT (log, kind, subject) DO NOTHING
"""
_LOCK = """
SELECT a.kind, a.subject, a.failures, a.failed_at
  FROM credentials.attempts a JOIN unnest(%s::text[], %s::text[]) AS n(kind, subject)
    ON a.kind = n.kind COLLATE "C" AND a.subject = n.subject COLLATE "C"
 WHERE a.log = %s ORDER BY a.kind, a.subject FOR UPDATE OF a
"""
_COUNT = """
UPDATE credentials.attempts a
   SET failures = CASE WHEN %(now)s - a.failed_at >= %(forgotten)s THEN 1 ELSE least(a.failures, 1000000) + 1 END,
       failed_at = %(now)s
  FROM unnest(%(kinds)s::text[], %(subjects)s::text[]) AS n(kind, subject)
 WHERE a.log = %(log)s AND a.kind = n.kind COLLATE "C" AND a.subject = n.subject COLLATE "C"
RETURNING a.kind, a.failures
"""
_STEP_BACK = """
UPDATE credentials.attempts a SET failed_at = %s FROM unnest(%s::text[], %s::text[]) AS n(kind, subject)
 WHERE a.log = %s AND a.kind = n.kind COLLATE "C" AND a.subject = n.subject COLLATE "C" AND a.failed_at > %s
"""
# A right password ends the count of its name. Of an address it takes back its own attempt: who has one account of
# their own must not be able to guess at others without waiting.
#
# The rows stay, with 0 failures, until a sweep: an attempt may be about to lock them.
_TAKE_BACK = """
UPDATE credentials.attempts a SET failures = CASE a.kind WHEN 'address' THEN greatest(a.failures - 1, 0) ELSE 0 END
  FROM unnest(%s::text[], %s::text[]) AS n(kind, subject)
 WHERE a.log = %s AND a.kind = n.kind COLLATE "C" AND a.subject = n.subject COLLATE "C"
"""
_NOT_MADE = """
UPDATE credentials.attempts a SET failures = greatest(a.failures - 1, 0)
  FROM unnest(%s::text[], %s::text[]) AS n(kind, subject)
 WHERE a.log = %s AND a.kind = n.kind COLLATE "C" AND a.subject = n.subject COLLATE "C"
"""


class Subject(NamedTuple):
    """Whose attempts are counted."""

    kind: Kind
    subject: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The attempt was not made: it comes too early by so many seconds."""

    seconds: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Begun:
    """The attempt may be made. `failures` is the highest count of a person, if this one fails too."""

    failures: int

    @property
    def locks_out(self) -> bool:
        """Whether the caller records a lockout if this attempt fails."""
        return locks_out(self.failures)


def name_key(master_key: bytes) -> bytes:
    """The key of the hashes of names that nobody has, the same in each process."""
    return hmac.digest(master_key, b"daybook names of failed attempts v1", "sha256")


class Attempts(Store):
    """The counters of failed attempts. Its methods block. `name_key` is the function's result for the master key."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        log_number: int,
        name_key: bytes,
        clock: Clock = system_clock,
    ) -> None:
        super().__init__(pool, log_number, clock)
        self._name_key = name_key

    def of_name(self, person: str | None, name: str) -> Subject:
        """The subject of attempts for a name: the person who has it, or the name, which nobody has.

        Both wait in the same way, so the waits do not show who exists. Of the name a hash with a key is stored, because
        it may be somebody's address, or a password that was typed into the wrong field.
        """
        if person is not None:
            return Subject("person", checked_id(person))
        text = name.casefold().encode("utf-8", "surrogatepass")
        return Subject("person", f"name:{hmac.digest(self._name_key, text, 'sha256').hex()}")

    def begin(self, subjects: Sequence[Subject]) -> Begun | Waiting:
        """Count an attempt, unless one of its subjects has to wait. Nothing is counted then."""
        kinds, names, now = _columns(subjects), _names(subjects), self._now()
        with self._connected() as connection, connection.transaction():
            waiting = [_waiting(row, now) for row in self._locked(connection, kinds, names, now)]
            longest = max(waiting, key=lambda one: one.seconds, default=None)
            if longest is not None and longest.seconds > 0:
                connection.execute(_STEP_BACK, (now, kinds, names, self._log, now))
                return longest
            values = {"log": self._log, "kinds": kinds, "subjects": names, "now": now, "forgotten": FORGOTTEN_AFTER}
            counted = connection.execute(_COUNT, values).fetchall()
        return Begun(max((number for kind, number in counted if kind != "address"), default=0))

    def not_made(self, subjects: Sequence[Subject]) -> None:
        """Take back an attempt that was begun, and could not be made: nothing was compared."""
        self._change(_NOT_MADE, subjects)

    def _locked(
        self, connection: Connection[Any], kinds: list[str], names: list[str], now: datetime
    ) -> list[tuple[Kind, str, int, datetime]]:
        """The rows of all subjects, locked. A sweep may remove a row just before it is locked; it is made again."""
        for _ in range(_TRIES):
            connection.execute(_ADD, (self._log, now, kinds, names))
            rows = connection.execute(_LOCK, (kinds, names, self._log)).fetchall()
            if len(rows) == len(kinds):
                return rows
        raise CredentialsError(f"the counters of an attempt were removed {_TRIES} times by a sweep: try again")

    def succeeded(self, subjects: Sequence[Subject]) -> None:
        """Take the attempt back: the secret was right."""
        self._change(_TAKE_BACK, subjects)

    def _change(self, statement: LiteralString, subjects: Sequence[Subject]) -> None:
        values = (_columns(subjects), _names(subjects), self._log)
        with self._connected() as connection, connection.transaction():
            connection.execute(_LOCK, values)
            connection.execute(statement, values)


def _columns(subjects: Sequence[Subject]) -> list[str]:
    return [subject.kind for subject in subjects]


def _names(subjects: Sequence[Subject]) -> list[str]:
    return [subject.subject for subject in subjects]


def _waiting(row: tuple[Kind, str, int, datetime], now: datetime) -> Waiting:
    kind, _, failures, failed_at = row
    return Waiting(remaining(WAITS[kind], Failures(failures, failed_at), now), kind)
