"""The terms of a transfer order: what is paid or got, within which bound, and when. Decisions and checks share them.

The amount is in the currency of the source account, which pays it, or in that of the target account, which gets at
least that much. Where the currencies differ and no quote locks the price, the rate at the execution decides about the
other side, and a bound says how far that may go.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain.accounts.account.holds import MOST_DAYS_HELD
from domain.accounts.currencies.pricing import Price
from domain.accounts.currencies.rates import show_rate
from domain.accounts.transfer_order.events import Sum
from domain.kernel import Refused
from domain.money import MAX_AMOUNT, show

RULES: dict[str, str] = {
    "transfer_order_what": "A transfer order names a quote, or an amount with its currency; this one names {what}.",
    "transfer_order_amount": "The {what} of a transfer order is {least} to {most} {currency}; this one is {amount}.",
    "transfer_order_bound": (
        "A bound is in the currency of the side that the amount is not in, and only where the rate at the execution "
        "decides. This order can have {wanted}; it has {bound}."
    ),
    "transfer_order_outside_bound": (
        "At the rate of {pair}, {rate}, the {side} {amount} {currency}; transfer order {order} allows {least_or_most} "
        "{bound}."
    ),
    "transfer_order_start": (
        "The transfer order would be executed at {execute_at}; one is executed after now, {now}, and at most {days} "
        "days later."
    ),
    "transfer_order_end": (
        "The transfer order would expire at {expires_at}; one expires after its execution, {execute_at}, and at most "
        "{days} days after now, {now}."
    ),
    "transfer_order_quote": (
        "Quote {quote} can be used before {expires_at}; the transfer order would be executed at {execute_at}."
    ),
}


def refuse_sums(
    source_currency: str, target_currency: str, sum: Sum | None, bound: Sum | None, quote: str | None
) -> Refused | None:
    """Return why an order between these currencies cannot have this amount and bound, or None."""
    if (sum is None) is (quote is None):
        return Refused("transfer_order_what", {"what": "neither" if sum is None else "both"})
    if sum is not None and sum.currency not in (source_currency, target_currency):
        figures = {"currency": sum.currency, "source": source_currency, "target": target_currency}
        return Refused("amount_currency", figures)
    for what, one in (("amount", sum), ("bound", bound)):
        if one is not None and not 0 < one.amount <= MAX_AMOUNT:
            shown = {"least": show(1, one.currency), "most": show(MAX_AMOUNT, one.currency)}
            figures = {"what": what, "currency": one.currency, "amount": show(one.amount, one.currency)}
            return Refused("transfer_order_amount", {**figures, **shown})
    return _refuse_bound(source_currency, target_currency, sum, bound)


def _refuse_bound(source_currency: str, target_currency: str, sum: Sum | None, bound: Sum | None) -> Refused | None:
    had = None if bound is None else bound.currency
    if sum is None or source_currency == target_currency:
        allowed: tuple[str | None, ...] = (None,)
    elif sum.currency == source_currency:
        allowed = (None, target_currency)
    else:  # without it nobody knows how much to hold
        allowed = (source_currency,)
    if had in allowed:
        return None
    wanted = " or ".join("none" if one is None else f"one in {one}" for one in allowed)
    return Refused("transfer_order_bound", {"wanted": wanted, "bound": "none" if had is None else f"one in {had}"})


def refuse_times(execute_at: datetime | None, expires_at: datetime | None, now: datetime) -> Refused | None:
    """Return the refusal of an order that would be executed or expire in the past or too late, or None."""
    last, days = now + timedelta(days=MOST_DAYS_HELD), MOST_DAYS_HELD
    if execute_at is not None and not now < execute_at <= last:
        start = {"execute_at": execute_at.isoformat(), "now": now.isoformat()}
        return Refused("transfer_order_start", {**start, "days": days})
    start_at = execute_at or now
    if expires_at is not None and not start_at < expires_at <= last:
        end = {"expires_at": expires_at.isoformat(), "execute_at": start_at.isoformat(), "now": now.isoformat()}
        return Refused("transfer_order_end", {**end, "days": days})
    return None


def most_paid(source_currency: str, sum: Sum, bound: Sum | None) -> int:
    """Return the most that the source pays, in minor units, of an order that no quote decides about."""
    if bound is None or sum.currency == source_currency:
        return sum.amount
    return bound.amount


def refuse_price(order: str, bound: Sum | None, price: Price) -> Refused | None:
    """Return the refusal of a price outside of the bound of the order, or None."""
    if bound is None:
        return None
    if bound.currency == price.target_currency:
        side, amount, inside, which = "target gets", price.target_amount, bound.amount <= price.target_amount, "least"
    else:
        side, amount, inside, which = "source pays", price.source_amount, price.source_amount <= bound.amount, "most"
    if inside:
        return None
    currency = bound.currency
    return Refused(
        "transfer_order_outside_bound",
        {
            "order": order,
            "pair": price.pair,
            "rate": show_rate(price.rate),
            "side": side,
            "amount": show(amount, currency),
            "currency": currency,
            "least_or_most": f"at {which}",
            "bound": show(bound.amount, currency),
        },
    )
