"""Makes the services of people who sign in: credentials by their own login, and the latest states of persons."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection
from psycopg_pool import ConnectionPool

from api.gateway.access_tokens import AccessTokens, access_key
from api.gateway.persons import FOLLOWED, Persons
from api.services import People
from domain import registry
from domain.people.person.state import Person
from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.attempts import Attempts, name_key
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Sessions
from eventstore.credentials.store import CredentialsError
from eventstore.credentials.sweeper import PersonRecord, Sweeper
from eventstore.executor.followed_states import FRESH_SECONDS, FollowedStates, StaleError
from eventstore.executor.stream_states import Fold
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.keys.master_keys import SealingError
from eventstore.log.read import read_uuid
from eventstore.postgres.connect import connect, pool_of
from workers import clock_and_ids
from workers.composition import WriteSide
from workers.settings import Settings

MOST_CONNECTIONS: Final = 4
"""Of the login of credentials, in each process."""
WAIT_SECONDS, STATEMENT_SECONDS = 5.0, 5.0
SWEEP_SECONDS: Final = 600.0
"""Between two sweeps of a process."""
SWEEP_STATEMENT_SECONDS: Final = 60.0

logger = logging.getLogger(__name__)


@contextmanager
def people_services(settings: Settings, side: WriteSide) -> Iterator[People]:
    """The services, as long as the block lasts. Raises `psycopg.OperationalError` and `SettingsError`."""
    url = settings.api_url()

    def connected() -> Connection[Any]:
        return connect(url, application_name="daybook-people", statement_seconds=STATEMENT_SECONDS)

    with pool_of(
        settings.credentials_url(),
        application_name="daybook-credentials",
        most=MOST_CONNECTIONS,
        wait_seconds=WAIT_SECONDS,
        statement_seconds=STATEMENT_SECONDS,
    ) as pool:
        pool.wait(WAIT_SECONDS)
        master_keys = MasterKeyBytes(settings.master_key_bytes(), settings.previous_master_key_bytes())
        with made_people(pool, connected, side, master_keys, clock_and_ids.now, Argon2()) as people:
            yield people


@contextmanager
def swept(settings: Settings, side: WriteSide, states: FollowedStates, pause: float = SWEEP_SECONDS) -> Iterator[None]:
    """A thread that sweeps the tables of credentials, as long as the block lasts. Several processes may do so at once.

    `pause` is the number of seconds between two sweeps.
    """
    stop = Event()

    def sweep() -> None:
        with pool_of(
            settings.credentials_url(),
            application_name="daybook-sweeper",
            most=1,
            wait_seconds=WAIT_SECONDS,
            statement_seconds=SWEEP_STATEMENT_SECONDS,
        ) as pool:
            sweeper = Sweeper(pool, side.log_number, clock_and_ids.now)
            while not stop.wait(pause):
                try:
                    done = sweeper.sweep(lambda persons: records_of(states, persons))
                except (psycopg.Error, CredentialsError, SealingError, StaleError) as error:
                    logger.warning("credentials could not be swept: %s", type(error).__name__)
                    continue
                if done.total:
                    logger.info("credentials were swept: %s", ", ".join(f"{n} {kind}" for kind, n in done.rows.items()))

    thread = Thread(target=sweep, name="sweeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def records_of(states: FollowedStates, persons: Sequence[str]) -> Mapping[str, PersonRecord]:
    """What the streams of these persons say about their credentials."""
    found = {id: state for id, state in states.load(persons).items() if isinstance(state, Person)}
    return {id: record_of(person) for id, person in found.items()}


def record_of(person: Person) -> PersonRecord:
    """What the stream of a person says about their credentials."""
    return PersonRecord(
        version=person.version,
        password=person.password,
        sessions=person.sessions_since,
        sessions_but=person.sessions_but,
        second_factor=person.second_factor,
        keys=frozenset(key.id for key in person.keys),
        deleted=person.status == "deleted",
    )


class MasterKeyBytes(NamedTuple):
    """The master key, and the one before while it is rotated."""

    current: bytes
    previous: bytes | None = None


@contextmanager
def made_people(
    pool: ConnectionPool[Connection[Any]],
    connected: Callable[[], Connection[Any]],
    side: WriteSide,
    master_keys: MasterKeyBytes,
    clock: Callable[[], datetime],
    argon2: Argon2,
    *,
    fresh_seconds: float = FRESH_SECONDS,
    **more: Any,
) -> Iterator[People]:
    """The services on these connections: `pool` of the login of credentials, `connected` of one that reads the log.

    `fresh_seconds` is that of `FollowedStates`. `more` has other arguments of `People`.
    """
    log_number, sealer = side.log_number, side.codec.sealer
    current, previous = master_keys
    with connected() as connection:
        uuid = read_uuid(connection, log_number)
    tokens = AccessTokens(access_key(current), uuid, clock, None if previous is None else access_key(previous))
    keys = ApiKeys(pool, log_number, clock)
    fold = Fold(side.codec, registry.evolve)
    with FollowedStates(connected, side.log, fold, FOLLOWED, fresh_seconds=fresh_seconds) as states:
        yield People(
            states=states,
            persons=Persons(states, tokens, keys, clock),
            tokens=tokens,
            hashes=KeyedHashes(sealer),
            passwords=Passwords(pool, log_number, argon2, clock),
            sessions=Sessions(pool, log_number, clock),
            mail_tokens=MailTokens(pool, log_number, clock),
            second_factor=SecondFactor(pool, log_number, sealer, clock),
            api_keys=keys,
            attempts=Attempts(pool, log_number, name_key(current), clock),
            **more,
        )
