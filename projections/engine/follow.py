"""Follows the log: folds new events until it is stopped, through lost connections and lost owners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from psycopg import Connection

from eventstore.log.codec import Codec
from eventstore.log.read import CHANNEL, read_head
from eventstore.postgres.ownership import Ownership
from projections.engine.outage import WAIT_SECONDS, Outage
from projections.engine.pages import OnPage
from projections.engine.projection import Projection
from projections.engine.runner import FOLDING, PAGE, TRANSIENT, Runner
from projections.engine.tables import ShapeError, begin

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.02
IDLE_POLL_SECONDS = 0.25
"""Most seconds between two polls when notifications come. A stand-by takes over after this time, too."""

PAUSED_SECONDS = 15.0
"""A session that sends nothing for so many seconds belongs to a stopped process (SIGSTOP, a frozen machine). The server
ends it, and a stand-by takes over. If it stopped in the middle of sending rows, the server does not see it as idle, and
the stand-by ends it. A live session is never silent for longer than it takes to read and fold a page."""

Connect = Callable[[], Connection[Any]]
MakeCodec = Callable[[Connection[Any], int], Codec]
"""Makes the codec of a log, given by its number. It reads data keys over this connection."""


def follow(
    connect: Connect,
    make_codec: MakeCodec,
    log: str,
    projections: Sequence[Projection],
    stop: Event,
    *,
    poll_seconds: float = POLL_SECONDS,
    page: int = PAGE,
    paused_seconds: float = PAUSED_SECONDS,
    wait_seconds: float = WAIT_SECONDS,
    on_page: OnPage | None = None,
) -> None:
    """Fold until `stop` is set. `connect` gives autocommit connections of the projector. `on_page` gets each page.

    A projection that another worker owns is taken over within `IDLE_POLL_SECONDS` after the end of that worker, or
    after `paused_seconds` of silence. Raises `DatabaseAwayError` once the database has been away for `wait_seconds`.
    Errors that a retry does not repair are raised at once. Of these, a `ShapeError` of tables that a newer version of
    the program rebuilt meanwhile is raised only if no other projection is left; those are folded on.
    """
    outage = Outage(stop, wait_seconds)
    begun = False
    while not stop.is_set():
        try:
            with connect() as connection, connect() as ahead:
                end_when_silent(connection, paused_seconds)
                worker = _Worker(
                    connection, ahead, make_codec, log, projections, poll_seconds, page, paused_seconds, on_page
                )
                begun = True
                while not stop.is_set():
                    worker.turn(stop)
                    outage.ended()
        except TRANSIENT as error:
            outage.failed(error)
        except ShapeError as error:
            projections = [projection for projection in projections if projection.name not in error.projections]
            if not begun or not projections:
                raise
            logger.error("%s; this projector leaves them to the newer version and folds the others on", error)


def end_when_silent(connection: Connection[Any], seconds: float) -> None:
    """Have the server end this session once it sends nothing for so many seconds."""
    connection.execute(
        "SELECT set_config('idle_session_timeout', %(t)s, false),"
        " set_config('idle_in_transaction_session_timeout', %(t)s, false)",
        {"t": f"{int(seconds * 1000)}ms"},
    )


class _Worker:
    """Follows over one connection, with a second one to read ahead."""

    def __init__(
        self,
        connection: Connection[Any],
        ahead: Connection[Any],
        make_codec: MakeCodec,
        log: str,
        projections: Sequence[Projection],
        poll_seconds: float,
        page: int,
        paused_seconds: float,
        on_page: OnPage | None,
    ) -> None:
        begin(connection, log, projections)
        number = read_head(connection, log).log_number
        self._connection = connection
        self._runner = Runner(
            connection, log, make_codec(ahead, number), projections, ahead=ahead, page=page, on_page=on_page
        )
        self._ownership = Ownership(connection, FOLDING, number, [projection.name for projection in projections])
        self._pace = Pace(poll_seconds)
        self._paused_seconds = paused_seconds
        connection.execute(f"LISTEN {CHANNEL}".encode())

    def turn(self, stop: Event) -> None:
        """Fold a page, or wait for one.

        What needs a newer version of the program is not owned, so that a projector of that version takes it over.
        """
        overtaken = self._runner.overtaken
        self._ownership.release(overtaken)
        if self._ownership.acquire(overtaken):
            self._runner.load()  # the last owner has moved them
        owned = self._ownership.owned
        if owned and self._runner.step(owned):
            self._pace.found()
            return
        self._ownership.end_silent(self._paused_seconds)
        if not owned:
            stop.wait(IDLE_POLL_SECONDS)
            if overtaken:
                self._runner.load()  # it goes on behind the newer one, should that one end
        else:
            self._pace.idle(any(self._connection.notifies(timeout=self._pace.seconds, stop_after=1)))


class Pace:
    """How long to wait: `poll_seconds`, and longer and longer once notifications arrive.

    They arrive if one has ended a wait. They do not if new events were found without one.
    """

    def __init__(self, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds
        self._notifications_come = False
        self._was_notified = False
        self.seconds = poll_seconds

    def idle(self, notified: bool) -> None:
        """Record that nothing was found, and whether a notification ended the wait."""
        self._was_notified = notified
        if notified:
            self._notifications_come = True
            self.seconds = self._poll_seconds
        elif self._notifications_come:
            self.seconds = min(2 * self.seconds, IDLE_POLL_SECONDS)

    def found(self) -> None:
        """Record that events were folded."""
        if not self._was_notified and self.seconds > self._poll_seconds:
            self._notifications_come = False
        self.seconds = self._poll_seconds
