"""Gates between the statements of `log.append`, where a test can hold an append, kill it, or kill its caller.

The source of the function is read from the database, and a gate is inserted between any two of its statements. A gate
is an advisory lock that an append must take and that the test may hold. Only the database of the test is changed.
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
"""The gates that every append passes, and the line of the function after each gate."""

IN_A_CONFLICT = {
    "before anything is tainted": "        v_taint := array_fill(",
    "before a changed stream is checked": "            v_taint[i] := CASE",
    "before the verdicts": "        -- Where all that moved",
    "before a command is compared with the taint": "            v_failed := v_verdicts[i]",
}
"""The gates that only an append passes that finds a changed stream."""

_ALL = GATES | IN_A_CONFLICT


def soaked(among: Iterable[str], *in_the_suite: str) -> list[object]:
    """All of these gates. Those in `in_the_suite` run always, the others only in a soak."""
    return [pytest.param(gate, marks=() if gate in in_the_suite else pytest.mark.soak) for gate in among]


_CLASS = 4711


def install(database: Database) -> None:
    """Insert all gates into the function, and remove its time-outs."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_get_functiondef('log.append'::regproc)").fetchone()
        assert row is not None
        source: str = row[0]
        for number, line in enumerate(_ALL.values()):
            assert source.count(line) == 1, f"{line!r} occurs {source.count(line)} times"
            source = source.replace(line, f"    PERFORM pg_advisory_xact_lock_shared({_CLASS}, {number});\n{line}")
        connection.execute(source.encode())


class Gate:
    """A closed gate."""

    def __init__(self, database: Database, number: int, opened: ExitStack) -> None:
        self._database = database
        self._number = number
        self._opened = opened
        self._holder = self._connect()
        self._holder.execute(_CLOSE, (_CLASS, number))

    def _connect(self) -> psycopg.Connection[Any]:
        return self._opened.enter_context(psycopg.connect(self._database.url, autocommit=True))

    def wait_for_append(self) -> int:
        """Wait until an append is at the gate. Return the process id of its backend."""
        wait_until(lambda: self.waiting() is not None, "an append at the gate")
        waiting = self.waiting()
        assert waiting is not None
        return waiting

    def waiting(self) -> int | None:
        """The process id of the backend at the gate; None if there is none."""
        return self._next_in("ShareLock")

    def _next_in(self, mode: str) -> int | None:
        row = self._holder.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND mode = %s",
            (_CLASS, self._number, mode),
        ).fetchone()
        return None if row is None else int(row[0])

    def let_one_through(self) -> None:
        """Let the append at the gate run to its end. The next append stops at the gate again.

        A lock is granted in the order of requests, so the gate is closed again after the first append and before the
        next one.
        """
        follower = self._connect()
        with ThreadPoolExecutor(1) as pool:
            closed_again = pool.submit(follower.execute, _CLOSE, (_CLASS, self._number))
            wait_until(
                lambda: self._next_in("ExclusiveLock") is not None,
                "the lock that closes the gate after the first append",
            )
            self.open()
            closed_again.result()
        self._holder = follower

    def open(self) -> None:
        """Let all appends pass."""
        self._holder.execute("SELECT pg_advisory_unlock_all()")


_CLOSE = "SELECT pg_advisory_lock(%s, %s)"


@contextmanager
def closed(database: Database, name: str) -> Iterator[Gate]:
    """Close a gate until the block ends."""
    with ExitStack() as opened:
        yield Gate(database, list(_ALL).index(name), opened)
