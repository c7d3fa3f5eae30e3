"""The test cases of the library, with the recorders of Daybook. `test_library_cases` runs them.

They are not in a test module. There pytest would collect them, abstract ones too, and cannot run a `TestCase` once
for each server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partialmethod
from typing import Any, ClassVar
from unittest import TestCase
from unittest.mock import patch
from uuid import UUID

from eventsourcing.persistence import Tracking
from eventsourcing.projection import BaseProjectionRunner
from eventsourcing.tests.application import ApplicationTestCase, ExampleApplicationTestCase
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from eventsourcing.tests.projection import (
    AggregateEventCountersProjectionTestCase,
    EventCountersView,
    EventCountersViewTestCase,
    EventSourcedProjectionTestCase,
    TaggedDecisionCountersProjectionTestCase,
)
from eventsourcing.utils import Environment, get_topic

from eventstore import EventStoreFactory
from eventstore.library.recorders import (
    LogAggregateRecorder,
    LogApplicationRecorder,
    LogProcessRecorder,
    SnapshotRecorder,
)
from eventstore.library.tracking import LogTrackingRecorder


def factory(case: TestCase, name: str = "Case") -> EventStoreFactory:
    """A factory from the test's environment, closed after the case."""
    made = EventStoreFactory(Environment(name, dict(os.environ)))
    case.addCleanup(made.close)
    return made


class StringIds:
    """The same cases with strings as ids."""

    numbers: Iterator[int]

    def new_originator_id(self) -> UUID | str:
        self.numbers = getattr(self, "numbers", iter(range(1_000_000)))
        return f"dog-{next(self.numbers)}"


class AggregateRecorderCase(AggregateRecorderTestCase):
    def create_recorder(self) -> LogAggregateRecorder:
        recorder = factory(self).aggregate_recorder()
        assert isinstance(recorder, LogAggregateRecorder)
        return recorder


class AggregateRecorderWithStringsCase(StringIds, AggregateRecorderCase):
    pass


class AggregateRecorderFromZeroCase(AggregateRecorderCase):
    INITIAL_VERSION = 0


