"""Starting over: tables emptied, checkpoints at 0, and the whole log folded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from threading import Event
from typing import Any

from psycopg import Connection

from eventstore.codec import Codec
from eventstore.read import read_head
from projections.engine import Ownership, Runner
from projections.follow import IDLE_POLL_SECONDS
from projections.projection import Projection
from projections.tables import prepare, reset

Progress = Callable[[int, int], None]
"""Is told the position all of them have reached, and the one to reach."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild came to. `head` is where the log ended when it began, and how far it had to come."""

    projections: tuple[str, ...]
    head: int
    position: int  # the lowest of them
    seconds: float
    stopped: dict[str, str]  # those that met what they cannot fold, and what

    @property
    def ok(self) -> bool:
        """Whether every one of them has come as far as the head."""
        return self.position >= self.head and not self.stopped


def rebuild(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    *,
    anew: Set[str] = frozenset(),
    ahead: Connection[Any] | None = None,
    progress: Progress = lambda position, head: None,
    stop: Event | None = None,
) -> Rebuilt:
    """Fold from position 0 up to the head of this moment. Readers find the tables empty, then behind, until it is done.

    Tables of another version are made again, and those of the projections named `anew`, with their views. With a second
    connection, `ahead`, it is faster (see `Runner`). A worker that owns a projection does the folding of
    it; then this only watches. `stop` ends it early: what is folded by then stays, and whoever follows the log goes on
    from there.
    """
    began = time.monotonic()
    stop = stop or Event()
    reset(connection, log, projections, anew=anew)
    prepare(connection, log, projections)
    head = read_head(connection, log)
    names = [projection.name for projection in projections]
    runner = Runner(connection, log, codec, projections, ahead=ahead)
    ownership = Ownership(connection, head.log, names)
    try:
        while not (stop.is_set() or runner.stopped or runner.errors or _lowest(runner) >= head.position):
            if ownership.acquire():
                runner.load()
            if not (ownership.owned and runner.step(ownership.owned)):
                stop.wait(IDLE_POLL_SECONDS)
                runner.load()
            progress(_lowest(runner), head.position)
        progress(_lowest(runner), head.position)
    finally:
        ownership.release()
    took = time.monotonic() - began
    return Rebuilt(tuple(names), head.position, _lowest(runner), took, runner.errors | runner.stopped)


def _lowest(runner: Runner) -> int:
    return min(runner.positions.values())
