"""Hashes with the log's own key: the same for ever, others for another purpose or log, nothing without the key."""

from __future__ import annotations

from hashlib import sha256

import pytest

from eventstore.keys.keyed_hashes import HASHES, KeyedHashes
from eventstore.keys.master_keys import WrappedKey
from eventstore.keys.sealing import Sealer, UnusableKeyError
from tests.support.keys import Keys

MASTER_KEY = bytes(range(32))


def hashes(keys: Keys) -> KeyedHashes:
    """Those of a process with an empty cache."""
    sealer = Sealer(keys, MASTER_KEY)
    sealer.master_keys.check(record=True)
    return KeyedHashes(sealer)


def test_a_hash_is_the_same_in_every_process() -> None:
    keys = Keys()
    assert hashes(keys).of("email", "ada@example.com") == hashes(keys).of("email", "ada@example.com")
    assert list(keys.keys) == [HASHES]


def test_purpose_text_and_log_tell_hashes_apart() -> None:
    of = hashes(Keys()).of
    made = [of("email", "ab"), of("emaila", "b"), of("username", "ab"), of("email", "abc"), of("email", "")]
    made.append(hashes(Keys()).of("email", "ab"))
    assert len(set(made)) == len(made)
    assert all(len(one) == 64 for one in made)


def test_nobody_finds_it_by_trying() -> None:
    """It is not the hash of the text, as a dictionary of addresses would have it."""
    text = "ada@example.com"
    assert hashes(Keys()).of("email", text) not in {
        sha256(text.encode()).hexdigest(),
        sha256(b"email" + text.encode()).hexdigest(),
    }


def test_a_key_that_does_not_open_makes_no_other_hashes() -> None:
    """With another key, names that are taken would look free."""
    keys = Keys()
    hashes(keys).of("email", "a")
    keys.keys[HASHES] = WrappedKey(bytes(60), 1)
    with pytest.raises(UnusableKeyError, match="nothing can be written about system:hashes"):
        hashes(keys).of("email", "a")
