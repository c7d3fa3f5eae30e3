"""Opening, freezing, closing and reopening an account: the commands, their rules and their decisions.

Closing an account can move what is left on it, so that decision is in `domain.accounts.transaction.closing`.
"""

from __future__ import annotations

from datetime import date
from typing import cast

from msgspec import field

from domain.accounts.account.events import (
    AccountFrozen,
    AccountMetadataChanged,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
)
from domain.accounts.account.state import INTERNAL_ROLES, Account
from domain.accounts.numbers import AccountType, number_claim
from domain.accounts.periods.state import PERIODS
from domain.accounts.posting_policy import POSTING_POLICY
from domain.claims import Claim, take
from domain.codes import Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Forbidden,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import show
from domain.permissions import OPERATORS, may


class OpenAccount(Value, frozen=True):
    """Open an account."""

    account: str
    number: str  # made by `domain.accounts.numbers` from the next value of a sequence
    type: AccountType
    currency: str
    owner: str
    name: Personal
    minimum: int | None
    maximum: int | None
    opened_on: date
    metadata: Metadata = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account, number_claim(self.number))


class OnOneAccount(Value, frozen=True):
    """A command whose decision reads one account and nothing else."""

    account: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account,)


class FreezeAccount(OnOneAccount, frozen=True):
    """Freeze an account, so that nothing can be posted to it."""

    reason: Personal


class UnfreezeAccount(OnOneAccount, frozen=True):
    """Open a frozen account again."""

    reason: Personal


class CloseAccount(OnOneAccount, frozen=True):
    """Close an account. With `sweep_to`, what is left on it goes to that account first, in one unit."""

    reason: Personal
    sweep_to: str | None = None
    transaction: str | None = None  # the id of the sweep; it comes with `sweep_to`

    @property
    def streams(self) -> tuple[str, ...]:
        # A sweep is a posting, so it reads what every posting reads.
        return (self.account,) if self.sweep_to is None else (self.account, self.sweep_to, POSTING_POLICY, PERIODS)


class CloseWhenFree(OnOneAccount, frozen=True):
    """Close an account once no hold is open. What is left on it then goes to `sweep_to`."""

    reason: Personal
    sweep_to: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (self.account, self.sweep_to)


class CancelClosing(OnOneAccount, frozen=True):
    """Let an account go on that was to be closed once no hold is open."""

    reason: Personal


class ReopenAccount(OnOneAccount, frozen=True):
    """Open a closed account again."""

    reason: Personal


RULES: dict[str, str] = {
    "account_exists": "Account {account} exists already.",
    "account_closed": "Account {account} is closed; nothing can be posted to it or changed on it.",
    "account_frozen": "Account {account} is frozen; unfreeze it first.",
    "account_not_frozen": "Account {account} is not frozen.",
    "account_not_closed": "Account {account} is {status}, not closed.",
    "account_internal": "Account {account} is an internal account ({type}); this command is for customer accounts.",
    "balance_not_zero": "Account {account} has a balance of {balance} {currency}; it must be zero to close.",
    "holds_open": "Account {account} has {holds} open holds for {reserved} {currency}; release or capture them first.",
    "closing_not_asked": "Account {account} is not to be closed.",
    "number_taken": "Account number {number} is in use.",
    "limits_crossed": "The minimum {minimum} is higher than the maximum {maximum}.",
    "opened_in_future": "The opening date {opened_on} is after today, {today} (UTC).",
}


def open_account(command: OpenAccount, states: States, context: Context) -> Decision:
    if command.type in INTERNAL_ROLES and not may(context.principal, OPERATORS, context.decided_at):
        return Forbidden(f"Only an operator opens an internal account; {context.principal.id} is none.")
    if states[command.account] is not None:
        return Refused("account_exists", {"account": command.account})
    refusal = (
        refuse_other_than_code("owner", command.owner)
        or refuse_metadata(command.metadata)
        or refuse_limits(command.minimum, command.maximum, command.currency)
        or refuse_opening_date(command.opened_on, context.today)
    )
    if refusal is not None:
        return refusal
    claim = number_claim(command.number)
    taken = take(cast(Claim | None, states[claim]), claim, command.account)
    if taken is None:
        return Refused("number_taken", {"number": command.number})
    opened = AccountOpened(
        originator_id=command.account,
        originator_version=1,
        number=command.number,
        type=command.type,
        currency=command.currency,
        owner=command.owner,
        name=command.name,
        minimum=command.minimum,
        maximum=command.maximum,
        opened_on=command.opened_on,
    )
    events: tuple[Event, ...] = (opened, taken)
    if command.metadata:
        events = (opened, AccountMetadataChanged(command.account, 2, command.metadata, ()), taken)
    return Accepted(events, {"account": command.account, "number": command.number})


