"""The master keys of a process and of its database: which processes are accepted, and which key wraps new keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventstore.keys.master_keys import (
    FINGERPRINT_BYTES,
    WRAPPED_BYTES,
    KnownMasterKey,
    MasterKeyError,
    MasterKeys,
    SealingError,
    WrappedKey,
    fingerprint,
    wrap,
)
from eventstore.keys.sealing import Place, Sealer
from tests.support.keys import Keys

FIRST, SECOND, OTHER = (bytes([n]) * 32 for n in (1, 2, 3))
PLACE = Place("acct_1", 1, "account.opened.v1", "name", "ada")


def known(*statuses: str) -> Keys:
    """A database that has FIRST, then SECOND, with these statuses."""
    keys = Keys()
    keys.known = [
        KnownMasterKey(number, fingerprint(key), status)  # type: ignore[arg-type]
        for number, (key, status) in enumerate(zip((FIRST, SECOND), statuses, strict=False), 1)
    ]
    return keys


def wrapped(keys: Keys, subject: str, by: bytes, number: int = 1) -> None:
    keys.keys[subject] = WrappedKey(wrap(AESGCM(by), subject, subject[:1].encode() * 32), number)


def test_a_fingerprint_distinguishes_keys_and_does_not_contain_them() -> None:
    assert fingerprint(FIRST) == fingerprint(bytes(FIRST)) != fingerprint(SECOND)
    assert len(fingerprint(FIRST)) == FINGERPRINT_BYTES
    assert FIRST[:4] not in fingerprint(FIRST)


@pytest.mark.parametrize(
    ("statuses", "present", "previous", "why"),
    [
        (["current"], OTHER, None, "this database is used with the master key"),
        (["current"], OTHER, SECOND, "this database is used with the master key"),
        (["retired", "current"], FIRST, None, "which this database has retired"),
        (["retired", "current"], FIRST, SECOND, "which this database has retired"),
        (["superseded", "current"], FIRST, None, "this database is used with the master key"),
        (["superseded", "current"], SECOND, None, "set DAYBOOK_PREVIOUS_MASTER_KEY to it"),
        (["superseded"], FIRST, None, "no current master key"),
    ],
)
def test_a_process_with_other_keys_is_refused(
    statuses: list[str], present: bytes, previous: bytes | None, why: str
) -> None:
    with pytest.raises(MasterKeyError, match=why) as refused:
        MasterKeys(known(*statuses), present, previous).check()
    assert present.hex() not in str(refused.value)


@pytest.mark.parametrize(
    ("statuses", "present", "previous", "wraps"),
    [
        (["current"], FIRST, None, 1),
        (["current"], FIRST, OTHER, 1),
        (["current"], SECOND, FIRST, 1),  # before the rotation: other processes have only FIRST
        (["superseded", "current"], SECOND, FIRST, 2),
        (["superseded", "current"], FIRST, SECOND, 2),
        (["retired", "current"], SECOND, None, 2),
        (["retired", "current"], SECOND, FIRST, 2),
    ],
)
def test_a_process_wraps_with_the_current_key_of_its_database(
    statuses: list[str], present: bytes, previous: bytes | None, wraps: int
) -> None:
    keys = MasterKeys(known(*statuses), present, previous)
    keys.check()
    assert keys.wrapping()[0] == wraps


def test_the_first_key_is_recorded_once_and_only_by_a_process_that_may() -> None:
    keys = Keys()
    MasterKeys(keys, FIRST).check()
    assert keys.known == []
    MasterKeys(keys, FIRST).check(record=True)
    MasterKeys(keys, FIRST).check(record=True)
    assert keys.known == [KnownMasterKey(1, fingerprint(FIRST), "current")]
    with pytest.raises(MasterKeyError):
        MasterKeys(keys, SECOND).check(record=True)


def test_a_database_without_a_recorded_key_must_have_keys_that_open() -> None:
    """One damaged key does not matter. If none opens, the master key is another one and is not recorded."""
    keys = Keys({"aaa": WrappedKey(b"junk", 1)})
    wrapped(keys, "ada", FIRST)
    with pytest.raises(MasterKeyError, match="none of 2 keys"):
        MasterKeys(keys, OTHER).check(record=True)
    assert keys.known == []
    MasterKeys(keys, SECOND, FIRST).check(record=True)
    assert keys.known == [KnownMasterKey(1, fingerprint(FIRST), "current")], "the key that opens its data keys"


def test_a_key_of_another_master_key_does_not_count_as_damaged() -> None:
    """A process without the new master key stops. It must not fold `unreadable` into tables."""
    keys = known("current")
    sealer = Sealer(keys, FIRST)
    sealer.prepare(["bob"])
    keys.known = known("superseded", "current").known
    wrapped(keys, "ada", SECOND, 2)
    with pytest.raises(MasterKeyError, match="this database is used with the master key"):
        sealer.look_up(["ada"])
    with pytest.raises(MasterKeyError):
        sealer.prepare(["newcomer"])
    assert sealer.seal(PLACE._replace(subject="bob"), "Bob"), "cached keys can still be used"


def test_a_process_with_both_keys_follows_a_rotation() -> None:
    keys = known("current")
    sealer = Sealer(keys, SECOND, FIRST)
    sealer.prepare(["ada"])
    sealed = sealer.seal(PLACE, "Ada")
    keys.known = known("superseded", "current").known
    sealer.prepare(["bob"])
    assert {subject: key.master_key for subject, key in keys.keys.items() if key} == {"ada": 1, "bob": 2}
    wrapped(keys, "cyd", SECOND, 2)
    sealer.forget()
    sealer.look_up(["ada", "bob", "cyd"])
    assert sealer.unusable(["ada", "bob", "cyd"]) == {}
    assert sealer.open(PLACE, sealed) == "Ada"


@pytest.mark.parametrize("number", [1, 7])
def test_a_key_of_a_retired_or_unknown_master_key_counts_as_damaged(number: int) -> None:
    keys = known("retired", "current")
    wrapped(keys, "ada", FIRST, number)
    wrapped(keys, "bob", SECOND, 2)
    assert set(Sealer(keys, SECOND).unusable(["ada", "bob"])) == {"ada"}


def test_a_wrapped_key_has_one_length_and_a_master_key_too() -> None:
    assert len(wrap(AESGCM(FIRST), "ada", b"k" * 32)) == WRAPPED_BYTES
    for present, previous in ((b"short", None), (FIRST, b"short")):
        with pytest.raises(SealingError, match="5 bytes"):
            MasterKeys(Keys(), present, previous)
