"""What a conversion comes to, tried on random rates, amounts and currencies against exact fractions."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.accounts.allocation import half_even
from domain.accounts.currencies.pricing import Price, entries_of, priced, wrong_price
from domain.accounts.currencies.rates import BASIS_POINTS, MILLION, MOST_RATE, MOST_SPREAD, Rate, pair_of
from domain.kernel import Refused
from domain.money import EXPONENTS, MAX_AMOUNT
from tests.support.memory_ledger import NOW

CURRENCIES = ("EUR", "USD", "JPY", "KWD", "ISK", "BHD")
"""With 2, 0 and 3 decimals."""
PAIRS = st.lists(st.sampled_from(CURRENCIES), min_size=2, max_size=2, unique=True)
RATES = st.builds(
    Rate,
    number=st.integers(1, 9),
    rate=st.integers(1, MOST_RATE) | st.integers(1, 10 * MILLION),
    spread=st.integers(0, MOST_SPREAD),
    source=st.just("ECB"),
    valid_from=st.just(NOW),
    valid_until=st.none(),
)
AMOUNTS = st.integers(1, MAX_AMOUNT) | st.integers(1, 10_000)


def worth(rate: Rate, source: str, target: str, *, forward: bool) -> Fraction:
    """What one minor unit of the source is worth in minor units of the target, before the spread."""
    whole = Fraction(rate.rate, MILLION) if forward else Fraction(MILLION, rate.rate)
    return whole * Fraction(10 ** EXPONENTS[target], 10 ** EXPONENTS[source])


def after_spread(rate: Rate) -> Fraction:
    return Fraction(BASIS_POINTS - rate.spread, BASIS_POINTS)


def at(rate: int, spread: int = 0) -> Rate:
    return Rate(1, rate, spread, "ECB", NOW, None)


@given(currencies=PAIRS, rate=RATES, amount=AMOUNTS, forward=st.booleans())
@example(currencies=["JPY", "KWD"], rate=at(1), amount=1, forward=True)
@example(currencies=["EUR", "USD"], rate=at(500_000), amount=3, forward=True)
@example(currencies=["EUR", "USD"], rate=at(1_000_000, 1_000), amount=MAX_AMOUNT, forward=False)
def test_the_four_numbers_of_a_price(currencies: list[str], rate: Rate, amount: int, forward: bool) -> None:
    source, target = currencies
    pair = pair_of(source, target) if forward else pair_of(target, source)
    exact = worth(rate, source, target, forward=forward) * amount
    price = priced(pair, rate, source, target, amount)
    if isinstance(price, Refused):
        too_large = round(exact) > MAX_AMOUNT
        assert price.rule == ("conversion_too_large" if too_large else "conversion_too_small")
        assert too_large or exact * after_spread(rate) < 1
        return
    due = exact * after_spread(rate)
    assert price.source_amount == amount
    assert 0 <= due - price.target_amount < 1, "never more than the rate gives, and less than a minor unit is left"
    assert price.liquidity_amount == round(exact)
    assert price.spread_amount == round(exact - due)
    assert price.remainder in (0, 1)
    assert price.liquidity_amount == price.target_amount + price.spread_amount + price.remainder
    assert wrong_price(price) is None
    sums: dict[str, int] = defaultdict(int)
    for entry in entries_of("main", price, "acct_a", "acct_b"):
        assert 0 < entry.amount <= MAX_AMOUNT
        sums[entry.currency] += entry.signed
    assert dict(sums) == {source: 0, target: 0}


@given(PAIRS, RATES, AMOUNTS, st.booleans())
def test_a_wanted_amount_is_paid_with_the_least_that_comes_to_it(
    currencies: list[str], rate: Rate, wanted: int, forward: bool
) -> None:
    source, target = currencies
    pair = pair_of(source, target) if forward else pair_of(target, source)
    price = priced(pair, rate, source, target, wanted, target)
    if isinstance(price, Refused):
        assert price.rule == "conversion_too_large"
        return
    assert price.target_amount >= wanted
    one_less = (price.source_amount - 1) * worth(rate, source, target, forward=forward) * after_spread(rate)
    assert one_less < wanted
    assert price == priced(pair, rate, source, target, price.source_amount)


@given(st.integers(0, 10**40), st.integers(1, 10**20))
def test_half_even_is_what_fractions_round_to(top: int, bottom: int) -> None:
    assert half_even(top, bottom) == round(Fraction(top, bottom))


def test_a_half_goes_to_the_even_one_and_the_remainder_is_booked() -> None:
    """0.03 EUR at 0.5 are 0.015 USD: the liquidity account gives 0.02, who converts gets 0.01, and 0.01 is rounding."""
    price = priced("EUR:USD", at(500_000), "EUR", "USD", 3)
    assert isinstance(price, Price)
    assert (price.liquidity_amount, price.target_amount, price.spread_amount, price.remainder) == (2, 1, 0, 1)
    assert [(one.side, one.amount, one.currency) for one in entries_of("main", price, "acct_a", "acct_b")] == [
        ("debit", 3, "EUR"),
        ("credit", 3, "EUR"),
        ("debit", 2, "USD"),
        ("credit", 1, "USD"),
        ("credit", 1, "USD"),
    ]


@pytest.mark.parametrize(
    ("pair", "rate", "source", "target", "amount", "gets"),
    [
        ("EUR:JPY", 162_345_678, "EUR", "JPY", 100, 162),
        ("EUR:JPY", 162_345_678, "JPY", "EUR", 1, 0),
        ("EUR:JPY", 162_345_678, "JPY", "EUR", 2, 1),
        ("KWD:JPY", 487_654_321, "KWD", "JPY", 1, 0),
        ("KWD:JPY", 487_654_321, "JPY", "KWD", 1, 2),
        ("KWD:EUR", 3_000_000, "EUR", "KWD", 1, 3),
    ],
)
def test_currencies_without_and_with_three_decimals(
    pair: str, rate: int, source: str, target: str, amount: int, gets: int
) -> None:
    price = priced(pair, at(rate), source, target, amount)
    if gets == 0:
        assert isinstance(price, Refused)
        assert price.rule == "conversion_too_small"
    else:
        assert isinstance(price, Price)
        assert price.target_amount == gets
