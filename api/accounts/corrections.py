"""The routes that decide about pending transactions and undo posted ones."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter

from api.accounts import bodies
from api.accounts.answers import PendingEnded, PendingPosted, Posted, TransactionUndone
from api.accounts.conditions import conditioned
from api.commands.execution import command
from api.commands.routes import Caller, Intent
from api.gateway.problems import Problem
from api.queries.reading import PathId
from domain.accounts.transaction import (
    TRANSACTION,
    AdjustBalance,
    ApprovePending,
    ChargeBack,
    RefundTransaction,
    RejectPending,
    ReverseTransaction,
)
from domain.accounts.transaction.reversal import Part

router = APIRouter(prefix="/v1", tags=["transactions"])


@command(router, "/transactions/{transaction}/approve", makes=ApprovePending, answer=PendingPosted, status=200)
def approve_pending(caller: Caller, transaction: PathId, body: bodies.ApproveBody) -> Intent:
    """Approve a pending transaction as another person than the one who asked for it. It is posted."""
    return Intent(ApprovePending(transaction, body.value_date), transaction)


@command(router, "/transactions/{transaction}/reject", makes=RejectPending, answer=PendingEnded, status=200)
def reject_pending(caller: Caller, transaction: PathId, body: bodies.RejectBody) -> Intent:
    """Reject a pending transaction as another person than the one who asked for it. It ends."""
    return Intent(RejectPending(transaction, body.reason), transaction)


def _value_date(caller: Caller, given: date | str | None) -> date | None:
    """The value date of what undoes a transaction: None for that of the original."""
    if isinstance(given, date):
        return given
    return caller.today if given is None else None


@command(router, "/transactions/{transaction}/reverse", makes=ReverseTransaction, answer=TransactionUndone)
def reverse_transaction(caller: Caller, transaction: PathId, body: bodies.Reversal) -> Intent:
    """Reverse a posted transaction: what is left of it, an amount, or parts of its entries."""
    if body.entries and body.amount is not None:
        raise Problem("malformed", "amount: leave it out where entries are given; they have amounts.")
    reversal = ReverseTransaction(
        transaction=caller.services.new_id(TRANSACTION),
        original=transaction,
        value_date=_value_date(caller, body.value_date),
        reason=body.reason,
        reference=body.reference,
        metadata=body.metadata,
        amount=body.amount,
        currency=body.currency,
        parts=tuple(Part(one.entry, one.amount, one.currency) for one in body.entries),
        with_fee=body.with_fee,
    )
    return Intent(reversal, transaction)


@command(router, "/transactions/{transaction}/refund", makes=RefundTransaction, answer=TransactionUndone)
def refund_transaction(caller: Caller, transaction: PathId, body: bodies.Refund) -> Intent:
    """Give an amount of a transaction back, less a fee. It counts as reversed."""
    refund = RefundTransaction(
        transaction=caller.services.new_id(TRANSACTION),
        original=transaction,
        value_date=_value_date(caller, body.value_date),
        reason=body.reason,
        reference=body.reference,
        metadata=body.metadata,
        amount=body.amount,
        currency=body.currency,
        fee_rate=bodies.millionths(body.fee_rate),
    )
    return Intent(refund, transaction)


@command(router, "/transactions/{transaction}/chargeback", makes=ChargeBack, answer=TransactionUndone)
def charge_back_transaction(caller: Caller, transaction: PathId, body: bodies.Chargeback) -> Intent:
    """Give an amount of a transaction back, because the bank of the payer asked for it. It counts as reversed."""
    chargeback = ChargeBack(
        transaction=caller.services.new_id(TRANSACTION),
        original=transaction,
        value_date=_value_date(caller, body.value_date),
        reason=body.reason,
        reference=body.reference,
        metadata=body.metadata,
        amount=body.amount,
        currency=body.currency,
    )
    return Intent(chargeback, transaction)


@command(router, "/accounts/{account}/adjustments", makes=AdjustBalance, answer=Posted)
def adjust_balance(caller: Caller, account: PathId, body: bodies.Adjustment) -> Intent:
    """Correct the balance of an account, with a reason, against an account of the ledger. It is for operators."""
    adjustment = AdjustBalance(
        transaction=caller.services.new_id(TRANSACTION),
        account=account,
        side=body.side,
        amount=body.amount,
        currency=body.currency,
        against=body.against,
        value_date=body.value_date or caller.today,
        reason=body.reason,
        reference=body.reference,
        parent=body.parent,
        metadata=body.metadata,
    )
    return Intent(conditioned(adjustment, body), account)
