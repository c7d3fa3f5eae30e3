"""Units as records: the form in which a log leaves its database.

`log.read_units` (migration 0013) makes the records; `parse` reads them. A record is JSON in UTF-8. Payload and metadata
are in it as they are stored, so their bytes come back unchanged. docs/reference/published-log.md has the format.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw, Struct
from psycopg import Connection

MOST_PIECE_BYTES: Final = 900_000
"""A longer record is sent in pieces: Kafka's brokers take about a megabyte by default."""

_READ = "SELECT first, last, record FROM log.read_units(%s, %s, %s)"


class UnitRecord(NamedTuple):
    """A unit as it is published. `first` and `last` are the positions of its events."""

    first: int
    last: int
    record: bytes


class RecordError(ValueError):
    """A record is not that of a unit. The message says what is wrong with it."""


class CopiedEvent(NamedTuple):
    """An event of a record, as it is stored."""

    stream: str
    version: int
    type: str
    encoding: int
    payload: bytes
    metadata: bytes


class _Event(Struct):
    stream: str
    version: int
    type: str
    payload: Raw
    metadata: Raw = Raw(b"")
    encoding: int = 0


class Unit(Struct):
    """A unit that was read from a record."""

    log: str  # uuid of the log
    epoch: int
    first: int
    last: int
    recorded_at: str  # UTC, as ISO 8601 with microseconds
    commands: str  # hex: SHA-256 of the command's record; empty where the library appended
    events: list[_Event]

    def copied(self) -> Iterator[CopiedEvent]:
        """Yield its events as they are stored. Raises `RecordError`."""
        metadata: bytes | None = None
        for event in self.events:
            if bytes(event.metadata):
                metadata = _stored(event.metadata, event.encoding)
            if metadata is None:
                raise RecordError(f"the record of positions {self.first} to {self.last} has no metadata")
            payload = _stored(event.payload, event.encoding)
            yield CopiedEvent(event.stream, event.version, event.type, event.encoding, payload, metadata)


_decode = msgspec.json.Decoder(Unit).decode


def read_units(connection: Connection[Any], log_number: int, after: int, most: int) -> list[UnitRecord]:
    """The units after a position as records: about `most` events, and at least one unit. Empty at the end."""
    rows = connection.execute(_READ, (log_number, after, most), binary=True)
    return [UnitRecord._make(row) for row in rows]


def parse(record: bytes) -> Unit:
    """Read a record. Raises `RecordError` for bytes that are not one, or whose positions cannot be."""
    try:
        unit = _decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"not the record of a unit: {error}") from None
    if unit.first < 1 or unit.last - unit.first + 1 != len(unit.events):
        raise RecordError(f"a record says positions {unit.first} to {unit.last}, and has {len(unit.events)} events")
    return unit


def pieces(record: bytes, most: int = MOST_PIECE_BYTES) -> list[bytes]:
    """The record in pieces of at most so many bytes; usually it is one."""
    return [record[at : at + most] for at in range(0, len(record), most)]


def _stored(raw: Raw, encoding: int) -> bytes:
    if encoding == 0:
        return bytes(raw)
    try:
        return b64decode(msgspec.json.decode(raw, type=str), validate=True)
    except (msgspec.MsgspecError, ValueError) as error:
        raise RecordError(f"a payload of encoding {encoding} is not base64: {error}") from None
