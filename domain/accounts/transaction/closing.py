"""Closing an account at once or when it is free, and moving what is left on it to another one.

The sweep and the closing are one unit, so nothing comes in between: a deposit is either swept too, or is refused
because the account is closed (ADR 46). An account with open holds is closed by a process once the last one has ended
(`domain.accounts.account_closing`).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from domain.accounts.account.events import AccountClosed, AccountClosingAsked, AccountClosingCancelled
from domain.accounts.account.lifecycle import (
    CancelClosing,
    CloseAccount,
    CloseWhenFree,
    OnOneAccount,
    refuse_cancelling,
    refuse_closing,
    refuse_closing_when_free,
    refuse_sweeping,
)
from domain.accounts.account.owners import for_customer, is_customer, refuse_other_than_owner, refuse_payee
from domain.accounts.account.state import Account
from domain.accounts.posting import Entry, Transaction, entries_between, post, posting_streams
from domain.kernel import Accepted, Context, Decide, Decision, NeedsStreams, Refused, Role, States, Unknown, found
from domain.money import MAX_AMOUNT, show
from domain.permissions import EVERYONE, PROCESSES

RULES: dict[str, str] = {
    "balance_owed": (
        "Account {account} has a balance of {balance} {currency}, which its owner cannot sweep; pay in {owed} first."
    ),
}


def close(command: CloseAccount, states: States, context: Context) -> Decision:
    """Decide to close an account. Its owners may, and staff."""
    account, to = found(states, command.account, Account), command.sweep_to
    if account is None:
        return Unknown("account", command.account)
    if not is_customer(context):
        return _at_exact_versions(_closed(account, command, states, context), command, states)
    no = refuse_other_than_owner(account, context, "closes")
    if no is None and to is not None:
        no = refuse_payee(found(states, to, Account), to)
    return no or for_customer(_closed(account, command, states, context), states, context)


def _closed(account: Account, command: CloseAccount, states: States, context: Context) -> Decision:
    if command.sweep_to == command.account:
        return Refused("same_account", {"account": command.account})
    if command.sweep_to is not None and found(states, command.sweep_to, Account) is None:
        return Unknown("account", command.sweep_to)
    refusal = refuse_sweeping(account) if command.sweep_to is not None else refuse_closing(account)
    if refusal is not None:
        return refusal
    swept = _swept(account, command, states, context) if account.balance else Accepted((), {})
    if not isinstance(swept, Accepted):
        return swept
    entries = sum(event.originator_id == command.account for event in swept.events)
    closed = AccountClosed(
        originator_id=command.account,
        originator_version=account.version + entries + 1,
        owner=account.profile.owner,
        reason=command.reason,
    )
    result = {**swept.result, "account": command.account, "status": "closed"}
    # The closing depends on the exact balance, also of an internal account whose entries commute elsewhere.
    return Accepted((*swept.events, closed), result, swept.commuting - {command.account})


def _swept(account: Account, command: CloseAccount, states: States, context: Context) -> Decision:
    """Move the whole balance. If it is negative, the other account pays it."""
    balance, profile = account.balance, account.profile
    assert command.sweep_to is not None, "without it the balance is zero"
    assert command.transaction is not None, "it comes with `sweep_to`"
    if balance < 0 and is_customer(context):
        return _owed(account)
    entries = tuple(_entries(account, command.sweep_to))
    sweep = Transaction(command.transaction, "sweep", entries, context.today)
    # A minimum is for an account that goes on. This one ends, with nothing on it.
    ending = replace(account, profile=replace(profile, minimum=None, closing_to=None))
    return post(sweep, {**states, command.account: ending}, context)


def _owed(account: Account) -> Refused:
    id, currency = account.profile.id, account.profile.currency
    shown, owed = show(account.balance, currency), show(-account.balance, currency)
    return Refused("balance_owed", {"account": id, "balance": shown, "currency": currency, "owed": owed})


def _entries(account: Account, to: str) -> Iterator[Entry]:
    """The entries that leave nothing. A balance can be larger than the largest amount of an entry."""
    id, left = account.profile.id, abs(account.balance)
    debited, credited = (id, to) if account.balance > 0 else (to, id)
    while left > 0:
        amount = min(left, MAX_AMOUNT)
        yield from entries_between(debited, credited, amount, account.profile.currency)
        left -= amount


def _at_exact_versions(decision: Decision, command: CloseAccount, states: States) -> Decision:
    """Return the decision. A refusal expects no exact version of an account without limits that is swept to.

    It expects that of the account to close, because its balance decides.
    """
    target = states.get(command.sweep_to or "")
    if isinstance(decision, Accepted | NeedsStreams) or not (isinstance(target, Account) and target.unlimited):
        return decision
    return replace(decision, commuting=frozenset({target.profile.id} - {command.account}))


# When it is free

AS_ASKED = "It was to be closed once no hold was open."
"""The reason of such a closing. Why it was asked for is in the event that asks: no state has what is personal."""


class CloseFreeAccount(OnOneAccount, frozen=True):
    """Close an account that was to be closed once no hold is open. Only a process sends this."""

    transaction: str  # the id of the sweep

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(self.account)


def close_when_free(command: CloseWhenFree, states: States, context: Context) -> Decision:
    """Decide that an account is to be closed. Its owners may, and staff. Nothing is moved yet."""
    account, target = found(states, command.account, Account), found(states, command.sweep_to, Account)
    if account is None:
        return Unknown("account", command.account)
    if not is_customer(context):
        return _read_only(_asked(account, target, command), target)
    no = refuse_other_than_owner(account, context, "closes") or refuse_payee(target, command.sweep_to)
    return no or for_customer(_asked(account, target, command), states, context)


def _asked(account: Account, target: Account | None, command: CloseWhenFree) -> Decision:
    if target is None:
        return Unknown("account", command.sweep_to)
    if command.sweep_to == command.account:
        return Refused("same_account", {"account": command.account})
    refusal = refuse_closing_when_free(account)
    if refusal is None and target.profile.currency != account.profile.currency:
        refusal = target.wrong_currency(account.profile.currency)
    if refusal is not None:
        return refusal
    event = AccountClosingAsked(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        reason=command.reason,
        sweep_to=command.sweep_to,
        open_holds=len(account.holds),
    )
    return Accepted((event,), {"account": command.account, "status": account.status, "holds": len(account.holds)})


def _read_only(decision: Decision, target: Account | None) -> Decision:
    """Return the decision. It expects no exact version of a target whose entries commute."""
    if target is None or not target.unlimited or isinstance(decision, NeedsStreams):
        return decision
    return replace(decision, commuting=decision.commuting | {target.profile.id})


def cancel_closing(command: CancelClosing, states: States, context: Context) -> Decision:
    """Decide that an account goes on. Its owners may, and staff."""
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    no = refuse_other_than_owner(account, context, "closes") or refuse_cancelling(account)
    if no is not None:
        return no
    event = AccountClosingCancelled(command.account, account.version + 1, account.profile.owner, command.reason)
    return Accepted((event,), {"account": command.account, "status": account.status})


def close_free(command: CloseFreeAccount, states: States, context: Context) -> Decision:
    """Decide to close the account, with the sweep that was asked for. What is owed is not taken from anybody."""
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = refuse_cancelling(account)
    to = account.profile.closing_to
    if refusal is not None or to is None:
        return refusal or Unknown("account", command.account)
    if to not in states:
        return NeedsStreams((to,))
    if account.balance < 0:
        return _owed(account)
    close = CloseAccount(command.account, AS_ASKED, to, command.transaction)
    return _at_exact_versions(_closed(account, close, states, context), close, states)


DECISIONS: dict[type, Decide] = {
    CloseAccount: close,
    CloseWhenFree: close_when_free,
    CancelClosing: cancel_closing,
    CloseFreeAccount: close_free,
}
MAY: dict[type, frozenset[Role]] = {
    CloseAccount: EVERYONE,
    CloseWhenFree: EVERYONE,
    CancelClosing: EVERYONE,
    CloseFreeAccount: PROCESSES,
}
