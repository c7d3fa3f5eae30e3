"""The state of an account, the fold of its events, and the refusals that follow from the state."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, get_args

from msgspec.structs import replace

from domain.accounts.account.events import (
    AccountAssessed,
    AccountAttached,
    AccountClosed,
    AccountClosingAsked,
    AccountClosingCancelled,
    AccountCredited,
    AccountDebited,
    AccountDetached,
    AccountDetailsChanged,
    AccountEvent,
    AccountFrozen,
    AccountMetadataChanged,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
    HoldCaptured,
    HoldExpired,
    HoldPartlyCaptured,
    HoldPlaced,
    HoldReleased,
    LimitReturned,
    LimitsChanged,
    LimitUsed,
    MandateGiven,
    MandateWithdrawn,
    OwnerAdded,
    OwnerRemoved,
)
from domain.accounts.account.usage import NO_USAGE, Usage
from domain.accounts.numbers import AccountType, InternalRole, PairRole
from domain.kernel import Figure, Refused, Value
from domain.money import show

ACCOUNT = "acct"
"""Prefix of the ids of accounts."""
HOLD = "hold"
"""Prefix of the ids of holds that clients place."""
HOLDS_OF_TRANSACTIONS = "txn_"
"""How the id of a hold begins that reserves for a pending transaction: it is the id of that transaction."""
HOLDS_OF_PAYROLLS = "payroll_"
"""How the id of a hold begins that reserves for a payroll run: it is the id of that run."""
HOLDS_OF_TRANSFER_ORDERS = "tord_"
"""How the id of a hold begins that reserves for a transfer order: it is the id of that order."""

Status = Literal["open", "frozen", "closed"]

INTERNAL_ROLES: frozenset[str] = frozenset((*get_args(InternalRole), *get_args(PairRole)))


RULES: dict[str, str] = {
    "currency_mismatch": "Account {account} is kept in {account_currency}; the amount is in {currency}.",
    "value_date_before_opening": "The value date {value_date} is before account {account} was opened, {opened_on}.",
    "below_minimum": (
        "Account {account} has {available} {currency} available; debiting {amount} would leave {remaining}, "
        "below its minimum of {minimum}."
    ),
    "above_maximum": (
        "Account {account} has a balance of {balance} {currency}; crediting {amount} would make {resulting}, "
        "above its maximum of {maximum}."
    ),
    "account_closing": (
        "Account {account} is to be closed once no hold is open; nothing new is taken from it or held on it. Cancel "
        "the closing first."
    ),
    "outgoing_limit": (
        "Account {account} has an outgoing limit of {allowed} {currency} {limit}; {used} is used and {left} is left, "
        "and this takes {amount}."
    ),
    "outgoing_count": (
        "Account {account} may make {allowed} outgoing transactions an hour; it made {used}, and {left} are left."
    ),
}
"""The rules that the methods below check. Each command on an account can break them."""


class Mandate(Value, frozen=True):
    """What a person who does not own an account may do with it, as long as it has not ended."""

    person: str
    may_see: bool
    move_up_to: int | None  # minor units; None: nothing
    until: datetime | None  # aware, UTC: the first instant without it


class Outgoing(Value, frozen=True):
    """Limits of what leaves an account, in minor units. None: no such limit."""

    daily: int | None  # in a UTC day
    monthly: int | None  # in a UTC month
    hourly: int | None  # in a rolling hour
    hourly_count: int | None  # transactions in a rolling hour


class Profile(Value, frozen=True):
    """The facts of an account that no entry changes. They are apart from `Account`, so that an entry copies little."""

    id: str
    number: str
    type: AccountType
    currency: str
    owner: str
    minimum: int | None
    maximum: int | None
    opened_on: date
    owners: tuple[str, ...] = ()  # persons, oldest first; of an internal account the name of the log
    mandates: tuple[Mandate, ...] = ()  # one a person at most, and none of an owner; ended ones until withdrawn
    overdraft: int = 0  # how far below the minimum the account may go
    overdraft_until: date | None = None  # the last day, UTC; None: no end
    outgoing: Outgoing | None = None
    approve_above: int | None = None  # what one transaction may take at most without another person
    metadata_keys: tuple[str, ...] = ()  # oldest first; the values decide nothing, so they are not kept
    node: str | None = None  # of the chart, to which the account is attached
    closing_to: str | None = None  # once no hold is open it is closed, and this account gets what is left

    @property
    def internal(self) -> bool:
        """Whether the account belongs to the ledger itself (cash, fees, revenue) and not to a customer."""
        return self.type in INTERNAL_ROLES


class Account(Value, frozen=True):
    """An account at a version of its stream. The balance is credits less debits, in minor units."""

    version: int
    profile: Profile
    balance: int
    reserved: int  # sum of what is left of the open holds
    status: Status
    holds: tuple[tuple[str, int, datetime | None], ...] = ()  # (hold id, what is left of it, expiry), oldest first
    usage: Usage = NO_USAGE  # of the outgoing limits

    @property
    def available(self) -> int:
        """The balance less the reserved amounts."""
        return self.balance - self.reserved

    @property
    def unlimited(self) -> bool:
        """Whether its entries commute. It is an internal account without limits, so their order does not matter."""
        profile = self.profile
        return profile.minimum is None and profile.maximum is None and profile.internal

    @property
    def watched(self) -> bool:
        """Whether it has limits of what leaves it, or is to be closed."""
        profile = self.profile
        return profile.outgoing is not None or profile.approve_above is not None or profile.closing_to is not None

    def hold(self, id: str) -> int | None:
        """Return what is left of an open hold in minor units, or None if the account has no open hold with this id."""
        for hold, amount, _ in self.holds:
            if hold == id:
                return amount
        return None

    def expiry(self, id: str) -> datetime | None:
        """Return when an open hold expires, or None if it does not."""
        return next((expires_at for hold, _, expires_at in self.holds if hold == id), None)

    def mandate(self, person: str) -> Mandate | None:
        """Return the mandate of the person, which may have ended, or None."""
        return next((mandate for mandate in self.profile.mandates if mandate.person == person), None)

    @property
    def as_promised(self) -> Account:
        """The account as it is for a hold that was placed before it was to be closed."""
        if self.profile.closing_to is None:
            return self
        return replace(self, profile=replace(self.profile, closing_to=None))

    def refuse_leaving(self) -> Refused | None:
        """Return the refusal of a new debit or hold on an account that is to be closed, or None."""
        if self.profile.closing_to is None:
            return None
        return Refused("account_closing", {"account": self.profile.id})

    def booked(self, version: int, signed: int) -> Account:
        """Return the account after one entry."""
        return Account(version, self.profile, self.balance + signed, self.reserved, self.status, self.holds, self.usage)

    def with_usage(self, version: int, usage: Usage) -> Account:
        """Return the account after an event that changes what of its outgoing limits is used."""
        return Account(version, self.profile, self.balance, self.reserved, self.status, self.holds, usage)

    def with_status(self, version: int, status: Status) -> Account:
        """Return the account with another status."""
        return Account(version, self.profile, self.balance, self.reserved, status, self.holds, self.usage)

    def refuse_change_of_state(self) -> Refused | None:
        """Return the refusal of any change if the account is closed or frozen, else None."""
        if self.status == "closed":
            return Refused("account_closed", {"account": self.profile.id})
        if self.status == "frozen":
            return Refused("account_frozen", {"account": self.profile.id})
        return None

    def refuse_posting(self, currency: str, value_date: date) -> Refused | None:
        """Return why no entry of any amount can have this currency and value date, or None if one can."""
        profile = self.profile
        if self.status != "open":
            return self.refuse_change_of_state()
        if currency != profile.currency:
            return self.wrong_currency(currency)
        if value_date < profile.opened_on and not profile.internal:
            return Refused(
                "value_date_before_opening",
                {
                    "account": profile.id,
                    "value_date": value_date.isoformat(),
                    "opened_on": profile.opened_on.isoformat(),
                },
            )
        return None

    def wrong_currency(self, currency: str) -> Refused:
        """Return the refusal of an amount in another currency."""
        return Refused(
            "currency_mismatch",
            {"account": self.profile.id, "account_currency": self.profile.currency, "currency": currency},
        )

    def floor(self, today: date) -> int | None:
        """Return what available may not fall below on this day: the minimum, less the overdraft line while it lasts."""
        profile = self.profile
        minimum, until = profile.minimum, profile.overdraft_until
        if minimum is None or not profile.overdraft or (until is not None and today > until):
            return minimum
        return minimum - profile.overdraft

    def refuse_change(self, net: int, today: date) -> Refused | None:
        """Return the refusal of a change of the balance by `net` minor units on this day, or None.

        The minimum is tested against the available amount, because held money is already promised. If the balance is
        already outside a limit, a change towards the limit is never refused.
        """
        profile = self.profile
        currency = profile.currency
        if net < 0 and profile.minimum is not None and self.available + net < (minimum := self.floor(today) or 0):
            return Refused(
                "below_minimum",
                {
                    "account": profile.id,
                    "currency": currency,
                    "balance": show(self.balance, currency),
                    "available": show(self.available, currency),
                    "amount": show(-net, currency),
                    "remaining": show(self.available + net, currency),
                    "minimum": show(minimum, currency),
                },
            )
        if net > 0 and profile.maximum is not None and self.balance + net > profile.maximum:
            return Refused(
                "above_maximum",
                {
                    "account": profile.id,
                    "currency": currency,
                    "balance": show(self.balance, currency),
                    "amount": show(net, currency),
                    "resulting": show(self.balance + net, currency),
                    "maximum": show(profile.maximum, currency),
                },
            )
        return None

    def refuse_outgoing(self, amount: int, at: datetime) -> Refused | None:
        """Return the refusal to let one more transaction take the amount, because of an outgoing limit, or None."""
        limits, usage = self.profile.outgoing, self.usage
        if limits is None:
            return None
        today = at.date()
        if limits.daily is not None and (used := usage.on_day(today)) + amount > limits.daily:
            return self._outgoing_exceeded("a day (UTC)", limits.daily, used, amount)
        if limits.monthly is not None and (used := usage.in_month(today)) + amount > limits.monthly:
            return self._outgoing_exceeded("a month (UTC)", limits.monthly, used, amount)
        if limits.hourly is None and limits.hourly_count is None:
            return None
        count, used = usage.in_hour(at)
        if limits.hourly is not None and used + amount > limits.hourly:
            return self._outgoing_exceeded("an hour", limits.hourly, used, amount)
        if limits.hourly_count is not None and count + 1 > limits.hourly_count:
            allowed = limits.hourly_count
            figures: dict[str, Figure] = {"account": self.profile.id, "allowed": allowed, "used": count}
            return Refused("outgoing_count", {**figures, "left": max(0, allowed - count)})
        return None

    def _outgoing_exceeded(self, limit: str, allowed: int, used: int, amount: int) -> Refused:
        currency = self.profile.currency
        return Refused(
            "outgoing_limit",
            {
                "account": self.profile.id,
                "limit": limit,
                "currency": currency,
                "allowed": show(allowed, currency),
                "used": show(used, currency),
                "left": show(max(0, allowed - used), currency),
                "amount": show(amount, currency),
            },
        )


def evolve(state: Account | None, event: AccountEvent) -> Account:
    """Return the account after the event. Raises ValueError if the stream does not begin with its opening."""
    if state is None:
        return _opened(event)
    version = event.originator_version
    match event:
        case AccountCredited():
            return state.booked(version, event.amount)
        case AccountDebited():
            return state.booked(version, -event.amount)
        case AccountAssessed():
            return state.with_status(version, state.status)
        case AccountFrozen():
            return state.with_status(version, "frozen")
        case AccountUnfrozen() | AccountReopened():
            return state.with_status(version, "open")
        case AccountClosed():
            return state.as_promised.with_status(version, "closed")
        case AccountClosingAsked():
            return replace(state, version=version, profile=replace(state.profile, closing_to=event.sweep_to))
        case AccountClosingCancelled():
            return state.as_promised.with_status(version, state.status)
        case HoldPlaced():
            holds = (*state.holds, (event.hold, event.amount, event.expires_at))
            return replace(state, version=version, reserved=state.reserved + event.amount, holds=holds)
        case HoldReleased() | HoldCaptured() | HoldExpired():
            holds = tuple(hold for hold in state.holds if hold[0] != event.hold)
            return replace(state, version=version, reserved=state.reserved - event.amount, holds=holds)
        case HoldPartlyCaptured():
            holds = tuple(
                (hold, left - event.amount, expires_at) if hold == event.hold else (hold, left, expires_at)
                for hold, left, expires_at in state.holds
            )
            return replace(state, version=version, reserved=state.reserved - event.amount, holds=holds)
        case OwnerAdded() | OwnerRemoved() | MandateGiven() | MandateWithdrawn():
            return replace(state, version=version, profile=_with_persons(state.profile, event))
        case LimitUsed():
            return state.with_usage(version, state.usage.with_used(event.amount, event.at))
        case LimitReturned():
            return state.with_usage(version, state.usage.with_returned(event.amount, event.used_at))
        case LimitsChanged():
            return replace(state, version=version, profile=_with_limits(state.profile, event))
        case AccountDetailsChanged():
            return replace(state, version=version)  # its name is personal, and no state with snapshots has such values
        case AccountMetadataChanged():
            keys = keys_after(state.profile.metadata_keys, event)
            return replace(state, version=version, profile=replace(state.profile, metadata_keys=keys))
        case AccountAttached():
            return replace(state, version=version, profile=replace(state.profile, node=event.node))
        case AccountDetached():
            return replace(state, version=version, profile=replace(state.profile, node=None))
        case AccountOpened():
            raise ValueError(f"{event.originator_id} is opened again at version {version}")


def _with_limits(profile: Profile, event: LimitsChanged) -> Profile:
    limits = (event.daily, event.monthly, event.hourly, event.hourly_count)
    return replace(
        profile,
        minimum=event.minimum,
        maximum=event.maximum,
        overdraft=event.overdraft,
        overdraft_until=event.overdraft_until,
        outgoing=None if limits == (None,) * len(limits) else Outgoing(*limits),
        approve_above=event.approve_above,
    )


def keys_after(keys: tuple[str, ...], event: AccountMetadataChanged) -> tuple[str, ...]:
    """Return the keys of the metadata after the event."""
    kept = dict.fromkeys(key for key in keys if key not in event.removed)
    return tuple({**kept, **dict.fromkeys(event.metadata)})


def _with_persons(profile: Profile, event: OwnerAdded | OwnerRemoved | MandateGiven | MandateWithdrawn) -> Profile:
    """Return the profile with its owners and mandates after the event."""
    person = event.person
    owners, mandates = profile.owners, tuple(mandate for mandate in profile.mandates if mandate.person != person)
    match event:
        case OwnerAdded():
            owners = (*owners, person)
        case OwnerRemoved():
            owners = tuple(owner for owner in owners if owner != person)
        case MandateGiven():
            mandates = (*mandates, Mandate(person, event.may_see, event.move_up_to, event.until))
    return replace(profile, owners=owners, mandates=mandates)


def _opened(event: AccountEvent) -> Account:
    if not isinstance(event, AccountOpened):
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with AccountOpened")
    profile = Profile(
        id=event.originator_id,
        number=event.number,
        type=event.type,
        currency=event.currency,
        owner=event.owner,
        minimum=event.minimum,
        maximum=event.maximum,
        opened_on=event.opened_on,
        owners=(event.owner,),
    )
    return Account(event.originator_version, profile, 0, 0, "open")
