"""What a conversion comes to: pure integer arithmetic on a rate, which quotes, conversions and checks share.

The exact amount of the target currency is a fraction of its minor unit. Four whole numbers are made of it:

- the liquidity account of the pair gives the exact amount at the rate, rounded half to even;
- the ledger keeps the spread, rounded half to even;
- who converts gets the exact amount less the spread, rounded down: never more than the rate gives;
- the remainder is what the first has more than the other two. It is 0 or 1 minor unit, and it is booked.
"""

from __future__ import annotations

from datetime import UTC, datetime

from domain.accounts.allocation import half_even
from domain.accounts.currencies.rates import (
    BASIS_POINTS,
    MILLION,
    PAIR_RULES,
    Rate,
    Rates,
    currencies_of,
    rates_between,
    show_rate,
)
from domain.accounts.posting import Entry, internal_account, pair_account
from domain.kernel import Figure, Refused, States, Value
from domain.money import EXPONENTS, MAX_AMOUNT, show

_ANY_TIME = datetime.min.replace(tzinfo=UTC)
"""The beginning of a rate of which only the figures matter."""


class Price(Value, frozen=True):
    """The figures of a conversion: amounts in minor units, and the rate that they are made with."""

    source_currency: str
    target_currency: str
    source_amount: int  # what the source account pays
    target_amount: int  # what the target account gets
    liquidity_amount: int  # what the liquidity account of the pair gives in the target currency
    spread_amount: int  # income of the ledger, in the target currency
    remainder: int  # of rounding, in the target currency: 0 or 1
    pair: str
    rate: int  # millionths of the pair's counter currency for one unit of its base currency
    rate_number: int  # of the rate on the stream of the pair
    rate_source: str
    spread: int  # basis points


RULES: dict[str, str] = {
    **PAIR_RULES,
    "rate_missing": "There is no rate in force between {source} and {target}.",
    "amount_currency": "The amount is in {currency}; it is in {source}, which is paid, or in {target}, which is got.",
    "conversion_too_small": "{amount} {currency} come to less than {least} {target}, the smallest amount.",
    "conversion_too_large": "{amount} {currency} are worth more than {most} {other}, the largest amount.",
}


def rate_between(source: str, target: str, states: States, at: datetime) -> tuple[Rates, Rate] | Refused:
    """Return the rates of the pair and the one in force at this time, or why there is none."""
    if source == target:
        return Refused("pair_same_currency", {"currency": source})
    rates = rates_between(source, target, states)
    rate = None if rates is None else rates.in_force(at)
    if rates is None or rate is None:
        return Refused("rate_missing", {"source": source, "target": target})
    return rates, rate


def priced(
    pair: str, rate: Rate, source: str, target: str, amount: int, currency: str | None = None
) -> Price | Refused:
    """Return the price of an amount in minor units of `currency`, which is that of the source if it is not given.

    An amount in the target currency is the least that is wanted: the price is that of the smallest amount of the source
    which comes to it.
    """
    if currency not in (None, source, target):
        return Refused("amount_currency", {"currency": currency, "source": source, "target": target})
    top, bottom = _per_minor_unit(pair, rate.rate, source, target)
    kept, whole = BASIS_POINTS - rate.spread, BASIS_POINTS
    paid = amount if currency != target else -(-amount * bottom * whole // (top * kept))
    gets = paid * top * kept // (bottom * whole)
    gives = half_even(paid * top, bottom)
    spread = half_even(paid * top * rate.spread, bottom * whole)
    if gets <= 0:
        figures: dict[str, Figure] = {"amount": show(paid, source), "currency": source}
        return Refused("conversion_too_small", {**figures, "least": show(1, target), "target": target})
    if paid > MAX_AMOUNT or gives > MAX_AMOUNT:
        other = source if currency == target else target
        figures = {"amount": show(amount, currency or source), "currency": currency or source}
        return Refused("conversion_too_large", {**figures, "most": show(MAX_AMOUNT, other), "other": other})
    return Price(
        source_currency=source,
        target_currency=target,
        source_amount=paid,
        target_amount=gets,
        liquidity_amount=gives,
        spread_amount=spread,
        remainder=gives - gets - spread,
        pair=pair,
        rate=rate.rate,
        rate_number=rate.number,
        rate_source=rate.source,
        spread=rate.spread,
    )


def _per_minor_unit(pair: str, rate: int, source: str, target: str) -> tuple[int, int]:
    """Return the exact worth of one minor unit of the source in minor units of the target, as a fraction."""
    up, down = 10 ** EXPONENTS[target], 10 ** EXPONENTS[source]
    currencies = currencies_of(pair)
    assert {source, target} == set(currencies or ()), f"{pair} does not convert {source} to {target}"
    if currencies is not None and source == currencies[0]:
        return rate * up, MILLION * down
    return MILLION * up, rate * down


def wrong_price(price: Price) -> str | None:
    """Return what is wrong with the figures of a price that was recorded, or None if they are those of its rate."""
    currencies = currencies_of(price.pair)
    if currencies is None or {price.source_currency, price.target_currency} != set(currencies):
        return f"{price.pair!r} does not convert {price.source_currency} to {price.target_currency}"
    if price.rate <= 0 or not 0 <= price.spread < BASIS_POINTS:
        return f"{price.rate} millionths less {price.spread} basis points are no rate"
    rate = Rate(price.rate_number, price.rate, price.spread, price.rate_source, _ANY_TIME, None)
    wanted = priced(price.pair, rate, price.source_currency, price.target_currency, price.source_amount)
    if price == wanted:
        return None
    return (
        f"{price.source_amount} minor units of {price.source_currency} do not come to {price.target_amount} of "
        f"{price.target_currency}, with a spread of {price.spread_amount} and a remainder of {price.remainder}"
    )


def accounts_of(log: str, price: Price) -> tuple[str, str, str, str]:
    """Return the internal accounts: liquidity in the source and the target currency, revenue, rounding."""
    return (
        pair_account(log, "liquidity", price.pair, price.source_currency),
        pair_account(log, "liquidity", price.pair, price.target_currency),
        internal_account(log, "revenue", price.target_currency),
        internal_account(log, "rounding", price.target_currency),
    )


def entries_of(log: str, price: Price, source: str, target: str) -> tuple[Entry, ...]:
    """Return the entries of a conversion. They sum to zero in each currency; a spread or remainder of 0 has none."""
    taken_in, given_out, revenue, rounding = accounts_of(log, price)
    paid, got = price.source_currency, price.target_currency
    entries = (
        Entry(source, "debit", price.source_amount, paid),
        Entry(taken_in, "credit", price.source_amount, paid),
        Entry(given_out, "debit", price.liquidity_amount, got),
        Entry(target, "credit", price.target_amount, got),
        Entry(revenue, "credit", price.spread_amount, got),
        Entry(rounding, "credit", price.remainder, got),
    )
    return tuple(entry for entry in entries if entry.amount)


def shown_price(price: Price) -> dict[str, Figure]:
    """Return the figures as answers have them: amounts and the rate as decimal texts."""
    got = price.target_currency
    return {
        "source_currency": price.source_currency,
        "source_amount": show(price.source_amount, price.source_currency),
        "target_currency": got,
        "target_amount": show(price.target_amount, got),
        "spread_amount": show(price.spread_amount, got),
        "remainder": show(price.remainder, got),
        "pair": price.pair,
        "rate": show_rate(price.rate),
        "rate_number": price.rate_number,
        "rate_source": price.rate_source,
        "spread": price.spread,
    }
