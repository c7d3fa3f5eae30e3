"""A `KeyStore` on the tables of wrapped data keys and of known master keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock
from typing import Any, LiteralString

import psycopg
from psycopg import Connection
from psycopg.errors import ObjectNotInPrerequisiteState

from eventstore.keys.master_keys import KnownMasterKey, StaleMasterKeyError, WrappedKey
from eventstore.postgres.arrays import bytea_array, text_array

# In a copy of a log a person without a row is one whose key was erased, so there the answer has all of them.
_FIND = """
SELECT s.subject, k.sealed_key, k.master_key
  FROM unnest(%(subjects)s::text[]) AS s(subject)
  LEFT JOIN log.subject_keys k ON k.log = %(log)s AND k.subject = s.subject COLLATE "C"
 WHERE k.subject IS NOT NULL OR EXISTS (SELECT FROM log.copies c WHERE c.log = %(log)s)
"""
_KEEP = "SELECT subject, sealed_key, master_key FROM log.keep_subject_keys(%s, %s::smallint, %s, %s)"
_ERASED = """
SELECT clock_timestamp(), ARRAY(SELECT subject FROM log.subject_keys WHERE log = %s AND erased_at > %s::timestamptz)
"""
_MASTER_KEYS = "SELECT number, fingerprint, status FROM log.master_keys ORDER BY number"
_RECORD = "SELECT log.keep_master_key(%s)"
_SOME = "SELECT subject, sealed_key FROM log.subject_keys WHERE sealed_key IS NOT NULL LIMIT %s"


class SubjectKeys:
    """The keys of one log, and the master keys of its database. It needs a connection of its own; threads take turns.

    `reconnect` opens another connection after a loss. Without it the error is raised.

    A copy of a log gets each key before the events that need it, and no key that was erased. So in a copy a person
    without a key was erased; elsewhere such a key is lost.
    """

    def __init__(
        self, connection: Connection[Any], log_number: int, reconnect: Callable[[], Connection[Any]] | None = None
    ) -> None:
        self._connection = connection
        self._log_number = log_number
        self._reconnect = reconnect
        self._lock = Lock()

    def find(self, subjects: Iterable[str]) -> dict[str, WrappedKey | None]:
        possible = [
            subject for subject in subjects if "\0" not in subject
        ]  # PostgreSQL would refuse all of them for one
        return _wrapped(self._ask(_FIND, {"log": self._log_number, "subjects": text_array(possible)}))

    def keep(self, sealed: Mapping[str, bytes], master_key: int) -> dict[str, WrappedKey | None]:
        """See `KeyStore`. Raises `psycopg.errors.InvalidParameterValue` for a key that is not well-formed."""
        keys = (self._log_number, master_key, text_array(list(sealed)), bytea_array(list(sealed.values())))
        try:
            return _wrapped(self._ask(_KEEP, keys))
        except ObjectNotInPrerequisiteState as error:
            raise StaleMasterKeyError(str(error.diag.message_primary)) from None

    def erased(self, since: datetime | None) -> tuple[datetime, Sequence[str]]:
        [(now, subjects)] = self._ask(_ERASED, (self._log_number, since))
        return now, subjects

    def master_keys(self) -> Sequence[KnownMasterKey]:
        return [KnownMasterKey(*row) for row in self._ask(_MASTER_KEYS, ())]

    def record_master_key(self, fingerprint: bytes) -> None:
        self._ask(_RECORD, (fingerprint,))

    def some_keys(self, most: int) -> Sequence[tuple[str, bytes]]:
        return [(subject, sealed) for subject, sealed in self._ask(_SOME, (most,))]

    def _ask(self, query: LiteralString, parameters: tuple[Any, ...] | dict[str, Any]) -> list[tuple[Any, ...]]:
        """Try once more on a new connection after a loss. Storing a key again changes nothing."""
        with self._lock:
            try:
                return self._connection.execute(query, parameters, binary=True).fetchall()
            except psycopg.OperationalError:
                if self._reconnect is None or not self._connection.closed:
                    raise
            self._connection = self._reconnect()
            return self._connection.execute(query, parameters, binary=True).fetchall()


def _wrapped(rows: Iterable[tuple[Any, ...]]) -> dict[str, WrappedKey | None]:
    return {subject: None if sealed is None else WrappedKey(sealed, master_key) for subject, sealed, master_key in rows}
