"""How an error of a fold is recorded and shown: its kind and place, without values of rows."""

from __future__ import annotations

import traceback

import psycopg

from projections.engine.projection import FoldError


def explain(error: Exception) -> str:
    """The error in one line.

    The detail and the context of the server's errors quote values (`Failing row contains`, `COPY line`), and any
    message may. Only those of `FoldError` do not: they name rows by their ids.
    """
    if isinstance(error, FoldError):
        return str(error)
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__}: {_primary(error)}"
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    return f"{type(error).__name__} in {frame.f_globals['__name__']}:{line}"


def _primary(error: psycopg.Error) -> str:
    message = error.diag
    if message.message_primary is None:  # an error of the client, such as a lost connection: it has no values of rows
        return str(error).partition("\n")[0]
    constraint = "" if message.constraint_name is None else f", constraint {message.constraint_name}"
    return f"{message.message_primary} (SQLSTATE {message.sqlstate}{constraint})"
