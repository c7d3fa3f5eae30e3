"""Samples of interest."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS
from domain.accounts.interest.accrual import DayBalance, end_of_month
from domain.accounts.interest.crediting import CreditInterest, last_of
from domain.accounts.interest.terms import (
    MOST_DAYS_AGO,
    MOST_RATES,
    AgreeInterest,
    ChangeInterest,
    EndInterest,
    Interest,
    interest_stream,
)
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION
from tests.samples.accounts.account import with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import PRINCIPAL, TODAY, By, MemoryLedger, opening

# Requests

TERMS = {"rate": "0.02", "basis": 365}


def earning(world: World) -> str:
    """An account that earns interest."""
    account = with_balance(world)
    world.do("interest", {"account": account, **TERMS})
    return account


def one(world: World) -> str:
    """The stream of the interest of an account."""
    return interest_stream(earning(world))


ROUTES = {
    "/v1/interest": lambda world: Request({}, {"account": with_balance(world), **TERMS}),
    "/v1/interest/{account}/terms": lambda world: Request({"account": earning(world)}, {"rate": "0.01", "basis": 360}),
    "/v1/interest/{account}/end": lambda world: Request({"account": earning(world)}, {"last_day": "2040-12-31"}),
}

# Rules

SAVINGS, OTHER, DOLLARS = "acct_savings", "acct_other", "acct_dollars"
OPENED = (
    opening("savings", account=SAVINGS, number="SAV000000000140"),
    opening(account=OTHER, number="CHK000000000246"),
    opening(account=DOLLARS, number="CHK000000000343", currency="USD"),
)
FIRST = TODAY - timedelta(days=MOST_DAYS_AGO)
"""The first day from which on interest can be agreed, 21 October: the rest of that month is over."""
LAST = end_of_month(FIRST)
NOVEMBER = LAST + timedelta(days=1)


def agree(account: str = SAVINGS, payout: str = SAVINGS, rate: int = 20_000, from_day: date = FIRST) -> AgreeInterest:
    return AgreeInterest(account, payout, rate, 365, from_day)


def change(day: date, rate: int = 10_000) -> ChangeInterest:
    return ChangeInterest(SAVINGS, SAVINGS, rate, 365, day)


def credit(
    balance: int = 1_000_000, first: date = FIRST, last: date = LAST, days: tuple[date, ...] = ()
) -> CreditInterest:
    """The month with one balance, which is listed for these days too."""
    balances = tuple(DayBalance(day, balance) for day in (first, *days))
    return CreditInterest(SAVINGS, "txn_i", first, last, balances, 10)


AGREED = (*OPENED, agree())
MANY = tuple(change(NOVEMBER + timedelta(days=number)) for number in range(MOST_RATES - 1))
DECEMBER = datetime.combine(date(2026, 12, 1), time(), UTC)
ALL_OF_NOVEMBER = credit(first=NOVEMBER, last=date(2026, 11, 30))

RULES = {
    "interest_internal": RuleSample(
        given=OPENED,
        broken=agree(account=internal_account("main", "cash", "EUR")),
        sentence=f"Account {internal_account('main', 'cash', 'EUR')} belongs to the ledger itself (cash); it earns no interest.",
        kept=(agree(),),
    ),
    "interest_payout": RuleSample(
        given=OPENED,
        broken=agree(payout=DOLLARS),
        sentence="Account acct_dollars is kept in USD; the interest of acct_savings is in EUR.",
        kept=(agree(payout=OTHER),),
    ),
    "interest_rate": RuleSample(
        given=OPENED,
        broken=agree(rate=MILLIONTHS + 1),
        sentence="A rate is from 0 to 1000000 millionths a year of 360 or 365 days; this one is 1000001 of 365.",
        kept=(agree(rate=MILLIONTHS),),
    ),
    "interest_day": RuleSample(
        given=OPENED,
        broken=agree(from_day=FIRST - timedelta(days=1)),
        sentence=(
            "The rate of acct_savings can hold from a day between 2026-10-21 and 2027-11-22 on, not from 2026-10-20."
        ),
        kept=(agree(),),
    ),
    "interest_agreed": RuleSample(
        given=AGREED,
        broken=agree(from_day=TODAY),
        sentence="Account acct_savings earns interest already, from 2026-10-21 on not credited yet; change it.",
        kept=(change(FIRST),),
    ),
    "interest_ended": RuleSample(
        given=(*AGREED, EndInterest(SAVINGS, LAST), credit()),
        broken=change(TODAY),
        sentence="Account acct_savings earns no interest after 2026-10-31.",
        kept=(agree(account=OTHER, payout=OTHER),),
    ),
    "interest_rates": RuleSample(
        given=(*AGREED, *MANY),
        broken=change(NOVEMBER + timedelta(days=MOST_RATES)),
        sentence="The days of acct_savings that are not credited yet have 20 rates, which is the most.",
        kept=(change(MANY[-1].from_day, 5),),
    ),
    "interest_last_day": RuleSample(
        given=(*AGREED, credit()),
        broken=EndInterest(SAVINGS, LAST - timedelta(days=1)),
        sentence="The interest of acct_savings is credited up to 2026-10-31; it cannot end on 2026-10-30.",
        kept=(EndInterest(SAVINGS, LAST),),
    ),
    "interest_not_next": RuleSample(
        given=AGREED,
        broken=credit(last=LAST - timedelta(days=1)),
        sentence=(
            "The next days to credit of account acct_savings are from 2026-10-21 to 2026-10-31; these are from "
            "2026-10-21 to 2026-10-30."
        ),
        kept=(credit(),),
    ),
    "interest_not_over": RuleSample(
        given=(*AGREED, credit()),
        broken=By(PRINCIPAL, ALL_OF_NOVEMBER, DECEMBER - timedelta(microseconds=1)),
        sentence="The day 2026-11-30 is not before today, 2026-11-30 (UTC); its interest is credited after it.",
        kept=(By(PRINCIPAL, replace(ALL_OF_NOVEMBER, transaction="txn_n"), DECEMBER),),
    ),
    "interest_balances": RuleSample(
        given=AGREED,
        broken=credit(days=(LAST, LAST)),
        sentence=("The balances begin on 2026-10-21 and are in order of days up to 2026-10-31; these are not."),
        kept=(credit(days=(LAST - timedelta(days=1), LAST)),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Accounts earn interest from last month on. It is credited, at other rates, and sometimes ends."""
    accounts = [one for one in ledger.of(Account) if not one.profile.internal and one.profile.currency == "EUR"]
    if not accounts:
        return opening("savings", account=ledger.new_id("acct"))
    account = chance.choice(accounts)
    id = account.profile.id
    interest = ledger.states.get(interest_stream(id))
    payout = chance.choice(accounts).profile.id
    rate, basis = chance.choice((0, 15_000, 900_000)), chance.choice((360, 365))
    if not isinstance(interest, Interest):
        return AgreeInterest(id, payout, rate, basis, FIRST + timedelta(days=chance.randint(0, 12)))
    if interest.ended or chance.random() < 0.1:
        return EndInterest(id, interest.next_day + timedelta(days=chance.randint(-1, 40)))
    if last_of(interest) < TODAY and chance.random() < 0.7:
        first, last = interest.next_day, last_of(interest)
        later = sorted({first + timedelta(days=chance.randint(1, 9)) for _ in range(2)})
        days = (first, *(day for day in later if day <= last))
        balances = tuple(DayBalance(day, chance.randint(-500, 900_000)) for day in days)
        return CreditInterest(id, ledger.new_id(TRANSACTION), first, last, balances, len(ledger.log))
    return ChangeInterest(id, payout, rate, basis, interest.next_day + timedelta(days=chance.randint(0, 20)))


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="interest.agreed.v1",
        stream="interest:acct_0000000000000000000000001n",
        version=1,
        payload='{"account":"acct_0000000000000000000000001n","currency":"EUR","payout":"acct_0000000000000000000000002v","rate":{"basis":365,"from_day":"2026-10-28","rate":15000}}',
        means={
            "account": "acct_0000000000000000000000001n",
            "currency": "EUR",
            "payout": "acct_0000000000000000000000002v",
            "rate": {"from_day": "2026-10-28", "rate": 15000, "basis": 365},
        },
    ),
    StoredEvent(
        type="interest.credited.v1",
        stream="interest:acct_0000000000000000000000003y",
        version=2,
        payload='{"account":"acct_0000000000000000000000003y","amount":18,"balances":[{"balance":453019,"day":"2026-10-31"}],"carried":23015805000,"currency":"EUR","first":"2026-10-31","last":"2026-10-31","payout":"acct_0000000000000000000000001n","position":239,"transaction":"txn_00000000000000000000000061"}',
        means={
            "account": "acct_0000000000000000000000003y",
            "currency": "EUR",
            "payout": "acct_0000000000000000000000001n",
            "first": "2026-10-31",
            "last": "2026-10-31",
            "balances": [{"day": "2026-10-31", "balance": 453019}],
            "position": 239,
            "amount": 18,
            "carried": 23015805000,
            "transaction": "txn_00000000000000000000000061",
        },
    ),
    StoredEvent(
        type="interest.terms_changed.v1",
        stream="interest:acct_0000000000000000000000001n",
        version=2,
        payload='{"account":"acct_0000000000000000000000001n","last_day":null,"next_day":"2026-10-28","payout":"acct_0000000000000000000000004y","rate":{"basis":365,"from_day":"2026-11-07","rate":0}}',
        means={
            "account": "acct_0000000000000000000000001n",
            "payout": "acct_0000000000000000000000004y",
            "rate": {"from_day": "2026-11-07", "rate": 0, "basis": 365},
            "next_day": "2026-10-28",
            "last_day": None,
        },
    ),
    StoredEvent(
        type="interest.ended.v1",
        stream="interest:acct_0000000000000000000000002a",
        version=3,
        payload='{"last_day":"2026-11-08"}',
        means={"last_day": "2026-11-08"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
