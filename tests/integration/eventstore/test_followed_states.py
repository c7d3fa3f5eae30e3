"""Followed states on a real log: what is dropped, what is refused, and how much is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from domain import registry
from domain.people.person.registration import VerifyEmail
from domain.people.person.state import Person
from domain.people.sign_in_policy import SIGN_IN_POLICY, ChangeSignInPolicy
from eventstore.executor.executor import Executor
from eventstore.executor.followed_states import FRESH_SECONDS, MOST_BEHIND, POLL_SECONDS, FollowedStates, StaleError
from eventstore.executor.stream_states import Fold
from eventstore.log.read import UnknownLogError
from eventstore.postgres.connect import connect
from tests.samples.people.person import registered
from tests.support.ledger import codec_of, executed, executor_on
from tests.support.memory_ledger import ADMINISTRATOR, VISITOR, By
from tests.support.postgres import Database
from tests.support.waiting import wait_until

PREFIXES = ("prsn_", SIGN_IN_POLICY)
ADA = "prsn_00x"


class Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def executor(database18: Database) -> Iterator[Executor]:
    with executor_on(database18) as executor:
        assert executed(executor, registered(ADA)).rule is None
        yield executor


@pytest.fixture
def states(database18: Database, executor: Executor, clock: Seconds) -> Iterator[FollowedStates]:
    """States that are followed by hand: nobody looks but the test."""
    with followed(database18, clock) as made:
        made.look()
        yield made


@contextmanager
def followed(database: Database, clock: Callable[[], float], **more: Any) -> Iterator[FollowedStates]:
    """States by `more`, which has other arguments, with a connection of the role of the API."""

    def login() -> Connection[Any]:
        return connect(database.api_url, application_name="followed")

    with connect(database.api_url, application_name="codec") as keys:
        fold = more.pop("fold", None) or Fold(codec_of(keys, 1), registry.evolve)
        made = FollowedStates(more.pop("login", login), "main", fold, PREFIXES, clock=clock, **more)
        yield made
        made.close()


def as_owner(database: Database, statement: str, values: Sequence[Any] = ()) -> None:
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(statement.encode(), values)


def verify(executor: Executor, person: str = ADA) -> None:
    email_hash = registered(person).command.email_hash
    answer = executed(executor, By(VISITOR, VerifyEmail(person, email_hash)))
    assert answer.rule is None, answer


def version(states: FollowedStates, stream: str = ADA) -> int | None:
    """The version of a person that is kept, or None."""
    known, state = states.get(stream)
    assert not known or isinstance(state, Person)
    return state.version if known else None


def test_what_moved_is_dropped_and_the_rest_is_kept(states: FollowedStates, executor: Executor) -> None:
    assert executed(executor, registered("prsn_01x")).rule is None
    states.look()
    states.load([ADA, "prsn_01x", SIGN_IN_POLICY, "prsn_unknown"])
    assert states.get("prsn_unknown") == (True, None)
    verify(executor)
    assert version(states) == 1, "nobody has looked yet"
    states.look()
    assert version(states) is None
    assert states.load([ADA])[ADA].status == "active"
    assert version(states) == 2
    assert version(states, "prsn_01x") == 1
    assert states.get(SIGN_IN_POLICY) == (True, None)
    executed(executor, By(ADMINISTRATOR, ChangeSignInPolicy(second_factor_roles=("operator",))))
    states.look()
    assert states.get(SIGN_IN_POLICY) == (False, None)
    assert version(states) == 2


def test_a_stream_that_begins_is_not_taken_for_one_that_is_not_there(
    states: FollowedStates, executor: Executor
) -> None:
    states.load(["prsn_02x"])
    assert states.get("prsn_02x") == (True, None)
    assert executed(executor, registered("prsn_02x")).rule is None
    states.look()
    assert states.get("prsn_02x") == (False, None)


def test_streams_of_other_kinds_are_read_and_not_kept(states: FollowedStates) -> None:
    claim = registered(ADA).command.streams[1]
    assert states.load([claim])[claim].holder == ADA
    assert states.get(claim) == (False, None)


def test_what_is_older_than_a_second_is_not_answered(states: FollowedStates, clock: Seconds) -> None:
    """So whoever is answered was seen within a second, whatever happens to the thread."""
    states.load([ADA])
    clock.now += FRESH_SECONDS
    assert version(states) == 1
    clock.now += POLL_SECONDS
    with pytest.raises(StaleError, match=r"was not read for 1\.2 s"):
        states.get(ADA)
    assert states.load([ADA])[ADA].version == 1, "the log itself is never stale"
    with pytest.raises(StaleError):
        states.get(ADA)
    states.look()
    assert version(states) == 1


def test_time_that_a_look_takes_counts(database18: Database, executor: Executor, clock: Seconds) -> None:
    """What it finds is known from its begin on: an event may have come just after the head was read."""

    def slow() -> Connection[Any]:
        clock.now += FRESH_SECONDS + POLL_SECONDS
        return connect(database18.api_url, application_name="slow")

    with followed(database18, clock, login=slow) as states:
        states.look()
        with pytest.raises(StaleError):
            states.get(ADA)


def test_another_epoch_drops_everything(states: FollowedStates, database18: Database) -> None:
    states.load([ADA])
    assert states.epoch == 1
    as_owner(database18, "UPDATE log.logs SET epoch = 2")
    states.look()
    assert states.epoch == 2
    assert version(states) is None


def test_a_restore_to_an_earlier_position_drops_everything(
    states: FollowedStates, executor: Executor, database18: Database
) -> None:
    """The same epoch, as after a restore that nobody declared: what was folded may never have happened."""
    verify(executor)
    states.look()
    states.load([ADA])
    assert version(states) == 2
    with psycopg.connect(database18.url) as owner:
        owner.execute("SET LOCAL session_replication_role = replica")  # without triggers: a restore has none
        owner.execute("DELETE FROM log.events WHERE stream = %s AND version = 2", (ADA,))
        owner.execute("UPDATE log.logs SET position = position - 1")
    states.look()
    assert version(states) is None
    assert states.load([ADA])[ADA].version == 1


@pytest.mark.parametrize(("behind", "kept"), [(MOST_BEHIND, 1), (MOST_BEHIND + 1, None)])
def test_too_far_behind_drops_everything(
    states: FollowedStates, database18: Database, behind: int, kept: int | None
) -> None:
    states.load([ADA])
    as_owner(database18, "UPDATE log.logs SET position = position + %s", (behind,))
    states.look()
    assert version(states) == kept


def test_memory_is_bounded(database18: Database, executor: Executor, clock: Seconds) -> None:
    names = [f"prsn_{number:02}y" for number in range(5)]
    with followed(database18, clock, most_kept=3) as states:
        states.look()
        for name in names:
            states.load([name])
        assert [states.get(name)[0] for name in names] == [False, False, True, True, True]
        assert states.load(names).keys() == set(names), "more than fit are read all the same"


def test_a_stream_that_a_newer_version_wrote_is_not_known(
    states: FollowedStates, database18: Database, executor: Executor
) -> None:
    """Its state would lack what the event says, such as a suspension of a new kind. Others are known."""
    assert executed(executor, registered("prsn_03x")).rule is None
    as_owner(
        database18,
        "INSERT INTO log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload,"
        " metadata)"
        " SELECT e.log, l.position + 1, l.position + 1, e.stream, 2, 'person.frozen.v1', e.recorded_at, e.encoding,"
        " '{}', e.metadata FROM log.events e JOIN log.logs l USING (log) WHERE e.stream = %s AND e.version = 1",
        (ADA,),
    )
    as_owner(database18, "UPDATE log.logs SET position = position + 1")
    states.look()
    for _ in range(2):
        with pytest.raises(StaleError, match=r"prsn_00x has an event person\.frozen\.v1"):
            states.load(["prsn_03x", ADA])
        assert states.get(ADA) == (False, None)
    assert states.load(["prsn_03x"])["prsn_03x"].version == 1


def test_what_was_read_before_an_event_is_not_kept_after_it(
    database18: Database, executor: Executor, clock: Seconds
) -> None:
    """The table in the module's docstring: the thread looks while a state is being read, and drops it afterwards."""
    reading, go_on = Event(), Event()

    def evolve(state: Any, event: Any) -> Any:
        reading.set()
        assert go_on.wait(60)
        return registry.evolve(state, event)

    with connect(database18.api_url, application_name="codec") as keys:
        fold = Fold(codec_of(keys, 1), evolve)
        with followed(database18, clock, fold=fold) as states:
            states.look()
            reader = Thread(target=states.load, args=([ADA],))
            reader.start()
            assert reading.wait(60)
            verify(executor)
            looker = Thread(target=states.look)
            looker.start()
            go_on.set()
            reader.join()
            looker.join()
            states.look()  # if the thread looked before the event came, this look finds it
            assert version(states) != 1
            assert states.load([ADA])[ADA].version == 2


def test_it_goes_on_after_its_connection_was_cut(database18: Database, executor: Executor) -> None:
    with followed(database18, monotonic) as states, states:
        states.load([ADA])
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'followed'"
        as_owner(database18, cut)
        verify(executor)
        wait_until(lambda: _has_dropped(states), "a look at the log after the cut")
        assert states.load([ADA])[ADA].version == 2


def _has_dropped(states: FollowedStates) -> bool:
    """Whether the log was read lately and the person is not kept. Between two questions it can become stale."""
    try:
        return version(states) is None
    except StaleError:
        return False


def test_a_log_that_is_not_there(database18: Database, clock: Seconds) -> None:
    def login() -> Connection[Any]:
        return connect(database18.api_url, application_name="followed")

    with login() as keys, executor_on(database18):
        states = FollowedStates(login, "other", Fold(codec_of(keys, 1), registry.evolve), PREFIXES, clock=clock)
        with pytest.raises(UnknownLogError):
            states.start()
        with pytest.raises(StaleError):
            states.get(ADA)
        states.close()
