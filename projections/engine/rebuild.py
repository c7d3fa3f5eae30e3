"""Rebuilds read tables: folds the whole log into new tables beside the live ones, and then replaces the live ones.

Readers see the old tables until the swap and the new ones after it. An attempt that fails or is killed leaves the old
tables. The next rebuild drops what it left in `read_next`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import Connection

from eventstore.log.codec import Codec
from eventstore.log.read import Head, read_head
from eventstore.postgres.ownership import Ownership
from projections.engine.checkpoint import NEXT, Checkpoint, LogState, ProjectionStatus, read_state, unit_end
from projections.engine.follow import IDLE_POLL_SECONDS
from projections.engine.projection import Projection
from projections.engine.replacement import (
    DependentViewsError,
    SupersededError,
    discard_next,
    make_next,
    swap,
)
from projections.engine.runner import FOLDING, Runner
from projections.engine.tables import TablesBusyError, prepare, refuse_another_log

Progress = Callable[[int, int], None]
"""Gets the position that all projections have reached, and the position to reach."""

CLOSE = 1_000
"""Most positions to fold while the live checkpoint is locked: some ten milliseconds."""


class NotFoldedError(RuntimeError):
    """New tables did not reach the position of the live ones. The message says why."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild. `head` is the head of the log at its beginning, which it had to reach."""

    projections: tuple[str, ...]
    head: int
    position: int  # the lowest position of them
    seconds: float
    stopped: dict[str, str]  # projections with an event that cannot be folded, and the error
    kept: dict[str, str] = field(default_factory=dict)  # projections whose old tables stay, and the reason

    @property
    def ok(self) -> bool:
        """Whether every projection has new tables and has reached the head."""
        return self.position >= self.head and not self.stopped and not self.kept


def rebuild(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    *,
    owner: Connection[Any],
    ahead: Connection[Any] | None = None,
    progress: Progress = lambda position, head: None,
) -> Rebuilt:
    """Fold the log into new tables, replace the live ones by them, and fold up to the present head.

    `connection` acts as the projector, which folds; `owner` as the read owner, which makes and replaces tables. With a
    second connection of the projector, `ahead`, it is faster (see `Runner`). A worker goes on meanwhile with the live
    tables, and then with the new ones. Tables are replaced at the position of the live ones, or at the head if these
    are missing or of another history. Raises `SupersededError` if another rebuild begins.
    """
    began = time.monotonic()
    prepare(owner, ())
    head = read_head(connection, log)
    refuse_another_log(connection, head.log_number, log)
    kept = _Replacement(connection, log, codec, projections, owner, head, ahead, progress).run()
    replaced = [projection for projection in projections if projection.name not in kept]
    position, stopped = head.position, dict[str, str]()
    if replaced:
        position, stopped = _fold_to_head(connection, log, codec, replaced, head, ahead, progress)
    names = tuple(projection.name for projection in projections)
    return Rebuilt(names, head.position, position, time.monotonic() - began, stopped, kept)


