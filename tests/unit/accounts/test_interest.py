"""Interest without a database: the arithmetic against exact fractions, and what forged events are found to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.lifecycle import CloseAccount
from domain.accounts.interest import crediting
from domain.accounts.interest.accrual import DAYS, WHOLE, DayBalance, Rate, accrued, end_of_month
from domain.accounts.interest.terms import (
    EndInterest,
    Interest,
    InterestAgreed,
    InterestCredited,
    InterestEnded,
    InterestTermsChanged,
    evolve,
    interest_stream,
)
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.posting import Entry, TransactionPosted, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import Deposit
from domain.aggregate import Decided
from domain.kernel import Event, Unknown
from domain.registry import check_unit
from tests.samples.accounts.interest import AGREED, FIRST, LAST, NOVEMBER, OTHER, SAVINGS, change, credit
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger, opening

DAY = timedelta(days=1)
INTEREST = internal_account("main", "interest", "EUR")


# The arithmetic


def by_the_day(balances: Sequence[DayBalance], rates: Sequence[Rate], last: date) -> Fraction:
    """What they earn in minor units, day by day and in fractions."""
    earned, day = Fraction(0), balances[0].day
    while day <= last:
        balance = [one.balance for one in balances if one.day <= day][-1]
        rate = [one for one in rates if one.from_day <= day][-1]
        earned += max(balance, 0) * Fraction(rate.rate, 1_000_000 * rate.basis)
        day += DAY
    return earned


def test_random_months_earn_what_each_day_earns() -> None:
    chance = Random(58)
    for _ in range(500):
        first = date(2028, chance.randint(1, 12), chance.randint(1, 28))
        last = end_of_month(first)
        days = [first, *sorted(chance.sample([first + number * DAY for number in range(1, 40)], chance.randint(0, 6)))]
        balances = [DayBalance(day, chance.randint(-1_000, 10**9)) for day in days if day <= last]
        begins = [first - chance.randint(0, 40) * DAY, *sorted(first + chance.randint(1, 40) * DAY for _ in range(2))]
        rates = [Rate(day, chance.randint(0, 1_000_000), chance.choice((360, 365))) for day in dict.fromkeys(begins)]
        assert Fraction(accrued(balances, rates, last), WHOLE) == by_the_day(balances, rates, last)


def test_a_leap_year_of_365_earns_one_day_more_and_of_360_five_or_six() -> None:
    first, last = date(2028, 1, 1), date(2028, 12, 31)
    balance = [DayBalance(first, 1_000_000)]
    for basis in (360, 365):
        earned = accrued(balance, [Rate(first, 100_000, basis)], last)
        assert Fraction(earned, WHOLE) == 100_000 * Fraction(366, basis)
    assert DAYS == 26_280


@pytest.mark.parametrize(
    ("day", "last"),
    [
        ("2028-02-01", "2028-02-29"),
        ("2027-02-28", "2027-02-28"),
        ("2028-12-31", "2028-12-31"),
        ("2028-04-02", "2028-04-30"),
    ],
)
def test_a_month_ends_on_its_last_day(day: str, last: str) -> None:
    assert end_of_month(date.fromisoformat(day)) == date.fromisoformat(last)


# Crediting


def ledger_with(*commands: Any) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    for command in commands:
        ledger.accepted(command)
    return ledger


def posted(ledger: MemoryLedger) -> TransactionPosted:
    [one] = [one for one in ledger.log if isinstance(one, TransactionPosted) and one.kind == "interest"]
    return one


def test_a_month_is_credited_from_the_ledgers_own_account_with_the_day_after_as_value_date() -> None:
    ledger = ledger_with(*AGREED, credit())  # 11 days of 10,000.00 at 2 %
    transaction = posted(ledger)
    assert transaction.entries == (Entry(INTEREST, "debit", 602, "EUR"), Entry(SAVINGS, "credit", 602, "EUR"))
    assert transaction.value_date == NOVEMBER
    interest = ledger[interest_stream(SAVINGS)]
    assert Fraction(602 * WHOLE + interest.carried, WHOLE) == 1_000_000 * Fraction(2 * 11, 100 * 365)


def test_the_rest_is_carried_exactly_and_nothing_is_posted_for_less_than_a_minor_unit() -> None:
    ledger = ledger_with(*AGREED, credit(balance=100))
    assert not [one for one in ledger.log if isinstance(one, TransactionPosted)]
    [event] = [one for one in ledger.log if isinstance(one, InterestCredited)]
    assert (event.amount, event.transaction) == (0, None)
    assert Fraction(event.carried, WHOLE) == 100 * Fraction(2 * 11, 100 * 365)


def test_a_negative_balance_earns_nothing() -> None:
    ledger = ledger_with(*AGREED, credit(balance=-1_000_000))
    assert ledger[interest_stream(SAVINGS)].carried == 0


def test_a_rate_changes_within_the_month() -> None:
    ledger = ledger_with(*AGREED, change(LAST, rate=365_000), credit())
    assert posted(ledger).entries[0].amount == (1_000_000 * (10 * 20_000 + 365_000)) // 365_000_000
    assert [one.from_day for one in ledger[interest_stream(SAVINGS)].rates] == [LAST]


def test_the_value_date_is_today_where_the_day_after_is_closed_or_too_old_or_before_the_opening() -> None:
    closed = ledger_with(*AGREED, ClosePeriod("per_1", "2026-11-01", FIRST, NOVEMBER), credit())
    old = ledger_with(*AGREED, ChangePostingPolicy(5), credit())
    late = opening(account="acct_late", opened_on=TODAY)
    moved = ledger_with(*AGREED, late, replace(change(FIRST, 20_000), payout="acct_late"), credit())
    for ledger in (closed, old, moved):
        assert posted(ledger).value_date == TODAY


def test_the_interest_of_a_closed_account_is_refused_until_another_one_gets_it() -> None:
    ledger = ledger_with(*AGREED, Deposit("txn_d", SAVINGS, 5, "EUR", TODAY))
    ledger.accepted(CloseAccount(SAVINGS, "a merger", OTHER, "txn_s"))
    assert ledger.refused(credit()).rule == "account_closed"
    ledger.accepted(replace(change(NOVEMBER, 0), payout=OTHER))
    ledger.accepted(credit())
    assert ledger[OTHER].balance == 5 + 602


def test_interest_without_an_account_that_pays_is_refused() -> None:
    ledger = MemoryLedger()
    for command in AGREED:
        ledger.accepted(command)
    assert ledger.refused(credit()).rule == "internal_account_missing"
    ledger.accepted(credit(balance=1))


# What `verify` finds

DECIDED = Decided(NOW, 1, "main")
STREAM = interest_stream(SAVINGS)
RATE = Rate(FIRST, 20_000, 365)
STATE = Interest(2, SAVINGS, "EUR", SAVINGS, (RATE,), FIRST, None, 7)
ENDED = replace(STATE, last_day=FIRST - DAY)
BALANCES = (DayBalance(FIRST, 1_000_000),)
CREDITED = InterestCredited(
    originator_id=STREAM,
    originator_version=3,
    account=SAVINGS,
    currency="EUR",
    payout=SAVINGS,
    first=FIRST,
    last=LAST,
    balances=BALANCES,
    position=10,
    amount=602,
    carried=7 + 1_000_000 * 11 * RATE.a_day - 602 * WHOLE,
    transaction="txn_1",
)
CHANGED = InterestTermsChanged(STREAM, 3, SAVINGS, OTHER, replace(RATE, from_day=TODAY), FIRST, None)
AGREED_ON = InterestAgreed(STREAM, 1, SAVINGS, "EUR", SAVINGS, RATE)


@pytest.mark.parametrize(
    ("before", "event", "what"),
    [
        (None, AGREED_ON, None),
        (STATE, CHANGED, None),
        (STATE, InterestEnded(STREAM, 3, LAST), None),
        (STATE, CREDITED, None),
        (STATE, AGREED_ON, "is agreed again"),
        (None, replace(AGREED_ON, originator_id="interest:other"), "is not the stream of acct_savings"),
        (None, replace(AGREED_ON, currency="XXX"), "is no currency"),
        (None, replace(AGREED_ON, rate=replace(RATE, basis=366)), "of 360 or 365 days"),
        (None, replace(AGREED_ON, rate=replace(RATE, from_day=FIRST - DAY)), "not from 2026-10-20"),
        (STATE, replace(CHANGED, next_day=TODAY), "goes on with another account or day than it has"),
        (STATE, replace(CHANGED, last_day=TODAY), "goes on with another account or day than it has"),
        (STATE, replace(CHANGED, rate=replace(RATE, from_day=FIRST - DAY)), "not from 2026-10-20"),
        (ENDED, CHANGED, "earns no interest after 2026-10-20"),
        (ENDED, InterestEnded(STREAM, 3, TODAY), "earns no interest after 2026-10-20"),
        (STATE, InterestEnded(STREAM, 3, FIRST - 2 * DAY), "it cannot end on 2026-10-19"),
        (ENDED, CREDITED, "The next days to credit"),
        (STATE, replace(CREDITED, first=FIRST + DAY), "The next days to credit"),
        (STATE, replace(CREDITED, last=LAST - DAY), "The next days to credit"),
        (
            replace(STATE, next_day=NOVEMBER),
            replace(CREDITED, first=NOVEMBER, last=date(2026, 11, 30)),
            "is not before",
        ),
        (STATE, replace(CREDITED, balances=(DayBalance(FIRST + DAY, 5),)), "and are in order of days"),
        (STATE, replace(CREDITED, balances=(*BALANCES, DayBalance(NOVEMBER, 5))), "and are in order of days"),
        (STATE, replace(CREDITED, balances=()), "and are in order of days"),
        (STATE, replace(CREDITED, payout=OTHER), "is credited to another account"),
        (STATE, replace(CREDITED, amount=603), "credits 603 minor units"),
        (STATE, replace(CREDITED, carried=8), "and carries 8; its balances earn 602"),
        (STATE, replace(CREDITED, transaction=None), "credits 602 minor units by None"),
    ],
)
def test_stored_events_are_held_to_the_rules(before: Interest | None, event: Any, what: str | None) -> None:
    found = [one.what for one in crediting.check(before, [event], DECIDED)]
    assert found == [] if what is None else len(found) == 1 and what in found[0], found


ENTRIES = (Entry(INTEREST, "debit", 602, "EUR"), Entry(SAVINGS, "credit", 602, "EUR"))
POSTED = TransactionPosted("txn_1", 1, "interest", NOVEMBER, ENTRIES, None, None, None)


@pytest.mark.parametrize(
    ("event", "beside", "is_right"),
    [
        (CREDITED, POSTED, True),
        (CREDITED, replace(POSTED, kind="journal"), False),
        (CREDITED, replace(POSTED, originator_id="txn_2"), False),
        (CREDITED, replace(POSTED, entries=ENTRIES[::-1]), False),
        (replace(CREDITED, amount=0, transaction=None), replace(POSTED, originator_id="txn_2"), True),
    ],
)
def test_a_crediting_stands_with_its_transaction(event: Event, beside: Event, is_right: bool) -> None:
    about = [one for one in check_unit((beside, event), DECIDED) if one.event is event]
    assert (about == []) is is_right


def test_a_stream_begins_with_its_agreement() -> None:
    with pytest.raises(ValueError, match="begins with InterestEnded"):
        evolve(None, InterestEnded(STREAM, 1, TODAY))


def test_an_account_without_interest_is_told_from_one_that_does_not_exist() -> None:
    ledger = ledger_with(*AGREED)
    assert ledger.decide(EndInterest(OTHER, TODAY)) == Unknown("interest", OTHER)
    assert ledger.decide(EndInterest("acct_none", TODAY)) == Unknown("account", "acct_none")
