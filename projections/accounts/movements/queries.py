"""Reading movements and the daily balances that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import Connection

from projections.accounts.account_persons import SEEN
from projections.engine.ddl import DIALECT
from projections.engine.listing import EVERYTHING, MOST_ROWS, Listed, Reader


@dataclass(frozen=True, slots=True)
class DailyBalance:
    """A value date of an account that has entries; amounts in minor units."""

    account: str
    day: date
    currency: str
    opening: int
    debits: int
    credits: int
    entries: int

    @property
    def closing(self) -> int:
        """The balance by value date at the end of the day, and of every day up to the next one with entries."""
        return self.opening + self.credits - self.debits


_DAILY_BALANCES = """
WITH page AS (
    SELECT day, currency, debits, credits, entries FROM read.movements
     WHERE account = %(account)s AND day >= %(from)s AND day <= %(until)s{visible} ORDER BY day LIMIT %(row_limit)s
), before AS (
    SELECT coalesce(sum(credits - debits), 0) AS balance FROM read.movements
     WHERE account = %(account)s AND day < (SELECT min(day) FROM page)
)
SELECT p.day, p.currency, b.balance + coalesce(sum(p.credits - p.debits) OVER earlier, 0),
       p.debits, p.credits, p.entries
  FROM page p CROSS JOIN before b
WINDOW earlier AS (ORDER BY p.day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
 ORDER BY p.day
"""
DAILY_BALANCES = _DAILY_BALANCES.format(visible="")
VISIBLE_DAILY_BALANCES = _DAILY_BALANCES.format(visible=f" AND account IN ({SEEN.compile(dialect=DIALECT)})")
"""The same for a customer: nothing of an account that the reader may not see."""

BALANCE_ON = "SELECT coalesce(sum(credits - debits), 0) FROM read.movements WHERE account = %s AND day <= %s"


def daily_balances(
    connection: Connection[Any],
    account: str,
    *,
    reader: Reader = EVERYTHING,
    since: date = date.min,
    until: date = date.max,
    cursor: date | None = None,
    limit: int = 100,
) -> Listed[DailyBalance, date]:
    """The days with entries from `since` to `until`, both included, oldest first; `cursor` is the last day of the page
    before. The balance of a day without entries is the closing of the one before it.
    """
    if not 0 < limit <= MOST_ROWS:
        raise ValueError(f"a page has 1 to {MOST_ROWS} rows, not {limit}")
    first = since if cursor is None else max(since, date.fromordinal(min(cursor.toordinal() + 1, date.max.toordinal())))
    statement = DAILY_BALANCES if reader.everything else VISIBLE_DAILY_BALANCES
    parameters = {"account": account, "from": first, "until": until, "row_limit": limit + 1, **reader.parameters}
    rows = connection.execute(statement.encode(), parameters).fetchall()
    days = tuple(
        DailyBalance(account, day, currency, int(opening), int(debits), int(credits), entries)
        for day, currency, opening, debits, credits, entries in rows[:limit]
    )
    return Listed(days, days[-1].day if len(rows) > limit else None)


def balance_on(connection: Connection[Any], account: str, day: date) -> int:
    """The balance by value date at the end of a day, minor units; 0 for an account without entries by then."""
    row = connection.execute(BALANCE_ON, (account, day)).fetchone()
    return int(row[0]) if row else 0
