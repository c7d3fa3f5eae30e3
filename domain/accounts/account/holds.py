"""Holds: reserved amounts. They stay on the account until they are released or captured, at once or in parts.

Capturing a hold moves money, so that command is in `domain.accounts.transaction`. A pending transaction, a payroll run
and a transfer order reserve with a hold too, which has their id: only the commands on them end it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from msgspec import field

from domain.accounts.account.events import HoldExpired, HoldPlaced, HoldReleased
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.account.owners import for_customer, is_customer, refuse_debit
from domain.accounts.account.state import (
    HOLDS_OF_PAYROLLS,
    HOLDS_OF_TRANSACTIONS,
    HOLDS_OF_TRANSFER_ORDERS,
    Account,
)
from domain.codes import Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import Accepted, Context, Decide, Decision, Figure, Refused, Role, States, Unknown, found
from domain.money import MAX_AMOUNT, show
from domain.permissions import EVERYONE, PROCESSES

MOST_HOLDS = 250
"""Most open holds and pending transactions of an account together, so that its state fits a snapshot. An account that
has more keeps them (ADR 0025)."""
MOST_DAYS_HELD = 366
"""Most days from the placing of a hold to its expiry."""


class PlaceHold(OnOneAccount, frozen=True):
    """Reserve an amount. The balance stays, and the available amount falls."""

    hold: str
    amount: int
    currency: str
    reference: str | None = None
    metadata: Metadata = field(default_factory=dict)
    expires_at: datetime | None = None  # aware, UTC


class ReleaseHold(OnOneAccount, frozen=True):
    """End a hold. What is left of it becomes available again."""

    hold: str


class ExpireHold(OnOneAccount, frozen=True):
    """End a hold whose time is over. Only a process sends this."""

    hold: str


RULES: dict[str, str] = {
    "hold_exists": "Hold {hold} exists already on account {account}.",
    "hold_amount": "Hold {hold} is for {amount} {currency}; a hold must be for {least} to {most}.",
    "hold_count": (
        "Account {account} has {holds} open holds and pending transactions and can have no other one; end some first."
    ),
    "hold_of_transaction": "Hold {hold} belongs to a pending transaction; post or cancel that.",
    "hold_of_payroll": "Hold {hold} belongs to a payroll run, which pays from it; stop the run to end it.",
    "hold_of_transfer_order": "Hold {hold} belongs to a transfer order, which pays from it; cancel that to end it.",
    "hold_expiry": (
        "Hold {hold} would expire at {expires_at}; a hold expires after now, {now}, and at most {days} days later."
    ),
    "hold_not_expired": "Hold {hold} on account {account} ends at {expires_at}; it is {now}.",
}


def place_hold(command: PlaceHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if is_customer(context):
        no = refuse_debit(account, command.account, command.amount, command.currency, context)
        return no or for_customer(_placed(account, command, context), states, context)
    return _placed(account, command, context)


def _placed(account: Account | None, command: PlaceHold, context: Context) -> Decision:
    if account is None:
        return Unknown("account", command.account)
    refusal = (
        refuse_belonging(command.hold)
        or refuse_other_than_code("reference", command.reference)
        or refuse_metadata(command.metadata)
        or refuse_expiry(command.hold, command.expires_at, context.decided_at)
        or refuse_hold(account, command.hold, command.amount, command.currency, MOST_HOLDS, context.today)
    )
    if refusal is not None:
        return refusal
    event = HoldPlaced(
        originator_id=command.account,
        originator_version=account.version + 1,
        hold=command.hold,
        amount=command.amount,
        currency=command.currency,
        reference=command.reference,
        metadata=command.metadata,
        expires_at=command.expires_at,
    )
    reserved = account.reserved + command.amount
    return Accepted((event,), _hold_result(account, command.hold, account.balance, reserved))


def release_hold(command: ReleaseHold, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    if is_customer(context):
        held, currency = (account.hold(command.hold), account.profile.currency) if account else (None, "")
        no = refuse_debit(account, command.account, held or 0, currency, context)
        return no or for_customer(_released(account, command), states, context)
    return _released(account, command)


def _released(account: Account | None, command: ReleaseHold) -> Decision:
    if account is None:
        return Unknown("account", command.account)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
    refusal = refuse_belonging(command.hold)
    if refusal is not None:
        return refusal
    if account.status == "closed":
        return Refused("account_closed", {"account": command.account})
    event = HoldReleased(
        originator_id=command.account,
        originator_version=account.version + 1,
        hold=command.hold,
        amount=held,
        currency=account.profile.currency,
    )
    return Accepted((event,), _hold_result(account, command.hold, account.balance, account.reserved - held))


def expire_hold(command: ExpireHold, states: States, context: Context) -> Decision:
    """Decide the end of a hold whose time is over. A frozen account does not keep it."""
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
    refusal = refuse_belonging(command.hold) or refuse_before_expiry(account, command.hold, context.decided_at)
    if refusal is not None:
        return refusal
    event = HoldExpired(command.account, account.version + 1, command.hold, held, account.profile.currency)
    return Accepted((event,), _hold_result(account, command.hold, account.balance, account.reserved - held))


def of_transaction(hold: str) -> bool:
    """Return whether the hold reserves for a pending transaction."""
    return hold.startswith(HOLDS_OF_TRANSACTIONS)


def of_payroll(hold: str) -> bool:
    """Return whether the hold reserves for a payroll run."""
    return hold.startswith(HOLDS_OF_PAYROLLS)


def of_transfer_order(hold: str) -> bool:
    """Return whether the hold reserves for a transfer order."""
    return hold.startswith(HOLDS_OF_TRANSFER_ORDERS)


_BELONGING: Mapping[str, str] = {
    HOLDS_OF_TRANSACTIONS: "hold_of_transaction",
    HOLDS_OF_PAYROLLS: "hold_of_payroll",
    HOLDS_OF_TRANSFER_ORDERS: "hold_of_transfer_order",
}
"""The rule that refuses a command on a hold, by the beginning of the ids of holds that belong to something."""


def refuse_belonging(hold: str) -> Refused | None:
    """Return the refusal to place, capture or end a hold that belongs to something that has commands of its own."""
    rule = next((rule for beginning, rule in _BELONGING.items() if hold.startswith(beginning)), None)
    return None if rule is None else Refused(rule, {"hold": hold})


def refuse_hold(
    account: Account, hold: str, amount: int, currency: str, most: int | None, today: date
) -> Refused | None:
    """Return the refusal of a new hold on the account, or None. `most` open ones are allowed, or any number."""
    id = account.profile.id
    if account.profile.internal:
        return Refused("account_internal", {"account": id, "type": account.profile.type})
    refusal = account.refuse_change_of_state()
    if refusal is None and currency != account.profile.currency:
        refusal = account.wrong_currency(currency)
    if refusal is None:
        refusal = account.refuse_leaving()
    if refusal is None and not 0 < amount <= MAX_AMOUNT:
        refusal = _hold_amount(hold, amount, currency)
    if refusal is None and account.hold(hold) is not None:
        refusal = Refused("hold_exists", {"account": id, "hold": hold})
    if refusal is None and most is not None and len(account.holds) >= most:
        refusal = Refused("hold_count", {"account": id, "holds": len(account.holds)})
    return refusal or account.refuse_change(-amount, today)


def refuse_before_expiry(account: Account, hold: str, now: datetime) -> Refused | None:
    """Return the refusal of the end of an open hold whose time is not over, or None."""
    expires_at = account.expiry(hold)
    if expires_at is not None and expires_at <= now:
        return None
    until = "no time" if expires_at is None else expires_at.isoformat()
    figures = {"account": account.profile.id, "hold": hold, "expires_at": until, "now": now.isoformat()}
    return Refused("hold_not_expired", figures)


def _hold_amount(hold: str, amount: int, currency: str) -> Refused:
    return Refused(
        "hold_amount",
        {
            "hold": hold,
            "amount": show(amount, currency),
            "currency": currency,
            "least": show(1, currency),
            "most": show(MAX_AMOUNT, currency),
        },
    )


def refuse_expiry(hold: str, expires_at: datetime | None, now: datetime) -> Refused | None:
    """Return the refusal of a hold that would expire in the past or too late, or None."""
    if expires_at is None or now < expires_at <= now + timedelta(days=MOST_DAYS_HELD):
        return None
    return Refused(
        "hold_expiry",
        {
            "hold": hold,
            "expires_at": expires_at.isoformat(),
            "now": now.isoformat(),
            "days": MOST_DAYS_HELD,
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


DECISIONS: dict[type, Decide] = {PlaceHold: place_hold, ReleaseHold: release_hold, ExpireHold: expire_hold}
MAY: dict[type, frozenset[Role]] = {PlaceHold: EVERYONE, ReleaseHold: EVERYONE, ExpireHold: PROCESSES}
