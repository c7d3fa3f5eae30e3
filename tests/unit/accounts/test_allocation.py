"""Percentages, fees and allocation, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.allocation import (
    MOST_PERCENTAGE,
    PER_CENT,
    WHOLE,
    Fee,
    Tier,
    allocate,
    fee_of,
    parse_percentage,
    percentage_of,
    show_percentage,
)
from domain.money import MAX_AMOUNT

AMOUNTS = st.integers(0, MAX_AMOUNT)
PERCENTAGES = st.integers(0, MOST_PERCENTAGE)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2.5", 2_500_000),
        ("0", 0),
        ("0.000001", 1),
        ("1000", MOST_PERCENTAGE),
        ("1000.000001", None),
        ("0.0000001", None),
        ("-1", None),
        ("1e2", None),
        ("", None),
        ("\u0661", None),
    ],
)
def test_a_percentage_as_text(text: str, value: int | None) -> None:
    assert parse_percentage(text) == value


@given(PERCENTAGES)
def test_a_percentage_is_read_as_it_is_shown(percentage: int) -> None:
    assert parse_percentage(show_percentage(percentage)) == percentage


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), PERCENTAGES)
def test_a_percentage_is_rounded_half_to_even(amount: int, percentage: int) -> None:
    assert percentage_of(amount, percentage) == round(Fraction(amount * percentage, WHOLE))


@pytest.mark.parametrize(("amount", "half"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_halves_go_to_the_even_unit(amount: int, half: int) -> None:
    assert percentage_of(amount, 50 * PER_CENT) == half


@given(AMOUNTS, WEIGHTS)
def test_shares_sum_to_the_amount_and_each_is_within_a_unit(amount: int, weights: list[int]) -> None:
    shares = allocate(amount, weights)
    assert sum(shares) == amount
    exact = [Fraction(amount * weight, sum(weights)) for weight in weights]
    assert all(abs(share - wanted) < 1 for share, wanted in zip(shares, exact, strict=True))
    lost = [wanted - int(wanted) for wanted in exact]
    got = {place: share > int(wanted) for place, (share, wanted) in enumerate(zip(shares, exact, strict=True))}
    for one, more in got.items():
        for other, also in got.items():
            if more and not also:
                assert (lost[one], -one) > (lost[other], -other), "who lost most gets a unit, of equals the first"


@pytest.mark.parametrize(
    ("amount", "weights", "shares"),
    [
        (100, (1, 1, 1), (34, 33, 33)),
        (101, (1, 1, 1), (34, 34, 33)),
        (5, (50, 30, 20), (3, 1, 1)),
        (1, (0, 1), (0, 1)),
        (0, (1, 1), (0, 0)),
    ],
)
def test_shares(amount: int, weights: tuple[int, ...], shares: tuple[int, ...]) -> None:
    assert allocate(amount, weights) == shares


@pytest.mark.parametrize(("amount", "weights"), [(1, (0, 0)), (1, (2, -1)), (-1, (1,))])
def test_what_cannot_be_allocated(amount: int, weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be allocated"):
        allocate(amount, weights)


TIERED = Fee(tiers=(Tier(1_000, 2 * PER_CENT), Tier(10_000, PER_CENT), Tier(None, PER_CENT // 2)))


@pytest.mark.parametrize(
    ("fee", "base", "amount"),
    [
        (Fee(fixed=25), 0, 25),
        (Fee(fixed=25), 10**9, 25),
        (Fee(tiers=(Tier(None, 2_500_000),)), 3_333, 83),  # 83.325
        (TIERED, 1_000, 20),
        (TIERED, 1_100, 21),
        (TIERED, 10_000, 110),
        (TIERED, 30_000, 210),
        (Fee(25, TIERED.tiers, 30, 100), 0, 30),
        (Fee(25, TIERED.tiers, 30, 100), 1_000, 45),
        (Fee(25, TIERED.tiers, 30, 100), 30_000, 100),
    ],
)
def test_fees(fee: Fee, base: int, amount: int) -> None:
    assert fee_of(fee, base) == amount


@given(AMOUNTS, st.lists(st.tuples(st.integers(1, MAX_AMOUNT), PERCENTAGES), max_size=5), PERCENTAGES)
def test_tiers_are_marginal_and_rounded_once(base: int, parts: list[tuple[int, int]], last: int) -> None:
    ends = sorted(dict(parts))
    rates = [dict(parts)[end] for end in ends]
    fee = Fee(tiers=(*(Tier(end, rate) for end, rate in zip(ends, rates, strict=True)), Tier(None, last)))
    exact, begin = Fraction(0), 0
    for end, rate in zip([*ends, MAX_AMOUNT + 1], [*rates, last], strict=True):
        exact += Fraction(max(0, min(base, end) - begin) * rate, WHOLE)
        begin = end
    assert fee_of(fee, base) == round(exact)
