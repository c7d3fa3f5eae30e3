"""What the database says, in the library's words: its applications catch its classes, never psycopg's."""

from __future__ import annotations

import psycopg
from eventsourcing import persistence


class ConnectionLostError(persistence.OperationalError):
    """The connection broke. If it had been given a statement, it is unknown whether that took effect."""


_CLASSES: dict[type[BaseException], type[persistence.PersistenceError]] = {
    psycopg.Error: persistence.PersistenceError,
    psycopg.InterfaceError: persistence.InterfaceError,
    psycopg.DatabaseError: persistence.DatabaseError,
    psycopg.DataError: persistence.DataError,
    psycopg.OperationalError: persistence.OperationalError,
    psycopg.IntegrityError: persistence.IntegrityError,
    psycopg.InternalError: persistence.InternalError,
    psycopg.ProgrammingError: persistence.ProgrammingError,
    psycopg.NotSupportedError: persistence.NotSupportedError,
}


def translated(error: psycopg.Error) -> persistence.PersistenceError:
    """The library's error for one of psycopg's: the class of the same name, the same message."""
    nearest = next(_CLASSES[kind] for kind in type(error).__mro__ if kind in _CLASSES)
    return nearest(str(error))
