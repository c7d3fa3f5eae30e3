"""API keys: shown once, found by their hash, replaced with an overlap, ended for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from eventstore.credentials.api_keys import LONGEST_OVERLAP, ApiKey, ApiKeys, Refused
from eventstore.credentials.key_text import new_key
from eventstore.credentials.scopes import Scope
from eventstore.credentials.store import CredentialsError
from tests.support.credentials import NOON, MovedClock

ADA, LOG = "prsn_ada", 1
SCOPE = Scope(frozenset({"accounts"}), "command", frozenset({"acct_1"}))
TICK = timedelta(microseconds=1)


@pytest.fixture
def keys(pool: ConnectionPool[Connection[Any]], clock: MovedClock) -> ApiKeys:
    return ApiKeys(pool, LOG, clock)


def made(keys: ApiKeys, key: str = "akey_1", version: int = 4, days: int | None = None, person: str = ADA) -> str:
    expires_at = None if days is None else NOON + timedelta(days=days)
    secret = keys.create(key, person, version, name="nightly import", scope=SCOPE, per_minute=60, expires_at=expires_at)
    assert secret is not None
    return secret.reveal()


def found(keys: ApiKeys, text: str) -> str:
    """The id of the key, or why it is refused."""
    result = keys.find(text)
    return result.key if isinstance(result, ApiKey) else result.reason


def test_a_key_is_found_with_what_it_may_do(keys: ApiKeys) -> None:
    text = made(keys)
    assert keys.find(text) == ApiKey(
        "akey_1", ADA, 4, "nightly import", text[:12], SCOPE, 60, NOON, None, None, None, None, None
    )


def test_it_is_shown_once(keys: ApiKeys) -> None:
    text = made(keys)
    again = keys.create("akey_1", ADA, 4, name="nightly import", scope=SCOPE, per_minute=60)
    assert again is None, "a retry shows nothing, and the key that was shown stays"
    assert found(keys, text) == "akey_1"


def test_a_typo_is_told_from_a_wrong_key(keys: ApiKeys) -> None:
    text = made(keys)
    assert found(keys, text[:-1] + ("a" if text[-1] != "a" else "b")) == "mistyped"
    assert found(keys, text + "a") == "mistyped"
    assert found(keys, text[:20]) == "mistyped"
    assert found(keys, new_key().reveal()) == "unknown"
    for other in ("", "daybook_command_abc", "x" * 1_000_000, "\ud800"):
        assert found(keys, other) == "unknown"


def test_a_key_works_until_just_before_its_expiry_and_never_again(keys: ApiKeys, clock: MovedClock) -> None:
    text = made(keys, days=30)
    clock.now = NOON + timedelta(days=30) - TICK
    assert found(keys, text) == "akey_1"
    clock.now += TICK
    assert found(keys, text) == "expired"
    clock.now = NOON
    assert found(keys, text) == "ended", "a clock that steps back does not bring it back"


def test_a_clock_that_steps_back_after_the_last_use_is_read_as_that_time(keys: ApiKeys, clock: MovedClock) -> None:
    text = made(keys, days=30)
    clock.now = NOON + timedelta(days=29)
    assert found(keys, text) == "akey_1"
    clock.now = NOON - timedelta(days=300)
    assert found(keys, text) == "akey_1"
    assert [one.last_used_at for one in keys.of(ADA)] == [NOON + timedelta(days=29)]


def test_the_last_use_is_kept_to_a_minute(keys: ApiKeys, clock: MovedClock) -> None:
    text, used = made(keys), []
    for _ in range(3):
        keys.find(text)
        used += [one.last_used_at for one in keys.of(ADA)]
        clock.move(seconds=30)
    assert used == [NOON, NOON, NOON + timedelta(minutes=1)]


def test_both_keys_work_until_the_overlap_has_ended(keys: ApiKeys, clock: MovedClock) -> None:
    old = made(keys)
    secret = keys.rotate("akey_1", "akey_2", 7, overlap=timedelta(days=2))
    assert secret is not None
    new = keys.find(secret.reveal())
    assert isinstance(new, ApiKey)
    assert (new.key, new.version, new.name, new.scope, new.per_minute) == ("akey_2", 7, "nightly import", SCOPE, 60)
    clock.now = NOON + timedelta(days=2) - TICK
    assert (found(keys, old), found(keys, secret.reveal())) == ("akey_1", "akey_2")
    clock.now += TICK
    assert (found(keys, old), found(keys, secret.reveal())) == ("expired", "akey_2")


def test_a_retry_of_a_rotation_shows_nothing_and_changes_nothing(keys: ApiKeys) -> None:
    made(keys)
    assert keys.rotate("akey_1", "akey_2", 7, overlap=timedelta(days=2)) is not None
    before = keys.of(ADA)
    assert keys.rotate("akey_1", "akey_2", 7, overlap=timedelta(days=2)) is None
    assert keys.of(ADA) == before


def test_of_many_rotations_at_once_one_replaces_the_key(keys: ApiKeys) -> None:
    for number in range(10):
        made(keys, f"akey_{number}")

        def rotate(other: int, number: int = number) -> str:
            try:
                keys.rotate(f"akey_{number}", f"akey_{number}_{other}", 7, overlap=timedelta(0))
            except CredentialsError:
                return "refused"
            return "replaced"

        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(rotate, range(4)))
        assert results.count("replaced") == 1
    assert len(keys.of(ADA)) == 20


def test_a_key_that_is_not_in_force_is_not_replaced(keys: ApiKeys, clock: MovedClock) -> None:
    made(keys, "akey_1")
    made(keys, "akey_2", days=1)
    assert keys.end("akey_1")
    clock.move(days=1)
    for old in ("akey_1", "akey_2", "akey_none"):
        with pytest.raises(CredentialsError, match=f"the key {old} is not in force"):
            keys.rotate(old, f"{old}_new", 7, overlap=timedelta(0))


@pytest.mark.parametrize("overlap", [-TICK, LONGEST_OVERLAP + TICK])
def test_an_overlap_has_bounds(keys: ApiKeys, overlap: timedelta) -> None:
    made(keys)
    with pytest.raises(CredentialsError, match="an overlap lasts up to 30 days"):
        keys.rotate("akey_1", "akey_2", 7, overlap=overlap)
    assert keys.rotate("akey_1", "akey_2", 7, overlap=LONGEST_OVERLAP) is not None


def test_a_key_is_ended_once(keys: ApiKeys) -> None:
    text = made(keys)
    assert keys.end("akey_1")
    assert not keys.end("akey_1")
    assert keys.find(text) == Refused("ended", "akey_1")


def test_all_keys_of_a_person_end_before_a_version(keys: ApiKeys) -> None:
    texts = [made(keys, f"akey_{number}", version=number) for number in (1, 2, 3)]
    made(keys, "akey_bob", version=1, person="prsn_bob")
    assert sorted(keys.end_all(ADA, 3)) == ["akey_1", "akey_2"]
    assert [found(keys, text) for text in texts] == ["ended", "ended", "akey_3"]
    assert [one.ended_at for one in keys.of("prsn_bob")] == [None]


def test_names_and_times_have_bounds(keys: ApiKeys) -> None:
    for name in ("", "x" * 101, "line\nbreak"):
        with pytest.raises(CredentialsError, match="1 to 100 printable characters"):
            keys.create("akey_1", ADA, 1, name=name, scope=SCOPE, per_minute=60)
    with pytest.raises(CredentialsError, match="cannot expire at"):
        keys.create("akey_1", ADA, 1, name="x" * 100, scope=SCOPE, per_minute=60, expires_at=NOON)
    assert keys.create("akey_1", ADA, 1, name="x" * 100, scope=SCOPE, per_minute=1, expires_at=NOON + TICK)
