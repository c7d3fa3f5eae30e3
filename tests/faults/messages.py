"""Holds a message between a process and PostgreSQL in the proxy until a test releases it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from tests.faults.proxy import Verdict, Way, proxied
from tests.faults.world import World
from tests.support.waiting import WAIT_SECONDS

Matches = Callable[[Way, bytes, bytes], bool]
"""(direction, type of the message, its content) → whether the message matches."""


def an_append(way: Way, kind: bytes, content: bytes) -> bool:
    """The call of `log.append` with its arguments."""
    return way == "to the server" and kind == b"B" and b"append_" in content[:20]


def a_key_to_keep(way: Way, kind: bytes, content: bytes) -> bool:
    """The statement that stores the data key of a new person."""
    return way == "to the server" and kind in b"PQ" and b"keep_subject_keys" in content


def a_commit(way: Way, kind: bytes, content: bytes) -> bool:
    """The COMMIT of a transaction that was begun explicitly."""
    return way == "to the server" and kind == b"Q" and content.startswith(b"COMMIT")


def committed(way: Way, kind: bytes, content: bytes) -> bool:
    """The message that such a transaction is committed."""
    return way == "to the client" and kind == b"C" and content.startswith(b"COMMIT")


def ready_within_a_transaction(way: Way, kind: bytes, content: bytes) -> bool:
    """The end of every reply within such a transaction."""
    return way == "to the client" and kind == b"Z" and content == b"T"


def the_answer_to_an_append(way: Way, kind: bytes, content: bytes) -> bool:
    """The row that `log.append` returns, recognised by its five columns. It is sent after the commit."""
    return way == "to the client" and kind == b"D" and content[:2] == b"\x00\x05"


def the_head_is_locked(way: Way, kind: bytes, content: bytes) -> bool:
    """The statement that locks the head before a command is decided."""
    return way == "to the server" and kind in b"PQ" and b"lock_head" in content


@dataclass
class Hold:
    """A message that is held."""

    matches: Matches
    caught: Event = field(default_factory=Event)
    verdict: Verdict = "pass"
    _free: Event = field(default_factory=Event)

    def wait_until_held(self) -> None:
        """Wait until the message is held."""
        assert self.caught.wait(WAIT_SECONDS), "the message did not come"

    def release(self, verdict: Verdict = "pass") -> None:
        """Pass the message on, or drop it."""
        self.verdict = verdict
        self._free.set()

    def hold(self) -> Verdict:
        """Block the thread that carries the message until it is released."""
        self.caught.set()
        self._free.wait(WAIT_SECONDS)
        return self.verdict


class Line:
    """The line between a process and its database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._armed: list[Hold] = []

    @contextmanager
    def held(self, matches: Matches) -> Iterator[Hold]:
        """Hold the next message that matches, until it is released or the block ends."""
        hold = Hold(matches)
        self._armed.append(hold)
        try:
            yield hold
        finally:
            if hold in self._armed:
                self._armed.remove(hold)
            hold.release(hold.verdict)

    def judge(self, connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
        """Block the thread that carries a message as long as the message is held."""
        for hold in self._armed:
            if hold.matches(way, kind, content):
                self._armed.remove(hold)
                return hold.hold()
        return "pass"


@contextmanager
def line(world: World) -> Iterator[Line]:
    """A line to the world's database."""
    with proxied(world.server.postgres.data_dir / ".s.PGSQL.5432") as proxy:
        made = Line(proxy.url(world.database.name))
        proxy.judge = made.judge
        yield made
