"""Reading periods and their figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from projections.accounts.periods.tables import TABLE
from projections.engine.listing import Listed, Listing, readable


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period as it is now."""

    period: str
    name: str
    begins_on: date
    ends_on: date
    status: str
    closed_by: str
    closed_at: datetime
    sealed_at: datetime | None
    digest: str | None
    approval: str | None
    asked_by: str | None
    reason: str | None
    reopened_by: str | None
    reopened_at: datetime | None
    year: str | None
    year_asked_by: str | None
    year_closed_at: datetime | None
    position: int


@dataclass(frozen=True, slots=True)
class FigureRow:
    """The sealed figures of one currency and type of account, minor units."""

    currency: str
    type: str
    accounts: int
    debits: int
    credits: int


@dataclass(frozen=True, slots=True)
class YearEndRow:
    """A transaction that closed the year that ends with a period."""

    transaction: str
    reversed_at: datetime | None


PERIOD_LIST = Listing(readable(TABLE), PeriodRow, filters=("period", "status", "name"))

FIGURES = """
SELECT currency, type, accounts, debits, credits FROM read.period_figures WHERE period = %s ORDER BY currency, type
"""

MOST_YEAR_ENDS = 1_000
"""Most transactions of a year that are answered, the newest. A closing has one a currency."""
YEAR_ENDS = """
SELECT transaction, reversed_at FROM read.year_end_transactions WHERE period = %s
 ORDER BY position DESC, transaction LIMIT %s
"""


def period(connection: Connection[Any], period: str) -> PeriodRow | None:
    """One period by its id."""
    return PERIOD_LIST.one(connection, period=period)


def periods(
    connection: Connection[Any],
    *,
    status: str | None = None,
    name: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[PeriodRow, int]:
    """Periods in the order in which they were closed; `after` and `cursor` are positions."""
    filters = {"status": status, "name": name, "after": after}
    return PERIOD_LIST.read(connection, filters, limit, cursor=cursor)


def figures(connection: Connection[Any], period: str) -> tuple[FigureRow, ...]:
    """The figures that a period was sealed with, by currency and type; none before. They are bounded (MOST_FIGURES)."""
    rows = connection.execute(FIGURES, (period,)).fetchall()
    return tuple(
        FigureRow(currency, type, accounts, int(debits), int(credits))
        for currency, type, accounts, debits, credits in rows
    )


def year_ends(connection: Connection[Any], period: str) -> tuple[YearEndRow, ...]:
    """The transactions that closed the year that ends with a period, those of the newest closing first."""
    rows = connection.execute(YEAR_ENDS, (period, MOST_YEAR_ENDS)).fetchall()
    return tuple(YearEndRow(*row) for row in rows)
