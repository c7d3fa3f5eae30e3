"""How events become rows of `accounts`.

Balances come from the transactions alone. Each entry of a transaction has an event on the account's own stream, which
is counted. So the version of that stream is known without reading these events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from psycopg import Connection

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
from eventstore.postgres.arrays import BinaryArray, bool_array, int8_array, text_array
from projections.accounts.accounts.tables import LIMITS, NO_METADATA, TABLE, VIEW, as_json, limits_of
from projections.engine.projection import FoldCache, FoldError, Projection, RecordedEvent
from projections.engine.rows import NULL, copy_rows, copy_text, erasable
from projections.engine.writing import copy_target


@dataclass(slots=True)
class Change:
    """The changes of one account by some events."""

    opened: AccountOpened | None = None  # the account is new
    balance: int = 0  # added, minor units
    reserved: int = 0  # added, minor units
    version: int = 0  # events added to its stream
    entries: int = 0  # entries among them
    opened_at: int = 0  # position of the opening
    position: int = 0  # of the last of them
    at: str = ""
    status: str | None = None  # None: unchanged
    reason: str | None = None
    reason_erased: bool = False
    limits: LimitsChanged | None = None  # the newest; None: unchanged
    named: AccountDetailsChanged | None = None  # the last other name; None: unchanged
    pairs: dict[str, str] | None = None  # of the metadata that were set; None: unchanged
    closing: bool = False  # whether `closing_to` is changed
    closing_to: str | None = None
    removed: set[str] = field(default_factory=set)  # keys of the metadata that are not set after their removal

    def change_metadata(self, event: AccountMetadataChanged) -> None:
        """Add a change of the metadata to those before it."""
        pairs = {} if self.pairs is None else self.pairs
        self.removed.update(event.removed)
        self.removed.difference_update(event.metadata)
        self.pairs = {key: value for key, value in pairs.items() if key not in event.removed} | dict(event.metadata)


def fold(events: Iterable[RecordedEvent]) -> dict[str, Change]:
    """The changes of each account. Raises `FoldError` for an account that is opened twice."""
    changes: dict[str, Change] = {}
    for position, at, event in events:
        if type(event) is TransactionPosted:
            for entry in event.entries:
                change = changes.get(entry.account)
                if change is None:
                    changes[entry.account] = change = Change()
                change.balance += entry.amount if entry.side == "credit" else -entry.amount
                change.version += 1
                change.entries += 1
                change.position = position
                change.at = at
            continue
        change = changes.setdefault(event.originator_id, Change())
        change.version += 1
        change.position = position
        change.at = at
        match event:
            case AccountOpened():
                if change.version > 1:
                    raise FoldError(f"{event.originator_id} is opened, but it has events before")
                change.opened = event
                change.opened_at = position
                change.status = "open"
            case AccountFrozen():
                change.status = "frozen"
                change.reason, change.reason_erased = erasable(event.reason)
            case AccountUnfrozen() | AccountReopened():
                change.status, change.reason, change.reason_erased = "open", None, False
            case AccountClosed():
                change.status = "closed"
                change.reason, change.reason_erased = erasable(event.reason)
                change.closing, change.closing_to = True, None
            case AccountClosingAsked():
                change.closing, change.closing_to = True, event.sweep_to
            case AccountClosingCancelled():
                change.closing, change.closing_to = True, None
            case AccountDetailsChanged():
                change.named = event
            case AccountMetadataChanged():
                change.change_metadata(event)
            case HoldPlaced():
                change.reserved += event.amount
            case HoldReleased() | HoldCaptured() | HoldPartlyCaptured() | HoldExpired():
                change.reserved -= event.amount
            case LimitsChanged():
                change.limits = event
            case OwnerAdded() | OwnerRemoved() | MandateGiven() | MandateWithdrawn():
                pass  # only counted: `account_persons` has them
            case LimitUsed() | LimitReturned() | AccountAssessed():
                pass  # only counted: `limit_usage` and `risk_assessments` have them
            case AccountAttached() | AccountDetached():
                pass  # only counted: `chart_accounts` has the node
            case _:
                raise FoldError(f"{type(event).__name__} is none of its events")
    return changes


_BOOKED = attrgetter("balance", "version", "entries", "position", "at")


class Rows(NamedTuple):
    """The rows and parameters for the server, made beforehand so that it need not wait between two statements."""

    opened: list[str]  # new accounts, as lines for COPY
    changed: int  # ids of existing accounts
    booked: tuple[BinaryArray, ...]  # the parameters of each statement on them; an empty list means no statement
    reserved: tuple[BinaryArray, ...]
    status: tuple[BinaryArray, ...]
    limits: tuple[BinaryArray, ...]
    names: tuple[BinaryArray, ...]
    metadata: tuple[BinaryArray, ...]
    closings: tuple[BinaryArray, ...]


def lay_out(changes: Mapping[str, Change]) -> Rows:
    """The changes as rows and parameters."""
    # In order of their ids: neighbours share pages of the index, and of the table, because ids are ordered by time.
    changed = {account: changes[account] for account in sorted(changes) if changes[account].opened is None}
    reserved = {account: change.reserved for account, change in changed.items() if change.reserved}
    status = {account: change for account, change in changed.items() if change.status is not None}
    limits = {account: change.limits for account, change in changed.items() if change.limits is not None}
    named = {account: erasable(change.named.name) for account, change in changed.items() if change.named is not None}
    metadata = {account: change for account, change in changed.items() if change.pairs is not None}
    closings = {account: change.closing_to for account, change in changed.items() if change.closing}
    booked: tuple[BinaryArray, ...] = ()
    if changed:
        balance, version, entries, position, at = zip(*map(_BOOKED, changed.values()), strict=True)
        booked = (
            text_array(list(changed)),
            text_array(list(map(str, balance))),
            int8_array(version),
            int8_array(entries),
            int8_array(position),
            text_array(at),
        )
    return Rows(
        [_line(change) for change in changes.values() if change.opened is not None],
        len(changed),
        booked,
        (text_array(list(reserved)), text_array([str(amount) for amount in reserved.values()])) if reserved else (),
        (
            text_array(list(status)),
            text_array([change.status for change in status.values()]),
            text_array([change.reason for change in status.values()]),
            bool_array([change.reason_erased for change in status.values()]),
        )
        if status
        else (),
        (text_array(list(limits)), *map(text_array, zip(*map(_limits, limits.values()), strict=True)))
        if limits
        else (),
        (
            text_array(list(named)),
            text_array([name for name, _ in named.values()]),
            bool_array([erased for _, erased in named.values()]),
        )
        if named
        else (),
        (
            text_array(list(metadata)),
            text_array([as_json(dict.fromkeys(change.removed, "")) for change in metadata.values()]),
            text_array([as_json(change.pairs or {}) for change in metadata.values()]),
        )
        if metadata
        else (),
        (text_array(list(closings)), text_array(list(closings.values()))) if closings else (),
    )


def _limits(event: LimitsChanged | None) -> tuple[str | None, ...]:
    """The limits in the order of `LIMITS`, as text."""
    if event is None:
        return (None,) * len(LIMITS)
    values = limits_of(event)
    return tuple(None if values[name] is None else str(values[name]) for name in LIMITS)


def write(connection: Connection[Any], rows: Rows, cache: FoldCache) -> None:
    """Apply the changes. Raises `FoldError` for events of an account that was never opened."""
    if rows.booked:
        updated = connection.execute(_BOOK, rows.booked).rowcount
        if updated != rows.changed:
            missing = connection.execute(_MISSING, (rows.booked[0],)).fetchone()
            raise FoldError(f"{rows.changed - updated} accounts were never opened, among them {missing and missing[0]}")
    if rows.reserved:
        connection.execute(_RESERVE, rows.reserved)
    if rows.status:
        connection.execute(_SET_STATUS, rows.status)
    if rows.limits:
        connection.execute(_SET_LIMITS, rows.limits)
    if rows.names:
        connection.execute(_SET_NAME, rows.names)
    if rows.metadata:
        connection.execute(_SET_METADATA, rows.metadata)
    if rows.closings:
        connection.execute(_SET_CLOSING, rows.closings)
    copy_rows(connection, _TARGET, rows.opened)


_TARGET = copy_target(TABLE)

# unnest in the list of a SELECT advances all arrays together. In FROM each array would fill a tuplestore.
_BOOK = """
UPDATE accounts a
   SET balance = a.balance + c.balance::numeric, version = a.version + c.version, entries = a.entries + c.entries,
       last_position = c.position, last_at = c.at::timestamptz
  FROM (SELECT unnest(%s::text[]) AS account, unnest(%s::text[]) AS balance, unnest(%s::bigint[]) AS version,
               unnest(%s::bigint[]) AS entries, unnest(%s::bigint[]) AS position, unnest(%s::text[]) AS at) AS c
 WHERE a.account = c.account
