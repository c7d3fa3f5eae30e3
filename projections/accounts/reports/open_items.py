"""What is open: transactions that wait, and holds, by their age in whole days at a point.

A hold has one row that changes. So open holds are known at the position up to which they are folded, and at an earlier
one only if no hold changed since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from projections.accounts.reports.point import LINES, Point

PROJECTIONS = ("transactions", "holds")
AGES = (0, 1, 7, 30, 90)
"""The least age of each class in days. A class ends where the next one begins."""

# A transaction that waited has no row in `posted` and no end after the point: it was still open there.
OPEN = f"""
WITH items AS (
    SELECT 'transaction' AS what, p.recorded_at AS since, l.currency, sum(l.amount) AS amount
      FROM read.transactions p CROSS JOIN LATERAL {LINES}
     WHERE p.awaits IS NOT NULL AND p.position <= %(position)s AND l.side = 'debit'
       AND (p.status = 'pending' OR p.posted > %(position)s OR (p.posted IS NULL AND p.changed > %(position)s))
     GROUP BY p.transaction, l.currency
    UNION ALL
    SELECT 'hold', h.placed_at, h.currency, h.remaining FROM read.holds h
     WHERE h.status = 'open' AND h.position <= %(position)s AND h.hold IS DISTINCT FROM h.transaction
), counted AS (
    SELECT what, currency, amount, (SELECT max(age) FROM unnest(%(ages)s::integer[]) AS a(age)
            WHERE since <= %(at)s::timestamptz - age * interval '1 day') AS age
      FROM items WHERE %(currency)s::text IS NULL OR currency = %(currency)s
)
SELECT currency, what, age, count(*), sum(amount) FROM counted GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608 - constants
CHANGED = "SELECT max(last_position) FROM read.holds"


class ChangedSinceError(Exception):
    """A hold changed after the point, so what was open there is no longer known."""


@dataclass(frozen=True, slots=True)
class OpenItems:
    """How many items of a class of age are open, and for how much in minor units."""

    currency: str
    what: Literal["transaction", "hold"]
    age: int  # the least age of the class, in days
    count: int
    total: int


def open_items(connection: Connection[Any], point: Point, currency: str | None = None) -> list[OpenItems]:
    """The open items. A transaction counts in each currency, for what it would debit. Raises `ChangedSinceError`."""
    row = connection.execute(CHANGED).fetchone()
    if row is not None and row[0] is not None and row[0] > point.position:
        raise ChangedSinceError
    parameters = {"position": point.position, "at": point.at, "ages": list(AGES), "currency": currency}
    rows = connection.execute(OPEN.encode(), parameters).fetchall()
    return [OpenItems(of, what, age, count, int(total)) for of, what, age, count, total in rows]
