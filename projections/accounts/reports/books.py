"""What was booked by a position with certain value dates, by node of the chart and type of account.

The days of booking before that of the position are over, so `movements` has them: on each value date what was booked on
it, and beside it what was booked on other days. Of the day of the position, the transactions up to it are added. So a
report of any position reads the movements and the transactions of one day.

An account counts where it is attached now, as in all balances of the chart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg import Connection

from projections.accounts.chart.queries import NodeRow, tree
from projections.accounts.reports.point import LINES, POSTED, Point

PROJECTIONS = ("movements", "transactions", "trial_balance", "chart")
"""What these reports are read from."""

SUMS = f"""
WITH posted AS ({POSTED}), year_ends AS (
    SELECT transaction FROM read.transactions WHERE kind = 'year_end' AND position <= %(position)s
), undone AS (
    SELECT value_date, entries FROM read.transactions WHERE kind = 'year_end' AND position <= %(position)s
    UNION ALL
    SELECT value_date, entries FROM read.transactions
     WHERE kind = 'reversal' AND position <= %(position)s AND parent IN (SELECT transaction FROM year_ends)
), booked AS (
    SELECT account, currency, debits, credits, entries FROM read.movements
     WHERE day < %(day)s AND day >= %(since)s AND day <= %(until)s
    UNION ALL
    SELECT o.account, m.currency, -o.debits, -o.credits, -o.entries
      FROM read.movements_booked_on_other_days o JOIN read.movements m USING (account, day)
     WHERE o.day < %(day)s AND o.day >= %(since)s AND o.day <= %(until)s
    UNION ALL
    SELECT o.account, m.currency, o.debits, o.credits, o.entries
      FROM read.movements_booked_on_other_days o JOIN read.movements m USING (account, day)
     WHERE o.booked_on < %(day)s AND o.day >= %(since)s AND o.day <= %(until)s
    UNION ALL
    SELECT l.account, l.currency, CASE l.side WHEN 'debit' THEN l.amount ELSE 0 END,
           CASE l.side WHEN 'credit' THEN l.amount ELSE 0 END, 1
      FROM posted p CROSS JOIN LATERAL {LINES}
     WHERE p.value_date >= %(since)s AND p.value_date <= %(until)s
    UNION ALL
    SELECT l.account, l.currency, CASE l.side WHEN 'debit' THEN -l.amount ELSE 0 END,
           CASE l.side WHEN 'credit' THEN -l.amount ELSE 0 END, -1
      FROM undone p CROSS JOIN LATERAL {LINES}
     WHERE %(without_year_end)s AND p.value_date >= %(since)s AND p.value_date <= %(until)s
)
SELECT x.node, a.type, b.currency, sum(b.debits), sum(b.credits), sum(b.entries)
  FROM booked b JOIN read.trial_balance_accounts a USING (account) LEFT JOIN read.chart_accounts x USING (account)
 WHERE %(currency)s::text IS NULL OR b.currency = %(currency)s
 GROUP BY x.node, a.type, b.currency HAVING sum(b.entries) > 0
 ORDER BY x.node, a.type, b.currency
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Amounts:
    """Debits and credits in minor units, and how many entries they are."""

    debits: int = 0
    credits: int = 0
    entries: int = 0

    @property
    def balance(self) -> int:
        """Credits less debits."""
        return self.credits - self.debits

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.debits + other.debits, self.credits + other.credits, self.entries + other.entries)


NOTHING = Amounts()


@dataclass(frozen=True, slots=True)
class Booked:
    """What was booked on the accounts of a type that are attached to a node. No node: they are not attached."""

    node: str | None
    type: str
    currency: str
    amounts: Amounts


def booked(
    connection: Connection[Any],
    point: Point,
    *,
    since: date = date.min,
    until: date = date.max,
    currency: str | None = None,
    without_year_end: bool = False,
) -> list[Booked]:
    """What was booked by a point with value dates from `since` to `until`, both included.

    Without the year end: the entries that move income and expense to equity do not count, nor what reverses them.
    """
    parameters = {
        "after": point.before_day,
        "position": point.position,
        "day": point.day,
        "since": since,
        "until": until,
        "currency": currency,
        "without_year_end": without_year_end,
    }
    return [
        Booked(node, type, of, Amounts(int(debits), int(credits), int(entries)))
        for node, type, of, debits, credits, entries in connection.execute(SUMS.encode(), parameters).fetchall()
    ]


@dataclass(frozen=True, slots=True)
class NodeAmounts:
    """A node in a currency: what is on its own accounts, and with those of all nodes below it."""

    node: NodeRow
    currency: str
    own: Amounts
    total: Amounts


def by_node(connection: Connection[Any], sums: Iterable[Booked]) -> list[NodeAmounts]:
    """The nodes with something booked on or below them, in the order of the tree and of currencies."""
    own: dict[tuple[str, str], Amounts] = {}
    for one in sums:
        if one.node is not None:
            key = one.node, one.currency
            own[key] = own.get(key, NOTHING) + one.amounts
    rows = tree(connection)
    paths = {row.node: row.path.split("/") for row in rows}
    total: dict[tuple[str, str], Amounts] = {}
    for (node, currency), amounts in own.items():
        for above in paths[node]:
            total[above, currency] = total.get((above, currency), NOTHING) + amounts
    currencies = sorted({currency for _, currency in total})
    return [
        NodeAmounts(row, currency, own.get((row.node, currency), NOTHING), total[row.node, currency])
        for row in rows
        for currency in currencies
        if (row.node, currency) in total
    ]


def by_type_of_node(connection: Connection[Any], sums: Iterable[Booked]) -> Mapping[tuple[str | None, str], int]:
    """Credits less debits by type of node and currency. No type: of accounts that are not attached."""
    types = {row.node: row.type for row in tree(connection)}
    found: dict[tuple[str | None, str], int] = {}
    for one in sums:
        key = None if one.node is None else types[one.node], one.currency
        found[key] = found.get(key, 0) + one.amounts.balance
    return found
