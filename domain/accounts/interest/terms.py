"""The aggregate interest: the terms of an account, how far it is credited, and what is carried.

Its state has the rates of the days that are not credited yet, so it is bounded. Amounts are minor units, and what is
carried is in parts of a minor unit (`domain.accounts.interest.accrual`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TypeAlias, cast

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS
from domain.accounts.interest.accrual import BASES, ONE_DAY, DayBalance, Rate
from domain.kernel import (
    Accepted,
    Context,
    Decide,
    Decision,
    Event,
    Figure,
    Refused,
    Role,
    States,
    Unknown,
    Value,
    found,
)
from domain.permissions import OPERATORS

INTEREST = "interest:"
"""Beginning of the name of each stream. The account follows."""
MOST_RATES = 20
"""Most rates of days that are not credited yet."""
MOST_DAYS_AGO, MOST_DAYS_AHEAD = 31, 366
"""How many days before and after today interest may begin, or a rate may change."""

# Events


class InterestAgreed(Event, frozen=True):
    """The account earns interest from the day of the rate on. It is the first event of its stream."""

    account: str
    currency: str
    payout: str  # the account that the interest is credited to
    rate: Rate


class InterestTermsChanged(Event, frozen=True):
    """Another rate holds from a day on, and another account may get the interest.

    It has what is needed to go on, so it also begins anew what an operator ended.
    """

    account: str
    payout: str
    rate: Rate
    next_day: date
    last_day: date | None


class InterestEnded(Event, frozen=True):
    """The account earns no interest after this day."""

    last_day: date


class InterestCredited(Event, frozen=True):
    """The interest of the days from `first` to `last` was credited. What is not 0 is posted in the same unit."""

    account: str
    currency: str
    payout: str
    first: date
    last: date
    balances: tuple[DayBalance, ...]  # by value date, of the entries up to `position` of the log
    position: int
    amount: int
    carried: int  # parts of a minor unit that are left, after this
    transaction: str | None


InterestEvent: TypeAlias = InterestAgreed | InterestTermsChanged | InterestEnded | InterestCredited

# State


class Interest(Value, frozen=True):
    """The interest of an account at a version of its stream."""

    version: int
    account: str
    currency: str
    payout: str
    rates: tuple[Rate, ...]  # in order of their days; the first one holds on the next day
    next_day: date  # the first one that is not credited
    last_day: date | None = None
    carried: int = 0  # parts of a minor unit

    @property
    def ended(self) -> bool:
        """Whether its last day is credited."""
        return self.last_day is not None and self.next_day > self.last_day


def evolve(state: Interest | None, event: InterestEvent) -> Interest:
    """Return the interest after the event. Raises ValueError if the stream does not begin with `InterestAgreed`."""
    version = event.originator_version
    if isinstance(event, InterestAgreed):
        return Interest(version, event.account, event.currency, event.payout, (event.rate,), event.rate.from_day)
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with InterestAgreed")
    match event:
        case InterestTermsChanged():
            return replace(state, version=version, payout=event.payout, rates=_with(state.rates, event.rate))
        case InterestEnded():
            return replace(state, version=version, last_day=event.last_day)
        case InterestCredited():
            next_day = event.last + ONE_DAY
            rates = _from(state.rates, next_day)
            return replace(state, version=version, rates=rates, next_day=next_day, carried=event.carried)


def _with(rates: tuple[Rate, ...], rate: Rate) -> tuple[Rate, ...]:
    """A rate replaces those from its day on."""
    return (*(one for one in rates if one.from_day < rate.from_day), rate)


def _from(rates: tuple[Rate, ...], day: date) -> tuple[Rate, ...]:
    """The rates that hold on that day or later."""
    begun = [one for one in rates if one.from_day <= day]
    return (*begun[-1:], *(one for one in rates if one.from_day > day))


def interest_stream(account: str) -> str:
    """Return the name of the stream of the interest of an account."""
    return f"{INTEREST}{account}"


# Commands


class AgreeInterest(Value, frozen=True):
    """Let an account earn interest from a day on."""

    account: str
    payout: str
    rate: int
    basis: int
    from_day: date

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((interest_stream(self.account), self.account, self.payout)))


class ChangeInterest(AgreeInterest, frozen=True):
    """Change the rate from a day on that is not credited yet, and the account that gets the interest."""


class EndInterest(Value, frozen=True):
    """Let an account earn no interest after a day."""

    account: str
    last_day: date

    @property
    def streams(self) -> tuple[str, ...]:
        return (interest_stream(self.account), self.account)


# Rules

RULES: dict[str, str] = {
    "interest_internal": "Account {account} belongs to the ledger itself ({type}); it earns no interest.",
    "interest_payout": "Account {payout} is kept in {other}; the interest of {account} is in {currency}.",
    "interest_rate": "A rate is from 0 to {most} millionths a year of 360 or 365 days; this one is {rate} of {basis}.",
    "interest_day": "The rate of {account} can hold from a day between {first} and {last} on, not from {day}.",
    "interest_agreed": "Account {account} earns interest already, from {next_day} on not credited yet; change it.",
    "interest_ended": "Account {account} earns no interest after {last_day}.",
    "interest_rates": "The days of {account} that are not credited yet have {most} rates, which is the most.",
    "interest_last_day": "The interest of {account} is credited up to {credited}; it cannot end on {last_day}.",
}

# Decisions


def agree(command: AgreeInterest, states: States, context: Context) -> Decision:
    stream = interest_stream(command.account)
    account, interest = found(states, command.account, Account), found(states, stream, Interest)
    if account is None:
        return Unknown("account", command.account)
    if account.profile.internal:
        return Refused("interest_internal", {"account": command.account, "type": account.profile.type})
    if interest is not None:
        next_day = interest.next_day.isoformat()
        return Refused("interest_agreed", {"account": command.account, "next_day": next_day})
    rate = Rate(command.from_day, command.rate, command.basis)
    no = refuse_rate(rate) or refuse_day(command.account, rate.from_day, None, context.today)
    wrong = no or _refuse_payout(account, command.payout, states)
    if wrong is not None:
        return wrong
    event = InterestAgreed(stream, 1, command.account, account.profile.currency, command.payout, rate)
    return _accepted(None, event)


def change(command: ChangeInterest, states: States, context: Context) -> Decision:
    interest = _existing(command.account, states)
    if isinstance(interest, Unknown):
        return interest
    account = cast(Account, states[command.account])
    rate = Rate(command.from_day, command.rate, command.basis)
    wrong = refuse_change(interest, rate, context.today) or _refuse_payout(account, command.payout, states)
    return _accepted(interest, changed(interest, command.payout, rate)) if wrong is None else wrong


def changed(interest: Interest, payout: str, rate: Rate) -> InterestTermsChanged:
    """Return the event that changes the terms."""
    return InterestTermsChanged(
        originator_id=interest_stream(interest.account),
        originator_version=interest.version + 1,
        account=interest.account,
        payout=payout,
        rate=rate,
        next_day=interest.next_day,
        last_day=interest.last_day,
    )


def end(command: EndInterest, states: States, context: Context) -> Decision:
    interest = _existing(command.account, states)
    if isinstance(interest, Unknown):
        return interest
    refusal = refuse_ending(interest, command.last_day)
    if refusal is not None:
        return refusal
    event = InterestEnded(interest_stream(command.account), interest.version + 1, command.last_day)
    return _accepted(interest, event)


def _existing(account: str, states: States) -> Interest | Unknown:
    """Return the interest of an account, or what of both does not exist."""
    if found(states, account, Account) is None:
        return Unknown("account", account)
    interest = found(states, interest_stream(account), Interest)
    return Unknown("interest", account) if interest is None else interest


def _accepted(before: Interest | None, event: InterestEvent) -> Accepted:
    after = evolve(before, event)
    result: dict[str, Figure] = {
        "earning": after.account,
        "next_day": after.next_day.isoformat(),
        "last_day": None if after.last_day is None else after.last_day.isoformat(),
    }
    return Accepted((event,), result)


def refuse_rate(rate: Rate) -> Refused | None:
    """Return the refusal of a rate that is too large or has another basis, or None."""
    if 0 <= rate.rate <= MILLIONTHS and rate.basis in BASES:
        return None
    return Refused("interest_rate", {"most": MILLIONTHS, "rate": rate.rate, "basis": rate.basis})


def refuse_day(account: str, day: date, next_day: date | None, today: date) -> Refused | None:
    """Return why a rate cannot hold from that day on, or None. A day that is credited stays as it is."""
    first, last = today - timedelta(days=MOST_DAYS_AGO), today + timedelta(days=MOST_DAYS_AHEAD)
    if next_day is not None:
        first = next_day
    if first <= day <= last:
        return None
    days = {"first": first.isoformat(), "last": last.isoformat(), "day": day.isoformat()}
    return Refused("interest_day", {"account": account, **days})


def refuse_change(interest: Interest, rate: Rate, today: date) -> Refused | None:
    """Return why the terms cannot change to this rate, or None."""
    if interest.ended:
        return _ended(interest)
    refusal = refuse_rate(rate) or refuse_day(interest.account, rate.from_day, interest.next_day, today)
    if refusal is None and len(_with(interest.rates, rate)) > MOST_RATES:
        return Refused("interest_rates", {"account": interest.account, "most": MOST_RATES})
    return refusal


def refuse_ending(interest: Interest, last_day: date) -> Refused | None:
    """Return why the account cannot earn its last interest on that day, or None."""
    if interest.ended:
        return _ended(interest)
    credited = interest.next_day - ONE_DAY
    if last_day >= credited:
        return None
    days = {"credited": credited.isoformat(), "last_day": last_day.isoformat()}
    return Refused("interest_last_day", {"account": interest.account, **days})


def _ended(interest: Interest) -> Refused:
    assert interest.last_day is not None, "it has a last day"
    return Refused("interest_ended", {"account": interest.account, "last_day": interest.last_day.isoformat()})


def _refuse_payout(account: Account, payout: str, states: States) -> Refused | Unknown | None:
    other = found(states, payout, Account)
    if other is None:
        return Unknown("account", payout)
    own, currency = account.profile.id, account.profile.currency
    if other.profile.currency == currency:
        return None
    figures = {"payout": payout, "other": other.profile.currency, "account": own, "currency": currency}
    return Refused("interest_payout", dict(figures))


DECISIONS: dict[type, Decide] = {AgreeInterest: agree, ChangeInterest: change, EndInterest: end}
MAY: dict[type, frozenset[Role]] = dict.fromkeys(DECISIONS, OPERATORS)
