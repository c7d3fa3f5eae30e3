"""Capturing a hold: money that was reserved is paid."""

from __future__ import annotations

from datetime import date
from typing import cast

from msgspec import field
from msgspec.structs import replace

from domain.accounts.account.events import HoldCaptured, HoldPartlyCaptured
from domain.accounts.account.holds import refuse_belonging
from domain.accounts.account.state import Account, evolve
from domain.accounts.posting import (
    Transaction,
    entries_between,
    post,
    posting_decision,
    posting_streams,
    with_facts_on,
)
from domain.accounts.transaction.described import transaction_of
from domain.codes import Metadata
from domain.kernel import Accepted, Context, Decide, Decision, Personal, Refused, States, Unknown, Value, found
from domain.money import show


class CaptureHold(Value, frozen=True):
    """Pay all or part of a hold to another account.

    The hold ends, and the rest becomes available again. With `keep_rest` it goes on with the rest, if there is one.
    """

    account: str
    hold: str
    transaction: str
    target: str
    amount: int
    currency: str
    value_date: date
    reference: str | None = None
    description: Personal | None = None
    metadata: Metadata = field(default_factory=dict)
    keep_rest: bool = False

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account, self.target)


RULES: dict[str, str] = {
    "hold_unknown": "Account {account} has no open hold {hold}.",
    "hold_exceeded": "Hold {hold} reserves {held} {currency}; {amount} is more than that and cannot be captured.",
}


@posting_decision
def capture_hold(command: CaptureHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if command.account == command.target:
        return Refused("same_account", {"account": command.account})
    currency = account.profile.currency
    if command.currency != currency:
        return account.wrong_currency(command.currency)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
    refusal = refuse_belonging(command.hold)
    if refusal is not None:
        return refusal
    if command.amount > held:
        return Refused(
            "hold_exceeded",
            {
                "hold": command.hold,
                "held": show(held, currency),
                "amount": show(command.amount, currency),
                "currency": currency,
            },
        )
    # An amount that no entry can have keeps no rest here: the posting refuses it.
    rest = held - command.amount if command.keep_rest and command.amount > 0 else 0
    event, freeing = (HoldPartlyCaptured, command.amount) if rest else (HoldCaptured, held)
    captured = event(
        originator_id=command.account,
        originator_version=account.version + 1,
        hold=command.hold,
        amount=freeing,
        currency=currency,
        transaction=command.transaction,
    )
    entries = entries_between(command.account, command.target, command.amount, currency)
    transaction = transaction_of(command, "capture", entries, command.account, states)
    decision = post_captured(captured, transaction, states, context)
    if not isinstance(decision, Accepted):
        return decision
    return replace(decision, result={**decision.result, "hold": command.hold, "remaining": show(rest, currency)})


def post_captured(
    captured: HoldCaptured | HoldPartlyCaptured, transaction: Transaction, states: States, context: Context
) -> Decision:
    """Return the events that end or shrink a hold and book the transaction that takes its amount.

    The hold ends or shrinks first, so that the amount is available to the debit. Both are one unit, so nothing comes in
    between.
    """
    account = cast(Account, states[captured.originator_id])
    freed = evolve(account, captured).as_promised
    decision = post(transaction, {**states, captured.originator_id: freed}, context)
    if not isinstance(decision, Accepted):
        return with_facts_on(decision, states)
    return replace(decision, events=(captured, *decision.events))


DECISIONS: dict[type, Decide] = {CaptureHold: capture_hold}
