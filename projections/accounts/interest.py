"""Interest as it is agreed now, and each month that was credited: tables, fold, reporting views, queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from psycopg import Connection

from domain.accounts.interest.accrual import ONE_DAY, WHOLE
from domain.accounts.interest.terms import InterestAgreed, InterestCredited, InterestEnded, InterestTermsChanged
from domain.process_manager import Fact
from projections.accounts.account_persons import SEEN
from projections.engine.columns import code, day, index, json_value, moment, number, read_table, total
from projections.engine.declared import RowFold, declared
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable
from projections.engine.reporting import Shown, View, last_position
from projections.engine.writing import Row

# Tables.

TABLE = read_table(
    "interest",
    "One row an account that earns interest, with its newest terms.",
    code("interest", "The name of its stream in the log.", key=True),
    code("account", "The account that earns it.", unique=True),
    code("currency", "ISO 4217 code."),
    code("payout", "The account that gets it."),
    day("from_day", "The day from which on the newest rate holds."),
    number("rate", "The newest rate in millionths a year.", bits=32),
    number("basis", "The days a year of that rate: 360 or 365.", bits=16),
    day("next_day", "The first day that is not credited. It has ended if this is after the last one."),
    day("last_day", "The last day that earns interest. NULL: no end.", optional=True),
    number("carried", f"What is carried to the next month, of {WHOLE} parts of a minor unit."),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("interest_in_order", "position"),
)

CREDITS = read_table(
    "interest_credits",
    "One row an account and month whose interest was credited. Amounts in minor units. Rows are never changed.",
    code("account", "The account that earned it.", key=True),
    day("first_day", "The first day.", key=True),
    day("until", "The last day."),
    code("currency", "ISO 4217 code."),
    code("payout", "The account that got it."),
    json_value(
        "balances", "[{day, balance}]: the balance by value date of the first day and of each change, minor units."
    ),
    total("amount", "What was credited."),
    number("carried", f"What is carried to the next month, of {WHOLE} parts of a minor unit."),
    code("transaction", "The transaction that credited it. NULL: it was less than a minor unit.", optional=True),
    number("position", "Position in the log."),
    moment("recorded_at", "When it was recorded, UTC."),
    index("interest_credits_in_order", "position"),
)

# Fold.


def agreed(row: Row, event: InterestAgreed) -> Row:
    """An account earns interest."""
    rate = event.rate
    terms = {"payout": event.payout, "from_day": rate.from_day, "rate": rate.rate, "basis": rate.basis}
    new = {"account": event.account, "currency": event.currency, "next_day": rate.from_day, "carried": 0}
    return {**row, **terms, **new, "position": row["last_position"]}


def terms_changed(row: Row, event: InterestTermsChanged) -> Row:
    """Another rate, or another account that gets it."""
    rate = event.rate
    return {**row, "payout": event.payout, "from_day": rate.from_day, "rate": rate.rate, "basis": rate.basis}


def ended(row: Row, event: InterestEnded) -> Row:
    """It has a last day."""
    return {**row, "last_day": event.last_day}


def credited(row: Row, event: InterestCredited) -> Row:
    """A month is credited."""
    return {**row, "next_day": event.last + ONE_DAY, "carried": event.carried}


def credit_of(row: Row, event: InterestCredited) -> list[tuple[Any, ...]]:
    """The row of a month."""
    balances = msgspec.json.encode(event.balances).decode()
    days = (event.account, event.first, event.last, event.currency, event.payout, balances)
    return [(*days, event.amount, event.carried, event.transaction, row["last_position"], row["last_at"])]


_PARTS = f"What is carried to the next month, in parts of a minor unit: {WHOLE} are one."

INTEREST = declared(
    "interest",
    RowFold(
        TABLE,
        starts={InterestAgreed: agreed},
        changes={InterestTermsChanged: terms_changed, InterestEnded: ended, InterestCredited: credited},
    ),
    area="accounts",
    details={CREDITS: {InterestCredited: credit_of}},
    reports=(
        View(TABLE, "One row an account that earns interest, with its newest terms.", tuple(TABLE.columns.keys())),
        View(
            CREDITS,
            "One row an account and month whose interest was credited. Amounts in major units.",
            (
                *(one.name for one in CREDITS.columns if one.name not in ("balances", "carried")),
                Shown("carried", _PARTS, "t.carried"),
                last_position("t.position"),
            ),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class InterestRow:
    """The interest of an account as it is agreed now."""

    account: str
    currency: str
    payout: str
    from_day: date
    rate: int
    basis: int
    next_day: date
    last_day: date | None
    carried: int
    version: int
    position: int
    last_at: datetime

    @property
    def status(self) -> str:
        """Whether a day is left that earns interest."""
        return "ended" if self.last_day is not None and self.next_day > self.last_day else "active"


@dataclass(frozen=True, slots=True)
class CreditRow:
    """A month whose interest was credited; amounts in minor units."""

    account: str
    first_day: date
    until: date
    currency: str
    payout: str
    balances: list[dict[str, Any]]
    amount: int
    carried: int
    transaction: str | None
    position: int
    recorded_at: datetime


_T, _C = readable(TABLE), readable(CREDITS)
LIST = Listing(_T, InterestRow, filters=("account",), visible=Visible(_T.c.account.in_(SEEN)))
CREDIT_LIST = Listing(_C, CreditRow, filters=("account",), visible=Visible(_C.c.account.in_(SEEN)))


def interest(connection: Connection[Any], account: str, *, reader: Reader = EVERYTHING) -> InterestRow | None:
    """The interest of an account."""
    return LIST.one(connection, reader=reader, account=account)


def interests(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[InterestRow, int]:
    """Accounts that earn interest, in the order in which it was agreed."""
    return LIST.read(connection, {"after": after}, limit, cursor=cursor, reader=reader)


def credits(
    connection: Connection[Any],
    account: str,
    *,
    reader: Reader = EVERYTHING,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[CreditRow, int]:
    """The months of an account that were credited, oldest first; `after` and `cursor` are positions."""
    return CREDIT_LIST.read(connection, {"account": account, "after": after}, limit, cursor=cursor, reader=reader)


# What a process asks.

DAILY_BALANCES = """
WITH days AS (
    SELECT greatest(day, %(first)s::date) AS day, sum(credits - debits) AS change
      FROM read.movements WHERE account = %(account)s AND day <= %(last)s::date GROUP BY 1
     UNION ALL
    SELECT %(first)s::date, 0
), changes AS (
    SELECT day, sum(change) AS change FROM days GROUP BY day
), balances AS (
    SELECT day, change, sum(change) OVER (ORDER BY day) AS balance FROM changes
)
SELECT (SELECT max(position) FROM read.checkpoints WHERE projection = 'movements'),
       json_agg(json_build_object('day', day, 'balance', balance) ORDER BY day)::text
  FROM balances WHERE change <> 0 OR day = %(first)s::date
"""


def daily_balances(connection: Connection[Any], arguments: Mapping[str, str | int]) -> Mapping[str, Fact]:
    """The balances by value date of an `account` from the day `first` to `last`, as JSON, and the position of them."""
    row = connection.execute(DAILY_BALANCES.encode(), arguments).fetchone()
    assert row is not None, "an aggregate has a row"
    position, balances = row
    return {"position": position, "balances": balances}
