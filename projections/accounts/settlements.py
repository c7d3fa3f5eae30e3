"""Settlements of merchant accounts, one a UTC day: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from domain.accounts.settlement.events import SettlementCalculated, SettlementFailed, SettlementPaid
from domain.accounts.settlement.settlement import status_of
from projections.engine.columns import code, day, index, moment, number, read_table, total
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

# Table.

TABLE = read_table(
    "settlements",
    "One row a merchant account and UTC day that was settled. Amounts in minor units.",
    code("settlement", "Public id; also the name of its stream in the log.", key=True),
    code("account", "The merchant account."),
    day("day", "The day."),
    code("currency", "ISO 4217 code."),
    code("status", "due, paid, failed (the payout was refused), carried (to the next day), or empty."),
    number("entries", "Entries that were counted."),
    total("payments", "What was paid to the merchant."),
    total("refunds", "What was given back of payments."),
    number("fee_rate", "The fee in millionths of the payments.", bits=32),
    total("fee", "The fee on the payments of the day."),
    total("carried_gross", "Payments less refunds that were carried over from the day before."),
    total("carried_fee", "Fees that were carried over from the day before."),
    total("net", "What is paid out, or carried over if it is negative: all that, less the fees."),
    number("after", "Position in the log after which entries were counted."),
    number("until", "Position in the log up to which entries were counted."),
    code("payout", "The account that got the money. NULL before it was paid out.", optional=True),
    code("transaction", "The transaction that paid it out. NULL before.", optional=True),
    code("rule", "The rule that refused the payout the last time. NULL if none did.", optional=True),
    number("position", "Position in the log of its figures."),
    moment("calculated_at", "When its figures were recorded, UTC."),
    number("version", "Version of its stream: the number of its events."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("settlements_in_order", "position"),
    index("settlements_of_account", "account", "position"),
    index("settlements_of_day", "day", "position"),
    index("settlements_in_status", "status", "position"),
)

# Fold.


def calculated(row: Row, event: SettlementCalculated) -> Row:
    """The figures of a day."""
    return {
        **row,
        "account": event.account,
        "day": event.day,
        "currency": event.currency,
        "status": status_of(event),
        "entries": event.entries,
        "payments": event.payments,
        "refunds": event.refunds,
        "fee_rate": event.basis.fee_rate,
        "fee": event.fee,
        "carried_gross": event.basis.gross,
        "carried_fee": event.basis.fee,
        "net": event.gross - event.fees,
        "after": event.basis.after,
        "until": event.until,
        "position": row["last_position"],
        "calculated_at": row["last_at"],
    }


def paid(row: Row, event: SettlementPaid) -> Row:
    """It is paid out."""
    return {**row, "status": "paid", "payout": event.payout, "transaction": event.transaction}


def failed(row: Row, event: SettlementFailed) -> Row:
    """The payout was refused."""
    return {**row, "status": "failed", "rule": event.rule}


SETTLEMENTS = declared(
    "settlements",
    RowFold(
        TABLE,
        starts={SettlementCalculated: calculated},
        changes={SettlementPaid: paid, SettlementFailed: failed},
    ),
    area="accounts",
    reports=(
        View(
            TABLE,
            "One row a merchant account and UTC day that was settled. Amounts in major units.",
            tuple(TABLE.columns.keys()),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """A settlement as it is now; amounts in minor units."""

    settlement: str
    account: str
    day: date
    currency: str
    status: str
    entries: int
    payments: int
    refunds: int
    fee_rate: int
    fee: int
    carried_gross: int
    carried_fee: int
    net: int
    payout: str | None
    transaction: str | None
    rule: str | None
    position: int
    calculated_at: datetime
    version: int
    last_at: datetime


LIST = Listing(readable(TABLE), SettlementRow, filters=("settlement", "account", "day", "status"))


def settlement(connection: Connection[Any], settlement: str) -> SettlementRow | None:
    """One settlement by its id."""
    return LIST.one(connection, settlement=settlement)


def settlements(
    connection: Connection[Any],
    *,
    account: str | None = None,
    day: date | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[SettlementRow, int]:
    """Settlements in the order in which they were calculated."""
    filters = {"account": account, "day": day, "status": status, "after": after}
    return LIST.read(connection, filters, limit, cursor=cursor)
