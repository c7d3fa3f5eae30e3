"""The table of accounts, its reporting view, and what each event means for a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import orjson

from domain.accounts.account.events import (
    AccountAssessed,
    AccountAttached,
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountDetached,
    AccountDetailsChanged,
    AccountFrozen,
    AccountMetadataChanged,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
    LimitReturned,
    LimitsChanged,
    LimitUsed,
    MandateGiven,
    MandateWithdrawn,
    OwnerAdded,
    OwnerRemoved,
)
from domain.accounts.posting import TransactionPosted
from projections.engine.columns import (
    amount,
    code,
    day,
    flag,
    free_text,
    index,
    moment,
    number,
    pairs,
    pairs_index,
    read_table,
    total,
)
from projections.engine.declared import RowFold
from projections.engine.erasure import PersonalText
from projections.engine.reporting import Shown, View, shown
from projections.engine.rows import erasable
from projections.engine.writing import Row

OTHER_LIMITS = ("overdraft", "overdraft_until", "daily", "monthly", "hourly", "hourly_count", "approve_above")
LIMITS = ("minimum", "maximum", *OTHER_LIMITS)
"""The columns of limits, in the order of the table."""

# No changing amount is in an index, and a page is half empty at first: an update stays on its page (HOT).
TABLE = read_table(
    "accounts",
    "One row an account, as it is now. Amounts in minor units.",
    code("account", "Public id; also the name of its stream in the log.", key=True),
    code("number", "Account number with its two check digits.", unique=True),
    code(
        "type",
        "checking, savings, credit, merchant, escrow; or a role of the ledger's own: cash, banks, fees, interest, "
        "penalties, revenue, rounding, equity.",
    ),
    code("currency", "ISO 4217 code."),
    code("owner", "Who owns it; for the ledger's own accounts the name of the log."),
    free_text("name", "Name for people. NULL once the owner was erased.", optional=True),
    flag("name_erased", "Whether the name is gone with the owner's key."),
    code("status", "open, frozen or closed."),
    free_text("reason", "Why it was frozen or closed. NULL while open, and once the owner was erased.", optional=True),
    flag("reason_erased", "Whether the reason is gone with the owner's key."),
    amount("minimum", "What available may not fall below; NULL: no such limit.", optional=True),
    amount("maximum", "What balance may not rise above; NULL: no such limit.", optional=True),
    amount("overdraft", "How far below the minimum it may go; NULL: no overdraft line.", optional=True),
    day("overdraft_until", "Last day of the overdraft line, UTC; NULL: no end.", optional=True),
    amount("daily", "What may leave it in a UTC day; NULL: no such limit.", optional=True),
    amount("monthly", "What may leave it in a UTC month; NULL: no such limit.", optional=True),
    amount("hourly", "What may leave it in a rolling hour; NULL: no such limit.", optional=True),
    number("hourly_count", "How many transactions may take something in a rolling hour; NULL: any.", optional=True),
    amount("approve_above", "What one transaction may take without another person; NULL: anything.", optional=True),
    day("opened_on", "Calendar date of its opening; no value date is before it."),
    total("balance", "Credits less debits, booked."),
    total("reserved", "Sum of its open holds."),
    number("version", "Version of its stream: the number of its events."),
    number("entries", "How many entries it has."),
    number("position", "Position in the log of its opening."),
    number("last_position", "Position in the log of the last event that changed it."),
    moment("last_at", "When that event was recorded, UTC."),
    pairs("metadata", "Pairs of codes that clients keep with it, as a JSON object."),
    code(
        "closing_to",
        "It is closed once no hold is open, and this account gets what is left. NULL: it is not to be closed.",
        optional=True,
    ),
    index("accounts_in_order", "position"),
    index("accounts_of_owner", "owner", "position"),
    index("accounts_not_open", "status", "position", where="status <> 'open'"),
    index("accounts_of_type", "type", "position"),
    index("accounts_in_currency", "currency", "position"),
    pairs_index("accounts_with_metadata", "metadata"),
    storage="fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05",
    personal=PersonalText("owner", {"name": "name_erased", "reason": "reason_erased"}),
)

VIEW = View(
    TABLE,
    "One row an account, as it is now. Amounts in major units.",
    (
        "account",
        "number",
        "type",
        "currency",
        "owner",
        "name",
        "status",
        shown(TABLE.c.reason, "status_reason"),
        "opened_on",
        "balance",
        "reserved",
        Shown("available", "Balance less reserved.", "(t.balance - t.reserved) * c.minor_unit"),
        "minimum",
        "maximum",
        "entries",
        "version",
        "last_position",
        "last_at",
        "position",
        *OTHER_LIMITS,
        "metadata",
        "closing_to",
    ),
)


NO_METADATA = "{}"


def opened(row: Row, event: AccountOpened) -> Row:
    """A new account."""
    name, erased = erasable(event.name)
    return {
        **row,
        "number": event.number,
        "type": event.type,
        "currency": event.currency,
        "owner": event.owner,
        "name": name,
        "name_erased": erased,
        "status": "open",
        "reason_erased": False,
        "minimum": event.minimum,
        "maximum": event.maximum,
        "opened_on": event.opened_on,
        "balance": 0,
        "reserved": 0,
        "entries": 0,
        "position": row["last_position"],
        "metadata": NO_METADATA,
    }


def booked(row: Row, event: TransactionPosted) -> Row:
    """Add the entries of a transaction. The events of the entries on the account's own stream are not read."""
    of_account = [entry for entry in event.entries if entry.account == row["account"]]
    return {
        **row,
        "balance": row["balance"] + sum(e.amount if e.side == "credit" else -e.amount for e in of_account),
        "entries": row["entries"] + len(of_account),
        "version": row["version"] + len(of_account),
    }


