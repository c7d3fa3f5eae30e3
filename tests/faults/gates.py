"""Gates between the statements of `log.append`: where a test can hold an append, and kill who waits for it, or it.

The function's own source is taken from the database, and between any two of its statements a gate is put in: an
advisory lock that an append must take, and that the test may hold. Only the test's database is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.support.postgres import Database
from tests.support.waiting import wait_until

GATES = {
    "before the head is locked": "    SELECT l.position, l.epoch",
    "before the keys are looked up": "    FOR i IN\n        SELECT c.i FROM unnest",
    "before the versions are looked up": "    v_actual := ARRAY(\n",
    "before the events are inserted": "    INSERT INTO log.events",
    "before the commands are inserted": "    INSERT INTO log.commands",
    "before the head is moved": "    IF n > 0 THEN",
    "before it returns": "END\n$function$",
}
"""Each gate that every append passes, and the line of the function that it stands in front of."""

IN_A_CONFLICT = {
    "before anything is tainted": "        v_taint := array_fill(",
    "before a stream that moved is looked at": "            v_taint[i] := CASE",
    "before the verdicts": "        -- Where all that moved",
    "before a command is held against the taint": "            v_failed := v_verdicts[i]",
}
"""Those that only an append passes which finds that a stream has moved."""

_ALL = GATES | IN_A_CONFLICT

_CLASS = 4711


def put_in(database: Database) -> None:
    """Put all gates into the function, and take out its time-outs."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_functiondef('log.append'::regproc)").fetchone()
        assert row is not None
        source: str = row[0]
        for number, line in enumerate(_ALL.values()):
            assert source.count(line) == 1, f"{line!r} is there {source.count(line)} times"
            source = source.replace(line, f"    PERFORM pg_advisory_xact_lock_shared({_CLASS}, {number});\n{line}")
        connection.execute(source.encode())


class Gate:
    """A gate that is closed."""

    def __init__(self, connection: psycopg.Connection[Any], number: int) -> None:
        self._connection = connection
        self._number = number

    def wait_for_somebody(self) -> int:
        """Return once an append stands before it: the process id of its backend."""
        wait_until(lambda: self.waiting() is not None, "an append at the gate")
        waiting = self.waiting()
        assert waiting is not None
        return waiting

    def waiting(self) -> int | None:
        """The backend of the append that stands before it, if one does."""
        row = self._connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (_CLASS, self._number),
        ).fetchone()
        return None if row is None else int(row[0])

    def open(self) -> None:
        """Let everyone through."""
        self._connection.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def closed(database: Database, name: str) -> Iterator[Gate]:
    """Close a gate; it is open afterwards."""
    number = list(_ALL).index(name)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s, %s)", (_CLASS, number))
        yield Gate(connection, number)
