"""What is shown once: tokens, recovery codes, API keys. None of it is in a repr, and each has the bits it promises."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.credentials import key_text
from eventstore.credentials.key_text import LENGTH, form_of, key_of, new_key, shown
from eventstore.credentials.recovery_codes import CODES, code_digest, new_codes
from eventstore.credentials.tokens import Secret, digest, new_token


def test_a_secret_is_seen_only_on_purpose() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {vars(Secret)}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert len({secret, Secret("hunter2")}) == 1
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_a_token_has_256_random_bits_and_its_kind() -> None:
    first, second = new_token("dbr"), new_token("dbr")
    assert first != second
    assert first.reveal().startswith("dbr_")
    assert len(first.reveal()) == 4 + 43
    assert len(digest(first.reveal())) == 32


def test_half_of_a_surrogate_pair_has_a_digest() -> None:
    assert digest("\ud800") != digest("\ud801")


def test_a_key_is_letters_and_digits_of_one_length() -> None:
    keys = {new_key().reveal() for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        assert len(key) == LENGTH == 53
        assert key.removeprefix("dbk_").isalnum()
        assert form_of(key) == "key"
    assert shown(key_of(bytes(32))) == "dbk_00000000"


@given(st.binary(min_size=32, max_size=32), st.data())
def test_a_typo_in_a_key_is_found(random: bytes, data: st.DataObject) -> None:
    key = key_of(random).reveal()
    place = data.draw(st.integers(4, LENGTH - 1))
    other = data.draw(st.sampled_from(key_text._ALPHABET))
    changed = key[:place] + other + key[place + 1 :]
    assert form_of(changed) == ("key" if changed == key else "mistyped")
    if 4 <= place < LENGTH - 8:
        swapped = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
        assert form_of(swapped) == ("key" if swapped == key else "mistyped")


@pytest.mark.parametrize("wrong", ["dbk_", "dbk_" + "0" * 48, "dbk_" + "0" * 50, "dbk_" + "é" * 49, "dbk_" + "-" * 49])
def test_what_begins_like_a_key_and_is_none_is_mistyped(wrong: str) -> None:
    assert form_of(wrong) == "mistyped"


@pytest.mark.parametrize("other", ["", "daybook_command_x", "DBK_" + "0" * 49, " dbk_"])
def test_other_texts_are_not_taken_for_keys(other: str) -> None:
    assert form_of(other) == "other"


def test_recovery_codes_are_ten_and_differ() -> None:
    codes = new_codes()
    assert len({code.reveal() for code in codes}) == CODES == 10
    assert all(len(code.reveal()) == 19 for code in codes)


def test_a_recovery_code_may_be_typed_in_any_way() -> None:
    [code, *_] = (one.reveal() for one in new_codes())
    expected = code_digest(code)
    assert expected is not None
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " "), f" {code}\n"):
        assert code_digest(typed) == expected
    assert code_digest("OIBA-AAAA-AAAA-AAAA") == code_digest("018A-AAAA-AAAA-AAAA")


@pytest.mark.parametrize("wrong", ["", "AAAA-AAAA-AAAA-AAA", "AAAA-AAAA-AAAA-AAAAA", "AAAA-AAAA-AAAA-AAA9", "ÄAAA" * 4])
def test_what_cannot_be_a_recovery_code_has_no_digest(wrong: str) -> None:
    assert code_digest(wrong) is None
