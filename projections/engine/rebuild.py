"""Starting over: tables emptied, checkpoints at 0, and the whole log folded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

from psycopg import Connection

from eventstore.log.codec import Codec
from eventstore.log.read import read_head
from projections.engine.follow import IDLE_POLL_SECONDS
from projections.engine.projection import Projection
from projections.engine.runner import Ownership, Runner
from projections.engine.tables import ShapeError, prepare, refuse_another_log, reset

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
    owner: Connection[Any],
    anew: Set[str] = frozenset(),
    ahead: Connection[Any] | None = None,
    progress: Progress = lambda position, head: None,
    stop: Event | None = None,
) -> Rebuilt:
    """Fold from position 0 up to the head of this moment. Until it is done the checkpoints say that it is under way.

    `connection` acts as the projector, which folds; `owner` as the read owner, which empties tables. It makes tables of
    another version again, and those of the projections named `anew`, with their views. With a second connection,
    `ahead`, it is faster (see `Runner`). A worker that owns a projection does the folding of
    it; then this only watches. `stop` ends it early: what is folded by then stays, and whoever follows the log goes on
    from there.
    """
    began = time.monotonic()
    stop = stop or Event()
    with suppress(ShapeError):  # those are what a rebuild is for
        prepare(owner, projections)
    head = read_head(connection, log)
    refuse_another_log(connection, head.log, log)
    reset(owner, head, projections, anew=anew)
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
