"""The runner: folds the log into tables, page by page.

Projections at the same position share one read and one decode. A page is one transaction: the checkpoints
move first (compare-and-set, see `checkpoint`), then every projection writes. So the tables are always exactly what a
fold up to the checkpoint makes. Kills at any moment and several runners do not change that.

An event that cannot be folded stops the projections that want it, each by itself and at that event. The others go on.
So does an event of a type that this version of the program does not know, for the projections that fold its stream.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from time import monotonic_ns
from typing import Any

import psycopg
from psycopg import Connection

from eventstore.log.codec import Codec
from eventstore.postgres.ownership import Purpose
from projections.engine.checkpoint import (
    LIVE,
    Checkpoint,
    LogState,
    ProjectionError,
    ProjectionStatus,
    clear_error,
    hold_checkpoint,
    move_checkpoints,
    read_state,
    record_error,
)
from projections.engine.explain import explain
from projections.engine.pages import Folded, FoldedPage, OnPage, PageDone, PageReader, ReadAhead, fold_part, write_part
from projections.engine.projection import FoldCache, Projection, RecordedEvent
from projections.engine.session import fold_into
from projections.engine.tables import NotPreparedError, ShapeError, outdated_among

logger = logging.getLogger(__name__)

PAGE = 64_000
"""Most positions of a page. Near the head a page has the events that wait, so it is small and soon visible. In a larger
page more changes of one account become one write, and more rows go to one page of an index. Measured (docs/adr/0005):
500 positions take twice the time of 16,000. With many accounts, 16,000 take a quarter more of the server's time than
32,000, and these up to a tenth more than 64,000."""

READ_AHEAD = 2_000
"""If more positions than this wait after the present page, the next page is read while this one is written."""

FOLDING = Purpose("fold", "projection", "daybook_projector")
"""Projectors own projections, so that two workers do not fold the same pages in vain."""

TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError)
"""Errors of the connection or the server, not of an event. They are tried again."""


_LAST_UNIT_BEFORE = """
SELECT max(unit_end) FROM log.events WHERE log = %s AND position > %s AND position < %s AND unit_end < %s
"""


Accept = Callable[[Sequence[ProjectionStatus]], None]
"""Gets the projections whose checkpoints others have moved. Raises if this runner must not fold them now."""


class _Lost(Exception):
    """A checkpoint has another value than this runner has read."""


class Runner:
    """Folds one log into the tables of some projections. Not thread-safe; it needs a connection of its own.

    `stopped` has the projections that do not go on, with the reason: an event that cannot be folded, or a checkpoint
    that does not fit the log. A new runner tries again.
    """

    def __init__(
        self,
        connection: Connection[Any],
        log: str,
        codec: Codec,
        projections: Sequence[Projection],
        *,
        ahead: Connection[Any] | None = None,
        page: int = PAGE,
        schema: str = LIVE,
        accept: Accept | None = None,
        on_page: OnPage | None = None,
    ) -> None:
        """The connections are autocommit and act as the projector. Raises `NotPreparedError`.

        `schema` has the tables and the checkpoints. By default a runner accepts tables of its version.

        `on_page` gets each page after it was folded, for figures and traces; it must not raise.

        With a second connection, `ahead`, a page is read, decoded and folded while the page before is written. If the
        codec reads keys over a connection, use that one.
        """
        self.stopped: dict[str, str] = {}
        self.head = 0
        self._connection = connection
        self._log = log
        self._codec = codec
        self._projections = {projection.name: projection for projection in projections}
        self._page = page
        self._schema = schema
        self._accept = accept or self._refuse_another_shape
        self._on_page = on_page
        self._checkpoints: dict[str, Checkpoint] = {}
        self._errors: dict[str, ProjectionError] = {}  # as in the database
        self._poisoned: dict[str, ProjectionError] = {}  # those that this runner met
        self._caches = {name: FoldCache() for name in self._projections}
        fold_into(connection, schema)
        state = self.load()
        self._log_number = state.log_number
        self._pages = PageReader(state.log_number, codec)
        self._ahead = None if ahead is None else ReadAhead(self._pages, ahead)

    @property
    def positions(self) -> dict[str, int]:
        """The position of each projection, as far as this runner knows."""
        return {name: checkpoint.position for name, checkpoint in self._checkpoints.items()}

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """The checkpoints, as far as this runner knows."""
        return dict(self._checkpoints)

    @property
    def errors(self) -> dict[str, str]:
        """The errors that stopped projections, in this or another runner, unless the event was folded since."""
        return {name: str(error) for name, error in self._errors.items()}

    @property
    def overtaken(self) -> set[str]:
        """The projections that stopped at an event of an unknown type. A newer version of the program has to go on."""
        return {name for name, error in self._poisoned.items() if error.type not in self._codec.names}

    def load(self) -> LogState:
        """Read the checkpoints again. Projections that were rebuilt meanwhile go on.

        Raises `ShapeError` if tables were replaced by those of another version: only the version that rebuilt the
        tables may fold into them.
        """
        state = read_state(self._connection, self._log, list(self._projections), self._schema)
        moved = [one for one in state.statuses if one.checkpoint != self._checkpoints.get(one.projection)]
        if moved:
            self._accept(moved)
        self.head = state.head
        stopped = {}
        for status in state.statuses:
            why = self._judge(status, state.epoch)
            if why is not None:
                stopped[status.projection] = why
        for name in stopped.keys() - self.stopped.keys():
            logger.error("projection %s is stopped: %s", name, stopped[name])
        self.stopped = stopped
        return state

    def close(self) -> None:
        """Release the connections. Waits for a page that is being read ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def leave(self, projection: str) -> None:
        """Stop folding this projection."""
        for kept in (self._projections, self._checkpoints, self._errors, self._poisoned, self._caches, self.stopped):
            kept.pop(projection, None)

    def _refuse_another_shape(self, moved: Sequence[ProjectionStatus]) -> None:
        outdated = outdated_among(self._connection, [self._projections[status.projection] for status in moved])
        if outdated:
            raise ShapeError(outdated)

    def _judge(self, status: ProjectionStatus, epoch: int) -> str | None:
        name = status.projection
        if status.checkpoint is None:
            raise NotPreparedError([name])
        if status.checkpoint != self._checkpoints.get(name):
            self._checkpoints[name] = status.checkpoint
            self._caches[name].clear()
        if status.error is None:
            self._errors.pop(name, None)
            self._poisoned.pop(name, None)  # another runner folded that event, or the tables were rebuilt
        else:
            self._errors[name] = status.error
        refusal = status.refusal(epoch)
        if refusal is None and name in self._poisoned:
            return str(self._poisoned[name])
        return refusal

    def step(self, only: Collection[str] | None = None, upto: int | None = None) -> int:
        """Fold one page for each group of projections at one position; `only` these if given.

        No group goes past the end of the log, or past `upto`, which is the end of a unit. Returns the number of
        positions passed, summed over the groups; 0 if there is nothing to do. Raises `TRANSIENT` errors after rolling
        back. Another step on a working connection goes on from there.
        """
        active = self._active(only)
        if not active or max(self._checkpoints[name].position for name in active) >= self.head:
            self.load()
            active = self._active(only)
        groups: dict[int, list[str]] = {}
        for name in active:
            groups.setdefault(self._checkpoints[name].position, []).append(name)
        positions = sorted(groups)
        passed = 0
        end = self.head if upto is None else min(upto, self.head)
        # A group does not go past the next one: from there on they share their pages.
        for position, before in zip(positions, [*positions[1:], end], strict=False):
            if position < end:
                passed += self._step_group(groups[position], position, min(before, end))
        return passed

    def _active(self, only: Collection[str] | None) -> list[str]:
        return [name for name in self._projections if name not in self.stopped and (only is None or name in only)]

    def run_to_head(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Step until nothing is left to do. `progress` gets (lowest position, head) after each step."""
        while self.step():
            if progress is not None:
                progress(min(self.positions.values()), self.head)

    def _step_group(self, names: list[str], after: int, before: int) -> int:
        begun_ns = monotonic_ns()
        projections = [self._projections[name] for name in names]
        page = self._read(after, min(before - after, self._page), projections)
        if page is None:
            return 0
        if self._ahead is not None and before - page.upto >= READ_AHEAD:
            self._ahead.start(page.upto, min(before - page.upto, self._page), projections)
        try:
            sound = [projection for projection in projections if page.parts[projection.name].broken is None]
            if sound:
                self._fold_together(sound, page)
            for projection in projections:
                broken = page.parts[projection.name].broken
                if broken is not None:
                    self._fold_up_to(projection, page, broken)
        except _Lost:
            logger.info("another runner moved %s past position %d: reading again", ", ".join(names), after)
            self.load()
            return 0
        if self._on_page is not None:
            took = [name for name in names if self._checkpoints[name].position >= page.upto]
            events = {name: len(page.parts[name].events) for name in took}
            self._on_page(PageDone(after, page.upto, events, begun_ns, monotonic_ns()))
        return page.upto - after

    def _read(self, after: int, limit: int, projections: list[Projection]) -> FoldedPage | None:
        page = self._ahead.take(after, projections) if self._ahead is not None else None
        return page or self._pages.read(self._connection, after, limit, projections)

    def _fold_together(self, projections: list[Projection], page: FoldedPage) -> None:
        try:
            self._write([(projection, page.parts[projection.name]) for projection in projections], page.upto)
        except (*TRANSIENT, _Lost):
            raise
        except Exception as error:
            logger.warning("a page after position %d cannot be folded as a whole: %s", page.after, explain(error))
            for projection in projections:
                self._fold_alone(projection, page)

    def _fold_alone(self, projection: Projection, page: FoldedPage) -> None:
        part = page.parts[projection.name]
        error = self._attempt(projection, part, page.upto)
        if error is None:
            return
        self._fold_up_to(projection, page, self._first_bad(projection, part.events, page.upto, error))

    def _first_bad(
        self, projection: Projection, events: Sequence[RecordedEvent], upto: int, error: Exception
    ) -> ProjectionError:
        """The first of these events that cannot be folded. Together they raised this error.

        The first n events can be folded up to some n and not beyond. Bisection finds it.
        """
        good, bad = 0, len(events)
        while bad - good > 1:
            middle = (good + bad) // 2
            found = self._attempt(projection, fold_part(projection, events[:middle]), upto, only_try=True)
            if found is None:
                good = middle
            else:
                bad, error = middle, found
        recorded = events[bad - 1]
        name = self._codec.named(type(recorded.event))[-1]
        return ProjectionError(recorded.position, recorded.event.originator_id, name, explain(error))

    def _attempt(self, projection: Projection, part: Folded, upto: int, *, only_try: bool = False) -> Exception | None:
        """Write a part of one projection, and with `only_try` roll back. Returns the error, or None."""
        try:
            self._write([(projection, part)], upto, only_try=only_try)
        except (*TRANSIENT, _Lost):
            raise
        except Exception as error:
            return error
        return None

    def _fold_up_to(self, projection: Projection, page: FoldedPage, error: ProjectionError) -> None:
        """Fold the units before the one that cannot be folded, stop there, and log an error."""
        row = self._connection.execute(
            _LAST_UNIT_BEFORE, (self._log_number, page.after, error.position, error.position)
        ).fetchone()
        if row is not None and row[0] is not None:
            upto: int = row[0]
            events = [recorded for recorded in page.parts[projection.name].events if recorded.position <= upto]
            earlier = self._attempt(projection, fold_part(projection, events), upto)
            if earlier is not None:  # an earlier event cannot be folded either
                self._fold_up_to(projection, page, self._first_bad(projection, events, upto, earlier))
                return
        with self._connection.transaction():
            at = self._checkpoints[projection.name]
            if not hold_checkpoint(self._connection, self._log_number, projection.name, at, self._schema):
                raise _Lost
            record_error(self._connection, self._log_number, projection.name, error, self._schema)
        self._errors[projection.name] = self._poisoned[projection.name] = error
        self.stopped[projection.name] = str(error)
        logger.error("projection %s stopped %s", projection.name, error)

    def _write(self, work: list[tuple[Projection, Folded]], upto: int, *, only_try: bool = False) -> None:
        """One transaction: the checkpoints, then the rows of every projection."""
        names = [projection.name for projection, _ in work]
        try:
            with self._connection.transaction(force_rollback=only_try):
                at = {name: self._checkpoints[name] for name in names}
                moved = move_checkpoints(self._connection, self._log_number, at, upto, self._schema)
                if moved is None:
                    raise _Lost
                for projection, part in work:
                    write_part(self._connection, projection, part, self._caches[projection.name])
                    if projection.name in self._errors:
                        clear_error(self._connection, self._log_number, projection.name, self._schema)
        except BaseException:
            self._forget(names)
            raise
        if only_try:
            self._forget(names)
            return
        self._checkpoints |= moved
        for name in names:
            self._errors.pop(name, None)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._caches[name].clear()
