"""Money, ids, account numbers, claims: the small things everything else rests on."""

from __future__ import annotations

import functools
import operator
import os
from string import ascii_uppercase, digits
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.numbers import PREFIXES, account_number, is_account_number
from domain.accounts.posting import internal_account
from domain.claims import Claim, ClaimTaken, evolve, release, take
from domain.ids import TAIL, fresh_id, is_id, tails, typeid
from domain.money import EXPONENTS, MAX_AMOUNT, MoneyError, parse, parse_positive, show

amounts = st.integers(-MAX_AMOUNT, MAX_AMOUNT)


@given(amounts, st.sampled_from(sorted(EXPONENTS)))
def test_what_is_shown_reads_back(minor: int, currency: str) -> None:
    assert parse(show(minor, currency), currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("12.30", "EUR", 1230), ("12.3", "EUR", 1230), ("12", "EUR", 1200), ("12", "JPY", 12), ("1.234", "KWD", 1234),
     ("-0.01", "USD", -1), ("0.00", "EUR", 0), ("9999999999999.99", "EUR", MAX_AMOUNT)],
)  # fmt: skip
def test_decimal_strings(text: str, currency: str, minor: int) -> None:
    assert parse(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "says"),
    [("12.345", "EUR", "3 decimals; EUR has 2"), ("1.0", "JPY", "1 decimals; JPY has 0"),
     ("1e3", "EUR", "not a decimal"),
     ("", "EUR", "not a decimal"), (" 1", "EUR", "not a decimal"), ("1_0", "EUR", "not a decimal"),
     ("NaN", "EUR", "not a decimal"), ("\u0661", "EUR", "not a decimal"), ("+1", "EUR", "not a decimal"),
     ("10000000000000.00", "EUR", "over the largest amount, 9999999999999.99"), ("1", "XXX", "Unknown currency"),
     ("1", "eur", "Unknown currency")],
)  # fmt: skip
def test_what_is_not_money(text: str, currency: str, says: str) -> None:
    with pytest.raises(MoneyError, match=says):
        parse(text, currency)


@pytest.mark.parametrize("text", ["0", "0.00", "-1.00"])
def test_amounts_are_positive(text: str) -> None:
    with pytest.raises(MoneyError, match="not more than zero"):
        parse_positive(text, "EUR")


@given(st.uuids(), st.uuids())
def test_ids_are_well_formed_and_sort_as_their_uuids(one: UUID, other: UUID) -> None:
    a, b = typeid("acct", one), typeid("acct", other)
    assert is_id("acct", a)
    assert not is_id("txn", a)
    assert (a < b) == (one.int < other.int)


def uuid_of(id: str) -> UUID:
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    return UUID(int=sum(digits.index(c) << 5 * place for place, c in enumerate(reversed(id.split("_")[1]))))


@given(st.integers(0, 2**48 - 1), st.binary(min_size=TAIL, max_size=TAIL))
def test_a_fresh_id_is_that_of_a_uuid_of_version_7(milliseconds: int, random: bytes) -> None:
    (tail,) = tails(random)
    text = fresh_id("txn", milliseconds, tail)
    uuid = uuid_of(text)
    assert typeid("txn", uuid) == text
    assert (uuid.version, uuid.variant) == (7, RFC_4122)
    assert uuid.int >> 80 == milliseconds


def test_each_bit_of_a_fresh_id_that_may_be_random_is() -> None:
    fixed = (0xF << 76) | (0b11 << 62)  # the version and the variant
    every = [uuid_of(fresh_id("txn", 0, tail)).int for tail in tails(os.urandom(1_000 * TAIL))]
    assert len(set(every)) == 1_000
    assert functools.reduce(operator.or_, every) == (1 << 80) - 1 & ~fixed | (7 << 76) | (0b10 << 62)
    assert functools.reduce(operator.and_, every) == (7 << 76) | (0b10 << 62)


def test_ids_are_the_typeid_format() -> None:
    assert typeid("prefix", UUID("01890a5d-ac96-774b-bcce-b302099a8057")) == "prefix_01h455vb4pex5vsknk084sn02q"
    assert not is_id("acct", "acct_81h455vb4pex5vsknk084sn02q"), "more than 128 bits"
    assert not is_id("acct", "acct_01h455vb4pex5vsknk084sn02")


def test_internal_accounts_keep_their_ids() -> None:
    assert internal_account("main", "cash", "EUR") == "acct_273za2tzt4am79smpbjqjvawt9", "it is in every log by now"
    ids = {internal_account(log, "cash", currency) for log in ("main", "other") for currency in ("EUR", "USD")}
    assert len(ids) == 4


numbers = st.builds(account_number, st.sampled_from(sorted(PREFIXES)), st.integers(1, 10**10 - 1))


@given(numbers)
def test_every_wrong_character_is_noticed(number: str) -> None:
    assert is_account_number(number)
    for place, right in enumerate(number):
        for wrong in digits + ascii_uppercase + right.lower():
            if wrong != right:
                assert not is_account_number(number[:place] + wrong + number[place + 1 :])


@given(numbers)
def test_every_swap_of_neighbours_is_noticed(number: str) -> None:
    for place in range(len(number) - 1):
        swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
        assert swapped == number or not is_account_number(swapped)


@pytest.mark.parametrize(
    "text", ["", "CHK", "CHK00000000424", "CHK0000000042430", "chk000000004243", "CHK000000004243\n"]
)
def test_account_numbers_have_a_shape(text: str) -> None:
    assert account_number("checking", 42) == "CHK000000004243"
    assert not is_account_number(text)


@pytest.mark.parametrize("sequence", [0, 10**10])
def test_numbers_have_bounds(sequence: int) -> None:
    with pytest.raises(ValueError, match="not between 1 and 9999999999"):
        account_number("checking", sequence)


def test_a_claim_is_held_by_one_until_it_is_released() -> None:
    taken = take(None, "claim:slug:a", "post_1")
    assert taken == ClaimTaken("claim:slug:a", 1, "post_1")
    held = evolve(None, taken)
    assert take(held, "claim:slug:a", "post_2") is None
    free = evolve(held, release(held))
    assert free == Claim("claim:slug:a", 2, None)
    assert take(free, "claim:slug:a", "post_2") == ClaimTaken("claim:slug:a", 3, "post_2")
    with pytest.raises(ValueError, match="not held"):
        release(free)
