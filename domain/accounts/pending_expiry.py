"""The process manager pending_expiry: it ends a pending transaction when its time is over.

A process is about one transaction that was reserved with a time. It sends `ExpirePending` then, unless the transaction
was posted, cancelled or rejected before. Until that command is carried out the amounts stay reserved.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.accounts.account.events import HoldCaptured
from domain.accounts.transaction.events import (
    TransactionApproved,
    TransactionCancelled,
    TransactionExpired,
    TransactionPended,
    TransactionRejected,
)
from domain.accounts.transaction.pending import ExpirePending
from domain.expiry import evolving, reacting
from domain.kernel import Value
from domain.process_manager import ProcessManager

MAY_CHANGE = frozenset({"pending_not_expired"})
"""Rules whose refusal may change: another clock was ahead. After any other one the transaction waits no more."""

Step = Literal["waiting", "expiring", "blocked", "ended"]


class PendingExpiry(Value, frozen=True):
    """The expiry of a pending transaction."""

    step: Step
    transaction: str
    refused: int = 0  # times, one after the other
    next_at: datetime | None = None  # the due time


def _waiting(event: TransactionPended) -> PendingExpiry:
    return PendingExpiry("waiting", event.originator_id, next_at=event.expires_at)


evolve = evolving(TransactionPended, _waiting, MAY_CHANGE)


def _end(state: PendingExpiry) -> ExpirePending:
    return ExpirePending(state.transaction)


react = reacting(_end)


def _that_expires(event: TransactionPended) -> tuple[str, ...] | None:
    return None if event.expires_at is None else (event.originator_id,)


def _of_its_hold(event: HoldCaptured) -> tuple[str, ...] | None:
    """The end of what the transaction reserved says that it was posted.

    `TransactionPosted` says it too. But every posting would then be read here, and nearly none was pending.
    """
    return (event.hold,) if event.hold == event.transaction else None


def _of_itself(
    event: TransactionApproved | TransactionCancelled | TransactionRejected | TransactionExpired,
) -> tuple[str, ...]:
    return (event.originator_id,)


MANAGER = ProcessManager(
    name="pending_expiry",
    state=PendingExpiry,
    begins={TransactionPended: _that_expires},
    concerns={
        HoldCaptured: _of_its_hold,
        TransactionApproved: _of_itself,
        TransactionCancelled: _of_itself,
        TransactionRejected: _of_itself,
        TransactionExpired: _of_itself,
    },
    evolve=evolve,
    react=react,
    due=lambda state: state.next_at,
    ends=frozenset({"ended"}),
    sends=(ExpirePending,),
)
