"""Limits of an account: overdraft, day, month and rolling hour; who changes them, and what a reversal gives back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import LimitReturned, LimitsChanged, LimitUsed, MandateGiven
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount
from domain.accounts.account.limits import MOST_COUNT
from domain.accounts.account.usage import MOST_DAYS, NO_USAGE, Usage, minute_of
from domain.accounts.details import TransactionCounted
from domain.accounts.posting import Entry
from domain.accounts.posting_policy import COUNTED, ChangePostingPolicy
from domain.accounts.transaction import (
    AdjustBalance,
    CancelPending,
    ChargeFee,
    PostPending,
    PostTransaction,
    RefundTransaction,
)
from domain.accounts.transaction.reversal import Part
from domain.kernel import Forbidden, Principal
from domain.money import MAX_AMOUNT
from tests.support.bank import (
    ADA,
    BOB,
    CASH,
    EVE,
    FUNDED,
    MOMENT,
    A,
    B,
    at,
    bank,
    by,
    customer,
    figures,
    limited,
    pend,
    reverse,
    transfer,
    unknown,
    withdraw,
)
from tests.support.memory_ledger import NOW, TODAY, MemoryLedger

MIDNIGHT = datetime(2026, 11, 22, tzinfo=UTC)
"""The end of the day of the tests."""
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def with_limits(**limits: Any) -> MemoryLedger:
    """The bank in which A has these limits."""
    ledger = bank()
    ledger.accepted(limited(**limits))
    return ledger


def taken(ledger: MemoryLedger, amount: int, id: str, now: datetime = NOW) -> Any:
    """A withdrawal of a day, with the value date of that day."""
    return ledger.execute_by(at(now, replace(withdraw(amount, id), value_date=min(now, DECEMBER).date())))


# Day, month and hour


def test_a_daily_limit_can_be_used_to_the_cent() -> None:
    ledger = with_limits(daily=500)
    ledger.accepted(withdraw(300, "txn_1"))
    refused = ledger.refused(withdraw(201, "txn_2"))
    assert refused.rule == "outgoing_limit"
    assert refused.figures["limit"] == "a day (UTC)"
    assert [refused.figures[name] for name in ("allowed", "used", "left", "amount")] == ["5.00", "3.00", "2.00", "2.01"]
    ledger.accepted(withdraw(200, "txn_3"))
    assert ledger.refused(withdraw(1, "txn_4")).figures["left"] == "0.00"


def test_what_used_a_limit_stands_beside_the_entry() -> None:
    ledger = with_limits(daily=500)
    events = ledger.accepted(transfer(300)).events
    assert events[1] == TransactionCounted("txn_1", 2, NOW, ("acct_a",))
    assert events[-1] == LimitUsed(A, 5, "txn_1", 300, "EUR", NOW)
    assert ledger["txn_1"].counted_at == NOW


def test_the_next_day_begins_at_midnight_utc() -> None:
    ledger = with_limits(daily=500, monthly=800)
    ledger.accepted(at(MIDNIGHT - MOMENT, withdraw(500, "txn_1")))
    assert taken(ledger, 1, "txn_2", MIDNIGHT - MOMENT).figures["limit"] == "a day (UTC)"
    ledger.accepted(at(MIDNIGHT, withdraw(300, "txn_3")))
    assert taken(ledger, 1, "txn_4", MIDNIGHT).figures["limit"] == "a month (UTC)"


def test_the_next_month_begins_at_midnight_utc() -> None:
    ledger = with_limits(monthly=500)
    ledger.accepted(withdraw(200, "txn_1"))
    ledger.accepted(at(DECEMBER - MOMENT, withdraw(300, "txn_2")))
    assert taken(ledger, 1, "txn_3", DECEMBER - MOMENT).rule == "outgoing_limit"
    ledger.accepted(at(DECEMBER, withdraw(500, "txn_4")))


def test_the_first_of_a_long_month_still_counts_on_its_last_day() -> None:
    ledger = with_limits(monthly=500)
    ledger.accepted(at(DECEMBER, withdraw(400, "txn_1")))
    last = DECEMBER + timedelta(days=MOST_DAYS) - MOMENT
    assert last.date() == date(2026, 12, 31)
    ledger.accepted(at(last, withdraw(50, "txn_2")))
    refused = ledger.refused(at(last, withdraw(51, "txn_3")))
    assert refused.figures["used"] == "4.50"


def test_the_rolling_hour_forgets_by_whole_minutes_and_never_too_early() -> None:
    used = NOW + 59 * SECOND
    ledger = with_limits(hourly=500)
    ledger.accepted(at(used, withdraw(500, "txn_1")))
    for later in (used + HOUR - MOMENT, NOW + HOUR + MINUTE - MOMENT):
        assert taken(ledger, 1, "txn_2", later).figures["limit"] == "an hour"
    ledger.accepted(at(NOW + HOUR + MINUTE, withdraw(1, "txn_3")))


@pytest.mark.parametrize("second", range(0, 60, 7))
def test_the_rolling_hour_is_late_by_less_than_a_minute(second: int) -> None:
    used = NOW + second * SECOND
    usage = NO_USAGE.with_used(1, used)
    assert usage.in_hour(used + HOUR) == (1, 1)
    assert usage.in_hour(used + HOUR + MINUTE) == (0, 0)


def test_what_was_used_an_hour_ago_is_still_there_when_more_is_used() -> None:
    usage = NO_USAGE.with_used(1, NOW).with_used(2, NOW + HOUR)
    assert usage.in_hour(NOW + HOUR) == (2, 3)
    assert usage.with_used(4, NOW + HOUR + MINUTE).minutes == tuple(
        (minute_of(at), 1, amount) for at, amount in ((NOW + HOUR, 2), (NOW + HOUR + MINUTE, 4))
    )


def test_what_a_clock_that_went_back_added_is_forgotten_like_the_rest() -> None:
    usage = NO_USAGE.with_used(1, NOW).with_used(2, NOW - HOUR - MINUTE)
    assert usage.in_hour(NOW) == (1, 1)
    assert usage.with_used(4, NOW).minutes == ((minute_of(NOW), 2, 5),)


def test_a_number_of_transactions_in_an_hour() -> None:
    ledger = with_limits(hourly_count=2)
    ledger.accepted(withdraw(1, "txn_1"))
    ledger.accepted(at(NOW + 30 * MINUTE, withdraw(1, "txn_2")))
    refused = ledger.refused(at(NOW + HOUR, withdraw(1, "txn_3")))
    assert (refused.rule, refused.figures["used"], refused.figures["left"]) == ("outgoing_count", 2, 0)
    ledger.accepted(at(NOW + HOUR + MINUTE, withdraw(1, "txn_4")))


@pytest.mark.parametrize("limits", [{"daily": 0}, {"monthly": 0}, {"hourly": 0}, {"hourly_count": 0}])
def test_nothing_at_all_can_be_allowed(limits: dict[str, int]) -> None:
    ledger = with_limits(**limits)
    assert ledger.refused(withdraw(1, "txn_1")).rule in ("outgoing_limit", "outgoing_count")
    ledger.accepted(ChargeFee("txn_2", A, 1, "EUR", TODAY))


def test_what_is_received_does_not_count() -> None:
    ledger = with_limits(daily=300)
    ledger.accepted(transfer(300))
    ledger.accepted(transfer(300, "txn_2", B, A))
    assert ledger.refused(withdraw(1, "txn_3")).figures["used"] == "3.00"


def test_only_the_net_of_a_transaction_counts() -> None:
    ledger = with_limits(daily=300)
    ledger.accepted(ChangePostingPolicy(None, ("journal",)))
    entries = (Entry(A, "debit", 500, "EUR"), Entry(A, "credit", 200, "EUR"), Entry(B, "credit", 300, "EUR"))
    ledger.accepted(PostTransaction("txn_1", "journal", entries, TODAY))
    assert ledger[A].usage.on_day(TODAY) == 300


def test_the_kinds_that_count_are_those_of_the_policy() -> None:
    ledger = with_limits(daily=100)
    assert "fee" not in COUNTED
    ledger.accepted(ChargeFee("txn_1", A, 101, "EUR", TODAY))
    ledger.accepted(AdjustBalance("txn_2", A, "debit", 101, "EUR", "revenue", TODAY, "why"))
    ledger.accepted(ChangePostingPolicy(None, ("fee",)))
    assert ledger.refused(ChargeFee("txn_3", A, 101, "EUR", TODAY)).rule == "outgoing_limit"
    ledger.accepted(withdraw(101, "txn_4"))
    ledger.accepted(ChargeFee("txn_5", A, 100, "EUR", TODAY))


def test_a_limit_that_comes_later_counts_from_then_on() -> None:
    ledger = bank()
    ledger.accepted(withdraw(300, "txn_1"))
    ledger.accepted(limited(daily=100))
    ledger.accepted(withdraw(100, "txn_2"))
    ledger.accepted(limited(daily=50))
    refused = ledger.refused(withdraw(1, "txn_3"))
    assert (refused.figures["used"], refused.figures["left"]) == ("1.00", "0.00")


# Pending transactions


def test_a_pending_transaction_is_tried_against_the_limits_and_uses_them_when_it_is_posted() -> None:
    ledger = with_limits(daily=500)
    assert ledger.refused(pend(501)).rule == "outgoing_limit"
    ledger.accepted(pend(300, "txn_1"))
    ledger.accepted(pend(300, "txn_2"))
    assert ledger[A].usage == NO_USAGE
    ledger.accepted(PostPending("txn_1"))
    assert ledger.refused(PostPending("txn_2")).figures["used"] == "3.00"
    ledger.accepted(at(MIDNIGHT, PostPending("txn_2")))
    assert ledger[A].usage.on_day(MIDNIGHT.date()) == 300


def test_a_cancelled_one_uses_nothing() -> None:
    ledger = with_limits(hourly_count=1)
    ledger.accepted(pend(300, "txn_1"))
    ledger.accepted(CancelPending("txn_1"))
    ledger.accepted(withdraw(1, "txn_2"))


# What a reversal gives back


def test_a_reversal_gives_the_allowance_of_its_day_back() -> None:
    ledger = with_limits(daily=500)
    ledger.accepted(transfer(500))
    events = ledger.accepted(reverse(amount=200)).events
    assert LimitReturned(A, 7, "txn_2", 200, "EUR", NOW) in events
    assert taken(ledger, 201, "txn_3").figures["used"] == "3.00"
    ledger.accepted(withdraw(200, "txn_4"))


def test_on_the_next_day_it_gives_nothing_of_that_day_back() -> None:
    ledger = with_limits(daily=500, monthly=900)
    ledger.accepted(transfer(500))
    ledger.accepted(at(MIDNIGHT, withdraw(300, "txn_3")))
    ledger.accepted(at(MIDNIGHT, reverse()))
    assert taken(ledger, 201, "txn_4", MIDNIGHT).figures["used"] == "3.00"
    assert ledger[A].usage.in_month(TODAY) == 300, "the month has it back"
    ledger.accepted(at(MIDNIGHT, withdraw(200, "txn_5")))


def test_a_refund_gives_back_what_it_pays() -> None:
    ledger = with_limits(daily=400)
    ledger.accepted(transfer(400))
    ledger.accepted(RefundTransaction("txn_2", "txn_1", TODAY, "back", amount=400, currency="EUR", fee_rate=25_000))
    assert ledger[A].usage.on_day(TODAY) == 10


def test_the_rolling_hour_counts_attempts_and_gets_nothing_back() -> None:
    ledger = with_limits(hourly=400, hourly_count=1)
    ledger.accepted(transfer(400))
    ledger.accepted(reverse())
    assert ledger.refused(withdraw(1, "txn_3")).rule == "outgoing_limit"


def test_what_was_not_counted_gives_nothing_back() -> None:
    ledger = bank()
    ledger.accepted(transfer(300))
    ledger.accepted(limited(daily=100))
    ledger.accepted(withdraw(100, "txn_3"))
    ledger.accepted(reverse())
    assert ledger.refused(withdraw(1, "txn_4")).rule == "outgoing_limit"


def test_no_more_comes_back_than_the_transaction_used() -> None:
    """It used the net of its entries, which is 1.00. Reversing a part of its debit alone pays 2.00."""
    ledger = with_limits(daily=300)
    ledger.accepted(ChangePostingPolicy(None, ("journal", "withdrawal")))
    ledger.accepted(transfer(100, "txn_0b"))
    entries = (
        Entry(A, "debit", 300, "EUR"),
        Entry(A, "credit", 200, "EUR"),
        Entry(B, "debit", 100, "EUR"),
        Entry(CASH, "credit", 200, "EUR"),
    )
    ledger.accepted(PostTransaction("txn_1", "journal", entries, TODAY))
    ledger.accepted(withdraw(200, "txn_3"))
    assert ledger[A].usage.on_day(TODAY) == 300
    ledger.accepted(reverse(parts=(Part(1, 200, "EUR"), Part(4, 200, "EUR"))))
    assert ledger[A].usage.on_day(TODAY) == 200
    ledger.accepted(reverse("txn_4"))
    assert ledger[A].usage.on_day(TODAY) == 200


# A clock that goes back


def test_what_a_clock_used_that_was_ahead_still_counts_when_it_goes_back() -> None:
    ledger = with_limits(daily=500, monthly=600, hourly=500)
    ledger.accepted(at(MIDNIGHT + MINUTE, withdraw(500, "txn_1")))
    assert taken(ledger, 1, "txn_2", MIDNIGHT - MINUTE).rule == "outgoing_limit"
    assert taken(ledger, 1, "txn_3", NOW).rule == "outgoing_limit"


def test_buckets_are_bounded_and_stay_in_order() -> None:
    usage = NO_USAGE
    for day in range(100):
        for back in (0, 1, 3):
            usage = usage.with_used(1, NOW + timedelta(days=day - back))
        assert len(usage.days) <= MOST_DAYS + 3
        assert list(usage.days) == sorted(usage.days)
    for minute in range(500):
        usage = usage.with_used(1, NOW + timedelta(days=200) + minute * MINUTE)
        assert len(usage.minutes) <= 61


def test_a_day_gives_back_at_most_what_it_has() -> None:
    usage = Usage(((TODAY.toordinal(), 1, 50),))
    assert usage.with_returned(60, NOW).on_day(TODAY) == 0
    assert usage.with_returned(60, NOW - timedelta(days=1)) == usage


# Overdraft


def test_an_overdraft_can_be_used_to_the_cent_until_its_last_day() -> None:
    ledger = with_limits(overdraft=200, overdraft_until=TODAY)
    refused = ledger.refused(withdraw(FUNDED + 201, "txn_1"))
    assert (refused.rule, refused.figures["minimum"]) == ("below_minimum", "-2.00")
    ledger.accepted(at(MIDNIGHT - MOMENT, withdraw(FUNDED + 100, "txn_2")))
    refused = ledger.refused(at(MIDNIGHT, withdraw(1, "txn_3")))
    assert refused.figures["minimum"] == "0.00"
    ledger.accepted(at(MIDNIGHT - MOMENT, withdraw(100, "txn_4")))
    assert figures(ledger) == (-200, 0)


def test_after_its_end_money_still_comes_in() -> None:
    ledger = with_limits(overdraft=200, overdraft_until=TODAY)
    ledger.accepted(withdraw(FUNDED + 200, "txn_1"))
    ledger.accepted(at(MIDNIGHT, AdjustBalance("txn_2", A, "credit", 50, "EUR", "revenue", TODAY, "back")))
    assert figures(ledger) == (-150, 0)


def test_an_overdraft_is_below_the_minimum_and_serves_holds_and_pending_transactions_too() -> None:
    ledger = with_limits(minimum=100, overdraft=300)
    assert ledger.refused(pend(1_201)).figures["minimum"] == "-2.00"
    ledger.accepted(pend(1_200))
    ledger.accepted(at(NOW + timedelta(days=9_000), PostPending("txn_1")))
    assert figures(ledger) == (-200, 0)


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"minimum": None, "overdraft": 1}, "overdraft_without_minimum"),
        ({"overdraft": 1, "overdraft_until": TODAY - timedelta(days=1)}, "overdraft_ended"),
        ({"overdraft": -1}, "limit_bounds"),
        ({"daily": -1}, "limit_bounds"),
        ({"monthly": MAX_AMOUNT + 1}, "limit_bounds"),
        ({"hourly": -1}, "limit_bounds"),
        ({"approve_above": -1}, "limit_bounds"),
        ({"hourly_count": -1}, "limit_bounds"),
        ({"hourly_count": MOST_COUNT + 1}, "limit_bounds"),
        ({"minimum": -MAX_AMOUNT - 1}, "limit_bounds"),
        ({"maximum": MAX_AMOUNT + 1}, "limit_bounds"),
        ({"minimum": 2, "maximum": 1}, "limits_crossed"),
        ({}, "limits_unchanged"),
    ],
)
def test_limits_that_an_account_cannot_have(limits: dict[str, Any], rule: str) -> None:
    assert bank().refused(limited(**limits)).rule == rule


@pytest.mark.parametrize(
    "limits",
    [
        {"overdraft": 1, "overdraft_until": TODAY},
        {"daily": 0, "monthly": MAX_AMOUNT, "hourly": MAX_AMOUNT, "hourly_count": MOST_COUNT, "approve_above": 0},
        {"minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT},
        {"minimum": 1, "maximum": 1},
    ],
)
def test_limits_that_it_can_just_have(limits: dict[str, Any]) -> None:
    bank().accepted(limited(**limits))


def test_which_accounts_have_limits() -> None:
    assert bank().refused(limited(CASH)).rule == "account_internal"
    assert unknown(bank().execute(limited("acct_missing"))) == ("account", "acct_missing")
    assert bank().refused(replace(limited(daily=1), currency="USD")).rule == "currency_mismatch"
    ledger = bank()
    ledger.accepted(FreezeAccount(A, "a question"))
    ledger.accepted(limited(daily=1))
    ledger.accepted(CloseAccount(B, "the end"))
    assert ledger.refused(limited(B, daily=1)).rule == "account_closed"


# Who changes them


HAS: dict[str, Any] = {
    "minimum": 100,
    "maximum": 9_000,
    "overdraft": 50,
    "overdraft_until": TODAY + timedelta(days=10),
    "daily": 500,
    "monthly": 800,
    "hourly": 300,
    "hourly_count": 5,
    "approve_above": 400,
}
RAISED: dict[str, list[Any]] = {
    "minimum": [99, None],
    "maximum": [9_001, None],
    "overdraft": [51],
    "overdraft_until": [TODAY + timedelta(days=11), None],
    "daily": [501, None],
    "monthly": [801, None],
    "hourly": [301, None],
    "hourly_count": [6, None],
    "approve_above": [401, None],
}
LOWERED: dict[str, Any] = {
    "minimum": 101,
    "maximum": 8_999,
    "overdraft": 49,
    "overdraft_until": TODAY + timedelta(days=9),
    "daily": 499,
    "monthly": 0,
    "hourly": 299,
    "hourly_count": 4,
    "approve_above": 399,
}
PROGRAM = Principal("till", ("command",))


@pytest.mark.parametrize("who", [customer(ADA), PROGRAM], ids=["an owner", "a program"])
@pytest.mark.parametrize("limit", HAS)
def test_owners_and_programs_lower_a_limit_and_do_not_raise_it(limit: str, who: Principal) -> None:
    for raised in RAISED[limit]:
        more: dict[str, Any] = {"overdraft": 0} if (limit, raised) == ("minimum", None) else {}
        ledger = with_limits(**HAS)
        command = limited(**HAS | {limit: raised} | more)
        decided = ledger.execute_by(by(who, command))
        assert isinstance(decided, Forbidden)
        assert "Only an operator raises a limit" in decided.why
        ledger.accepted(command)
    ledger = with_limits(**HAS)
    decided = ledger.accepted(by(who, limited(**HAS | {limit: LOWERED[limit]})))
    [event] = decided.events
    assert isinstance(event, LimitsChanged)
    assert getattr(event, limit) == LOWERED[limit]


def test_an_owner_ends_an_overdraft() -> None:
    ledger = with_limits(**HAS)
    ledger.accepted(by(customer(ADA), limited(**HAS | {"overdraft": 0, "overdraft_until": None})))


def test_an_owner_gives_limits_where_there_were_none() -> None:
    ledger = bank()
    new: dict[str, Any] = {name: HAS[name] for name in ("daily", "monthly", "hourly", "hourly_count", "approve_above")}
    ledger.accepted(by(customer(ADA), limited(**new, maximum=HAS["maximum"])))


def test_other_customers_change_nothing_and_learn_nothing() -> None:
    ledger = bank(MandateGiven(A, 3, BOB, True, None, "EUR", None))
    assert unknown(ledger.execute_by(by(customer(EVE), limited(daily=1)))) == ("account", A)
    decided = ledger.execute_by(by(customer(BOB), limited(daily=1)))
    assert isinstance(decided, Forbidden)
    assert "Only an owner" in decided.why


def test_what_is_below_a_new_minimum_only_goes_up() -> None:
    ledger = with_limits(minimum=2_000)
    assert ledger.refused(withdraw(1, "txn_1")).rule == "below_minimum"
    ledger.accepted(AdjustBalance("txn_2", A, "credit", 1, "EUR", "revenue", TODAY, "back"))
