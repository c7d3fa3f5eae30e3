"""What of its outgoing limits an account has used: sums by UTC day, and by minute of the last hour.

The sums are part of the account's state, so a limit is decided on the exact version of the account and never on a read
table that lags. A rolling hour is kept in minutes, which bounds the state. It counts whole minutes, so it forgets up to
a minute too late, and never too early.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from domain.kernel import Value

MOST_DAYS = 31
"""Days that are kept: a month, and the days of an average."""
MINUTES = 60
"""Minutes of the rolling hour, before the current one."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Bucket = tuple[int, int, int]
"""The number of a day or minute, how many transactions it has, and their sum in minor units."""


class Usage(Value, frozen=True):
    """Outgoing transactions that counted, in buckets, the oldest first."""

    days: tuple[Bucket, ...] = ()
    minutes: tuple[Bucket, ...] = ()

    def with_used(self, amount: int, at: datetime) -> Usage:
        """Return the usage after another transaction."""
        day, minute = at.date().toordinal(), minute_of(at)
        return Usage(
            _added([one for one in self.days if one[0] > day - MOST_DAYS], day, amount),
            _added([one for one in self.minutes if one[0] >= minute - MINUTES], minute, amount),
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
        return _sum(self.days, today.replace(day=1).toordinal())

    def in_days(self, today: date, days: int) -> tuple[int, int]:
        """Return count and sum of so many days, today included. `MOST_DAYS` of them are kept."""
        since = today.toordinal() - days
        within = [one for one in self.days if one[0] > since]
        return sum(count for _, count, _ in within), sum(total for _, _, total in within)

    def in_hour(self, at: datetime) -> tuple[int, int]:
        """Return count and sum of the last hour."""
        since = minute_of(at) - MINUTES
        within = [one for one in self.minutes if one[0] >= since]
        return sum(count for _, count, _ in within), sum(total for _, _, total in within)


NO_USAGE = Usage()


def minute_of(at: datetime) -> int:
    """Return the number of the minute since 1970."""
    return (at - _EPOCH) // timedelta(minutes=1)


def _sum(buckets: tuple[Bucket, ...], since: int) -> int:
    return sum(total for number, _, total in buckets if number >= since)


def _added(buckets: list[Bucket], number: int, amount: int) -> tuple[Bucket, ...]:
    """Return the buckets with one more transaction. A clock that went back adds to an older bucket, or makes it."""
    for at, (known, count, total) in enumerate(buckets):
        if known == number:
            buckets[at] = (number, count + 1, total + amount)
            return tuple(buckets)
    return tuple(sorted([*buckets, (number, 1, amount)]))
