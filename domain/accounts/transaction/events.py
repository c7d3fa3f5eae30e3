"""The events of a transaction that waits before it is posted, and of one that is reversed.

`TransactionPosted` is in `domain.accounts.posting`, `TransactionDetailed` in `domain.accounts.details`, and
`TransactionApproved` in `domain.accounts.approval_event`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from domain.accounts.approval_event import TransactionApproved as TransactionApproved
from domain.accounts.details import TransactionCounted, TransactionDetailed
from domain.accounts.posting import Entry, TransactionKind, TransactionPosted
from domain.kernel import Event, Personal

Awaits = Literal["request", "approval", "review"]
"""What a pending transaction waits for: a client who posts it, another person who approves, or a review of its risk."""


class TransactionPended(Event, frozen=True):
    """A transaction waits. Its amounts are reserved on the accounts that it debits. It begins the stream."""

    kind: TransactionKind
    value_date: date
    entries: tuple[Entry, ...]  # sum to zero per currency
    reference: str | None  # of the client's business, never about a person
    subject: str | None  # the person whose key seals the description, and the reason of its end
    description: Personal | None
    awaits: Awaits
    initiator: str | None  # the person who asked for it; None for a program
    expires_at: datetime | None  # aware, UTC; None: until it is posted or cancelled


class TransactionRejected(Event, frozen=True):
    """Another person than the initiator rejected the pending transaction. It ends, and nothing was posted."""

    by: str
    subject: str | None
    reason: Personal | None


class TransactionCancelled(Event, frozen=True):
    """The pending transaction was cancelled. It ends, and nothing was posted."""

    subject: str | None
    reason: Personal | None


class TransactionExpired(Event, frozen=True):
    """The time of the pending transaction was over. It ends, and nothing was posted."""


class TransactionReversed(Event, frozen=True):
    """All or part of the posted transaction was reversed by another one, which was posted in the same unit."""

    by: str  # the reversing transaction
    reversed: tuple[int, ...]  # of each entry, what is reversed by now in minor units
    whole: bool  # whether nothing is left to reverse


TransactionEvent = (
    TransactionPosted
    | TransactionDetailed
    | TransactionCounted
    | TransactionPended
    | TransactionApproved
    | TransactionRejected
    | TransactionCancelled
    | TransactionExpired
    | TransactionReversed
)