class _Replacement:
    """The new tables of some projections, from empty tables to the swap."""

    def __init__(
        self,
        connection: Connection[Any],
        log: str,
        codec: Codec,
        projections: Sequence[Projection],
        owner: Connection[Any],
        head: Head,
        ahead: Connection[Any] | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._log = log
        self._codec = codec
        self._projections = projections
        self._owner = owner
        self._head = head
        self._ahead = ahead
        self._progress = progress
        self._number = secrets.randbelow(2**31)
        self._names = [projection.name for projection in projections]

    def run(self) -> dict[str, str]:
        """Make, fold and swap. Returns the projections whose old tables stay, with the reason."""
        make_next(self._owner, self._head.log_number, self._head.epoch, self._projections, self._number)
        try:
            with closing(self._runner()) as runner:
                self._approach(runner, self._names)
                kept = {name: str(error) for name, error in self._swapped(runner) if error is not None}
        except BaseException:
            self._discard_after_failure()
            raise
        if kept:
            discard_next(self._owner, self._head.log_number, self._projections, self._number)
        return kept

    def _discard_after_failure(self) -> None:
        """Drop the new tables if possible. If not, the next rebuild drops them."""
        with suppress(psycopg.Error, TablesBusyError):
            discard_next(self._owner, self._head.log_number, self._projections, self._number)

    def _runner(self) -> Runner:
        return Runner(
            self._connection,
            self._log,
            self._codec,
            self._projections,
            ahead=self._ahead,
            schema=NEXT,
            accept=self._accept,
        )

    def _accept(self, moved: Sequence[ProjectionStatus]) -> None:
        for status in moved:
            if status.checkpoint is None or status.checkpoint.rebuilds != self._number:
                raise SupersededError(status.projection)

    def _approach(self, runner: Runner, names: Sequence[str]) -> None:
        """Fold until the new tables of these are close to the live ones, which may move meanwhile."""
        while True:
            targets = self._targets(names)
            positions = runner.positions
            behind = [name for name in names if positions[name] < targets[name] and name not in runner.stopped]
            if not behind or all(targets[name] - positions[name] <= CLOSE for name in behind):
                return
            runner.step(behind, min(targets[name] for name in behind))
            self._progress(min(runner.positions[name] for name in names), max(targets.values()))

    def _swapped(self, runner: Runner) -> list[tuple[str, Exception | None]]:
        return [(projection.name, self._swap(runner, projection)) for projection in self._projections]

    def _swap(self, runner: Runner, projection: Projection) -> Exception | None:
        """Replace the tables of one projection. None, or the reason why the old ones stay."""

        def reach() -> Checkpoint:
            return self._reach(runner, projection.name)

        try:
            self._approach(runner, [projection.name])
            swap(self._owner, self._head.log_number, projection, reach)
        except (NotFoldedError, DependentViewsError, TablesBusyError) as error:
            return error
        runner.leave(projection.name)
        return None

    def _reach(self, runner: Runner, name: str) -> Checkpoint:
        """Fold the new tables to the position of the live ones, whose checkpoint is locked."""
        target = self._targets([name])[name]
        while runner.positions[name] < target and name not in runner.stopped:
            runner.step([name], target)
        if name in runner.stopped:
            raise NotFoldedError(f"it cannot be folded anew: {runner.stopped[name]}")
        reached = runner.checkpoints[name]
        if reached.position != target:
            raise NotFoldedError(
                f"its tables fell back to position {target} while it was folded anew up to {reached.position}: "
                f"run daybook rebuild {name} again"
            )
        return reached

    def _targets(self, names: Sequence[str]) -> dict[str, int]:
        """The positions at which the tables of these projections can be replaced."""
        state = read_state(self._connection, self._log, names)
        return {status.projection: self._target(state, status) for status in state.statuses}

    def _target(self, state: LogState, status: ProjectionStatus) -> int:
        """Return the live position. If there is none, or if it does not fit this log, return the head of the log."""
        at = status.checkpoint
        if at is None or status.refusal(state.epoch) is not None:
            return state.head
        whole = at.position in (0, unit_end(self._connection, state.log_number, at.position))
        return at.position if whole else state.head


def _fold_to_head(
    connection: Connection[Any],
    log: str,
    codec: Codec,
    projections: Sequence[Projection],
    head: Head,
    ahead: Connection[Any] | None,
    progress: Progress,
) -> tuple[int, dict[str, str]]:
    """Fold the live tables up to `head`, or wait for the worker that owns them.

    Returns the lowest position, and the projections that stopped with their errors.
    """
    ownership = Ownership(connection, FOLDING, head.log_number, [projection.name for projection in projections])
    with closing(Runner(connection, log, codec, projections, ahead=ahead)) as runner:
        try:
            while not (runner.stopped or runner.errors or _lowest(runner) >= head.position):
                if ownership.acquire():
                    runner.load()
                if not (ownership.owned and runner.step(ownership.owned)):
                    time.sleep(IDLE_POLL_SECONDS)
                    runner.load()
                progress(_lowest(runner), head.position)
            progress(_lowest(runner), head.position)
        finally:
            ownership.release()
        return _lowest(runner), runner.errors | runner.stopped


def _lowest(runner: Runner) -> int:
    return min(runner.positions.values())
