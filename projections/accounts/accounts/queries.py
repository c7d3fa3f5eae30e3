"""Reading accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from projections.accounts.account_persons import SEEN
from projections.accounts.accounts.tables import TABLE, as_json
from projections.engine.listing import EVERYTHING, Listed, Listing, Reader, Visible, readable, with_pairs


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is now; amounts in minor units."""

    account: str
    number: str
    type: str
    currency: str
    owner: str
    name: str | None  # None if it was erased
    status: str
    reason: str | None  # the reason why it is frozen or closed
    reason_erased: bool
    minimum: int | None
    maximum: int | None
    overdraft: int | None
    overdraft_until: date | None
    daily: int | None
    monthly: int | None
    hourly: int | None
    hourly_count: int | None
    approve_above: int | None
    opened_on: date
    balance: int
    reserved: int
    version: int
    entries: int
    position: int
    last_position: int
    last_at: datetime
    metadata: dict[str, str]
    closing_to: str | None

    @property
    def available(self) -> int:
        """The balance less the reserved amount."""
        return self.balance - self.reserved

    @property
    def name_erased(self) -> bool:
        """Whether the owner was erased: every account has a name."""
        return self.name is None


_T = readable(TABLE)
ACCOUNTS = Listing(
    _T,
    AccountRow,
    filters=("account", "number", "owner", "type", "currency", "status"),
    conditions={"metadata": with_pairs(_T.c.metadata)},
    visible=Visible(_T.c.account.in_(SEEN)),
)


def account(connection: Connection[Any], account: str, *, reader: Reader = EVERYTHING) -> AccountRow | None:
    """One account by its id."""
    return ACCOUNTS.one(connection, reader=reader, account=account)


def account_by_number(connection: Connection[Any], number: str, *, reader: Reader = EVERYTHING) -> AccountRow | None:
    """One account by its number."""
    return ACCOUNTS.one(connection, reader=reader, number=number)


def accounts(
    connection: Connection[Any],
    *,
    reader: Reader = EVERYTHING,
    owner: str | None = None,
    type: str | None = None,
    currency: str | None = None,
    status: str | None = None,
    metadata: Mapping[str, str] | None = None,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[AccountRow, int]:
    """Accounts in the order in which they were opened; `after` and `cursor` are positions.

    With `metadata`, those that have all these pairs.
    """
    pairs = as_json(metadata) if metadata else None
    filters = {"owner": owner, "type": type, "currency": currency, "status": status, "metadata": pairs, "after": after}
    return ACCOUNTS.read(connection, filters, limit, cursor=cursor, reader=reader)
