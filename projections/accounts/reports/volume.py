"""Reports about the transactions that were posted in a window: their sizes, their times, and the busiest accounts.

The size of a transaction in a currency is the sum of its debits, which equals that of its credits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from projections.accounts.reports.point import LINES, POSTED

PROJECTIONS = ("transactions",)
Step = Literal["day", "week", "month"]
PERCENTS = (50, 75, 90, 95, 99)
MOST_TOP = 100

_SIZES = f"""
WITH posted AS ({POSTED}), sizes AS (
    SELECT p.transaction, p.booked_at AT TIME ZONE 'UTC' AS booked_at, l.currency, sum(l.amount) AS amount
      FROM posted p CROSS JOIN LATERAL {LINES}
     WHERE l.side = 'debit' AND (%(currency)s::text IS NULL OR l.currency = %(currency)s)
     GROUP BY p.transaction, p.booked_at, l.currency
)
"""  # noqa: S608 - constants
SUMMARY = f"""{_SIZES}, ranked AS (
    SELECT currency, amount, row_number() OVER (PARTITION BY currency ORDER BY amount) AS number,
           count(*) OVER (PARTITION BY currency) AS count
      FROM sizes
)
SELECT currency, count(*), sum(amount), min(amount), max(amount),
       array_agg(amount ORDER BY number) FILTER (
         WHERE number = ANY (SELECT (percent * count + 99) / 100 FROM unnest(%(percents)s::bigint[]) AS p(percent))
       ),
       array_agg(number ORDER BY number) FILTER (
         WHERE number = ANY (SELECT (percent * count + 99) / 100 FROM unnest(%(percents)s::bigint[]) AS p(percent))
       )
  FROM ranked GROUP BY currency ORDER BY currency
"""  # noqa: S608 - constants
DIGITS = f"""{_SIZES}
SELECT currency, length(amount::text), count(*), sum(amount) FROM sizes GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - constants
TREND = f"""{_SIZES}
SELECT currency, date_trunc(%(step)s, booked_at)::date, count(*), sum(amount) FROM sizes GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - constants
HOURS = f"""{_SIZES}
SELECT currency, extract(isodow FROM booked_at)::integer, extract(hour FROM booked_at)::integer, count(*), sum(amount)
  FROM sizes GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608 - constants
TOP = f"""
WITH posted AS ({POSTED}), turnover AS (
    SELECT l.account, l.currency, coalesce(sum(l.amount) FILTER (WHERE l.side = 'debit'), 0) AS debits,
           coalesce(sum(l.amount) FILTER (WHERE l.side = 'credit'), 0) AS credits, count(*) AS entries
      FROM posted p CROSS JOIN LATERAL {LINES}
     WHERE %(currency)s::text IS NULL OR l.currency = %(currency)s
     GROUP BY l.account, l.currency
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY currency ORDER BY debits + credits DESC, account COLLATE "C") AS rank
      FROM turnover
)
SELECT currency, rank, account, debits, credits, entries FROM ranked WHERE rank <= %(top)s ORDER BY currency, rank
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Volume:
    """What is reported on: transactions posted after one position and up to another, of one currency or of all."""

    after: int
    position: int
    currency: str | None

    def rows(self, connection: Connection[Any], statement: str, **more: object) -> list[tuple[Any, ...]]:
        """The rows of a statement of this module."""
        parameters = {"after": self.after, "position": self.position, "currency": self.currency, **more}
        return connection.execute(statement.encode(), parameters).fetchall()


@dataclass(frozen=True, slots=True)
class Summary:
    """The sizes in a currency, minor units. `percentiles` are by nearest rank, for each of `PERCENTS`."""

    currency: str
    count: int
    total: int
    least: int
    most: int
    percentiles: dict[int, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """How many transactions of a currency, and their sum in minor units. `key` says of which."""

    currency: str
    key: Any
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class Turnover:
    """What was booked on an account. Its rank is that within the currency, by debits and credits together."""

    currency: str
    rank: int
    account: str
    debits: int
    credits: int
    entries: int


def summaries(connection: Connection[Any], volume: Volume) -> list[Summary]:
    """The summary of each currency. The nearest rank of p percent of n sizes is p·n/100, rounded up."""
    found = []
    for currency, count, total, least, most, amounts, numbers in volume.rows(
        connection, SUMMARY, percents=list(PERCENTS)
    ):
        ranks = dict(zip(numbers, amounts, strict=True))
        percentiles = {percent: int(ranks[-(-percent * count // 100)]) for percent in PERCENTS}
        found.append(Summary(currency, count, int(total), int(least), int(most), percentiles))
    return found


def digits(connection: Connection[Any], volume: Volume) -> list[Counted]:
    """The sizes by their number of digits in minor units: the key."""
    return [Counted(one, key, count, int(total)) for one, key, count, total in volume.rows(connection, DIGITS)]


def trend(connection: Connection[Any], volume: Volume, step: Step) -> list[Counted]:
    """The transactions by the first day of each UTC day, week or month: the key. Weeks begin on Monday."""
    rows = volume.rows(connection, TREND, step=step)
    return [Counted(currency, key, count, int(total)) for currency, key, count, total in rows]


def hours(connection: Connection[Any], volume: Volume) -> list[Counted]:
    """The transactions by day of the week, from 1 for Monday, and hour in UTC: the key."""
    rows = volume.rows(connection, HOURS)
    return [Counted(currency, (day, hour), count, int(total)) for currency, day, hour, count, total in rows]


def top_accounts(connection: Connection[Any], volume: Volume, top: int) -> list[Turnover]:
    """The accounts with the highest turnover, in each currency."""
    rows = volume.rows(connection, TOP, top=top)
    return [Turnover(one, rank, account, int(d), int(c), entries) for one, rank, account, d, c, entries in rows]
