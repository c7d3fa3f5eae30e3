"""Limits that can change: of the balance, of an overdraft, of what leaves an account, and of what one person decides.

Owners and programs lower limits; only an operator raises one. Outgoing limits are decided on what the account has used
(`domain.accounts.account.usage`). The posting policy says which kinds of transactions count.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.accounts.account.events import LimitsChanged
from domain.accounts.account.lifecycle import OnOneAccount, refuse_limits
from domain.accounts.account.owners import is_customer, knows
from domain.accounts.account.state import Account, Outgoing
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Figure,
    Forbidden,
    Personal,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import MAX_AMOUNT, show
from domain.permissions import EVERYONE, OPERATORS, may

MOST_COUNT = 1_000_000
"""Largest limit of transactions in an hour."""


class Limits(Value, frozen=True):
    """All limits of an account, in minor units. None: no such limit."""

    minimum: int | None
    maximum: int | None
    overdraft: int = 0
    overdraft_until: date | None = None  # the last day, UTC
    daily: int | None = None
    monthly: int | None = None
    hourly: int | None = None
    hourly_count: int | None = None
    approve_above: int | None = None


class ChangeLimits(OnOneAccount, frozen=True):
    """Replace the limits of an account."""

    currency: str
    limits: Limits
    reason: Personal


RULES: dict[str, str] = {
    "limits_unchanged": "Account {account} already has the limits that it would get.",
    "limit_bounds": "The limit {limit} is {least} to {most}; this one is {value}.",
    "overdraft_without_minimum": "Account {account} has no minimum, so an overdraft line has no meaning.",
    "overdraft_ended": "The overdraft line would end on {until}, before today, {today} (UTC).",
}


def change_limits(command: ChangeLimits, states: States, context: Context) -> Decision:
    account = found(states, command.account, Account)
    customer = is_customer(context)
    person = context.principal.person
    if account is None or (customer and not knows(account, person, context.decided_at)):
        return Unknown("account", command.account)
    if customer and person not in account.profile.owners:
        return Forbidden(f"Only an owner lowers the limits of account {command.account}; {person} is none.")
    if command.currency != account.profile.currency:
        return account.wrong_currency(command.currency)
    limits = command.limits
    event = LimitsChanged(
        originator_id=command.account,
        originator_version=account.version + 1,
        owner=account.profile.owner,
        reason=command.reason,
        minimum=limits.minimum,
        maximum=limits.maximum,
        overdraft=limits.overdraft,
        overdraft_until=limits.overdraft_until,
        daily=limits.daily,
        monthly=limits.monthly,
        hourly=limits.hourly,
        hourly_count=limits.hourly_count,
        approve_above=limits.approve_above,
    )
    refusal = refuse_change_of_limits(account, event, context.today)
    if refusal is not None:
        return refusal
    raised = next(raised_limits(account, event), None)
    if raised is not None and not may(context.principal, OPERATORS, context.decided_at):
        return Forbidden(f"Only an operator raises a limit; {raised} of account {command.account} would rise.")
    return Accepted((event,), {"account": command.account, **shown(event, account.profile.currency)})


def shown(event: LimitsChanged, currency: str) -> dict[str, Figure]:
    """Return the limits as an answer has them."""

    def amount(minor: int | None) -> str | None:
        return None if minor is None else show(minor, currency)

    return {
        "currency": currency,
        "minimum": amount(event.minimum),
        "maximum": amount(event.maximum),
        "overdraft": show(event.overdraft, currency),
        "overdraft_until": None if event.overdraft_until is None else event.overdraft_until.isoformat(),
        "daily": amount(event.daily),
        "monthly": amount(event.monthly),
        "hourly": amount(event.hourly),
        "hourly_count": event.hourly_count,
        "approve_above": amount(event.approve_above),
    }


def refuse_change_of_limits(account: Account, event: LimitsChanged, today: date) -> Refused | None:
    """Return the refusal of these limits, or None. A frozen account can get others."""
    profile, currency = account.profile, account.profile.currency
    if profile.internal:
        return Refused("account_internal", {"account": profile.id, "type": profile.type})
    if account.status == "closed":
        return Refused("account_closed", {"account": profile.id})
    refusal = refuse_limits(event.minimum, event.maximum, currency)
    if refusal is not None:
        return refusal
    amounts = {
        "overdraft": (event.overdraft, 0),
        "daily": (event.daily, 0),
        "monthly": (event.monthly, 0),
        "hourly": (event.hourly, 0),
        "approve_above": (event.approve_above, 0),
        "minimum": (event.minimum, -MAX_AMOUNT),
        "maximum": (event.maximum, -MAX_AMOUNT),
    }
    for limit, (value, least) in amounts.items():
        if value is not None and not least <= value <= MAX_AMOUNT:
            figures: dict[str, Figure] = {"limit": limit, "least": show(least, currency)}
            return Refused(
                "limit_bounds", {**figures, "most": show(MAX_AMOUNT, currency), "value": show(value, currency)}
            )
    count = event.hourly_count
    if count is not None and not 0 <= count <= MOST_COUNT:
        return Refused("limit_bounds", {"limit": "hourly_count", "least": 0, "most": MOST_COUNT, "value": count})
    if event.overdraft and event.minimum is None:
        return Refused("overdraft_without_minimum", {"account": profile.id})
    until = event.overdraft_until
    if until is not None and until < today:
        return Refused("overdraft_ended", {"until": until.isoformat(), "today": today.isoformat()})
    if _as_event(account, event) == event:
        return Refused("limits_unchanged", {"account": profile.id})
    return None


def _as_event(account: Account, event: LimitsChanged) -> LimitsChanged:
    """Return the event that would give the account the limits it has."""
    profile = account.profile
    outgoing = profile.outgoing or Outgoing(None, None, None, None)
    return LimitsChanged(
        originator_id=event.originator_id,
        originator_version=event.originator_version,
        owner=event.owner,
        reason=event.reason,
        minimum=profile.minimum,
        maximum=profile.maximum,
        overdraft=profile.overdraft,
        overdraft_until=profile.overdraft_until,
        daily=outgoing.daily,
        monthly=outgoing.monthly,
        hourly=outgoing.hourly,
        hourly_count=outgoing.hourly_count,
        approve_above=profile.approve_above,
    )


def raised_limits(account: Account, event: LimitsChanged) -> Iterator[str]:
    """Yield the name of each limit that lets more happen than before."""
    was = _as_event(account, event)
    if _rises(was.overdraft, event.overdraft) or (
        event.overdraft and was.overdraft_until is not None and _longer(was.overdraft_until, event.overdraft_until)
    ):
        yield "the overdraft"
    if was.minimum is not None and (event.minimum is None or event.minimum < was.minimum):
        yield "what the minimum lets out"
    for name in ("maximum", "daily", "monthly", "hourly", "hourly_count", "approve_above"):
        if _rises(getattr(was, name), getattr(event, name)):
            yield f"the limit {name}"


def _rises(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after > before)


def _longer(before: date, after: date | None) -> bool:
    return after is None or after > before


DECISIONS: dict[type, Decide] = {ChangeLimits: change_limits}
MAY: dict[type, frozenset[Role]] = {ChangeLimits: EVERYONE}
