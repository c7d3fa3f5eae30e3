"""Sessions of reconciliation: table, fold, reporting view and queries. Lines and matches have tables of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from domain.accounts.reconciliation.events import (
    ReconciliationAbandoned,
    ReconciliationClosed,
    ReconciliationOpened,
    ReconciliationReopened,
    ReconciliationRunAsked,
    ReconciliationRunFinished,
)
from projections.engine.columns import (
    code,
    day,
    flag,
    free_text,
    index,
    json_value,
    moment,
    number,
    read_table,
    total,
)
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import View
from projections.engine.rows import erasable
from projections.engine.writing import Row

TABLE = read_table(
    "reconciliations",
    "One row a reconciliation, as it is now: an account beside a statement that somebody else made of it. "
    "Amounts in minor units, as the statement says them.",
    code("reconciliation", "Public id; also the name of its stream in the log.", key=True),
    code("account", "Our account."),
    code("currency", "ISO 4217 code."),
    code("statement", "The id of the statement, by whoever made it."),
    flag("mirrored", "Whether their credit is our debit."),
    day("since", "The first day of the statement."),
    day("until", "Its last day."),
    total("opening", "The balance with which the statement opens."),
    total("closing", "The balance with which it closes."),
    number("lines", "How many lines it has."),
    number("skipped", "Entries of its file that were not booked, and are no lines."),
    number("days_apart", "By how many days the value dates of a line and an entry may differ."),
    code("status", "open, closed or abandoned."),
    flag("running", "Whether its lines are being matched by the rules."),
    json_value("ambiguous", "The numbers of lines that more than one entry fits, by the last run of the rules."),
    number("lines_left", "Lines that were not matched when it was closed. NULL while it is open.", optional=True),
    code("subject", "The person, or the session, whose key seals the texts of the statement."),
    free_text("outside_account", "The number of the account that the statement names.", optional=True),
    flag("outside_account_erased", "Whether that number is gone with the key."),
    code("opened_by", "Who brought the statement."),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    moment("opened_at", "When it was opened, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When that was recorded, UTC."),
    index("reconciliations_in_order", "position"),
    index("reconciliations_of_account", "account", "position"),
    index("reconciliations_with_status", "status", "position"),
    index("reconciliations_of_subject", "subject"),
    personal=PersonalText("subject", {"outside_account": "outside_account_erased"}),
)


def opened(row: Row, event: ReconciliationOpened) -> Row:
    """A new session, whose lines are being matched."""
    outside_account, erased = erasable(event.outside_account)
    return {
        **row,
        "account": event.account,
        "currency": event.currency,
        "statement": event.statement,
        "mirrored": event.mirrored,
        "since": event.since,
        "until": event.until,
        "opening": event.opening,
        "closing": event.closing,
        "lines": event.lines,
        "skipped": event.skipped,
        "days_apart": event.days_apart,
        "status": "open",
        "running": True,
        "ambiguous": "[]",
        "subject": event.subject,
        "outside_account": outside_account,
        "outside_account_erased": erased,
        "opened_by": event.operator,
        "position": row["last_position"],
        "opened_at": row["last_at"],
    }


def run_asked(row: Row, event: ReconciliationRunAsked) -> Row:
    """Its lines are being matched once more."""
    return {**row, "running": True}


def run_finished(row: Row, event: ReconciliationRunFinished) -> Row:
    """The rules match nothing more."""
    return {**row, "running": False, "ambiguous": f"[{','.join(map(str, event.ambiguous))}]"}


def closed(row: Row, event: ReconciliationClosed) -> Row:
    """It is over."""
    return {**row, "status": "closed", "running": False, "lines_left": event.lines_left}


def reopened(row: Row, event: ReconciliationReopened) -> Row:
    """It goes on."""
    return {**row, "status": "open", "lines_left": None}


def abandoned(row: Row, event: ReconciliationAbandoned) -> Row:
    """It has ended without a result."""
    return {**row, "status": "abandoned", "running": False}


FOLD = RowFold(
    TABLE,
    starts={ReconciliationOpened: opened},
    changes={
        ReconciliationRunAsked: run_asked,
        ReconciliationRunFinished: run_finished,
        ReconciliationClosed: closed,
        ReconciliationReopened: reopened,
        ReconciliationAbandoned: abandoned,
    },
)
VIEW = View(
    TABLE,
    "One row a reconciliation, as it is now. Amounts in major units, as the statement says them.",
    tuple(column.name for column in TABLE.columns if column.name not in ("subject", "outside_account_erased")),
)
RECONCILIATIONS = declared("reconciliations", FOLD, area="accounts", reports=(VIEW,))

# Queries.


@dataclass(frozen=True, slots=True)
class ReconciliationRow:
    """A session as it is now; amounts in minor units, as the statement says them."""

    reconciliation: str
    account: str
    currency: str
    statement: str
    mirrored: bool
    since: date
    until: date
    opening: int
    closing: int
    lines: int
    skipped: int
    days_apart: int
    status: str
    running: bool
    ambiguous: list[int]
    outside_account: str | None
    outside_account_erased: bool
    opened_by: str
    version: int
    position: int
    opened_at: datetime
    last_at: datetime

    def ours(self, amount: int) -> int:
        """An amount of the statement in our direction, or the reverse."""
        return -amount if self.mirrored else amount


LIST = Listing(readable(TABLE), ReconciliationRow, filters=("reconciliation", "account", "statement", "status"))


def reconciliation(connection: Connection[Any], reconciliation: str) -> ReconciliationRow | None:
    """One session by its id."""
    return LIST.one(connection, reconciliation=reconciliation)


def reconciliations(
    connection: Connection[Any],
    *,
    account: str | None = None,
    status: str | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[ReconciliationRow, int]:
    """Sessions in the order in which they were opened; `after` and `cursor` are positions."""
    return LIST.read(connection, {"account": account, "status": status, "after": after}, limit, cursor=cursor)