"""

_RESERVE = """
UPDATE accounts a SET reserved = a.reserved + c.reserved::numeric
  FROM unnest(%s::text[], %s::text[]) AS c(account, reserved)
 WHERE a.account = c.account
"""

_SET_STATUS = """
UPDATE accounts a SET status = c.status, reason = c.reason, reason_erased = c.reason_erased
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::boolean[]) AS c(account, status, reason, reason_erased)
 WHERE a.account = c.account
"""

_SET_LIMITS = """
UPDATE accounts a
   SET minimum = c.minimum::bigint, maximum = c.maximum::bigint, overdraft = c.overdraft::bigint,
       overdraft_until = c.overdraft_until::date, daily = c.daily::bigint, monthly = c.monthly::bigint,
       hourly = c.hourly::bigint, hourly_count = c.hourly_count::bigint, approve_above = c.approve_above::bigint
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
              %s::text[], %s::text[])
       AS c(account, minimum, maximum, overdraft, overdraft_until, daily, monthly, hourly, hourly_count, approve_above)
 WHERE a.account = c.account
"""

_SET_NAME = """
UPDATE accounts a SET name = c.name, name_erased = c.name_erased
  FROM unnest(%s::text[], %s::text[], %s::boolean[]) AS c(account, name, name_erased)
 WHERE a.account = c.account
