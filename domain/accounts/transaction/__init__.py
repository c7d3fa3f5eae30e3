"""Transactions: the commands that move money, and their decisions.

`domain.accounts.posting` turns a transaction into entries.
"""

from __future__ import annotations

from domain.accounts.details import RULES as DETAILS_RULES
from domain.accounts.details import TransactionCounted, TransactionDetailed
from domain.accounts.posting import RULES as POSTING_RULES
from domain.accounts.posting import TransactionPosted
from domain.accounts.transaction import (
    adjustment,
    approval,
    capture,
    check,
    closing,
    conditions,
    events,
    movements,
    pending,
    reversal,
    waiting,
    year_end,
)
from domain.accounts.transaction.adjustment import AdjustBalance
from domain.accounts.transaction.approval import ApprovePending, RejectPending
from domain.accounts.transaction.capture import CaptureHold
from domain.accounts.transaction.movements import ChargeFee, Deposit, PostTransaction, Transfer, Withdraw
from domain.accounts.transaction.pending import CancelPending, ExpirePending, PendTransaction, PendTransfer, PostPending
from domain.accounts.transaction.reversal import ChargeBack, RefundTransaction, ReverseTransaction
from domain.accounts.transaction.state import TRANSACTION, TransactionState, evolve
from domain.aggregate import Aggregate, EventType
from domain.codes import RULES as CODE_RULES

__all__ = [
    "TRANSACTION",
    "AdjustBalance",
    "ApprovePending",
    "CancelPending",
    "CaptureHold",
    "ChargeBack",
    "ChargeFee",
    "Deposit",
    "ExpirePending",
    "PendTransaction",
    "PendTransfer",
    "PostPending",
    "PostTransaction",
    "RefundTransaction",
    "RejectPending",
    "ReverseTransaction",
    "TransactionState",
    "Transfer",
    "Withdraw",
]

AGGREGATE = Aggregate(
    name="transaction",
    prefix=f"{TRANSACTION}_",
    events=(
        EventType(
            name="transaction.posted.v1",
            event=TransactionPosted,
            subject="subject",
            personal=("description",),
            codes=("reference",),
        ),
        EventType("transaction.detailed.v1", TransactionDetailed, codes=("template", "metadata")),
        EventType("transaction.counted.v1", TransactionCounted),
        EventType(
            name="transaction.pended.v1",
            event=events.TransactionPended,
            subject="subject",
            personal=("description",),
            codes=("reference",),
        ),
        EventType("transaction.approved.v1", events.TransactionApproved),
        EventType("transaction.rejected.v1", events.TransactionRejected, "subject", ("reason",)),
        EventType("transaction.cancelled.v1", events.TransactionCancelled, "subject", ("reason",)),
        EventType("transaction.expired.v1", events.TransactionExpired),
        EventType("transaction.reversed.v1", events.TransactionReversed),
    ),
    evolve=evolve,
    decisions={
        **movements.DECISIONS,
        **capture.DECISIONS,
        **pending.DECISIONS,
        **approval.DECISIONS,
        **reversal.DECISIONS,
        **adjustment.DECISIONS,
        **closing.DECISIONS,
        **year_end.DECISIONS,
    },
    rules={
        **POSTING_RULES,
        **CODE_RULES,
        **DETAILS_RULES,
        **movements.RULES,
        **capture.RULES,
        **waiting.RULES,
        **approval.RULES,
        **reversal.RULES,
        **conditions.RULES,
        **closing.RULES,
        **year_end.RULES,
    },
    written_once=True,
    may={
        **movements.MAY,
        **pending.MAY,
        **approval.MAY,
        **reversal.MAY,
        **adjustment.MAY,
        **closing.MAY,
        **year_end.MAY,
    },
    amounts=frozenset({"amount", "reversed"}),
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