def frozen(row: Row, event: AccountFrozen) -> Row:
    """No entries until it is unfrozen."""
    reason, erased = erasable(event.reason)
    return {**row, "status": "frozen", "reason": reason, "reason_erased": erased}


def unfrozen(row: Row, event: AccountUnfrozen) -> Row:
    """It is as before it was frozen."""
    return {**row, "status": "open", "reason": None, "reason_erased": False}


def closed(row: Row, event: AccountClosed) -> Row:
    """It ends."""
    reason, erased = erasable(event.reason)
    return {**row, "status": "closed", "reason": reason, "reason_erased": erased, "closing_to": None}


def closing_asked(row: Row, event: AccountClosingAsked) -> Row:
    """It is to be closed once no hold is open."""
    return {**row, "closing_to": event.sweep_to}


def closing_cancelled(row: Row, event: AccountClosingCancelled) -> Row:
    """It goes on."""
    return {**row, "closing_to": None}


def reopened(row: Row, event: AccountReopened) -> Row:
    """It is as before it was closed."""
    return {**row, "status": "open", "reason": None, "reason_erased": False}


def named(row: Row, event: AccountDetailsChanged) -> Row:
    """It has another name."""
    name, erased = erasable(event.name)
    return {**row, "name": name, "name_erased": erased}


def described(row: Row, event: AccountMetadataChanged) -> Row:
    """Some pairs are set, and others removed."""
    before = orjson.loads(row["metadata"])
    kept = {key: value for key, value in before.items() if key not in event.removed}
    return {**row, "metadata": as_json({**kept, **event.metadata})}


def as_json(metadata: Mapping[str, str]) -> str:
    """Metadata as the text of a JSON object."""
    return orjson.dumps(dict(metadata)).decode()


def held(row: Row, event: HoldPlaced) -> Row:
    """An amount is reserved."""
    return {**row, "reserved": row["reserved"] + event.amount}


def freed(row: Row, event: HoldReleased | HoldCaptured | HoldPartlyCaptured | HoldExpired) -> Row:
    """An amount is not reserved any more."""
    return {**row, "reserved": row["reserved"] - event.amount}


def limits_changed(row: Row, event: LimitsChanged) -> Row:
    """Its limits are replaced."""
    return {**row, **limits_of(event)}


def limits_of(event: LimitsChanged) -> dict[str, int | date | None]:
    """The limits by column. An overdraft of 0 is none."""
    return {**{name: getattr(event, name) for name in LIMITS}, "overdraft": event.overdraft or None}


_Counted = (
    OwnerAdded
    | OwnerRemoved
    | MandateGiven
    | MandateWithdrawn
    | LimitUsed
    | LimitReturned
    | AccountAttached
    | AccountDetached
    | AccountAssessed
)


def counted(row: Row, event: _Counted) -> Row:
    """Only its version changes. `account_persons` has its owners and mandates, `limit_usage` what it used,
    and `chart_accounts` its node.
    """
    return row


def _accounts_of(event: object) -> tuple[str, ...]:
    if isinstance(event, TransactionPosted):
        return tuple(entry.account for entry in event.entries)
    return (event.originator_id,)  # type: ignore[attr-defined]


PURE = RowFold(
    TABLE,
    starts={AccountOpened: opened},
    changes={
        AccountFrozen: frozen,
        AccountUnfrozen: unfrozen,
        AccountClosed: closed,
        AccountClosingAsked: closing_asked,
        AccountClosingCancelled: closing_cancelled,
        AccountReopened: reopened,
        AccountDetailsChanged: named,
        AccountMetadataChanged: described,
        HoldPlaced: held,
        HoldReleased: freed,
        HoldCaptured: freed,
        HoldPartlyCaptured: freed,
        HoldExpired: freed,
        OwnerAdded: counted,
        OwnerRemoved: counted,
        MandateGiven: counted,
        MandateWithdrawn: counted,
        LimitUsed: counted,
        LimitReturned: counted,
        AccountAssessed: counted,
        LimitsChanged: limits_changed,
        AccountAttached: counted,
        AccountDetached: counted,
        TransactionPosted: booked,
    },
    rows_of=_accounts_of,
)
"""The meaning of the rows. The SQL of `fold` gives the same for a page at once. A test holds the two equal."""