def freeze(command: FreezeAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = account.refuse_change_of_state()
    if refusal is not None:
        return refusal
    event = AccountFrozen(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        reason=command.reason,
    )
    return Accepted((event,), {"account": command.account, "status": "frozen"})


def unfreeze(command: UnfreezeAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = refuse_unfreezing(account)
    if refusal is not None:
        return refusal
    event = AccountUnfrozen(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        reason=command.reason,
    )
    return Accepted((event,), {"account": command.account, "status": "open"})


def reopen(command: ReopenAccount, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = refuse_reopening(account)
    if refusal is not None:
        return refusal
    event = AccountReopened(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        reason=command.reason,
    )
    return Accepted((event,), {"account": command.account, "status": "open"})


def refuse_limits(minimum: int | None, maximum: int | None, currency: str) -> Refused | None:
    """Return the refusal of a minimum above the maximum, or None."""
    if minimum is None or maximum is None or minimum <= maximum:
        return None
    return Refused("limits_crossed", {"minimum": show(minimum, currency), "maximum": show(maximum, currency)})


def refuse_opening_date(opened_on: date, today: date) -> Refused | None:
    """Return the refusal of an opening in the future, or None."""
    if opened_on <= today:
        return None
    return Refused("opened_in_future", {"opened_on": opened_on.isoformat(), "today": today.isoformat()})


def refuse_unfreezing(account: Account) -> Refused | None:
    """Return the refusal to unfreeze an account that is not frozen, or None."""
    if account.status == "frozen":
        return None
    rule = "account_closed" if account.status == "closed" else "account_not_frozen"
    return Refused(rule, {"account": account.profile.id})


def refuse_reopening(account: Account) -> Refused | None:
    """Return the refusal to reopen an account that is not closed, or None."""
    if account.status == "closed":
        return None
    return Refused("account_not_closed", {"account": account.profile.id, "status": account.status})


def refuse_closing(account: Account) -> Refused | None:
    """Return the refusal to close an account that is not open, has holds or has a balance, or None."""
    id, currency = account.profile.id, account.profile.currency
    if (refusal := refuse_sweeping(account)) is not None:
        return refusal
    if account.balance != 0:
        balance = show(account.balance, currency)
        return Refused("balance_not_zero", {"account": id, "balance": balance, "currency": currency})
    return None


def refuse_closing_when_free(account: Account) -> Refused | None:
    """Return the refusal to close an account once it is free, or None."""
    profile = account.profile
    if profile.internal:
        return Refused("account_internal", {"account": profile.id, "type": profile.type})
    return account.refuse_change_of_state() or account.refuse_leaving()


def refuse_cancelling(account: Account) -> Refused | None:
    """Return the refusal to cancel a closing that nobody asked for, or None."""
    if account.profile.closing_to is not None:
        return None
    return Refused("closing_not_asked", {"account": account.profile.id})


def refuse_sweeping(account: Account) -> Refused | None:
    """Return the refusal to close an account, whatever its balance, that is not open or has holds, or None."""
    id, currency = account.profile.id, account.profile.currency
    if account.status != "open":
        return account.refuse_change_of_state()
    if account.holds:
        reserved = show(account.reserved, currency)
        return Refused(
            "holds_open", {"account": id, "holds": len(account.holds), "reserved": reserved, "currency": currency}
        )
    return None


DECISIONS: dict[type, Decide] = {
    OpenAccount: open_account,
    FreezeAccount: freeze,
    UnfreezeAccount: unfreeze,
    ReopenAccount: reopen,
}
MAY: dict[type, frozenset[Role]] = {ReopenAccount: OPERATORS}
