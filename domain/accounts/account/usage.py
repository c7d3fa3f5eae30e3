"""What of its outgoing limits an account has used: sums by UTC day, and by minute of the last hour.

The sums are part of the account's state, so a limit is decided on the exact version of the account and never on a read
table that lags. A rolling hour is kept in minutes, which bounds the state. It counts whole minutes, so it forgets up to
a minute too late, and never too early.
"""

from __future__ import annotations

from datetime import date, datetime

from domain.kernel import Value

MOST_DAYS = 31
"""Days that are kept: a month, and the days of an average."""
MINUTES = 60
"""Minutes of the rolling hour, before the current one."""
_EPOCH = date(1970, 1, 1).toordinal()

Bucket = tuple[int, int, int]
"""The number of a day or minute, how many transactions it has, and their sum in minor units."""


class Usage(Value, frozen=True):
    """Outgoing transactions that counted, in buckets, the oldest first."""

    days: tuple[Bucket, ...] = ()
    minutes: tuple[Bucket, ...] = ()

    def with_used(self, amount: int, at: datetime) -> Usage:
        """Return the usage after another transaction."""
        day, minute = at.toordinal(), minute_of(at)
        return Usage(
            _added(self.days, day - MOST_DAYS + 1, day, amount), _added(self.minutes, minute - MINUTES, minute, amount)
        )

    def with_returned(self, amount: int, used_at: datetime) -> Usage:
        """Return the usage after a reversal of what was used then. The rolling hour stays: it counts attempts."""
        day = used_at.date().toordinal()
        days = tuple((one[0], one[1], max(0, one[2] - amount)) if one[0] == day else one for one in self.days)
        return Usage(days, self.minutes)

    def on_day(self, today: date) -> int:
        """Return the sum of the day."""
        return _sum(self.days, today.toordinal())

    def in_month(self, today: date) -> int:
        """Return the sum of the month up to now."""
        return _sum(self.days, today.toordinal() - today.day + 1)

    def in_days(self, today: date, days: int) -> tuple[int, int]:
        """Return count and sum of so many days, today included. `MOST_DAYS` of them are kept."""
        return _count_and_sum(self.days, today.toordinal() - days + 1)

    def in_hour(self, at: datetime) -> tuple[int, int]:
        """Return count and sum of the last hour."""
        return _count_and_sum(self.minutes, minute_of(at) - MINUTES)


NO_USAGE = Usage()


def minute_of(at: datetime) -> int:
    """Return the number of the minute since 1970. The time is in UTC."""
    return ((at.toordinal() - _EPOCH) * 24 + at.hour) * 60 + at.minute


def _sum(buckets: tuple[Bucket, ...], since: int) -> int:
    return _count_and_sum(buckets, since)[1]


def _count_and_sum(buckets: tuple[Bucket, ...], since: int) -> tuple[int, int]:
    counts = sums = 0
    for number, count, total in buckets:
        if number >= since:
            counts += count
            sums += total
    return counts, sums


def _added(buckets: tuple[Bucket, ...], first: int, number: int, amount: int) -> tuple[Bucket, ...]:
    """Return the buckets from the first one on, with one more transaction.

    A clock that went back adds to an older bucket, or makes it.
    """
    if buckets and buckets[-1][0] == number and buckets[0][0] >= first:  # nearly always
        _, count, total = buckets[-1]
        return (*buckets[:-1], (number, count + 1, total + amount))
    kept = {known: (count, total) for known, count, total in buckets if known >= first}
    count, total = kept.get(number, (0, 0))
    kept[number] = (count + 1, total + amount)
    return tuple((known, *kept[known]) for known in sorted(kept))
