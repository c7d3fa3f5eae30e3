"""The bodies of long batches until they are carried out: rows of the schema `batches`, sealed.

A part is put here before its event is appended, and removed after the event that says what became of it. So a crash in
between leaves a part too many, never one too few. The event of a part names its digest: only that content counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg import Connection

from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.keys.master_keys import NONCE_BYTES
from eventstore.keys.sealing import UnreadableError

PURPOSE: Final = "long batch"

_HELD = """
SELECT count(DISTINCT batch) FILTER (WHERE sender = %(sender)s AND batch <> %(batch)s),
       coalesce(sum(bytes) FILTER (WHERE sender = %(sender)s), 0), coalesce(sum(bytes), 0)
  FROM batches.parts WHERE log = %(log)s
"""
_PUT = """
INSERT INTO batches.parts (log, batch, part, digest, sender, bytes, sealed) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_READ = "SELECT sealed FROM batches.parts WHERE log = %s AND batch = %s AND part = %s AND digest = %s"
_REMOVE = "DELETE FROM batches.parts WHERE log = %s AND batch = %s AND part = %s AND digest = %s"
_REMOVE_PART = "DELETE FROM batches.parts WHERE log = %s AND batch = %s AND part = %s"
_REMOVE_ALL = "DELETE FROM batches.parts WHERE log = %s AND batch = %s"
# A skip scan: one index probe for each batch, however many parts it has.
_BATCHES = """
WITH RECURSIVE found AS (
    (SELECT batch FROM batches.parts WHERE log = %(log)s ORDER BY batch LIMIT 1)
  UNION ALL
    SELECT (SELECT p.batch FROM batches.parts p WHERE p.log = %(log)s AND p.batch > f.batch ORDER BY p.batch LIMIT 1)
      FROM found f WHERE f.batch IS NOT NULL
)
SELECT batch FROM found WHERE batch IS NOT NULL
"""


class SpoolFullError(RuntimeError):
    """No more may stand here. `of_sender`: because of what the sender has here already."""

    def __init__(self, sentence: str, most: int, *, of_sender: bool) -> None:
        super().__init__(sentence)
        self.most = most
        self.of_sender = of_sender


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much may stand here: bytes of all senders and of one, and batches of one."""

    bytes: int
    sender_bytes: int
    sender_batches: int


class SpooledPart(NamedTuple):
    """The place of a part."""

    batch: str
    part: int
    digest: bytes


class Spool:
    """The table of parts. Its methods block. `connected` gives an autocommit connection that acts as `daybook_api`."""

    def __init__(
        self, connected: Callable[[], AbstractContextManager[Connection[Any]]], log_number: int, hashes: KeyedHashes
    ) -> None:
        self._connected = connected
        self._log = log_number
        self._hashes = hashes

    def put(self, place: SpooledPart, sender: str, items: Sequence[bytes], limits: SpoolLimits) -> None:
        """Keep the items of a part. It has no effect if the same part is here.

        Raises `SpoolFullError`. What others put at the same moment is not counted. Raises as `KeyedHashes.of`.
        """
        size = sum(map(len, items))
        sealed = self._sealed(place, msgspec.msgpack.encode(items))
        with self._connected() as connection:
            values = {"log": self._log, "sender": sender, "batch": place.batch}
            row = connection.execute(_HELD, values).fetchone()
            assert row is not None, "an aggregate has a row"
            _refuse_full(sender, int(row[0]), int(row[1]) + size, int(row[2]) + size, limits)
            connection.execute(_PUT, (self._log, *place, sender, size, sealed), binary=True)

    def read(self, place: SpooledPart) -> list[bytes] | None:
        """The items of a part, or None if it is not here. Raises `UnreadableError` if it does not open."""
        with self._connected() as connection:
            row = connection.execute(_READ, (self._log, *place), binary=True).fetchone()
        return None if row is None else self._opened(place, row[0])

    def remove(self, place: SpooledPart) -> None:
        """Remove one content of a part."""
        with self._connected() as connection:
            connection.execute(_REMOVE, (self._log, *place))

    def remove_part(self, batch: str, part: int) -> None:
        """Remove a part, whatever its content."""
        with self._connected() as connection:
            connection.execute(_REMOVE_PART, (self._log, batch, part))

    def remove_batch(self, batch: str) -> int:
        """Remove all parts of a batch. Returns how many there were."""
        with self._connected() as connection:
            return connection.execute(_REMOVE_ALL, (self._log, batch)).rowcount

    def batches(self) -> list[str]:
        """The batches that have parts here, in the order in which they were opened."""
        with self._connected() as connection:
            return [batch for (batch,) in connection.execute(_BATCHES.encode(), {"log": self._log})]

    def _sealed(self, place: SpooledPart, text: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher(place).encrypt(nonce, text, None)

    def _opened(self, place: SpooledPart, sealed: bytes) -> list[bytes]:
        try:
            text = self._cipher(place).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            raise UnreadableError(f"part {place.part} of {place.batch} does not open") from error
        return msgspec.msgpack.decode(text, type=list[bytes])

    def _cipher(self, place: SpooledPart) -> AESGCM:
        """The cipher of one content of one part: what is sealed opens at its own place only."""
        name = f"{place.batch}:{place.part}:{place.digest.hex()}"
        return AESGCM(self._hashes.digest(PURPOSE, name))


def _refuse_full(sender: str, others: int, of_sender: int, of_all: int, limits: SpoolLimits) -> None:
    if others >= limits.sender_batches:
        most = limits.sender_batches
        raise SpoolFullError(f"{most} long batches of {sender} wait, the most allowed", most, of_sender=True)
    if of_sender > limits.sender_bytes:
        most = limits.sender_bytes
        raise SpoolFullError(f"the long batches of {sender} have {most} bytes at most", most, of_sender=True)
    if of_all > limits.bytes:
        raise SpoolFullError(f"all long batches have {limits.bytes} bytes at most", limits.bytes, of_sender=False)
