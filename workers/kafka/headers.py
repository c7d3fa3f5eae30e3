"""Headers of records as other clients may write them: with names that are not UTF-8, and without a value.

A broker takes both. kafka-python 3.0.12 raises at a name that is not UTF-8, and does so again each time that the record
is polled: one record would stop the reader of many topics for ever.
"""

from __future__ import annotations

from typing import Any, Final

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch, decode_varint

_MOST_DIGITS: Final = 18
"""No position and no number of pieces has more. Python refuses to read a number of thousands of digits."""


def number_in(header: bytes | None) -> int | None:
    """The number that a header has; None if it has none. A header may be there and have no value."""
    return int(header) if header and header.isdigit() and len(header) <= _MOST_DIGITS else None


class ReadableBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch of records in which every name of a header can be read, as in Java.

    In a name that is not UTF-8 each byte that is not ASCII is read as a question mark.
    """

    __slots__ = ()

    def _read_msg(self) -> Any:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            self._replace_names()
            return super()._read_msg()

    def _replace_names(self) -> None:
        """Make the names of the next record's headers readable, in the buffer."""
        buffer, at = self._buffer, self._pos
        for _ in ("length", "attributes", "timestamp", "offset"):
            _, at = decode_varint(buffer, at)
        for _ in ("key", "value"):
            _, at = _field(buffer, at)
        number, at = decode_varint(buffer, at)
        for _ in range(number):
            begin, at = _field(buffer, at)
            buffer[begin:at] = _readable(bytes(buffer[begin:at]))
            _, at = _field(buffer, at)


def _field(buffer: bytearray, at: int) -> tuple[int, int]:
    """Where a field begins and ends that has its size before it; a null has the size -1."""
    size, begin = decode_varint(buffer, at)
    return begin, begin + max(0, size)


def _readable(name: bytes) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        return name.decode("ascii", "replace").encode("ascii", "replace")
    return name


def read_every_name() -> None:
    """Have the clients of this process read records with such names."""
    memory_records.DefaultRecordBatch = ReadableBatch
