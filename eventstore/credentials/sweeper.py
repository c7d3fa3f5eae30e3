"""Repairs what a crash left in the tables of credentials, and removes what is past its retention, in bounded batches.

The event comes first and the row follows. A process that ends between the two leaves a row that is missing or old:

    the event                      what it may have left            the repair
    sets a password                the row of the one before        the row is removed: the old password works no more
    ends all sessions              sessions that go on              they are ended
    switches the second factor on  a confirmed secret, not in force it is put in force
    switches it off                secret and codes                 they are removed
    ends a key                     a key that goes on               it is ended
    deletes or erases the person   anything                         all rows are removed
    never came                     rows that nobody was promised    they are removed after an hour

The sweeper cannot read the log. The caller gives it what the streams of persons say. Each statement compares the
version in the row with the one that the caller read, so a stream that was read too early changes nothing newer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, LiteralString, TypeAlias

from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.clock import Clock, system_clock
from eventstore.credentials.store import Store, checked_id
from eventstore.credentials.waits import FORGOTTEN_AFTER

BATCH: Final = 500
MOST_BATCHES: Final = 200
"""Batches of one kind in one sweep, at most. What is left waits for the next sweep."""
GRACE: Final = timedelta(hours=1)
"""How long a row may be without its event: a stream is read a little later than it is written."""

RETENTION: Final = {
    "refresh tokens": timedelta(days=1),  # after their idle end: until then a second use ends the session
    "sessions": timedelta(days=30),
    "mail tokens": timedelta(days=7),
    "begun second factors": timedelta(days=1),
    "API keys": timedelta(days=90),
    "attempts": FORGOTTEN_AFTER,
}
"""How long rows are kept after their end."""


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """What a person's stream says, at its version. Versions are 0 for what never happened, or was undone."""

    version: int
    password: int = 0  # of the newest event that set a password
    sessions: int = 0  # of the newest event that ended all sessions
    sessions_but: str | None = None  # the one that this event left
    second_factor: int = 0  # of the event that switched on the one in force
    keys: frozenset[str] = frozenset()  # ids of the API keys in force
    deleted: bool = False  # deleted or erased


People: TypeAlias = Callable[[Sequence[str]], Mapping[str, PersonRecord]]
"""Gives the records of these persons. One without a stream is left out."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: rows by what was done to them, and whether a bound left something for the next one."""

    rows: Mapping[str, int]
    more: bool = False

    @property
    def total(self) -> int:
        """Rows that were changed or removed."""
        return sum(self.rows.values())


