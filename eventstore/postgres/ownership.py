"""Advisory locks that tell which of several workers does a piece of work.

They only save work: whoever writes compares and sets, so that two owners at once do no harm. A lock belongs to the
session and is free once its process ends.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from threading import Event
from typing import Any, NamedTuple

from psycopg import Connection

from eventstore.postgres.arrays import int8_array, text_array

logger = logging.getLogger(__name__)


class Purpose(NamedTuple):
    """What owners do. `verb` is part of the locks' keys, so that two purposes never meet."""

    verb: str
    noun: str  # what is owned, for messages
    role: str  # the role of those who do it


_END_SILENT = """
SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = ANY (%s)
   AND a.state = 'active' AND a.wait_event = 'ClientRead'
   AND clock_timestamp() - a.query_start > make_interval(secs => %s)
"""


_HELD_BY_OUTSIDERS = """
SELECT n.name, a.usename FROM unnest(%s::text[], %s::bigint[]) AS n(name, key)
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = n.key
  JOIN pg_stat_activity a USING (pid)
 WHERE NOT pg_has_role(a.usesysid, %s, 'MEMBER')
"""


_MEMBERS = " members"  # no name of a piece of work begins with a space
_COUNT_MEMBERS = """
SELECT count(*) FROM pg_locks l
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.mode = 'ShareLock'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""


class Ownership:
    """The locks of one session: one for each name.

    PostgreSQL lets every login take any advisory lock. So a lock that is held by a login which does not have the role
    of the purpose does not count: what it stands for is owned without it.
    """

    def __init__(self, connection: Connection[Any], purpose: Purpose, log_number: int, names: Sequence[str]) -> None:
        self._connection = connection
        self._purpose = purpose
        self._log_number = log_number
        self._others = list(names)
        self.owned: set[str] = set()

    def acquire(self, but: Collection[str] = (), most: int | None = None) -> set[str]:
        """Try to get the locks that are not owned yet, `but` these, and at `most` so many. Returns the new ones."""
        wanted = [name for name in self._others if name not in but]
        if not wanted or most == 0:
            return set()
        rows = self._connection.execute(
            "SELECT name FROM unnest(%s::text[], %s::bigint[]) AS n(name, key) WHERE pg_try_advisory_lock(key)"
            " LIMIT %s",
            (text_array(wanted), int8_array([self._key(name) for name in wanted]), most),
        ).fetchall()
        gained = {name for (name,) in rows}
        if len(gained) < len(wanted) and (most is None or len(gained) < most):
            gained |= self._held_by_outsiders(wanted)
        self.owned |= gained
        self._others = [name for name in self._others if name not in gained]
        return gained

    def _held_by_outsiders(self, wanted: Sequence[str]) -> set[str]:
        keys = int8_array([self._key(name) for name in wanted])
        rows = self._connection.execute(_HELD_BY_OUTSIDERS, (text_array(wanted), keys, self._purpose.role)).fetchall()
        for name, login in rows:
            noun, role = self._purpose.noun, self._purpose.role
            logger.warning("%s holds the lock of %s %s and is no %s: going on without it", login, noun, name, role)
        return {name for name, _ in rows}

    def wait(self, stop: Event, pause: float, silent_seconds: float, alive: Callable[[], object]) -> bool:
        """Try until at least one name is owned, with pauses, and end silent owners. False if told to stop before.

        `alive` is called before each pause.
        """
        while not self.acquire():
            alive()
            self.end_silent(silent_seconds)
            if stop.wait(pause):
                return False
        return True

    def join(self) -> None:
        """Be counted among the members until the session ends."""
        self._connection.execute("SELECT pg_advisory_lock_shared(%s)", (self._key(_MEMBERS),))

    def members(self) -> int:
        """How many sessions of this database have joined."""
        row = self._connection.execute(_COUNT_MEMBERS, (self._key(_MEMBERS),)).fetchone()
        assert row is not None, "an aggregate has a row"
        return int(row[0])

    def release(self, names: Collection[str] | None = None) -> None:
        """Release the locks of these names, or all."""
        released = sorted(self.owned if names is None else self.owned.intersection(names))
        for name in released:
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._key(name),))
        self._others += released
        self.owned = self.owned.difference(released)

    def end_silent(self, seconds: float) -> None:
        """End the sessions of owners that stopped in the middle of sending rows, at least so many seconds ago.

        To the server such a session is not idle: no time-out ends it, and it keeps its locks. A session of the same
        login may end it. The login is not the role that this session has taken.
        """
        if not self._others:
            return
        with self._connection.transaction():
            self._connection.execute("SELECT set_config('role', 'none', true)")
            self._connection.execute(_END_SILENT, (int8_array([self._key(name) for name in self._others]), seconds))

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"daybook {self._purpose.verb} {self._log_number} {name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)
