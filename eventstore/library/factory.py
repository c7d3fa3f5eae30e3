"""Makes the recorders of an application from its environment. The library calls this module."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic

from eventstore.library.pool import Pool
from eventstore.library.recorders import (
    LogAggregateRecorder,
    LogApplicationRecorder,
    LogProcessRecorder,
    SnapshotRecorder,
)
from eventstore.library.settings import LibrarySettings, may_create
from eventstore.library.store import LogStore
from eventstore.library.tracking import LogTrackingRecorder

R = TypeVar("R")
T = TypeVar("T", bound=TrackingRecorder)


class EventStoreFactory(InfrastructureFactory[LogTrackingRecorder]):
    """Recorders on the log that is named after the application; they share its connections.

    Raises `OSError` where the environment is wrong, `PersistenceError` where the database is.
    """

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self._settings = LibrarySettings.read(self.env)
        self._pool = Pool(
            self._settings.conninfo,
            size=self._settings.pool_size,
            application_name=self._settings.log_name(self.env)[:63],
        )

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """For `events` a recorder on the log, for `snapshots` one on the table beside it."""
        recorders = {"events": LogAggregateRecorder, "snapshots": SnapshotRecorder}
        if purpose not in recorders:
            raise InfrastructureFactoryError(f"there are recorders for events and for snapshots, not for {purpose!r}")
        return recorders[purpose](self._store())

    def application_recorder(self) -> ApplicationRecorder:
        """The recorder of an application, of the class `APPLICATION_RECORDER_TOPIC` names if it is set."""
        return self._recorder(LogApplicationRecorder, None, self.APPLICATION_RECORDER_TOPIC)

    def tracking_recorder(self, tracking_recorder_class: type[T] | None = None) -> T:
        """The recorder of a view, of the class given or the one `TRACKING_RECORDER_TOPIC` names."""
        # The library leaves open how a view's class, often an interface besides, is bound to ours: checked below.
        given = cast("type[LogTrackingRecorder] | None", tracking_recorder_class)
        return cast("T", self._recorder(LogTrackingRecorder, given, self.TRACKING_RECORDER_TOPIC))

    def process_recorder(self) -> ProcessRecorder:
        """The recorder of an application that follows another, of the class `PROCESS_RECORDER_TOPIC` names."""
        return self._recorder(LogProcessRecorder, None, self.PROCESS_RECORDER_TOPIC)

    def close(self) -> None:
        """Close the connections of all its recorders."""
        self._pool.close()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        super().__exit__(exc_type, exc_val, exc_tb)
        self.close()

    def _recorder(self, usual: type[R], given: type[R] | None, topic_variable: str) -> R:
        topic = self.env.get(topic_variable)
        chosen: Any = given or (resolve_topic(topic) if topic else usual)
        if not (isinstance(chosen, type) and issubclass(chosen, usual)):
            raise InfrastructureFactoryError(f"{chosen!r} cannot be used: it is no subclass of {usual.__qualname__}")
        return cast("Callable[[LogStore], R]", chosen)(self._store())

    def _store(self) -> LogStore:
        name = self._settings.log_name(self.env)
        store = LogStore(self._pool, name, poll_seconds=self._settings.poll_seconds)
        if may_create(self.env):
            store.create()
        return store
