"""Crediting the interest of a month: one command has the balances of its days, and one unit books what they earned.

The internal account for interest pays. What is less than a minor unit is carried to the next month, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from domain.accounts.account.state import Account
from domain.accounts.interest.accrual import ONE_DAY, WHOLE, DayBalance, accrued, end_of_month
from domain.accounts.interest.terms import (
    DECISIONS,
    INTEREST,
    MAY,
    RULES,
    Interest,
    InterestAgreed,
    InterestCredited,
    InterestEnded,
    InterestEvent,
    InterestTermsChanged,
    changed,
    evolve,
    interest_stream,
    refuse_change,
    refuse_day,
    refuse_ending,
    refuse_rate,
)
from domain.accounts.periods.state import periods
from domain.accounts.posting import (
    Entry,
    Transaction,
    TransactionPosted,
    entries_between,
    internal_account,
    post,
    posting_decision,
    posting_streams,
    refuse_value_date,
)
from domain.accounts.posting_policy import posting_policy
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import (
    Accepted,
    Context,
    Decision,
    Event,
    Figure,
    NeedsStreams,
    Refused,
    States,
    Unknown,
    Value,
    found,
)
from domain.money import EXPONENTS, show
from domain.permissions import PROCESSES


class CreditInterest(Value, frozen=True):
    """Credit the interest of the next month, once it is over. Only its process sends this."""

    account: str
    transaction: str  # the one to post, if there is something to credit
    first: date
    last: date
    balances: tuple[DayBalance, ...]
    position: int

    @property
    def streams(self) -> tuple[str, ...]:
        return posting_streams(interest_stream(self.account), self.account)


CREDIT_RULES: dict[str, str] = {
    **RULES,
    "interest_not_next": (
        "The next days to credit of account {account} are from {next_day} to {last_day}; these are from {first} to "
        "{last}."
    ),
    "interest_not_over": "The day {last} is not before today, {today} (UTC); its interest is credited after it.",
    "interest_balances": "The balances begin on {first} and are in order of days up to {last}; these are not.",
}


def last_of(interest: Interest) -> date:
    """Return the last day of the next crediting: the end of the month, or the last day that earns interest."""
    month = end_of_month(interest.next_day)
    return month if interest.last_day is None else min(month, interest.last_day)


@posting_decision
def credit(command: CreditInterest, states: States, context: Context) -> Decision:
    interest = found(states, interest_stream(command.account), Interest)
    if interest is None:
        return Unknown("interest", command.account)
    refusal = refuse_crediting(interest, command, context.today)
    if refusal is not None:
        return refusal
    amount, carried = earned(interest, command.balances, command.last)
    paying = internal_account(context.log, "interest", interest.currency)
    if amount and (missing := tuple(one for one in (interest.payout, paying) if one not in states)):
        return NeedsStreams(missing)
    credited = InterestCredited(
        originator_id=interest_stream(interest.account),
        originator_version=interest.version + 1,
        account=interest.account,
        currency=interest.currency,
        payout=interest.payout,
        first=command.first,
        last=command.last,
        balances=command.balances,
        position=command.position,
        amount=amount,
        carried=carried,
        transaction=command.transaction if amount else None,
    )
    result: dict[str, Figure] = {
        "earning": interest.account,
        "interest": show(amount, interest.currency),
        "currency": interest.currency,
        "next_day": (command.last + ONE_DAY).isoformat(),
    }
    if not amount:
        return Accepted((credited,), result)
    accounts = (found(states, paying, Account), found(states, interest.payout, Account))
    if accounts[0] is None:
        return Refused("internal_account_missing", {"role": "interest", "currency": interest.currency})
    opened = max(one.profile.opened_on for one in accounts if one is not None)
    day = value_date_of(command.last, opened, states, context)
    transaction = Transaction(command.transaction, "interest", entries_of(context.log, credited), day)
    posted = post(transaction, states, context)
    if not isinstance(posted, Accepted):
        return posted
    return Accepted((*posted.events, credited), {**posted.result, **result}, posted.commuting)


def earned(interest: Interest, balances: Sequence[DayBalance], last: date) -> tuple[int, int]:
    """Return what is credited in minor units, and the parts of one that are carried."""
    return divmod(interest.carried + accrued(balances, interest.rates, last), WHOLE)


def entries_of(log: str, credited: InterestCredited) -> tuple[Entry, Entry]:
    """Return the entries of a crediting."""
    paying = internal_account(log, "interest", credited.currency)
    return entries_between(paying, credited.payout, credited.amount, credited.currency)


def value_date_of(last: date, opened: date, states: States, context: Context) -> date:
    """Return the day after the last one, from which on the interest earns itself.

    It is today if that day is closed, or if the accounts were not open on it.
    """
    day, today = last + ONE_DAY, context.today
    refusal = refuse_value_date(day, posting_policy(states), today) or periods(states).refuse_value_date(day)
    return day if refusal is None and day >= opened else today


def refuse_crediting(interest: Interest, command: CreditInterest | InterestCredited, today: date) -> Refused | None:
    """Return why these days cannot be credited with these balances, or None."""
    last, account = last_of(interest), interest.account
    if interest.ended or (command.first, command.last) != (interest.next_day, last):
        days = {"next_day": interest.next_day.isoformat(), "last_day": last.isoformat()}
        these = {"first": command.first.isoformat(), "last": command.last.isoformat()}
        return Refused("interest_not_next", {"account": account, **days, **these})
    if last >= today:
        return Refused("interest_not_over", {"last": last.isoformat(), "today": today.isoformat()})
    days_of = [one.day for one in command.balances]
    if days_of[:1] != [command.first] or sorted(set(days_of)) != days_of or days_of[-1] > last:
        return Refused("interest_balances", {"first": command.first.isoformat(), "last": last.isoformat()})
    return None


# What stored events are held to


def check(before: Interest | None, events: Sequence[InterestEvent], decided: Decided) -> Iterator[Broken]:
    """Find terms that no decision accepts, days that are not the next ones, and amounts that the balances do not earn.

    Whether the balances are the sums of the entries is not looked at here: `verify` sums them with one query.
    """
    interest = before
    for event in events:
        if isinstance(event, InterestAgreed):
            if interest is not None or event.originator_id != interest_stream(event.account):
                yield Broken(event, f"{event.originator_id} is agreed again, or is not the stream of {event.account}")
            if event.currency not in EXPONENTS:
                yield Broken(event, f"{event.originator_id} is in {event.currency!r}, which is no currency")
        refusal = _refuse(interest, event, decided)
        if refusal is not None:
            yield refused(event, refusal, CREDIT_RULES)
        elif interest is not None:
            yield from _not_as_decided(interest, event)
        interest = evolve(interest, event)


def _refuse(interest: Interest | None, event: InterestEvent, decided: Decided) -> Refused | None:
    if isinstance(event, InterestAgreed):
        return refuse_rate(event.rate) or refuse_day(event.account, event.rate.from_day, None, decided.today)
    assert interest is not None, "the fold was tried before"
    match event:
        case InterestTermsChanged():
            return refuse_change(interest, event.rate, decided.today)
        case InterestEnded():
            return refuse_ending(interest, event.last_day)
        case InterestCredited():
            return refuse_crediting(interest, event, decided.today)


def _not_as_decided(interest: Interest, event: InterestEvent) -> Iterator[Broken]:
    id = event.originator_id
    if isinstance(event, InterestTermsChanged) and event != changed(interest, event.payout, event.rate):
        yield Broken(event, f"{id} goes on with another account or day than it has")
    if isinstance(event, InterestCredited):
        if (event.account, event.currency, event.payout) != (interest.account, interest.currency, interest.payout):
            yield Broken(event, f"{id} is credited to another account or in another currency than it has")
        earns = earned(interest, event.balances, event.last)
        if (event.amount, event.carried) != earns:
            had = f"{event.amount} minor units and carries {event.carried}"
            yield Broken(event, f"{id} credits {had}; its balances earn {earns[0]} and carry {earns[1]}")
        if (event.transaction is None) is not (event.amount == 0):
            yield Broken(event, f"{id} credits {event.amount} minor units by {event.transaction}")


def _is_posted(event: InterestCredited, unit: Mapping[str, Sequence[Event]], decided: Decided) -> str | None:
    """The transaction of the unit has the entries that follow from the amount."""
    if event.transaction is None:
        return None
    for one in unit.get(event.transaction, ()):
        if isinstance(one, TransactionPosted) and one.kind == "interest":
            right = one.entries == entries_of(decided.log, event)
            return None if right else f"{event.transaction} credits other amounts than {event.originator_id} says"
    return f"{event.originator_id} is credited by {event.transaction}, which its unit does not post as interest"


AGGREGATE = Aggregate(
    name="interest",
    prefix=INTEREST,
    events=(
        EventType("interest.agreed.v1", InterestAgreed),
        EventType("interest.terms_changed.v1", InterestTermsChanged),
        EventType("interest.ended.v1", InterestEnded),
        EventType("interest.credited.v1", InterestCredited),
    ),
    evolve=evolve,
    decisions={**DECISIONS, CreditInterest: credit},
    rules=CREDIT_RULES,
    may={**MAY, CreditInterest: PROCESSES},
    amounts=frozenset({"balance", "amount"}),
    check=check,
    unit_rules={InterestCredited: _is_posted},
)
