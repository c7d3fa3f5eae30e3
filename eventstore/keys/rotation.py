"""Rotating the master key: each person's key is wrapped anew, in batches, while others read and write.

A rotation begins in one transaction: the key before is superseded, and from then on `log.keep_subject_keys` accepts no
key that is wrapped with it. So the keys to be moved only become fewer. Each batch is one statement that changes a
wrapped key only if it is still the one that was read: two rotations may run, a person may be erased meanwhile, and one
that was killed goes on where it was. Events are not touched, and the keys of people stay what they are.
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
"""Keys moved in one statement. Nobody waits for it but who erases one of these people."""

_LOCK = "LOCK TABLE log.master_keys IN EXCLUSIVE MODE"  # waits for keys being kept, and keeping waits for the commit
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

    moved: int  # keys wrapped anew
    left: int  # keys that open with no master key at hand: they stay as they are

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
    """Have every key wrapped with `present`, then retire the master key before it. Start it again at any time.

    The connection is autocommit and acts as the owner. `progress` is told how many are moved after each batch. Raises
    `MasterKeyError` where these are not the master keys of the database.
    """
    store = SubjectKeys(connection, 0)  # of no log: nothing is asked but what the database knows of master keys
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
    """The number of the present key, which is the current one from here on."""
    with connection.transaction():
        connection.execute(_LOCK)
        keys.check()  # no rotation before is unfinished, or its key is at hand
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
    """Wrap these anew: how many were changed, and how many do not open."""
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
