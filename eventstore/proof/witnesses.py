"""The cosignatures in the database: what witnesses have signed, and the notes of checkpoints with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg import Connection

from eventstore.proof.store import StoredCheckpoint, covering_checkpoint

MOST_COSIGNATURES: Final = 32
"""Cosignatures that are added to a note, so that it stays within the bound of signatures."""
LOOK_BACK: Final = 10_000
"""The newest cosignatures among which a checkpoint with enough of them is looked for."""


@dataclass(frozen=True, slots=True)
class StoredWitness:
    """A witness, by its public key as text, and the largest tree that it has cosigned."""

    verifier: str
    size: int
    signed_at: datetime


_NOTE = """
SELECT c.note || coalesce(
    (SELECT string_agg(s.line || E'\\n', '' ORDER BY s.signed_at, s.witness)
       FROM (SELECT line, signed_at, witness FROM proof.cosignatures WHERE log = c.log AND size = c.size
              ORDER BY signed_at, witness LIMIT %s) AS s), '')
  FROM proof.checkpoints c WHERE c.log = %s AND c.size = %s
"""
# Each witness is found by one step in the index, however many cosignatures it has.
_WITNESSES = """
WITH RECURSIVE names AS (
    (SELECT witness FROM proof.cosignatures WHERE log = %(log)s ORDER BY witness LIMIT 1)
    UNION ALL
    SELECT (SELECT c.witness FROM proof.cosignatures c WHERE c.log = %(log)s AND c.witness > n.witness
             ORDER BY c.witness LIMIT 1)
      FROM names n WHERE n.witness IS NOT NULL
)
SELECT l.witness, l.size, l.signed_at
  FROM names n CROSS JOIN LATERAL (SELECT c.witness, c.size, c.signed_at FROM proof.cosignatures c
                                    WHERE c.log = %(log)s AND c.witness = n.witness ORDER BY c.size DESC LIMIT 1) AS l
 ORDER BY l.witness
"""
_WITNESSED = """
SELECT size FROM (SELECT size FROM proof.cosignatures WHERE log = %s ORDER BY size DESC LIMIT %s) AS newest
 GROUP BY size HAVING count(*) >= %s ORDER BY size DESC LIMIT 1
"""


def checkpoint_note(connection: Connection[Any], log_number: int, size: int) -> str:
    """The note of the checkpoint of this size, with the cosignatures. Raises `LookupError` if there is none."""
    row = connection.execute(_NOTE, (MOST_COSIGNATURES, log_number, size), binary=True).fetchone()
    if row is None:
        raise LookupError(f"there is no checkpoint of {size} leaves")
    return str(row[0])


def read_witnesses(connection: Connection[Any], log_number: int) -> list[StoredWitness]:
    """Each witness that has cosigned, in the order of their names."""
    return [StoredWitness(*row) for row in connection.execute(_WITNESSES, {"log": log_number}, binary=True)]


def witnessed_checkpoint(connection: Connection[Any], log_number: int, witnesses: int) -> StoredCheckpoint | None:
    """The newest checkpoint with cosignatures of at least so many witnesses; None if the newest ones have too few."""
    row = connection.execute(_WITNESSED, (log_number, LOOK_BACK, witnesses), binary=True).fetchone()
    return None if row is None else covering_checkpoint(connection, log_number, row[0])


def keep_cosignature(
    connection: Connection[Any], log_number: int, witness: str, size: int, line: str, signed_at: datetime
) -> bool:
    """Keep the cosignature of a checkpoint. `line` has no newline. False if the witness has one of it already."""
    row = connection.execute(
        "SELECT proof.keep_cosignature(%s, %s, %s, %s, %s)", (log_number, witness, size, line, signed_at)
    ).fetchone()
    assert row is not None, "a function returns a row"
    return bool(row[0])
