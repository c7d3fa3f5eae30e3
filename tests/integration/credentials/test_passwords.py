"""Passwords: the event comes first, a retry is harmless, a newer row stays, and an unknown name costs the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.argon2_hashing import Argon2, Parameters
from eventstore.credentials.password_rules import MOST
from eventstore.credentials.passwords import Checked, Passwords
from eventstore.credentials.store import CredentialsError, Written
from tests.support.credentials import SMALL, MovedClock
from tests.support.postgres import Database

ADA, LOG = "prsn_ada", 1
OLD, NEW = "Vq7!kzRw", "Kp3?mnTz"

Pool = ConnectionPool[Connection[Any]]


@pytest.fixture
def argon2() -> Argon2:
    return Argon2(SMALL)


@pytest.fixture
def passwords(pool: Pool, argon2: Argon2, clock: MovedClock) -> Passwords:
    return Passwords(pool, LOG, argon2, clock)


def rows(database: Database) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.url) as superuser:
        return superuser.execute("SELECT person, version, hash FROM credentials.passwords ORDER BY person").fetchall()


def test_a_password_is_checked(passwords: Passwords) -> None:
    assert passwords.write(ADA, 3, passwords.hash(OLD)) is Written.WRITTEN
    assert passwords.check(ADA, OLD) == Checked(True, 3)
    assert passwords.check(ADA, NEW) == Checked(False, None)
    assert passwords.check("prsn_bob", OLD) == Checked(False, None)


def test_a_retry_changes_nothing_and_a_newer_row_is_never_replaced(passwords: Passwords, database: Database) -> None:
    passwords.write(ADA, 5, passwords.hash(OLD))
    before = rows(database)
    assert passwords.write(ADA, 5, passwords.hash(OLD)) is Written.ALREADY
    assert passwords.write(ADA, 4, passwords.hash(NEW)) is Written.SUPERSEDED
    assert rows(database) == before
    assert passwords.write(ADA, 6, passwords.hash(NEW)) is Written.WRITTEN
    assert passwords.check(ADA, NEW) == Checked(True, 6)
    assert not passwords.check(ADA, OLD).matches


def test_of_many_writes_at_once_the_newest_stays(passwords: Passwords, database: Database) -> None:
    hashes = {version: passwords.hash(f"Vq7!kzR{version}") for version in range(1, 21)}
    with ThreadPoolExecutor(8) as threads:
        written = list(
            threads.map(lambda one: passwords.write(ADA, one, hashes[one]), [*range(20, 0, -2), *range(1, 20)])
        )
    assert written.count(Written.WRITTEN) >= 1
    assert rows(database) == [(ADA, 20, hashes[20])]


def test_an_unknown_name_costs_exactly_one_call_of_argon2_too(passwords: Passwords, argon2: Argon2) -> None:
    passwords.write(ADA, 1, passwords.hash(OLD))
    for person, password in [
        (ADA, OLD),
        (ADA, NEW),
        (None, OLD),
        ("prsn_bob", OLD),
        (ADA, ""),
        (ADA, "x" * (MOST + 1)),
        (ADA, "x" * 1_000_000),
    ]:
        before = argon2.calls
        passwords.check(person, password)
        assert argon2.calls - before == 1


def test_a_row_that_is_older_than_the_last_event_is_not_used(passwords: Passwords, argon2: Argon2) -> None:
    """The process that was to write the new password has ended: the old one must not work any more."""
    passwords.write(ADA, 5, passwords.hash(OLD))
    before = argon2.calls
    assert passwords.check(ADA, OLD, version=6) == Checked(False, None)
    assert argon2.calls - before == 1
    assert passwords.check(ADA, OLD, version=5).matches
    assert passwords.write(ADA, 6, passwords.hash(NEW)) is Written.WRITTEN, "a retry of the command writes it"


def test_a_hash_with_old_parameters_is_made_anew_at_the_next_use(
    passwords: Passwords, pool: Pool, clock: MovedClock, database: Database
) -> None:
    passwords.write(ADA, 2, passwords.hash(OLD))
    dearer = Passwords(pool, LOG, Argon2(Parameters(2, 128, 1)), clock)
    assert not dearer.check(ADA, NEW).matches
    assert "m=64,t=1" in rows(database)[0][2], "a wrong password changes nothing"
    assert dearer.check(ADA, OLD) == Checked(True, 2)
    [(_, version, hash)] = rows(database)
    assert (version, "m=128,t=2" in hash) == (2, True)
    assert dearer.check(ADA, OLD) == Checked(True, 2)


def test_a_hash_that_is_made_anew_does_not_undo_a_change(
    passwords: Passwords, pool: Pool, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords.write(ADA, 2, passwords.hash(OLD))
    dearer = Passwords(pool, LOG, Argon2(Parameters(2, 128, 1)), clock)
    slow = dearer._argon2.hash

    def changed_meanwhile(password: str) -> str:
        passwords.write(ADA, 3, passwords.hash(NEW))
        return slow(password)

    monkeypatch.setattr(dearer._argon2, "hash", changed_meanwhile)
    assert dearer.check(ADA, OLD).matches
    assert passwords.check(ADA, NEW) == Checked(True, 3)


def test_each_log_has_its_own_persons(passwords: Passwords, pool: Pool, argon2: Argon2) -> None:
    passwords.write(ADA, 1, passwords.hash(OLD))
    assert not Passwords(pool, 2, argon2).check(ADA, OLD).matches


def test_what_the_table_refuses_is_an_error_without_its_values(passwords: Passwords) -> None:
    with pytest.raises(CredentialsError) as refused:
        passwords.write(ADA, 1, f"plain {OLD}")
    assert OLD not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    with pytest.raises(CredentialsError, match="1 to 100 visible ASCII characters"):
        passwords.check("no person\0", OLD)
