"""What is kept and shown of an error that stands in the way: what it is and where, not the rows it met."""

from __future__ import annotations

import traceback

import psycopg

from projections.engine.projection import FoldError


def explain(error: Exception) -> str:
    """The error in one line.

    What people wrote stands in the detail and the context of the server's errors (`Failing row contains`, `COPY line`)
    and may stand in any message but those of `FoldError`, which names rows by their ids.
    """
    if isinstance(error, FoldError):
        return str(error)
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__}: {_primary(error)}"
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.f_globals['__name__']}:{line}"


def _primary(error: psycopg.Error) -> str:
    message = error.diag
    if message.message_primary is None:  # of the client, which knows no rows: a connection that is lost
        return str(error).partition("\n")[0]
    constraint = "" if message.constraint_name is None else f", constraint {message.constraint_name}"
    return f"{message.message_primary} (SQLSTATE {message.sqlstate}{constraint})"