# A row that somebody has locked waits for the next sweep, so that nobody waits for the sweeper, and it for nobody.
_PAST: Final[dict[str, LiteralString]] = {
    "refresh tokens": """
DELETE FROM credentials.refresh_tokens WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.refresh_tokens WHERE log = %s AND used_at IS NOT NULL AND idle_end <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
    "sessions": """
DELETE FROM credentials.sessions WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.sessions WHERE log = %s AND least(ended_at, ends_at) <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
    "mail tokens": """
DELETE FROM credentials.mail_tokens WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.mail_tokens WHERE log = %s AND expires_at <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
    "begun second factors": """
DELETE FROM credentials.totp WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.totp WHERE log = %s AND version = 0 AND begun_at <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
    "API keys": """
DELETE FROM credentials.api_keys WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.api_keys
 WHERE log = %s AND least(ended_at, expires_at, overlap_ends_at) <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
    "attempts": """
DELETE FROM credentials.attempts WHERE ctid = ANY (ARRAY(
SELECT ctid FROM credentials.attempts WHERE log = %s AND failed_at <= %s LIMIT %s
   FOR UPDATE SKIP LOCKED))""",
}

_OWNED: Final = ("passwords", "sessions", "mail_tokens", "totp", "recovery_codes", "api_keys")
_SOME: Final = (
    "(SELECT DISTINCT person FROM credentials.{} WHERE log = %(log)s AND person > %(after)s"
    " ORDER BY person LIMIT %(most)s)"
)
_PERSONS: Final = " UNION ".join(map(_SOME.format, _OWNED)) + " ORDER BY person LIMIT %(most)s"

# `p` are the persons of a batch: version NULL for one without a stream.
_OF_PERSONS: Final[dict[str, LiteralString]] = {
    "passwords": "DELETE FROM credentials.passwords r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR r.version < p.password OR r.version > coalesce(p.version, 0) AND r.set_at <= %(grace)s)",
    "sessions": "DELETE FROM credentials.sessions r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR r.version > coalesce(p.version, 0) AND r.opened_at <= %(grace)s)",
    "sessions ended": "UPDATE credentials.sessions r SET ended_at = greatest(%(now)s, r.opened_at),"
    " ended_why = 'revoked' FROM p WHERE r.log = %(log)s AND r.person = p.person AND r.version < p.sessions"
    " AND r.session IS DISTINCT FROM p.but AND r.ended_at IS NULL",
    "mail tokens": "DELETE FROM credentials.mail_tokens r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR r.version > coalesce(p.version, 0) AND r.issued_at <= %(grace)s)",
    "second factors put in force": "UPDATE credentials.totp r SET version = p.second_factor FROM p"
    " WHERE r.log = %(log)s AND r.person = p.person AND NOT p.deleted AND r.version = 0 AND r.last_step > 0"
    " AND p.second_factor > 0 AND NOT EXISTS (SELECT FROM credentials.totp o WHERE o.log = r.log"
    " AND o.person = r.person AND o.version >= p.second_factor)",
    "second factors": "DELETE FROM credentials.totp r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR r.version BETWEEN 1 AND p.version AND (p.second_factor = 0 OR r.version < p.second_factor)"
    " OR r.version > coalesce(p.version, 0) AND r.begun_at <= %(grace)s)",
    "recovery codes": "DELETE FROM credentials.recovery_codes r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR p.second_factor = 0 AND r.version <= p.version"
    " OR r.version > coalesce(p.version, 0) AND r.made_at <= %(grace)s)",
    "API keys": "DELETE FROM credentials.api_keys r USING p WHERE r.log = %(log)s AND r.person = p.person"
    " AND (p.deleted OR r.version > coalesce(p.version, 0) AND r.created_at <= %(grace)s)",
    "API keys ended": "UPDATE credentials.api_keys r SET ended_at = greatest(%(now)s, r.created_at) FROM p"
    " WHERE r.log = %(log)s AND r.person = p.person AND r.version <= p.version AND r.ended_at IS NULL"
    " AND NOT r.key = ANY (%(keys)s::text[])",
    "attempts": "DELETE FROM credentials.attempts r USING p WHERE r.log = %(log)s AND r.subject = p.person"
    " AND r.kind IN ('person', 'code') AND p.deleted",
}
_P: LiteralString = """
WITH p AS MATERIALIZED (
    SELECT * FROM unnest(%(person)s::text[], %(version)s::bigint[], %(password)s::bigint[], %(sessions)s::bigint[],
                         %(but)s::text[], %(second_factor)s::bigint[], %(deleted)s::boolean[])
               AS n(person, version, password, sessions, but, second_factor, deleted)
)
"""


class Sweeper(Store):
    """Sweeps the tables of one log. Two at once do no harm: what one has done, the other does not find."""

    def __init__(
        self,
        pool: ConnectionPool[Connection[Any]],
        log_number: int,
        clock: Clock = system_clock,
        *,
        batch: int = BATCH,
        most_batches: int = MOST_BATCHES,
    ) -> None:
        super().__init__(pool, log_number, clock)
        self._batch = batch
        self._most_batches = most_batches

    def sweep(self, people: People) -> Swept:
        """Repair what the streams of persons contradict, then remove what is past its retention."""
        rows: Counter[str] = Counter()
        more = self._repair(people, rows)
        for kind in _PAST:
            more = self._remove_past(kind, rows) or more
        return Swept({kind: number for kind, number in rows.items() if number}, more)

    def forget(self, person: str) -> Swept:
        """Remove all rows of a person who was deleted or erased."""
        rows: Counter[str] = Counter()
        self._repair_batch([checked_id(person)], {person: PersonRecord(0, deleted=True)}, rows)
        return Swept({kind: number for kind, number in rows.items() if number})

    def _repair(self, people: People, rows: Counter[str]) -> bool:
        """Whether persons are left for the next sweep."""
        for number, persons in enumerate(self._pages()):
            if number == self._most_batches:
                return True
            self._repair_batch(persons, people(persons), rows)
        return False

    def _pages(self) -> Iterator[list[str]]:
        """The persons that have rows, in batches, in the order of their ids."""
        after = ""
        while True:
            with self._connected() as connection:
                values = {"log": self._log, "after": after, "most": self._batch}
                page = [person for (person,) in connection.execute(_PERSONS.encode(), values)]
            if not page:
                return
            yield page
            after = page[-1]

    def _repair_batch(self, persons: Sequence[str], known: Mapping[str, PersonRecord], rows: Counter[str]) -> None:
        now = self._now()
        records = [known.get(person) for person in persons]
        values: dict[str, Any] = {
            "log": self._log,
            "now": now,
            "grace": now - GRACE,
            "person": list(persons),
            "version": [record and record.version for record in records],
            "password": [record and record.password for record in records],
            "sessions": [record and record.sessions for record in records],
            "but": [record and record.sessions_but for record in records],
            "second_factor": [record and record.second_factor for record in records],
            "deleted": [record is not None and record.deleted for record in records],
            "keys": sorted({key for record in records if record is not None for key in record.keys}),
        }
        with self._connected() as connection, connection.transaction():
            for kind, statement in _OF_PERSONS.items():
                rows[kind] += connection.execute(_P + statement, values).rowcount

    def _remove_past(self, kind: str, rows: Counter[str]) -> bool:
        """Whether rows are left for the next sweep."""
        until = self._now() - RETENTION[kind]
        for _ in range(self._most_batches):
            with self._connected() as connection:
                removed = connection.execute(_PAST[kind], (self._log, until, self._batch)).rowcount
            rows[f"past {kind}"] += removed
            if removed < self._batch:
                return False
        return True
