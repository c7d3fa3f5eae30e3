"""Reading accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from sqlalchemy import bindparam, column, select, table

from projections.engine.listing import Listed, Listing


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is now; amounts in minor units."""

    account: str
    number: str
    type: str
    currency: str
    owner: str
    name: str | None  # None: erased
    status: str
    reason: str | None  # why it is frozen or closed
    reason_erased: bool
    minimum: int | None
    maximum: int | None
    opened_on: date
    balance: int
    reserved: int
    version: int
    entries: int
    last_position: int
    last_at: datetime

    @property
    def available(self) -> int:
        """Balance less what is reserved."""
        return self.balance - self.reserved

    @property
    def name_erased(self) -> bool:
        """Whether the owner's key is gone; every account has a name."""
        return self.name is None


_NAMES = (
    "account number type currency owner name status reason reason_erased minimum maximum opened_on balance reserved "
    "version entries last_position last_at"
).split()
_T = table("accounts", *(column(name) for name in _NAMES), schema="read").c


def _make(*row: Any) -> AccountRow:
    values = dict(zip(_NAMES, row, strict=True))
    amounts = {name: int(values[name]) for name in ("balance", "reserved")}
    return AccountRow(**{**values, **amounts})


ACCOUNTS: Listing[AccountRow] = Listing(
    select(*(_T[name] for name in _NAMES)).order_by(_T.account),
    {
        "account": _T.account == bindparam("account"),
        "number": _T.number == bindparam("number"),
        "after": _T.account > bindparam("after"),
        "owner": _T.owner == bindparam("owner"),
        "type": _T.type == bindparam("type"),
        "currency": _T.currency == bindparam("currency"),
        "status": _T.status == bindparam("status"),
    },
    _make,
)


def account(connection: Connection[Any], account: str) -> AccountRow | None:
    """One account by its id."""
    return _one(connection, account=account)


def account_by_number(connection: Connection[Any], number: str) -> AccountRow | None:
    """One account by its number."""
    return _one(connection, number=number)


def accounts(
    connection: Connection[Any],
    *,
    owner: str | None = None,
    type: str | None = None,
    currency: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> Listed[AccountRow, str]:
    """Accounts in order of their ids, so oldest first; `after` is an id."""
    filters = {"owner": owner, "type": type, "currency": currency, "status": status, "after": after}
    return ACCOUNTS.read(connection, filters, limit, key=lambda row: row.account)


def _one(connection: Connection[Any], **key: str) -> AccountRow | None:
    rows = ACCOUNTS.read(connection, key, 1, key=lambda row: row.account)
    return rows.items[0] if rows.items else None