"""

# The keys that are removed come as an object, because an array of arrays would need the same number for each account.
_SET_METADATA = """
UPDATE accounts a
   SET metadata = (a.metadata - ARRAY(SELECT jsonb_object_keys(c.removed::jsonb))) || c.pairs::jsonb
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS c(account, removed, pairs)
 WHERE a.account = c.account
"""

_SET_CLOSING = """
UPDATE accounts a SET closing_to = c.closing_to
  FROM unnest(%s::text[], %s::text[]) AS c(account, closing_to)
 WHERE a.account = c.account
"""

_MISSING = """
SELECT min(c.account) FROM unnest(%s::text[]) AS c(account)
 WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.account = c.account)
"""


def _line(change: Change) -> str:
    """The line of an account, in the order of the table's columns."""
    event = change.opened
    assert event is not None
    changed = change.limits
    minimum, maximum, *others = (
        (event.minimum, event.maximum, *[None] * (len(LIMITS) - 2)) if changed is None else _limits(changed)
    )
    name, name_erased = erasable(event.name if change.named is None else change.named.name)
    return "\t".join(
        (
            copy_text(event.originator_id),
            copy_text(event.number),
            copy_text(event.type),
            copy_text(event.currency),
            copy_text(event.owner),
            copy_text(name),
            "t" if name_erased else "f",
            copy_text(change.status),
            copy_text(change.reason),
            "t" if change.reason_erased else "f",
            NULL if minimum is None else str(minimum),
            NULL if maximum is None else str(maximum),
            *[NULL if limit is None else str(limit) for limit in others],
            event.opened_on.isoformat(),
            str(change.balance),
            str(change.reserved),
            str(change.version),
            str(change.entries),
            str(change.opened_at),
            str(change.position),
            change.at,
            copy_text(as_json(change.pairs)) if change.pairs else NO_METADATA,
            copy_text(change.closing_to),
        )
    )


ACCOUNTS = Projection(
    name="accounts",
    area="accounts",
    events=(
        AccountOpened,
        AccountFrozen,
        AccountUnfrozen,
        AccountClosed,
        AccountClosingAsked,
        AccountClosingCancelled,
        AccountReopened,
        AccountDetailsChanged,
        AccountMetadataChanged,
        HoldPlaced,
        HoldReleased,
        HoldCaptured,
        HoldPartlyCaptured,
        HoldExpired,
        OwnerAdded,
        OwnerRemoved,
        MandateGiven,
        MandateWithdrawn,
        LimitsChanged,
        LimitUsed,
        LimitReturned,
        AccountAssessed,
        AccountAttached,
        AccountDetached,
        TransactionPosted,
    ),
    read_tables=(TABLE,),
    reports=(VIEW,),
    fold=lambda events: lay_out(fold(events)),
    write=write,
    version=4,
)
