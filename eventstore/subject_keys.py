"""The table of sealed data keys, as a `KeyStore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any, LiteralString

import psycopg
from psycopg import Connection

from eventstore.arrays import bytea_array, text_array

_FIND = "SELECT subject, sealed_key FROM log.subject_keys WHERE log = %s AND subject = ANY (%s)"
_KEEP = "SELECT subject, sealed_key FROM log.keep_subject_keys(%s, %s, %s)"


class SubjectKeys:
    """Keys of one log. The connection is its own; calls from several threads queue up.

    `reconnect` makes another when it is lost; without it, whoever owns the connection deals with that.
    """

    def __init__(
        self, connection: Connection[Any], log: int, reconnect: Callable[[], Connection[Any]] | None = None
    ) -> None:
        self._connection = connection
        self._log = log
        self._reconnect = reconnect
        self._lock = Lock()

    def find(self, subjects: Iterable[str]) -> dict[str, bytes | None]:
        return self._ask(_FIND, (self._log, text_array(list(subjects))))

    def keep(self, sealed: dict[str, bytes]) -> dict[str, bytes | None]:
        return self._ask(_KEEP, (self._log, text_array(list(sealed)), bytea_array(list(sealed.values()))))

    def _ask(self, query: LiteralString, parameters: tuple[Any, ...]) -> dict[str, bytes | None]:
        """Once more on a fresh connection where this one is lost: keeping a key again changes nothing."""
        with self._lock:
            try:
                return dict(self._connection.execute(query, parameters, binary=True).fetchall())
            except psycopg.OperationalError:
                if self._reconnect is None or not self._connection.closed:
                    raise
            self._connection = self._reconnect()
            return dict(self._connection.execute(query, parameters, binary=True).fetchall())
