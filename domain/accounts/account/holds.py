"""Holds: reserved amounts. They stay on the account until they are released or captured.

Capturing a hold moves money, so that command is in `domain.accounts.transaction`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import field

from domain.accounts.account.events import HoldPlaced, HoldReleased
from domain.accounts.account.lifecycle import OnOneAccount
from domain.accounts.account.state import Account
from domain.codes import Metadata, refuse_metadata, refuse_other_than_code
from domain.kernel import Accepted, Context, Decide, Decision, Figure, Refused, States, Unknown, found
from domain.money import MAX_AMOUNT, show

MOST_HOLDS = 250
"""Most open holds of an account, so that its state fits a snapshot. An account that has more keeps them (ADR 0025)."""
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
    """End a hold without a payment."""

    hold: str


RULES: dict[str, str] = {
    "hold_exists": "Hold {hold} exists already on account {account}.",
    "hold_amount": "Hold {hold} is for {amount} {currency}; a hold must be for {least} to {most}.",
    "hold_count": "Account {account} has {holds} open holds and can have no other one; release or capture some first.",
    "hold_expiry": (
        "Hold {hold} would expire at {expires_at}; a hold expires after now, {now}, and at most {days} days later."
    ),
}


def place_hold(command: PlaceHold, states: States, context: Context) -> Decision:
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
    if refusal is None:
        refusal = refuse_other_than_code("reference", command.reference) or refuse_metadata(command.metadata)
    if refusal is None and command.expires_at is not None:
        refusal = _expiry(command, command.expires_at, context)
    if refusal is None and account.hold(command.hold) is not None:
        refusal = Refused("hold_exists", {"account": command.account, "hold": command.hold})
    if refusal is None and len(account.holds) >= MOST_HOLDS:
        refusal = Refused("hold_count", {"account": command.account, "holds": len(account.holds)})
    refusal = refusal or account.refuse_change(-command.amount)
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
    if account is None:
        return Unknown("account", command.account)
    held = account.hold(command.hold)
    if held is None:
        return Refused("hold_unknown", {"account": command.account, "hold": command.hold})
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


def _hold_amount(command: PlaceHold) -> Refused:
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


def _expiry(command: PlaceHold, expires_at: datetime, context: Context) -> Refused | None:
    now = context.decided_at
    if now < expires_at <= now + timedelta(days=MOST_DAYS_HELD):
        return None
    return Refused(
        "hold_expiry",
        {
            "hold": command.hold,
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


DECISIONS: dict[type, Decide] = {PlaceHold: place_hold, ReleaseHold: release_hold}
