"""Makes the services of people who sign in: credentials by their own login, and the latest states of persons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Connection
from psycopg_pool import ConnectionPool

from api.gateway.access_tokens import AccessTokens, access_key
from api.gateway.persons import FOLLOWED, Persons
from api.services import People
from domain import registry
from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.attempts import Attempts, name_key
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Sessions
from eventstore.executor.followed_states import FollowedStates
from eventstore.executor.stream_states import Fold
from eventstore.keys.keyed_hashes import KeyedHashes
from eventstore.log.read import read_uuid
from eventstore.postgres.connect import connect, pool_of
from workers import clock_and_ids
from workers.composition import WriteSide
from workers.settings import Settings

MOST_CONNECTIONS: Final = 4
"""Of the login of credentials, in each process."""
WAIT_SECONDS, STATEMENT_SECONDS = 5.0, 5.0


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
    **more: Any,
) -> Iterator[People]:
    """The services on these connections: `pool` of the login of credentials, `connected` of one that reads the log.

    `more` has other arguments of `People`.
    """
    log_number, sealer = side.log_number, side.codec.sealer
    current, previous = master_keys
    with connected() as connection:
        uuid = read_uuid(connection, log_number)
    tokens = AccessTokens(access_key(current), uuid, clock, None if previous is None else access_key(previous))
    keys = ApiKeys(pool, log_number, clock)
    with FollowedStates(connected, side.log, Fold(side.codec, registry.evolve), FOLLOWED) as states:
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
