"""Rotates the master key: wraps each person's key again, in batches, while other processes read and write.

A rotation begins with one transaction that supersedes the previous master key. From then on `log.keep_subject_keys`
accepts no key that is wrapped with it, so the keys to be rewrapped only become fewer. Each batch is one statement that
changes a wrapped key only if it is still the one that was read. So two rotations may run at once, a person may be
erased meanwhile, and a rotation that was killed goes on. Events and the keys of people do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from eventstore.keys.master_keys import MasterKeyError, MasterKeys, WrappedKey, wrap
from eventstore.keys.subject_keys import SubjectKeys
from eventstore.postgres.arrays import bytea_array, int4_array, text_array

BATCH = 1_000
"""Keys rewrapped in one statement. Only the erasure of one of these people waits for it."""

_LOCK = "LOCK TABLE log.master_keys IN EXCLUSIVE MODE"  # waits for keys being stored; others wait for us
_SUPERSEDE = "UPDATE log.master_keys SET status = 'superseded' WHERE status = 'current'"
_BEGIN = """
INSERT INTO log.master_keys (number, fingerprint, status)
SELECT max(number) + 1, %s, 'current' FROM log.master_keys RETURNING number
"""
_RETIRE = """
UPDATE log.master_keys SET status = 'retired', retired_at = clock_timestamp()
 WHERE status = 'superseded' AND number < %s
"""
_PAGE = """
SELECT log, subject, sealed_key, master_key FROM log.subject_keys
 WHERE master_key <> %s AND sealed_key IS NOT NULL AND (log, subject) > (%s, %s) ORDER BY log, subject LIMIT %s
"""
_MOVE = """
UPDATE log.subject_keys k SET sealed_key = n.sealed, master_key = %s
  FROM unnest(%s, %s, %s, %s) AS n(log, subject, before, sealed)
 WHERE k.log = n.log AND k.subject = n.subject AND k.sealed_key = n.before
"""


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did."""

    moved: int  # keys that were rewrapped
    left: int  # keys that no master key opens: unchanged

    @property
    def ok(self) -> bool:
        """Whether every key is wrapped with the present master key."""
        return self.left == 0


def rotate(
    connection: Connection[Any],
    present: bytes,
    previous: bytes | None,
    progress: Callable[[int], None] = lambda moved: None,
    batch: int = BATCH,
) -> Rotated:
    """Wrap every key with `present`, then retire the previous master key. It can be started again at any time.

    The connection is autocommit and acts as the owner. `progress` gets the number of rewrapped keys after each batch.
    Raises `MasterKeyError` if these are not the master keys of the database.
    """
    store = SubjectKeys(connection, 0)  # of no log: only the known master keys are read
    keys = MasterKeys(store, present, previous)
    keys.check(record=True)
    number = _begin(connection, store, keys)
    keys.check()
    moved = left = 0
    for page in _pages(connection, number, batch):
        changed, unopened = _move(connection, keys, page)
        moved += changed
        left += unopened
        progress(moved)
    connection.execute(_RETIRE, (number,))
    return Rotated(moved, left)


def _begin(connection: Connection[Any], store: SubjectKeys, keys: MasterKeys) -> int:
    """Make the present key the current one and return its number."""
    with connection.transaction():
        connection.execute(_LOCK)
        keys.check()  # an unfinished rotation before needs its key
        known = {one.fingerprint: one for one in store.master_keys()}
        present = known.get(keys.present)
        if present is None:
            connection.execute(_SUPERSEDE)
            row = connection.execute(_BEGIN, (keys.present,)).fetchone()
            assert row is not None
            return int(row[0])
    if present.status != "current":
        raise MasterKeyError(
            "DAYBOOK_MASTER_KEY is the master key that keys are moved away from: exchange it with "
            "DAYBOOK_PREVIOUS_MASTER_KEY"
        )
    return present.number


def _pages(connection: Connection[Any], number: int, batch: int) -> Iterator[Sequence[tuple[int, str, bytes, int]]]:
    """The keys that are wrapped with another master key, in the order of the primary key."""
    after: tuple[int, str] = (0, "")
    while page := connection.execute(_PAGE, (number, *after, batch), binary=True).fetchall():
        yield page
        after = page[-1][:2]


def _move(
    connection: Connection[Any], keys: MasterKeys, page: Sequence[tuple[int, str, bytes, int]]
) -> tuple[int, int]:
    """Rewrap these keys. Returns how many were changed and how many do not open."""
    number, cipher = keys.wrapping()
    opened = [(row, keys.unwrap(row[1], WrappedKey(row[2], row[3]))) for row in page]
    whole = [(log, subject, before, wrap(cipher, subject, key)) for (log, subject, before, _), key in opened if key]
    if not whole:
        return 0, len(page)
    logs, subjects, before, sealed = zip(*whole, strict=True)
    changed = connection.execute(
        _MOVE, (number, int4_array(logs), text_array(subjects), bytea_array(before), bytea_array(sealed))
    ).rowcount
    return changed, len(page) - len(whole)
