"""The canonical leaf: the bytes of an event and of its command's record, for digests and proofs.

PostgreSQL computes leaf hashes set-based (`log.leaf_hashes`, migration 0008). `leaf` and `command_record` are the same
encoding in Python, for a check that does not trust the server. A test holds the two equal. ADR 0015 has the format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

VERSION: Final = b"\x01"
DIGEST: Final = "leaf.v1"
"""The name of the digest: SHA-256 over the leaf hashes of version 1 in order of their positions."""
WINDOW: Final = 50_000
"""Positions hashed by one statement."""
INFINITY: Final = 2**63 - 1
"""Microseconds that stand for the time 'infinity'; `-INFINITY - 1` for '-infinity'."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT2, _INT4, _INT8 = Struct(">h"), Struct(">i"), Struct(">q")
_NULL: Final = _INT4.pack(-1)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of `log.events`; the time is microseconds since 1970-01-01 UTC."""

    position: int
    unit_end: int
    stream: str
    version: int
    type: str
    recorded_at: int
    encoding: int
    payload: bytes
    metadata: bytes


@dataclass(frozen=True, slots=True)
class StoredCommand:
    """A row of `log.commands` without its origin, which is deleted after a time."""

    actor: str
    key: str
    request_hash: bytes
    outcome: int
    status: int
    rule: str | None
    result: bytes
    decided_position: int
    first_position: int | None
    last_position: int | None
    recorded_at: int


def microseconds(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def command_record(log: UUID, c: StoredCommand) -> bytes:
    """The bytes of a command's record."""
    numbers = (c.decided_position, c.first_position, c.last_position, c.recorded_at)
    return VERSION + b"".join(
        map(
            _field,
            (
                log.bytes,
                c.actor.encode(),
                c.key.encode(),
                c.request_hash,
                _INT2.pack(c.outcome),
                _INT2.pack(c.status),
                None if c.rule is None else c.rule.encode(),
                c.result,
                *(None if number is None else _INT8.pack(number) for number in numbers),
            ),
        )
    )


def leaf(log: UUID, event: StoredEvent, commands: Iterable[StoredCommand]) -> bytes:
    """The bytes of an event's leaf. `commands` are those whose last position is its `unit_end`, by actor and key."""
    hashes = [hashlib.sha256(command_record(log, command)).digest() for command in commands]
    return VERSION + b"".join(
        map(
            _field,
            (
                log.bytes,
                _INT8.pack(event.position),
                _INT8.pack(event.unit_end),
                event.stream.encode(),
                _INT8.pack(event.version),
                event.type.encode(),
                _INT8.pack(event.recorded_at),
                _INT2.pack(event.encoding),
                event.payload,
                event.metadata,
                b"".join(hashes),
            ),
        )
    )


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf (RFC 6962, 2.1). A Merkle tree over the leaves starts from these hashes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _field(value: bytes | None) -> bytes:
    return _NULL if value is None else _INT4.pack(len(value)) + value


_NEXT = "SELECT position FROM log.events WHERE log = %s AND position > %s AND position <= %s ORDER BY position LIMIT 1"
_HASHES = """
SELECT string_agg(hash, ''::bytea ORDER BY position), count(*), min(position), max(position)
  FROM log.leaf_hashes(%s, %s, %s)
"""
_POSITIONS = "SELECT position FROM log.events WHERE log = %s AND position > %s AND position <= %s ORDER BY position"


@dataclass(frozen=True, slots=True)
class Hashed:
    """The leaf hashes of some events in order, joined, and their positions."""

    positions: Sequence[int]
    hashes: bytes


def windows(connection: Connection[Any], log_number: int, upto: int) -> Iterator[Hashed]:
    """The leaf hashes up to a position, a window by one statement. Positions of a damaged log may have gaps."""
    after = 0
    # Go by the events that exist: in a damaged log the head may have any number.
    while (found := connection.execute(_NEXT, (log_number, after, upto), binary=True).fetchone()) is not None:
        before, after = found[0] - 1, min(found[0] - 1 + WINDOW, upto)
        row = connection.execute(_HASHES, (log_number, before, after), binary=True).fetchone()
        assert row is not None, "an aggregate has a row"
        hashes, number, first, last = row
        positions: Sequence[int] = range(first, last + 1)
        if number != len(positions):
            rows = connection.execute(_POSITIONS, (log_number, before, after), binary=True)
            positions = [position for (position,) in rows]
        yield Hashed(positions, hashes)


def digest(connection: Connection[Any], log_number: int, upto: int) -> str:
    """The digest that `DIGEST` names, in hexadecimal."""
    return digest_of(windows(connection, log_number, upto))


def digest_of(hashed: Iterable[Hashed]) -> str:
    """The digest that `DIGEST` names, in hexadecimal: SHA-256 over the leaf hashes, in order of their positions."""
    digest = hashlib.sha256()
    for window in hashed:
        digest.update(window.hashes)
    return digest.hexdigest()
