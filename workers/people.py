"""Makes the services of people who sign in: credentials by their own login, and the latest states of persons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
    clock, log_number = clock_and_ids.now, side.log_number
    url = settings.api_url()
    with (
        pool_of(
            settings.credentials_url(),
            application_name="daybook-credentials",
            most=MOST_CONNECTIONS,
            wait_seconds=WAIT_SECONDS,
            statement_seconds=STATEMENT_SECONDS,
        ) as pool,
        FollowedStates(
            lambda: connect(url, application_name="daybook-people", statement_seconds=STATEMENT_SECONDS),
            settings.log,
            Fold(side.codec, registry.evolve),
            FOLLOWED,
        ) as states,
    ):
        pool.wait(WAIT_SECONDS)
        master_key, previous = settings.master_key_bytes(), settings.previous_master_key_bytes()
        with connect(url, application_name="daybook-people") as connection:
            uuid = read_uuid(connection, log_number)
        tokens = AccessTokens(access_key(master_key), uuid, clock, None if previous is None else access_key(previous))
        keys = ApiKeys(pool, log_number, clock)
        yield People(
            states=states,
            persons=Persons(states, tokens, keys, clock),
            tokens=tokens,
            hashes=KeyedHashes(side.codec.sealer),
            passwords=Passwords(pool, log_number, Argon2(), clock),
            sessions=Sessions(pool, log_number, clock),
            mail_tokens=MailTokens(pool, log_number, clock),
            second_factor=SecondFactor(pool, log_number, side.codec.sealer, clock),
            api_keys=keys,
            attempts=Attempts(pool, log_number, name_key(master_key), clock),
        )
