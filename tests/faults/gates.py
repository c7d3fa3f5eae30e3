"""Gates between the statements of `log.append`: where a test can hold an append, and kill who waits for it, or it.

The function's own source is taken from the database, and between any two of its statements a gate is put in: an
advisory lock that an append must take, and that the test may hold. Only the test's database is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

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


def soaked(among: Iterable[str], *in_the_suite: str) -> list[object]:
    """All of these gates: those named in every run, the others in a soak."""
    return [pytest.param(gate, marks=() if gate in in_the_suite else pytest.mark.soak) for gate in among]


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

    def __init__(self, database: Database, number: int, opened: ExitStack) -> None:
        self._database = database
        self._number = number
        self._opened = opened
        self._holder = self._connect()
        self._holder.execute(_CLOSE, (_CLASS, number))

    def _connect(self) -> psycopg.Connection[Any]:
        return self._opened.enter_context(psycopg.connect(self._database.url, autocommit=True))

    def wait_for_somebody(self) -> int:
        """Return once an append stands before it: the process id of its backend."""
        wait_until(lambda: self.waiting() is not None, "an append at the gate")
        waiting = self.waiting()
        assert waiting is not None
        return waiting

    def waiting(self) -> int | None:
        """The backend of the append that stands before it, if one does."""
        return self._next_in("ShareLock")

    def _next_in(self, mode: str) -> int | None:
        row = self._holder.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND mode = %s",
            (_CLASS, self._number, mode),
        ).fetchone()
        return None if row is None else int(row[0])

    def let_one_through(self) -> None:
        """The append that stands before it, to its end; the next one stands before it again.

        Whoever waits for a lock has it in turn: who closes the gate anew waits behind the first and before the next.
        """
        follower = self._connect()
        with ThreadPoolExecutor(1) as pool:
            closed_again = pool.submit(follower.execute, _CLOSE, (_CLASS, self._number))
            wait_until(lambda: self._next_in("ExclusiveLock") is not None, "who closes the gate behind the first")
            self.open()
            closed_again.result()
        self._holder = follower

    def open(self) -> None:
        """Let everyone through."""
        self._holder.execute("SELECT pg_advisory_unlock_all()")


_CLOSE = "SELECT pg_advisory_lock(%s, %s)"


@contextmanager
def closed(database: Database, name: str) -> Iterator[Gate]:
    """Close a gate; it is open afterwards."""
    with ExitStack() as opened:
        yield Gate(database, list(_ALL).index(name), opened)
