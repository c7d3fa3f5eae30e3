"""The keys of people as records, wrapped for the replicas.

A record has the person as its key. Its value names the master key by its fingerprint and has the wrapped key; a
tombstone stands for a key that was erased.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kafka import KafkaConsumer, TopicPartition
from msgspec import Struct
from psycopg import Connection

from eventstore.keys.master_keys import WRAPPED_BYTES, MasterKeys, WrappedKey, fingerprint, wrap
from workers.kafka.last_records import Alive, records_between

_PERSON: Final = re.compile(rb"[!-~]{1,100}")
"""As in `log.keep_subject_keys`."""


class KeyRecord(Struct, frozen=True):
    """The value of a record."""

    master_key: str  # hex: fingerprint of the replicas' master key
    wrapped: str  # base64


class KeyRecordError(ValueError):
    """A record of the topic of keys is not one."""


def person(key: bytes | None) -> str:
    """The person that the key of a record names. Raises `KeyRecordError`."""
    if key is None or not _PERSON.fullmatch(key):
        raise KeyRecordError("its key names no person")
    return key.decode()


def parse_key(value: bytes) -> tuple[bytes, bytes]:
    """The fingerprint of the master key, and the wrapped key. Raises `KeyRecordError`."""
    try:
        record = msgspec.json.decode(value, type=KeyRecord)
        master_key, wrapped = bytes.fromhex(record.master_key), b64decode(record.wrapped, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise KeyRecordError(f"not the record of a key: {error}") from None
    if len(wrapped) != WRAPPED_BYTES:
        raise KeyRecordError(f"not the record of a key: it has {len(wrapped)} bytes and needs {WRAPPED_BYTES}")
    return master_key, wrapped


# Keys of the log itself stay with it: a replica opens what people wrote, and makes no hashes.
_OF_PEOPLE = "subject NOT LIKE 'system:%%'"
_SINCE = f"""
SELECT subject, sealed_key, master_key FROM log.subject_keys
 WHERE log = %s AND changed_by >= %s AND {_OF_PEOPLE}
"""  # noqa: S608 - a constant
_ALL = f"SELECT subject, sealed_key, master_key FROM log.subject_keys WHERE log = %s AND {_OF_PEOPLE}"  # noqa: S608
_XMIN = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class KeyFeed:
    """Finds the keys that were stored or destroyed, and wraps them for the replicas."""

    def __init__(self, connection: Connection[Any], log_number: int, held: MasterKeys, replicas: bytes) -> None:
        """`held` opens the keys of this log. `replicas` is the replicas' master key."""
        self._connection = connection
        self._log_number = log_number
        self._held = held
        self._cipher = AESGCM(replicas)
        self._fingerprint = fingerprint(replicas).hex()
        self._since = 0
        self._sent: dict[str, bool] = {}  # people, and whether they have a key, sent since `_since`

    def missing(self, there: dict[str, str | None]) -> list[tuple[bytes, bytes | None]]:
        """The records that the topic lacks. `there` has the fingerprint of each record's master key; None: a tombstone.

        From here on `changed` returns what was changed since.
        """
        self._since = self._xmin()
        rows = self._connection.execute(_ALL, (self._log_number,), binary=True).fetchall()
        return self._records(
            [row for row in rows if there.get(row[0]) != (None if row[1] is None else self._fingerprint)]
        )

    def changed(self) -> list[tuple[bytes, bytes | None]]:
        """The records of keys that were changed since the last call. It sees every key that an event before needs."""
        xmin = self._xmin()
        rows = self._connection.execute(_SINCE, (self._log_number, self._since), binary=True).fetchall()
        if xmin != self._since:
            self._since = xmin
            self._sent = {subject: self._sent[subject] for subject, _, _ in rows if subject in self._sent}
        new = [row for row in rows if self._sent.get(row[0]) != (row[1] is not None)]
        self._sent |= {subject: sealed is not None for subject, sealed, _ in new}
        return self._records(new)

    def _xmin(self) -> int:
        row = self._connection.execute(_XMIN).fetchone()
        assert row is not None
        return int(row[0])

    def _records(self, rows: list[tuple[str, bytes | None, int]]) -> list[tuple[bytes, bytes | None]]:
        self._held.have({number for _, sealed, number in rows if sealed is not None})
        return [(subject.encode(), self._value(subject, sealed, number)) for subject, sealed, number in rows]

    def _value(self, subject: str, sealed: bytes | None, number: int) -> bytes | None:
        """The value of a record; None for a key that was erased. For a damaged key it is zeros, which open nowhere."""
        if sealed is None:
            return None
        key = self._held.unwrap(subject, WrappedKey(sealed, number))
        wrapped = bytes(len(sealed)) if key is None else wrap(self._cipher, subject, key)
        return msgspec.json.encode(KeyRecord(self._fingerprint, b64encode(wrapped).decode()))


def keys_there(consumer: KafkaConsumer, topic: str, alive: Alive = lambda: None) -> dict[str, str | None]:
    """The people in the topic of keys, and the fingerprint of the master key of their record; None for a tombstone.

    Raises `KeyRecordError`.
    """
    at = TopicPartition(topic, 0)
    consumer.assign([at])
    begin, end = consumer.beginning_offsets([at])[at], consumer.end_offsets([at])[at]
    found: dict[str, str | None] = {}
    for record in records_between(consumer, at, begin, end, alive):
        try:
            subject = person(record.key)
            found[subject] = None if record.value is None else parse_key(record.value)[0].hex()
        except KeyRecordError as error:
            raise KeyRecordError(f"offset {record.offset}: {error}") from None
    return found
