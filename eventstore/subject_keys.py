"""The table of sealed data keys, as a `KeyStore`."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any

from psycopg import Connection

from eventstore.arrays import bytea_array, text_array

_FIND = "SELECT subject, sealed_key FROM log.subject_keys WHERE log = %s AND subject = ANY (%s)"
_KEEP = "SELECT subject, sealed_key FROM log.keep_subject_keys(%s, %s, %s)"


class SubjectKeys:
    """Keys of one log. The connection is its own; calls from several threads queue up."""

    def __init__(self, connection: Connection[Any], log: int) -> None:
        self._connection = connection
        self._log = log
        self._lock = Lock()

    def find(self, subjects: Iterable[str]) -> dict[str, bytes | None]:
        with self._lock:
            rows = self._connection.execute(_FIND, (self._log, text_array(list(subjects))), binary=True)
            return dict(rows.fetchall())

    def keep(self, sealed: dict[str, bytes]) -> dict[str, bytes | None]:
        with self._lock:
            rows = self._connection.execute(
                _KEEP, (self._log, text_array(list(sealed)), bytea_array(list(sealed.values()))), binary=True
            )
            return dict(rows.fetchall())
