"""The second factor: enrolment before its event, codes once, recovery codes, erasure, races and clocks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.second_factor import SecondFactor
from eventstore.credentials.store import CredentialsError, Written
from eventstore.credentials.tokens import Secret
from eventstore.credentials.totp_codes import code_of, step_at
from eventstore.keys.master_keys import SealingError
from eventstore.keys.sealing import Sealer
from tests.support.credentials import MovedClock
from tests.support.keys import Keys
from tests.support.postgres import Database

ADA, LOG = "prsn_ada", 1


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def factor(pool: ConnectionPool[Connection[Any]], clock: MovedClock, keys: Keys) -> SecondFactor:
    return SecondFactor(pool, LOG, Sealer(keys, bytes(range(32))), clock)


def begun(factor: SecondFactor) -> Secret:
    enrolment = factor.begin(ADA, "ada", "Daybook")
    assert enrolment is not None
    return enrolment.secret


def code(secret: Secret, clock: MovedClock, offset: int = 0) -> str:
    return code_of(secret, step_at(clock.now) + offset)


def in_force(factor: SecondFactor, clock: MovedClock, version: int = 4) -> Secret:
    """A second factor that is in force, and whose code of confirmation is past."""
    secret = begun(factor)
    assert factor.confirm(ADA, code(secret, clock))
    assert factor.activate(ADA, version) is Written.WRITTEN
    clock.move(minutes=2)
    return secret


def test_it_is_in_force_once_its_event_has_come(factor: SecondFactor, clock: MovedClock) -> None:
    secret = begun(factor)
    assert not factor.check(ADA, code(secret, clock)), "begun only"
    assert not factor.confirm(ADA, "000000" if code(secret, clock) != "000000" else "111111")
    assert factor.confirm(ADA, code(secret, clock))
    assert factor.in_force(ADA) is None
    assert factor.activate(ADA, 4) is Written.WRITTEN
    assert factor.activate(ADA, 4) is Written.ALREADY
    assert factor.in_force(ADA) == 4
    assert not factor.check(ADA, code(secret, clock)), "the code was used to confirm"
    clock.move(seconds=30)
    assert factor.check(ADA, code(secret, clock))


def test_a_code_works_once(factor: SecondFactor, clock: MovedClock) -> None:
    secret = in_force(factor, clock)
    for offset in (-1, 0, 1):
        assert factor.check(ADA, code(secret, clock, offset))
        assert not factor.check(ADA, code(secret, clock, offset))
    assert not factor.check(ADA, code(secret, clock))
    clock.move(minutes=-30)
    assert not factor.check(ADA, code(secret, clock)), "a clock that steps back gives no code back"


def test_of_many_requests_with_one_code_one_is_let_in(factor: SecondFactor, clock: MovedClock) -> None:
    secret = in_force(factor, clock)
    for _ in range(15):
        clock.move(minutes=2)
        present = code(secret, clock)
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _, present=present: factor.check(ADA, present), range(4)))
        assert results.count(True) == 1


def test_what_was_not_confirmed_is_not_put_in_force(factor: SecondFactor, clock: MovedClock) -> None:
    with pytest.raises(CredentialsError, match="no second factor was confirmed"):
        factor.activate(ADA, 4)
    begun(factor)
    with pytest.raises(CredentialsError, match="begin again"):
        factor.activate(ADA, 4)


def test_a_confirmed_secret_is_not_replaced_while_its_event_is_on_the_way(
    factor: SecondFactor, clock: MovedClock
) -> None:
    """Else the event would put a secret in force that nobody confirmed."""
    first = begun(factor)
    second = begun(factor)
    assert not factor.confirm(ADA, code(first, clock)), "until then a new one takes the place"
    assert factor.confirm(ADA, code(second, clock))
    assert factor.begin(ADA, "ada", "Daybook") is None
    clock.move(hours=1)
    assert factor.begin(ADA, "ada", "Daybook") is None
    clock.move(microseconds=1)
    begun(factor)
    clock.move(days=-1)
    begun(factor)


def test_an_enrolment_is_confirmed_within_an_hour(factor: SecondFactor, clock: MovedClock) -> None:
    secret = begun(factor)
    clock.move(hours=1, microseconds=-1)
    last = code(secret, clock)
    clock.move(microseconds=1)
    assert not factor.confirm(ADA, last)
    clock.move(microseconds=-1)
    assert factor.confirm(ADA, last)


def test_a_new_secret_replaces_the_one_in_force_with_its_event(factor: SecondFactor, clock: MovedClock) -> None:
    first = in_force(factor, clock, 4)
    second = begun(factor)
    assert factor.check(ADA, code(first, clock)), "the first is in force until then"
    assert factor.confirm(ADA, code(second, clock))
    assert factor.activate(ADA, 9) is Written.WRITTEN
    clock.move(minutes=2)
    assert not factor.check(ADA, code(first, clock))
    assert factor.check(ADA, code(second, clock))
    assert factor.activate(ADA, 4) is Written.SUPERSEDED


def test_it_is_switched_off_by_a_later_event(factor: SecondFactor, clock: MovedClock) -> None:
    secret = in_force(factor, clock, 4)
    codes = factor.make_codes(ADA, 4)
    assert codes is not None
    factor.remove(ADA, 4)
    assert factor.in_force(ADA) == 4, "an event of the same version switched it on"
    factor.remove(ADA, 5)
    assert not factor.check(ADA, code(secret, clock))
    assert not factor.use_recovery_code(ADA, codes[0].reveal())


def test_each_recovery_code_works_once(factor: SecondFactor) -> None:
    codes = factor.make_codes(ADA, 4)
    assert codes is not None
    for left, one in zip(range(9, -1, -1), codes, strict=True):
        assert factor.use_recovery_code(ADA, one.reveal().lower().replace("-", " "))
        assert not factor.use_recovery_code(ADA, one.reveal())
        assert factor.codes_left(ADA) == left
    for wrong in ("", "AAAA-AAAA-AAAA-AAAA", "x" * 1_000_000, "\ud800"):
        assert not factor.use_recovery_code(ADA, wrong)


def test_a_retry_shows_no_other_codes_and_a_later_event_replaces_them(factor: SecondFactor) -> None:
    first = factor.make_codes(ADA, 4)
    assert first is not None
    assert factor.make_codes(ADA, 4) is None
    assert factor.make_codes(ADA, 3) is None
    second = factor.make_codes(ADA, 6)
    assert second is not None
    assert not factor.use_recovery_code(ADA, first[0].reveal())
    assert factor.use_recovery_code(ADA, second[0].reveal())
    assert factor.codes_left(ADA) == 9


def test_of_two_sets_at_once_one_is_made(factor: SecondFactor) -> None:
    for version in range(1, 16):
        with ThreadPoolExecutor(4) as threads:
            made = [one for one in threads.map(lambda _, v=version: factor.make_codes(ADA, v), range(4)) if one]
        assert len(made) == 1
        assert all(factor.use_recovery_code(ADA, one.reveal()) for one in made[0])


def test_of_many_requests_with_one_recovery_code_one_is_let_in(factor: SecondFactor) -> None:
    codes = factor.make_codes(ADA, 1)
    assert codes is not None
    for one in codes:
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _, one=one: factor.use_recovery_code(ADA, one.reveal()), range(4)))
        assert results.count(True) == 1


def test_the_secret_is_sealed_and_opens_for_its_person_only(
    factor: SecondFactor, clock: MovedClock, database: Database
) -> None:
    secret = in_force(factor, clock)
    with psycopg.connect(database.url) as superuser:
        [(sealed,)] = superuser.execute("SELECT sealed FROM credentials.totp").fetchall()
        assert sealed.startswith("2.")
        assert secret.reveal() not in sealed
        superuser.execute(
            "INSERT INTO credentials.totp SELECT log, 'prsn_eve', version, sealed, begun_at, last_step"
            " FROM credentials.totp"
        )
    factor._sealer.prepare(["prsn_eve"])
    with pytest.raises(SealingError, match="does not open with the key of prsn_eve"):
        factor.check("prsn_eve", code(secret, clock))


def test_an_erased_person_has_no_second_factor(factor: SecondFactor, clock: MovedClock, keys: Keys) -> None:
    secret = in_force(factor, clock)
    keys.keys[ADA] = None
    factor._sealer.forget()
    assert not factor.check(ADA, code(secret, clock))
    with pytest.raises(SealingError, match="was erased"):
        factor.begin(ADA, "ada", "Daybook")
