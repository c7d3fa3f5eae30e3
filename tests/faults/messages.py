"""Holding a message between a process and PostgreSQL, at the proxy: everything stays as it is until a test goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event

from tests.faults.proxy import Verdict, Way, proxied
from tests.faults.world import World

PATIENCE_SECONDS = 60.0

Matches = Callable[[Way, bytes, bytes], bool]
"""(direction, type of the message, its content): whether this is the one."""


def an_append(way: Way, kind: bytes, content: bytes) -> bool:
    """The call of `log.append`, with all its arguments."""
    return way == "to the server" and kind == b"B" and b"append_" in content[:20]


def a_key_to_keep(way: Way, kind: bytes, content: bytes) -> bool:
    """The statement that keeps the data key of somebody new."""
    return way == "to the server" and kind in b"PQ" and b"keep_subject_keys" in content


def a_commit(way: Way, kind: bytes, content: bytes) -> bool:
    """The order to commit a transaction that was begun explicitly."""
    return way == "to the server" and kind == b"Q" and content.startswith(b"COMMIT")


def committed(way: Way, kind: bytes, content: bytes) -> bool:
    """The word that such a transaction is committed."""
    return way == "to the client" and kind == b"C" and content.startswith(b"COMMIT")


def ready_within_a_transaction(way: Way, kind: bytes, content: bytes) -> bool:
    """The end of every answer within such a transaction."""
    return way == "to the client" and kind == b"Z" and content == b"T"


def the_answer_to_an_append(way: Way, kind: bytes, content: bytes) -> bool:
    """The row that `log.append` returns, known by its five columns: it is sent when it is committed."""
    return way == "to the client" and kind == b"D" and content[:2] == b"\x00\x05"


def the_head_is_locked(way: Way, kind: bytes, content: bytes) -> bool:
    """The statement that takes the head before a command is decided."""
    return way == "to the server" and kind in b"PQ" and b"lock_head" in content


@dataclass
class Hold:
    """One message that is held."""

    matches: Matches
    caught: Event = field(default_factory=Event)
    verdict: Verdict = "pass"
    _free: Event = field(default_factory=Event)

    def wait_for_it(self) -> None:
        """Return once the message is there, and stays there."""
        assert self.caught.wait(PATIENCE_SECONDS), "the message did not come"

    def release(self, verdict: Verdict = "pass") -> None:
        """Let it go on its way, or lose it there."""
        self.verdict = verdict
        self._free.set()

    def stay(self) -> Verdict:
        """For the thread that brings the message."""
        self.caught.set()
        self._free.wait(PATIENCE_SECONDS)
        return self.verdict


class Line:
    """What lies between a process and its database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._armed: list[Hold] = []

    @contextmanager
    def held(self, matches: Matches) -> Iterator[Hold]:
        """The next message that matches is held, until it is released or the block ends."""
        hold = Hold(matches)
        self._armed.append(hold)
        try:
            yield hold
        finally:
            if hold in self._armed:
                self._armed.remove(hold)
            hold.release(hold.verdict)

    def judge(self, connection: int, way: Way, kind: bytes, content: bytes) -> Verdict:
        """Keeps the thread that brings a message for as long as it is held."""
        for hold in self._armed:
            if hold.matches(way, kind, content):
                self._armed.remove(hold)
                return hold.stay()
        return "pass"


@contextmanager
def line(world: World) -> Iterator[Line]:
    """A line to the world's database."""
    with proxied(world.server.postgres.data_dir / ".s.PGSQL.5432") as proxy:
        made = Line(proxy.url(world.database.name))
        proxy.judge = made.judge
        yield made
