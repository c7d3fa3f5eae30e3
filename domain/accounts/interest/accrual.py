"""What a balance earns, in integers.

A rate is in millionths a year, and a day earns a 365th or a 360th of it. Both fit one denominator, so every sum is
exact: `WHOLE` parts are a minor unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from math import lcm

from domain.accounts.allocation import MILLIONTHS
from domain.kernel import Value

BASES = (360, 365)
"""The days that a year can have for a rate. Each day earns the same, so with 365 a leap year earns 366/365 of it."""
DAYS = lcm(*BASES)
WHOLE = DAYS * MILLIONTHS
"""The parts of a minor unit."""
ONE_DAY = timedelta(days=1)


class Rate(Value, frozen=True):
    """A rate that holds from a day on, until the next one."""

    from_day: date
    rate: int  # millionths a year
    basis: int  # days a year, one of `BASES`

    @property
    def a_day(self) -> int:
        """The parts that a minor unit earns on a day."""
        return self.rate * (DAYS // self.basis)


class DayBalance(Value, frozen=True):
    """The balance by value date at the end of a day, and of the days after it up to the next one that is listed."""

    day: date
    balance: int  # minor units


def accrued(balances: Sequence[DayBalance], rates: Sequence[Rate], last: date) -> int:
    """Return the parts that the days from the first balance up to `last` earn. A negative balance earns nothing.

    Balances and rates are in order of their days, and the first rate holds on the first day.
    """
    parts = 0
    for one, end in zip(balances, _ends([one.day for one in balances], last), strict=True):
        for rate, until in zip(rates, _ends([rate.from_day for rate in rates], last), strict=True):
            days = (min(end, until) - max(one.day, rate.from_day)).days + 1
            parts += max(days, 0) * max(one.balance, 0) * rate.a_day
    return parts


def _ends(days: Sequence[date], last: date) -> list[date]:
    """Return the last day of each of these spans, which begin on these days."""
    return [*(later - ONE_DAY for _, later in pairwise(days)), last][: len(days)]


def end_of_month(day: date) -> date:
    """Return the last day of the month of a day."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - ONE_DAY
