"""The stream of a transaction: its state and the fold of its events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec.structs import replace

from domain.accounts.details import Relation, TransactionCounted, TransactionDetailed
from domain.accounts.posting import Entry, TransactionKind, TransactionPosted
from domain.accounts.transaction.events import (
    Awaits,
    TransactionApproved,
    TransactionCancelled,
    TransactionEvent,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
    TransactionReversed,
)
from domain.kernel import Value

TRANSACTION = "txn"
"""Prefix of the ids of transactions."""

TransactionStatus = Literal["pending", "posted", "cancelled", "rejected", "expired", "partly_reversed", "reversed"]


class TransactionState(Value, frozen=True):
    """A transaction at a version of its stream."""

    version: int
    id: str
    status: TransactionStatus
    kind: TransactionKind
    value_date: date
    entries: tuple[Entry, ...]
    reference: str | None
    subject: str | None  # the person whose key seals its texts
    awaits: Awaits | None = None  # what it waits for, or waited for
    initiator: str | None = None
    expires_at: datetime | None = None  # aware, UTC
    approved: bool = False
    parent: str | None = None
    relation: Relation | None = None
    counted_at: datetime | None = None  # aware, UTC: when it was counted against the limits of accounts
    counted: tuple[str, ...] = ()  # those accounts
    reversed: tuple[int, ...] = ()  # of each entry in minor units; empty: nothing


def evolve(state: TransactionState | None, event: TransactionEvent) -> TransactionState:
    """Return the transaction after the event. Raises ValueError if the stream does not begin with the transaction."""
    version = event.originator_version
    if state is None:
        return _begun(event)
    match event:
        case TransactionPosted():
            return replace(state, version=version, status="posted", value_date=event.value_date)
        case TransactionDetailed():
            return replace(state, version=version, parent=event.parent, relation=event.relation)
        case TransactionCounted():
            return replace(state, version=version, counted_at=event.at, counted=event.accounts)
        case TransactionApproved():
            return replace(state, version=version, approved=True)
        case TransactionRejected():
            return replace(state, version=version, status="rejected")
        case TransactionCancelled():
            return replace(state, version=version, status="cancelled")
        case TransactionExpired():
            return replace(state, version=version, status="expired")
        case TransactionReversed():
            status: TransactionStatus = "reversed" if event.whole else "partly_reversed"
            return replace(state, version=version, status=status, reversed=event.reversed)
        case TransactionPended():
            raise ValueError(f"{event.originator_id} is pending again at version {version}")


def status_after(event: TransactionEvent, before: TransactionStatus | None) -> TransactionStatus | None:
    """Return the status of a transaction after an event. `before` is the status before it; None: it begins."""
    match event:
        case TransactionPosted():
            return "posted"
        case TransactionPended():
            return "pending"
        case TransactionRejected():
            return "rejected"
        case TransactionCancelled():
            return "cancelled"
        case TransactionExpired():
            return "expired"
        case TransactionReversed():
            return "reversed" if event.whole else "partly_reversed"
        case TransactionApproved():
            return "pending"
        case TransactionDetailed() | TransactionCounted():
            return before


def _begun(event: TransactionEvent) -> TransactionState:
    if isinstance(event, TransactionPosted):  # most are, and each posting folds one
        return TransactionState(
            event.originator_version,
            event.originator_id,
            "posted",
            event.kind,
            event.value_date,
            event.entries,
            event.reference,
            event.subject,
        )
    if not isinstance(event, TransactionPended):
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with a transaction")
    return TransactionState(
        version=event.originator_version,
        id=event.originator_id,
        status="pending",
        kind=event.kind,
        value_date=event.value_date,
        entries=event.entries,
        reference=event.reference,
        subject=event.subject,
        awaits=event.awaits,
        initiator=event.initiator,
        expires_at=event.expires_at,
    )