class SnapshotRecorderCase(AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        recorder = factory(self).aggregate_recorder("snapshots")
        assert isinstance(recorder, SnapshotRecorder)
        return recorder


class SnapshotRecorderWithStringsCase(StringIds, SnapshotRecorderCase):
    pass


class ApplicationRecorderCase(ApplicationRecorderTestCase[LogApplicationRecorder]):
    def create_recorder(self) -> LogApplicationRecorder:
        recorder = factory(self).application_recorder()
        assert isinstance(recorder, LogApplicationRecorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class ApplicationRecorderWithStringsCase(StringIds, ApplicationRecorderCase):
    pass


class ApplicationRecorderFromZeroCase(ApplicationRecorderCase):
    INITIAL_VERSION = 0


class TrackingRecorderCase(TrackingRecorderTestCase):
    def create_recorder(self) -> LogTrackingRecorder:
        recorder: LogTrackingRecorder = factory(self).tracking_recorder()
        return recorder


class ProcessRecorderCase(ProcessRecorderTestCase):
    def create_recorder(self) -> LogProcessRecorder:
        recorder = factory(self).process_recorder()
        assert isinstance(recorder, LogProcessRecorder)
        return recorder


class ProcessRecorderWithStringsCase(StringIds, ProcessRecorderCase):
    pass


class NonInterleavingCase(NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> LogApplicationRecorder:
        recorder = factory(self).application_recorder()
        assert isinstance(recorder, LogApplicationRecorder)
        return recorder


class TrackingRecorderSubclass(LogTrackingRecorder):
    pass


class FactoryCase(InfrastructureFactoryTestCase[EventStoreFactory]):
    def setUp(self) -> None:
        self.env = Environment("Case", dict(os.environ))
        super().setUp()

    def expected_factory_class(self) -> type[EventStoreFactory]:
        return EventStoreFactory

    def expected_aggregate_recorder_class(self) -> type[LogAggregateRecorder]:
        return LogAggregateRecorder

    def expected_application_recorder_class(self) -> type[LogApplicationRecorder]:
        return LogApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[LogTrackingRecorder]:
        return LogTrackingRecorder

    def tracking_recorder_subclass(self) -> type[LogTrackingRecorder]:
        return TrackingRecorderSubclass

    def expected_process_recorder_class(self) -> type[LogProcessRecorder]:
        return LogProcessRecorder


class ExampleApplicationCase(ExampleApplicationTestCase):
    expected_factory_topic = get_topic(EventStoreFactory)


class ApplicationCase(ApplicationTestCase):
    pass


class CountersView(LogTrackingRecorder, EventCountersView):
    """A view as in docs/howto/use-the-library.md: its rows and its tracking are written in one transaction."""

    def get_created_event_counter(self) -> int:
        return self._count("created")

    def get_subsequent_event_counter(self) -> int:
        return self._count("subsequent")

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self._increment("created", tracking)

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self._increment("subsequent", tracking)

    def _increment(self, name: str, tracking: Tracking) -> None:
        with self.transaction(tracking) as connection:
            connection.execute(
                "INSERT INTO event_counters AS c VALUES (%s, %s, 1)"
                " ON CONFLICT (log, name) DO UPDATE SET count = c.count + 1",
                (self.store.number, name),
            )

    def _count(self, name: str) -> int:
        query = "SELECT coalesce(sum(count), 0)::bigint FROM event_counters WHERE log = %s AND name = %s"
        rows = self.store.run(lambda connection, log_number: connection.execute(query, (log_number, name)).fetchall())
        count: int = rows[0][0]
        return count


class CountersViewCase(EventCountersViewTestCase):
    def construct_event_counters_view(self) -> EventCountersView:
        return factory(self).tracking_recorder(CountersView)


PATIENCE_SECONDS = 60.0
"""The library waits one second for an event that is processed, and five for an error. A busy machine may need more."""


def more_patient(waiting: type, name: str = "wait") -> Any:
    """Lets a method of this class wait for longer, if its caller does not say for how long."""
    return patch.object(waiting, name, partialmethod(getattr(waiting, name), timeout=PATIENCE_SECONDS))


class PatientCase:
    """Waits for longer until something happens. That nothing happens is waited for as the library does."""

    def test_event_counters_projection(self) -> None:
        with more_patient(CountersView):
            super().test_event_counters_projection()  # type: ignore[misc]

    def test_run_forever_raises_projection_error(self) -> None:
        run_forever = BaseProjectionRunner.run_forever

        def wait_for_the_error(runner: Any, timeout: float) -> None:
            run_forever(runner, max(timeout, PATIENCE_SECONDS))

        with patch.object(BaseProjectionRunner, "run_forever", wait_for_the_error):
            super().test_run_forever_raises_projection_error()  # type: ignore[misc]


class ProjectionCase(PatientCase, AggregateEventCountersProjectionTestCase):
    view_class = CountersView


class EventSourcedProjectionCase(EventSourcedProjectionTestCase):
    def test_event_sourced_projection(self) -> None:
        with more_patient(BaseProjectionRunner):
            super().test_event_sourced_projection()


class TaggedDecisionsProjectionCase(PatientCase, TaggedDecisionCountersProjectionTestCase):
    """Its events are tagged decisions, which need another kind of store (`dcb_recorder`) with separate modules.

    So the application keeps them in the default store of the library. The view and its tracking are in Daybook.
    """

    view_class = CountersView
    env: ClassVar = {
        "DCBAPPLICATION_PERSISTENCE_MODULE": "eventsourcing.dcb.popo",
        "MAPPER_TOPIC": "eventsourcing.dcb.msgpack:MessagePackMapper",
    }


CASES: tuple[type[TestCase], ...] = (
    AggregateRecorderCase,
    AggregateRecorderWithStringsCase,
    AggregateRecorderFromZeroCase,
    SnapshotRecorderCase,
    SnapshotRecorderWithStringsCase,
    ApplicationRecorderCase,
    ApplicationRecorderWithStringsCase,
    ApplicationRecorderFromZeroCase,
    TrackingRecorderCase,
    ProcessRecorderCase,
    ProcessRecorderWithStringsCase,
    NonInterleavingCase,
    FactoryCase,
    ExampleApplicationCase,
    ApplicationCase,
    CountersViewCase,
    ProjectionCase,
    EventSourcedProjectionCase,
    TaggedDecisionsProjectionCase,
)
