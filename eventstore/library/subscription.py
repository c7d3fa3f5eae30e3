"""Following a log: what is there, then what comes, none missed, none twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Event

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from eventstore.library.store import LogStore
from eventstore.library.stored import Row, notification
from eventstore.log.read import Page, read_log

PAGE_POSITIONS = 500


class LogSubscription(Subscription[ApplicationRecorder]):
    """Reads page after page to the end of the log, then looks again every few milliseconds.

    Positions have no gap and commit in their order, so "everything after the last one" is never wrong. It needs no
    thread, and between two looks no connection. With topics, too, it goes on from where it looked, not from what it
    found.
    """

    def __init__(
        self, recorder: ApplicationRecorder, store: LogStore, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        """`recorder` is what the library knows it by; what it reads is the log of `store`."""
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._store = store
        self._upto = gt or 0
        self._page: deque[Notification] = deque()
        self._stopped = Event()

    def stop(self) -> None:
        """End the iteration, from any thread, at once."""
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        """The next notification, waiting for it; ends when stopped. Raises the library's errors."""
        while not self._stopped.is_set():
            if self._page:
                return self._page.popleft()
            page = self._read_page()
            self._upto = page.upto
            for event in page.events:
                row = Row(
                    stream=event.stream,
                    version=event.version,
                    type=event.type,
                    payload=event.payload,
                    metadata=event.metadata,
                )
                self._page.append(notification(event.position, row))
            if page.at_end:
                self._stopped.wait(self._store.poll_seconds)
        raise StopIteration

    def _read_page(self) -> Page:
        after, types = self._upto, tuple(self._topics) or None
        return self._store.run(
            lambda connection, log_number: read_log(connection, log_number, after, PAGE_POSITIONS, types=types)
        )
