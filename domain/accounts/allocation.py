"""Percentages, fees and allocation: what is made of an amount, in integers of minor units.

A percentage has up to six decimals and is kept as an integer of millionths of a per cent: 2.5 % is 2,500,000. Results
are rounded once, half to even. An allocation gives its remainder to the shares that lost most by rounding down, so its
sum is exact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from domain.kernel import Figure, Refused, Value
from domain.money import MAX_AMOUNT, show

MILLIONTHS = 1_000_000
"""The unit of rates: 0.025 is 25,000 millionths."""
PER_CENT = 1_000_000
"""The unit of percentages: one per cent."""
WHOLE = 100 * PER_CENT
MOST_PERCENTAGE = 10 * WHOLE
"""The largest percentage: 1,000 %."""
MOST_TIERS = 20
"""Most tiers of a fee."""

_DECIMALS = 6
_PERCENTAGE = re.compile(r"(\d{1,4})(?:\.(\d{1,6}))?", re.ASCII)


class Tier(Value, frozen=True):
    """A part of the base amount, and the percentage of that part."""

    up_to: int | None  # the end of the part in minor units; None: everything above the tier before
    percentage: int  # millionths of a per cent


class Fee(Value, frozen=True):
    """A fee: a fixed amount and a percentage of each tier of the base, within a minimum and a maximum. Minor units."""

    fixed: int = 0
    tiers: tuple[Tier, ...] = ()  # ascending; the last one has no end. One tier is a plain percentage
    minimum: int | None = None
    maximum: int | None = None

    @property
    def has_money(self) -> bool:
        """Whether it has figures in minor units, so that it fits only one currency."""
        return bool(self.fixed or len(self.tiers) > 1 or self.minimum or self.maximum is not None)


RULES: dict[str, str] = {
    "fee_empty": "A fee has a fixed amount, or one to {most} tiers, or both; this one has {tiers} tiers and no amount.",
    "fee_tiers": (
        "The tiers of a fee end at rising amounts, and only the last one has no end; tier {tier} of {tiers} breaks "
        "that."
    ),
    "fee_percentage": "A percentage is from 0 to {most}; tier {tier} has {percentage}.",
    "fee_amount": "The {what} of a fee is from {least} to {most} {currency}; this one is {amount}.",
    "fee_bounds": "A fee of at least {minimum} {currency} cannot be at most {maximum}.",
}
"""The rules of every fee. Several aggregates have fees."""


def parse_percentage(text: str) -> int | None:
    """Return the millionths of a per cent of a decimal string: ``parse_percentage("2.5") == 2_500_000``.

    None for a text that is no percentage of up to six decimals, or is over `MOST_PERCENTAGE`.
    """
    match = _PERCENTAGE.fullmatch(text)
    if match is None:
        return None
    percentage = int(match[1] + (match[2] or "").ljust(_DECIMALS, "0"))
    return percentage if percentage <= MOST_PERCENTAGE else None


def show_percentage(percentage: int) -> str:
    """Return the shortest decimal string of a percentage: ``show_percentage(2_500_000) == "2.5"``."""
    if percentage < 0:
        return f"-{show_percentage(-percentage)}"
    whole, rest = divmod(percentage, PER_CENT)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def show_rate(millionths: int) -> str:
    """Return the shortest decimal string of a rate that is not negative: ``show_rate(25_000) == "0.025"``."""
    whole, rest = divmod(millionths, MILLIONTHS)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


def half_even(numerator: int, denominator: int) -> int:
    """Return the quotient as an integer, rounded half to even. The denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def percentage_of(amount: int, percentage: int) -> int:
    """Return a percentage of an amount, rounded half to even. The amount can be negative."""
    return half_even(amount * percentage, WHOLE)


def fee_of(fee: Fee, base: int) -> int:
    """Return the fee of a base amount that is not negative. The tiers together are rounded once."""
    begin, exact = 0, 0
    for tier in fee.tiers:
        end = base if tier.up_to is None else min(base, tier.up_to)
        if end <= begin:
            break
        exact += (end - begin) * tier.percentage
        begin = end
    charged = fee.fixed + half_even(exact, WHOLE)
    if fee.minimum is not None:
        charged = max(charged, fee.minimum)
    return charged if fee.maximum is None else min(charged, fee.maximum)


def allocate(amount: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return the shares of an amount by weights. Their sum is the amount.

    Each share is rounded down, and what is left goes by one unit to those that lost most; of equals to the first ones.
    Neither the amount nor a weight is negative. Raises ValueError if no weight is above zero.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0 or amount < 0:
        raise ValueError(f"{amount} cannot be allocated by weights with a sum of {total}")
    shares, lost = map(list, zip(*(divmod(amount * weight, total) for weight in weights), strict=True))
    first = sorted(range(len(weights)), key=lambda place: -lost[place])  # it is stable: equals keep their order
    for place in first[: amount - sum(shares)]:
        shares[place] += 1
    return tuple(shares)


def refuse_fee(fee: Fee, currency: str | None) -> Refused | None:
    """Return why these are not the terms of a fee, or None. Without a currency it has no figures of money."""
    count = len(fee.tiers)
    if count > MOST_TIERS or (not count and not fee.fixed):
        return Refused("fee_empty", {"most": MOST_TIERS, "tiers": count})
    before = 0
    for number, tier in enumerate(fee.tiers, 1):
        if (tier.up_to is None) != (number == count) or (tier.up_to is not None and tier.up_to <= before):
            return Refused("fee_tiers", {"tier": number, "tiers": count})
        before = tier.up_to or 0
        if not 0 <= tier.percentage <= MOST_PERCENTAGE:
            figures: dict[str, Figure] = {
                "most": show_percentage(MOST_PERCENTAGE),
                "tier": number,
                "percentage": show_percentage(tier.percentage),
            }
            return Refused("fee_percentage", figures)
    return None if currency is None else _refuse_money(fee, currency)


def _refuse_money(fee: Fee, currency: str) -> Refused | None:
    last_end = max((tier.up_to for tier in fee.tiers if tier.up_to is not None), default=None)
    stated = {"fixed amount": fee.fixed, "minimum": fee.minimum, "maximum": fee.maximum, "last tier": last_end}
    for what, amount in stated.items():
        if amount is not None and not 0 <= amount <= MAX_AMOUNT:
            least, most = show(0, currency), show(MAX_AMOUNT, currency)
            figures: dict[str, Figure] = {"what": what, "least": least, "most": most, "currency": currency}
            return Refused("fee_amount", {**figures, "amount": show(amount, currency)})
    if fee.minimum is not None and fee.maximum is not None and fee.minimum > fee.maximum:
        minimum, maximum = show(fee.minimum, currency), show(fee.maximum, currency)
        return Refused("fee_bounds", {"minimum": minimum, "maximum": maximum, "currency": currency})
    return None


def fee_in_json(fee: Fee, currency: str | None) -> dict[str, Figure]:
    """Return the terms as answers and read tables have them, with decimal strings. `currency` is None without money."""

    def money(amount: int | None) -> Figure:
        return None if amount is None else str(amount) if currency is None else show(amount, currency)

    return {
        "fixed": money(fee.fixed),
        "tiers": [{"up_to": money(tier.up_to), "percentage": show_percentage(tier.percentage)} for tier in fee.tiers],
        "minimum": money(fee.minimum),
        "maximum": money(fee.maximum),
    }
