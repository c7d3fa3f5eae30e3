"""Turns the library's stored events into rows of the log, and back without a change of a byte.

The topic is the column `type`, and the state is the column `payload`. The originator id is the name of the stream. The
metadata says whether the id is a UUID or a string, so a reader gets the same type again without any setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from uuid import UUID

from eventsourcing.persistence import DataError, IntegrityError, Notification, StoredEvent

from eventstore.log.append import MOST_EVENTS_PER_UNIT

TOKEN_BYTES = 16
_UUID, _STR = b"u", b"s"


class Row(NamedTuple):
    """The columns that make a stored event again."""

    stream: str
    version: int
    type: str
    payload: bytes
    metadata: bytes


def stream_of(originator_id: UUID | str) -> str:
    """The stream of an aggregate."""
    return str(originator_id)


def metadata_of(event: StoredEvent, token: bytes) -> bytes:
    """The kind of its id, and which call inserted it."""
    return (_UUID if isinstance(event.originator_id, UUID) else _STR) + token


def token_of(metadata: bytes) -> bytes:
    """Which call inserted the event."""
    return metadata[1:]


def stored_event(row: Row) -> StoredEvent:
    """What was inserted."""
    return StoredEvent(_originator_id(row.stream, row.metadata), row.version, row.type, row.payload)


def notification(position: int, row: Row) -> Notification:
    """What was inserted, with its place in the log."""
    return Notification(_originator_id(row.stream, row.metadata), row.version, row.type, row.payload, position)


def _originator_id(stream: str, metadata: bytes) -> UUID | str:
    return UUID(stream) if metadata.startswith(_UUID) else stream


@dataclass(frozen=True, slots=True)
class Columns:
    """The events of one insert as arrays: their streams with the version each rests on, then the events."""

    streams: Sequence[str]
    bases: Sequence[int]
    stream_numbers: Sequence[int]  # counted from 1, as SQL does
    types: Sequence[str]
    payloads: Sequence[bytes]
    metadata: Sequence[bytes]

    @classmethod
    def of(cls, events: Sequence[StoredEvent], token: bytes) -> Self:
        """Raises `IntegrityError` where a stream's versions are not contiguous, `DataError` for more than a unit."""
        if len(events) > MOST_EVENTS_PER_UNIT:
            raise DataError(f"{len(events)} events in one insert; it may have {MOST_EVENTS_PER_UNIT} at most")
        numbers: dict[str, int] = {}
        bases: list[int] = []
        last: list[int] = []
        stream_numbers = []
        for event in events:
            stream, version = stream_of(event.originator_id), event.originator_version
            number = numbers.setdefault(stream, len(bases) + 1)
            if number > len(bases):
                _check_first(stream, version)
                bases.append(version - 1)
                last.append(version)
            elif version != last[number - 1] + 1:
                raise IntegrityError(
                    f"version {version} of {stream} follows version {last[number - 1]} in one insert: "
                    f"the versions of a stream have no gap and no double"
                )
            else:
                last[number - 1] = version
            stream_numbers.append(number)
        return cls(
            list(numbers),
            bases,
            stream_numbers,
            [event.topic for event in events],
            [event.state for event in events],
            [metadata_of(event, token) for event in events],
        )


def _check_first(stream: str, version: Any) -> None:
    if not isinstance(version, int) or not 0 <= version < 2**62:
        raise DataError(f"{version!r} of {stream} is no version: they count from 0 or 1")
