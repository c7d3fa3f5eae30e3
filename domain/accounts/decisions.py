"""What becomes of each command on accounts: one function a command, pure, ending in events or a refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from domain.accounts import commands as c
from domain.accounts.account import Account, evolve
from domain.accounts.events import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Entry,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    InternalRole,
    TransactionKind,
)
from domain.accounts.numbers import number_claim
from domain.accounts.posting import (
    Transaction,
    entries_between,
    post,
    post_against_internal,
    posting_decision,
)
from domain.claims import Claim, take
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Figure,
    Personal,
    Refused,
    States,
    Unknown,
    found,
)
from domain.money import MAX_AMOUNT, show

MOST_HOLDS = 1_000
"""Open holds an account may have: they are part of its state."""


def open_account(command: c.OpenAccount, states: States, context: Context) -> Decision:
    if states[command.account] is not None:
        return Refused("account_exists", {"account": command.account})
    if command.minimum is not None and command.maximum is not None and command.minimum > command.maximum:
        return Refused(
            "limits_crossed",
            {
                "minimum": show(command.minimum, command.currency),
                "maximum": show(command.maximum, command.currency),
            },
        )
    if command.opened_on > context.today:
        return Refused(
            "opened_in_future", {"opened_on": command.opened_on.isoformat(), "today": context.today.isoformat()}
        )
    claim = number_claim(command.number)
    taken = take(cast(Claim | None, states[claim]), claim, command.account)
    if taken is None:
        return Refused("number_taken", {"number": command.number})
    opened = AccountOpened(
        command.account,
        1,
        command.number,
        command.type,
        command.currency,
        command.owner,
        command.name,
        command.minimum,
        command.maximum,
        command.opened_on,
    )
    return Accepted((opened, taken), {"account": command.account, "number": command.number})


@posting_decision
def deposit(command: c.Deposit, states: States, context: Context) -> Decision:
    return _against_internal(command, "deposit", "cash", states, context, credited=command.account)


@posting_decision
def withdraw(command: c.Withdraw, states: States, context: Context) -> Decision:
    return _against_internal(command, "withdrawal", "cash", states, context, debited=command.account)


@posting_decision
def charge_fee(command: c.ChargeFee, states: States, context: Context) -> Decision:
    return _against_internal(command, "fee", "fees", states, context, debited=command.account)


@posting_decision
def transfer(command: c.Transfer, states: States, context: Context) -> Decision:
    if command.source == command.target:
        return Refused("same_account", {"account": command.source})
    entries = entries_between(command.source, command.target, command.amount, command.currency)
    return post(_transaction(command, "transfer", entries, command.source, states), states, context)


@posting_decision
def post_transaction(command: c.PostTransaction, states: States, context: Context) -> Decision:
    first = command.entries[0].account if command.entries else None
    return post(_transaction(command, command.kind, command.entries, first, states), states, context)


def freeze(command: c.FreezeAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = account.refuse_change_of_state()
    if refusal is not None:
        return refusal
    event = AccountFrozen(command.account, account.version + 1, account.profile.owner, command.reason)
    return Accepted((event,), {"account": command.account, "status": "frozen"})


def unfreeze(command: c.UnfreezeAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if account.status != "frozen":
        rule = "account_closed" if account.status == "closed" else "account_not_frozen"
        return Refused(rule, {"account": command.account})
    event = AccountUnfrozen(command.account, account.version + 1, account.profile.owner, command.reason)
    return Accepted((event,), {"account": command.account, "status": "open"})


def close(command: c.CloseAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = account.refuse_change_of_state()
    if refusal is not None:
        return refusal
    currency = account.profile.currency
    if account.holds:
        return Refused(
            "holds_open",
            {
                "account": command.account,
                "holds": len(account.holds),
                "reserved": show(account.reserved, currency),
                "currency": currency,
            },
        )
    if account.balance != 0:
        return Refused(
            "balance_not_zero",
            {"account": command.account, "balance": show(account.balance, currency), "currency": currency},
        )
    event = AccountClosed(command.account, account.version + 1, account.profile.owner, command.reason)
    return Accepted((event,), {"account": command.account, "status": "closed"})


def place_hold(command: c.PlaceHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    if account.profile.internal:
        return Refused("account_internal", {"account": command.account, "type": account.profile.type})
    refusal = account.refuse_change_of_state()
    if refusal is None and command.currency != account.profile.currency:
        refusal = account.wrong_currency(command.currency)
    if refusal is None and not 0 < command.amount <= MAX_AMOUNT:
        refusal = _hold_amount(command)
    if refusal is None and account.hold(command.hold) is not None:
        refusal = Refused("hold_exists", {"account": command.account, "hold": command.hold})
    if refusal is None and len(account.holds) >= MOST_HOLDS:
        refusal = Refused("hold_count", {"account": command.account, "holds": len(account.holds)})
    refusal = refusal or account.refuse_change(-command.amount)
    if refusal is not None:
        return refusal
    event = HoldPlaced(
        command.account, account.version + 1, command.hold, command.amount, command.currency, command.reference
    )
    reserved = account.reserved + command.amount
    return Accepted((event,), _hold_result(account, command.hold, account.balance, reserved))


def release_hold(command: c.ReleaseHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
    if account.status == "closed":
        return Refused("account_closed", {"account": command.account})
    event = HoldReleased(command.account, account.version + 1, command.hold, held, account.profile.currency)
    return Accepted((event,), _hold_result(account, command.hold, account.balance, account.reserved - held))


@posting_decision
def capture_hold(command: c.CaptureHold, states: States, context: Context) -> Decision:
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
    # The hold ends first, so what it reserved is there to be debited: one unit, so nobody can come in between.
    captured = HoldCaptured(command.account, account.version + 1, command.hold, held, currency, command.transaction)
    freed = evolve(account, captured)
    entries = entries_between(command.account, command.target, command.amount, currency)
    transaction = _transaction(command, "capture", entries, command.account, states)
    decision = post(transaction, {**states, command.account: freed}, context)
    if not isinstance(decision, Accepted):
        return decision
    return Accepted((captured, *decision.events), {**decision.result, "hold": command.hold}, decision.commuting)


def _against_internal(
    command: c.Deposit | c.Withdraw | c.ChargeFee,
    kind: TransactionKind,
    role: InternalRole,
    states: States,
    context: Context,
    *,
    debited: str | None = None,
    credited: str | None = None,
) -> Decision:
    """One entry to the customer's account, the other to the ledger's own account for `role`."""
    return post_against_internal(
        _transaction(command, kind, (), command.account, states),
        role,
        debited=debited,
        credited=credited,
        amount=command.amount,
        currency=command.currency,
        states=states,
        context=context,
    )


def _transaction(
    command: c.Deposit | c.Withdraw | c.ChargeFee | c.Transfer | c.PostTransaction | c.CaptureHold,
    kind: TransactionKind,
    entries: tuple[Entry, ...],
    described_by: str | None,
    states: States,
) -> Transaction:
    """What the command would post; the description is sealed with the key of the owner of `described_by`."""
    subject = None
    description: Personal | None = command.description
    if description is not None:
        account = found(states, described_by, Account) if described_by is not None else None
        subject = account.profile.owner if account else None
        description = description if subject else None
    return Transaction(command.transaction, kind, entries, command.value_date, command.reference, description, subject)


def _hold_amount(command: c.PlaceHold) -> Refused:
    currency = command.currency
    return Refused(
        "hold_amount",
        {
            "hold": command.hold,
            "amount": show(command.amount, currency),
            "currency": currency,
            "least": show(1, currency),
            "most": show(MAX_AMOUNT, currency),
        },
    )


def _hold_result(account: Account, hold: str, balance: int, reserved: int) -> dict[str, Figure]:
    currency = account.profile.currency
    return {
        "account": account.profile.id,
        "hold": hold,
        "balance": show(balance, currency),
        "reserved": show(reserved, currency),
        "available": show(balance - reserved, currency),
        "currency": currency,
    }


DECISIONS: dict[type, Callable[[Any, States, Context], Decision]] = {
    c.OpenAccount: open_account,
    c.Deposit: deposit,
    c.Withdraw: withdraw,
    c.ChargeFee: charge_fee,
    c.Transfer: transfer,
    c.PostTransaction: post_transaction,
    c.FreezeAccount: freeze,
    c.UnfreezeAccount: unfreeze,
    c.CloseAccount: close,
    c.PlaceHold: place_hold,
    c.ReleaseHold: release_hold,
    c.CaptureHold: capture_hold,
}
