"""Agreements to settle merchant accounts as they are now: table, fold, reporting view, queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from domain.accounts.settlement.agreement import (
    ONE_DAY,
    DaySettled,
    SettlementAgreed,
    SettlementEnded,
    SettlementPaused,
    SettlementRenewed,
    SettlementResumed,
    SettlementTermsChanged,
)
from projections.engine.columns import code, day, flag, index, moment, number, read_table, total
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.writing import Row

# Table.

TABLE = read_table(
    "settlement_agreements",
    "One row a merchant account that is settled, with how far it is. Amounts in minor units.",
    code("agreement", "The name of its stream in the log.", key=True),
    code("account", "The merchant account.", unique=True),
    code("currency", "ISO 4217 code."),
    code("payout", "The account that gets the money."),
    number("fee_rate", "The fee in millionths of the payments.", bits=32),
    day("starts_on", "The first day that is settled."),
    day("next_day", "The next day to settle. It has ended if this is after the last one."),
    day("last_day", "The last day that is settled. NULL: no end.", optional=True),
    flag("paused", "Whether no day is settled until it is resumed."),
    number("until", "Position in the log up to which entries are settled."),
    total("carried_gross", "Payments less refunds that are carried over to the next day."),
    total("carried_fee", "Fees that are carried over to the next day."),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When its last event was recorded, UTC."),
    index("settlement_agreements_in_order", "position"),
)

# Fold.


def _begins(row: Row, event: SettlementAgreed | SettlementRenewed) -> Row:
    terms = {"payout": event.payout, "fee_rate": event.fee_rate}
    days = {"starts_on": event.starts_on, "next_day": event.starts_on, "last_day": None}
    return {**row, **terms, **days, "paused": False}


def agreed(row: Row, event: SettlementAgreed) -> Row:
    """An account is settled for the first time."""
    new = {"account": event.account, "currency": event.currency, "until": 0, "carried_gross": 0, "carried_fee": 0}
    return {**_begins(row, event), **new, "position": row["last_position"]}


def renewed(row: Row, event: SettlementRenewed) -> Row:
    """It is settled again."""
    return _begins(row, event)


def terms_changed(row: Row, event: SettlementTermsChanged) -> Row:
    """Other terms."""
    return {**row, "payout": event.payout, "fee_rate": event.fee_rate}


def paused(row: Row, event: SettlementPaused) -> Row:
    """No day is settled."""
    return {**row, "paused": True}


def resumed(row: Row, event: SettlementResumed) -> Row:
    """The days since are settled."""
    return {**row, "paused": False}


def ended(row: Row, event: SettlementEnded) -> Row:
    """It has a last day."""
    return {**row, "last_day": event.last_day}


def day_settled(row: Row, event: DaySettled) -> Row:
    """A day is settled, and some of it carried over."""
    carried = {"carried_gross": event.gross, "carried_fee": event.fee}
    return {**row, "next_day": event.day + ONE_DAY, "until": event.until, **carried}


SETTLEMENT_AGREEMENTS = declared(
    "settlement_agreements",
    RowFold(
        TABLE,
        starts={SettlementAgreed: agreed},
        changes={
            SettlementRenewed: renewed,
            SettlementTermsChanged: terms_changed,
            SettlementPaused: paused,
            SettlementResumed: resumed,
            SettlementEnded: ended,
            DaySettled: day_settled,
        },
    ),
    area="accounts",
    reports=(
        View(
            TABLE,
            "One row a merchant account that is settled, with how far it is. Amounts in major units.",
            tuple(TABLE.columns.keys()),
        ),
    ),
)

# Queries.


@dataclass(frozen=True, slots=True)
class AgreementRow:
    """An agreement as it is now; amounts in minor units."""

    account: str
    currency: str
    payout: str
    fee_rate: int
    starts_on: date
    next_day: date
    last_day: date | None
    paused: bool
    until: int
    carried_gross: int
    carried_fee: int
    version: int
    position: int
    last_at: datetime

    @property
    def status(self) -> str:
        """As `domain.accounts.settlement.agreement.SettlementAgreement.status`."""
        ended = self.last_day is not None and self.next_day > self.last_day
        return "ended" if ended else "paused" if self.paused else "active"


LIST = Listing(readable(TABLE), AgreementRow, filters=("account",))


def agreement(connection: Connection[Any], account: str) -> AgreementRow | None:
    """The agreement on an account."""
    return LIST.one(connection, account=account)


def agreements(
    connection: Connection[Any], *, after: int | None = None, cursor: int | None = None, limit: int = 100
) -> Listed[AgreementRow, int]:
    """Agreements in the order in which they were first made."""
    return LIST.read(connection, {"after": after}, limit, cursor=cursor)
