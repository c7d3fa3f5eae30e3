"""Amounts of currencies above which something holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.kernel import Value


class Threshold(Value, frozen=True):
    """An amount of a currency, in minor units. What is above it is treated in another way."""

    currency: str
    amount: int


def thresholds(amounts: Mapping[str, int]) -> tuple[Threshold, ...]:
    """Return the thresholds in order of their currencies."""
    return tuple(Threshold(currency, amount) for currency, amount in sorted(amounts.items()))


def amount_of(thresholds: Sequence[Threshold], currency: str) -> int | None:
    """Return the amount of a currency, or None if it has none."""
    return next((one.amount for one in thresholds if one.currency == currency), None)
