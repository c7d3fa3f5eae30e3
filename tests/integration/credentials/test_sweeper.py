"""The sweeper: each crash between an event and its row is repaired, old rows go, in bounded batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.api_keys import ApiKeys
from eventstore.credentials.argon2_hashing import Argon2
from eventstore.credentials.attempts import Attempts, Subject
from eventstore.credentials.mail_tokens import MailTokens
from eventstore.credentials.passwords import Passwords
from eventstore.credentials.rotation import LIFETIMES
from eventstore.credentials.scopes import Scope
from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.sessions import Refreshed, Sessions
from eventstore.credentials.sweeper import RETENTION, People, PersonRecord, Sweeper
from eventstore.credentials.totp_codes import code_of, step_at
from eventstore.keys.sealing import Sealer
from tests.support.credentials import SMALL, MovedClock
from tests.support.keys import Keys
from tests.support.postgres import Database

ADA, BOB, LOG = "prsn_ada", "prsn_bob", 1
PASSWORD = "Vq7!kzRw"
TABLES = ("passwords", "sessions", "refresh_tokens", "mail_tokens", "totp", "recovery_codes", "api_keys", "attempts")
Pool = ConnectionPool[Connection[Any]]


class Stores:
    """All stores on one pool and one clock."""

    def __init__(self, pool: Pool, clock: MovedClock) -> None:
        self.clock = clock
        self.passwords = Passwords(pool, LOG, Argon2(SMALL), clock)
        self.sessions = Sessions(pool, LOG, clock)
        self.mail_tokens = MailTokens(pool, LOG, clock)
        self.factor = SecondFactor(pool, LOG, Sealer(Keys(), bytes(32)), clock)
        self.keys = ApiKeys(pool, LOG, clock)
        self.attempts = Attempts(pool, LOG, bytes(32), clock)
        self.sweeper = Sweeper(pool, LOG, clock, batch=3)

    def password(self, person: str, version: int) -> None:
        self.passwords.write(person, version, self.passwords.hash(PASSWORD))

    def session(self, person: str, version: int) -> str:
        opened = self.sessions.open(f"sess_{person}_{version}", person, version)
        assert opened is not None
        return opened.token.reveal()

    def key(self, person: str, version: int) -> str:
        name = f"akey_{person}_{version}"
        self.keys.create(name, person, version, name="x", scope=Scope(frozenset({"posts"})), per_minute=1)
        return name

    def second_factor(self, person: str, version: int | None) -> None:
        """A confirmed secret; in force with a version."""
        begun = self.factor.begin(person, "name", "Daybook")
        assert begun is not None
        assert self.factor.confirm(person, code_of(begun.secret, step_at(self.clock.now)))
        if version is not None:
            self.factor.activate(person, version)

    def everything(self, person: str, version: int) -> None:
        """A row of each kind."""
        self.password(person, version)
        self.session(person, version)
        self.mail_tokens.issue(person, "verify", version)
        self.second_factor(person, version)
        self.factor.make_codes(person, version)
        self.key(person, version)
        self.attempts.begin([Subject("person", person)])


@pytest.fixture
def stores(pool: Pool, clock: MovedClock) -> Stores:
    return Stores(pool, clock)


def people(**records: PersonRecord) -> People:
    """The records of persons by the end of their ids."""
    known = {f"prsn_{name}": record for name, record in records.items()}

    def asked(persons: Sequence[str]) -> Mapping[str, PersonRecord]:
        return {person: known[person] for person in persons if person in known}

    return asked


def counts(database: Database, person: str | None = None) -> dict[str, int]:
    """Rows by table; those of a person, if one is named."""
    found = {}
    with psycopg.connect(database.url) as superuser:
        for table in TABLES:
            where = {"refresh_tokens": "session LIKE '%%' || %s || '%%'", "attempts": "subject = %s"}.get(
                table, "person = %s"
            )
            query = f"SELECT count(*) FROM credentials.{table}" + (f" WHERE {where}" if person else "")
            row = superuser.execute(query.encode(), (person,) if person else ()).fetchone()
            assert row is not None
            found[table] = row[0]
    return found


GOOD = PersonRecord(5, password=5, second_factor=5, keys=frozenset({f"akey_{ADA}_5"}))
GOOD_BOB = replace(GOOD, keys=frozenset({f"akey_{BOB}_5"}))


def test_what_agrees_with_the_events_stays(stores: Stores, database: Database) -> None:
    stores.everything(ADA, 5)
    before = counts(database)
    stores.clock.move(hours=2)
    assert stores.sweeper.sweep(people(ada=GOOD)).total == 0
    assert counts(database) == before


def test_rows_of_a_person_whose_event_never_came_are_removed_after_an_hour(stores: Stores, database: Database) -> None:
    stores.everything(ADA, 5)
    before = counts(database)
    stores.clock.move(hours=1, microseconds=-1)
    for known in (people(), people(ada=PersonRecord(4))):
        assert stores.sweeper.sweep(known).total == 0, "the stream may have been read too early"
    assert counts(database) == before
    stores.clock.move(microseconds=1)
    stores.sweeper.sweep(people(ada=PersonRecord(4)))
    left = counts(database, ADA)
    assert {name: number for name, number in left.items() if number} == {"attempts": 1}


def test_a_deleted_person_leaves_nothing_and_others_stay(stores: Stores, database: Database) -> None:
    stores.everything(ADA, 5)
    stores.everything(BOB, 5)
    before = counts(database, BOB)
    stores.sweeper.sweep(people(ada=PersonRecord(9, deleted=True), bob=GOOD_BOB))
    assert set(counts(database, ADA).values()) == {0}
    assert counts(database, BOB) == before


def test_a_person_is_forgotten_at_once(stores: Stores, database: Database) -> None:
    stores.everything(ADA, 5)
    stores.everything(BOB, 5)
    assert stores.sweeper.forget(ADA).total > 0
    assert set(counts(database, ADA).values()) == {0}
    assert counts(database, BOB)["passwords"] == 1


def test_an_old_password_is_removed_if_the_new_one_was_never_written(stores: Stores) -> None:
    stores.password(ADA, 5)
    assert stores.sweeper.sweep(people(ada=PersonRecord(7, password=7))).rows == {"passwords": 1}
    stores.password(ADA, 7)
    assert stores.sweeper.sweep(people(ada=PersonRecord(6, password=5))).total == 0, "read before the event"
    assert stores.passwords.check(ADA, PASSWORD).version == 7


def test_sessions_that_should_have_ended_end(stores: Stores) -> None:
    before, after = stores.session(ADA, 3), stores.session(ADA, 4)
    assert stores.sweeper.sweep(people(ada=PersonRecord(4, sessions=4))).rows == {"sessions ended": 1}
    assert not isinstance(stores.sessions.refresh(before), Refreshed)
    assert isinstance(stores.sessions.refresh(after), Refreshed)


def test_a_confirmed_second_factor_is_put_in_force(stores: Stores) -> None:
    stores.second_factor(ADA, None)
    assert stores.sweeper.sweep(people(ada=PersonRecord(6))).total == 0, "its event has not come"
    assert stores.sweeper.sweep(people(ada=PersonRecord(7, second_factor=7))).rows == {"second factors put in force": 1}
    assert stores.factor.in_force(ADA) == 7


def test_a_second_factor_that_should_be_off_is_removed(stores: Stores) -> None:
    stores.second_factor(ADA, 7)
    stores.factor.make_codes(ADA, 7)
    assert stores.sweeper.sweep(people(ada=PersonRecord(6))).total == 0, "read before the event"
    assert stores.sweeper.sweep(people(ada=PersonRecord(8))).rows == {"second factors": 1, "recovery codes": 10}


def test_a_key_that_should_have_ended_ends(stores: Stores) -> None:
    kept, ended, newer = (stores.key(ADA, version) for version in (3, 4, 9))
    assert stores.sweeper.sweep(people(ada=PersonRecord(8, keys=frozenset({kept})))).rows == {"API keys ended": 1}
    assert {one.key for one in stores.keys.of(ADA) if one.ended_at is not None} == {ended}
    assert newer


def test_rows_past_their_retention_are_removed_and_not_before(stores: Stores, database: Database) -> None:
    begun = stores.clock.now
    stores.sessions.refresh(stores.session(ADA, 1))
    stores.mail_tokens.issue(ADA, "reset", 1)
    stores.factor.begin(ADA, "ada", "Daybook")
    stores.attempts.begin([Subject("person", ADA)])
    stores.keys.end(stores.key(ADA, 1))
    known = people(ada=PersonRecord(1))
    due = {
        "attempts": RETENTION["attempts"],
        "begun second factors": RETENTION["begun second factors"],
        "mail tokens": timedelta(hours=1) + RETENTION["mail tokens"],
        "refresh tokens": LIFETIMES.idle + RETENTION["refresh tokens"],
        "sessions": LIFETIMES.absolute + RETENTION["sessions"],
        "API keys": RETENTION["API keys"],
    }
    for after in sorted(set(due.values())):
        stores.clock.now = begun + after - timedelta(microseconds=1)
        assert stores.sweeper.sweep(known).total == 0
        stores.clock.now = begun + after
        assert stores.sweeper.sweep(known).rows == {f"past {kind}": 1 for kind in due if due[kind] == after}
    assert set(counts(database).values()) == {0}


def test_work_is_done_in_bounded_batches(pool: Pool, clock: MovedClock, database: Database) -> None:
    attempts = Attempts(pool, LOG, bytes(32), clock)
    passwords = Passwords(pool, LOG, Argon2(SMALL), clock)
    for number in range(10):
        attempts.begin([attempts.of_name(None, f"name {number}")])
        passwords.write(f"prsn_{number}", 1, passwords.hash(PASSWORD))
    clock.move(days=1)
    asked: list[Sequence[str]] = []

    def nobody(persons: Sequence[str]) -> Mapping[str, PersonRecord]:
        asked.append(persons)
        return {}

    first = Sweeper(pool, LOG, clock, batch=2, most_batches=3).sweep(nobody)
    assert (first.rows, first.more) == ({"passwords": 6, "past attempts": 6}, True)
    assert [len(persons) for persons in asked] == [2, 2, 2]
    second = Sweeper(pool, LOG, clock, batch=2, most_batches=3).sweep(nobody)
    assert (second.rows, second.more) == ({"passwords": 4, "past attempts": 4}, False)
    assert set(counts(database).values()) == {0}


def test_another_log_of_the_database_is_not_touched(stores: Stores, pool: Pool, database: Database) -> None:
    stores.everything(ADA, 5)
    before = counts(database)
    stores.clock.move(days=400)
    assert Sweeper(pool, 2, stores.clock).sweep(people()).total == 0
    assert counts(database) == before
