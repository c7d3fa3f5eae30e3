"""Samples of transactions."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.state import Account
from domain.accounts.allocation import PER_CENT, Fee, Tier
from domain.accounts.fee_schedule import DefineFeeSchedule, FeeSchedule
from domain.accounts.posting import Entry, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.transaction import (
    TRANSACTION,
    CaptureHold,
    ChargeFee,
    Deposit,
    PostTransaction,
    Transfer,
    Withdraw,
)
from domain.codes import MOST_CODE
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import AMOUNT, CURRENCIES, hold, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

# Requests

TOLD = {**AMOUNT, "reference": "sample-1", "description": "Rent"}


def one(world: World) -> str:
    """A deposit."""
    id: str = world.do(f"accounts/{with_balance(world)}/deposits", AMOUNT)["transaction"]
    return id


def on_account(world: World) -> Request:
    return Request({"account": with_balance(world, "100.00")}, TOLD)


def captures(world: World) -> Request:
    account, held = hold(world)
    return Request({"account": account, "hold": held}, {**TOLD, "target": with_balance(world)})


def transfers(world: World) -> Request:
    return Request({}, {**TOLD, "source": with_balance(world, "100.00"), "target": with_balance(world)})


def posts(world: World) -> Request:
    debit = {"account": with_balance(world, "100.00"), "side": "debit", **AMOUNT}
    credit = {"account": with_balance(world), "side": "credit", **AMOUNT}
    return Request({}, {"entries": [debit, credit], "reference": "sample-1", "description": "Rent"})


ROUTES = {
    "/v1/accounts/{account}/deposits": on_account,
    "/v1/accounts/{account}/withdrawals": on_account,
    "/v1/accounts/{account}/fees": on_account,
    "/v1/accounts/{account}/holds/{hold}/capture": captures,
    "/v1/transfers": transfers,
    "/v1/transactions": posts,
}

# Rules

A, B = opening(account="acct_a", minimum=None), opening(account="acct_b", minimum=None)
HELD = PlaceHold("acct_a", "hold_1", 100, "EUR")


CARD = DefineFeeSchedule("card", "EUR", Fee(tiers=(Tier(None, PER_CENT),)))


def charge(account: str, base: int, currency: str = "EUR") -> ChargeFee:
    return ChargeFee("txn_1", account, base, currency, TODAY, schedule="card")


def deposit(amount: int, currency: str = "EUR", value_date: date = TODAY, account: str = "acct_a") -> Deposit:
    return Deposit("txn_1", account, amount, currency, value_date)


def capture(amount: int, held: str = "hold_1") -> CaptureHold:
    return CaptureHold("acct_a", held, "txn_1", "acct_b", amount, "EUR", TODAY)


def journal(*entries: Entry) -> PostTransaction:
    return PostTransaction("txn_1", "journal", entries, TODAY)


RULES = {
    "not_a_code": no_code(
        "reference",
        replace(deposit(1), reference="r" * (MOST_CODE + 1)),
        replace(deposit(1), reference="r" * MOST_CODE),
        given=(A, B),
    ),
    "same_account": RuleSample(
        given=(A, B),
        broken=Transfer("txn_1", "acct_a", "acct_a", 1, "EUR", TODAY),
        sentence="A transfer needs two different accounts; both are acct_a.",
        kept=(Transfer("txn_1", "acct_a", "acct_b", 1, "EUR", TODAY),),
    ),
    "value_date_in_future": RuleSample(
        given=(A,),
        broken=deposit(1, value_date=TODAY + timedelta(1)),
        sentence="The value date 2026-11-22 is after today, 2026-11-21 (UTC).",
        kept=(deposit(1),),
    ),
    "value_date_too_old": RuleSample(
        given=(A, ChangePostingPolicy(3)),
        broken=deposit(1, value_date=TODAY - timedelta(4)),
        sentence=("The value date 2026-11-17 is 4 days before today, 2026-11-21 (UTC); the posting policy allows 3."),
        kept=(deposit(1, value_date=TODAY - timedelta(3)),),
    ),
    "entry_count": RuleSample(
        given=(A, B),
        broken=journal(Entry("acct_a", "debit", 1, "EUR")),
        sentence="A transaction has 2 to 1000 entries; this one has 1.",
        kept=(journal(Entry("acct_a", "debit", 1, "EUR"), Entry("acct_b", "credit", 1, "EUR")),),
    ),
    "entry_amount": RuleSample(
        given=(A,),
        broken=deposit(MAX_AMOUNT + 1),
        sentence="Entry 1 is for 10000000000000.00 EUR; an entry must be for 0.01 to 9999999999999.99.",
        kept=(deposit(MAX_AMOUNT),),
    ),
    "entries_unbalanced": RuleSample(
        given=(A, B),
        broken=journal(Entry("acct_a", "debit", 3, "EUR"), Entry("acct_b", "credit", 2, "EUR")),
        sentence="The EUR entries sum to -0.01; credits and debits must be equal.",
        kept=(journal(Entry("acct_a", "debit", 3, "EUR"), Entry("acct_b", "credit", 3, "EUR")),),
    ),
    "internal_account_missing": RuleSample(
        given=(opening(account="acct_usd", currency="USD"),),
        broken=deposit(1, "USD", account="acct_usd"),
        sentence="The internal account for cash in USD is not open; an operator opens it with type 'cash' first.",
        kept=(
            opening("cash", account=internal_account("main", "cash", "USD"), currency="USD", minimum=None),
            deposit(1, "USD", account="acct_usd"),
        ),
    ),
    "fee_schedule_currency": RuleSample(
        given=(opening(account="acct_usd", currency="USD", minimum=None), A, CARD),
        broken=charge("acct_usd", 100, "USD"),
        sentence="Fee schedule card is for EUR; the base amount is in USD.",
        kept=(charge("acct_a", 100),),
    ),
    "fee_zero": RuleSample(
        given=(A, CARD),
        broken=charge("acct_a", 50),
        sentence="By fee schedule card the fee of 0.50 EUR is zero, so there is nothing to charge.",
        kept=(charge("acct_a", 51),),
    ),
    "hold_unknown": RuleSample(
        given=(A, B, HELD),
        broken=capture(100, "hold_9"),
        sentence="Account acct_a has no open hold hold_9.",
        kept=(capture(100),),
    ),
    "hold_exceeded": RuleSample(
        given=(A, B, HELD),
        broken=capture(101),
        sentence="Hold hold_1 reserves 1.00 EUR; 1.01 is more than that and cannot be captured.",
        kept=(capture(100),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Money moves in, out and between the accounts of one currency or two."""
    currency = chance.choice(CURRENCIES)
    known = [one for one in ledger.of(Account) if one.profile.currency == currency]
    customers = [one.profile.id for one in known if not one.profile.internal]
    if len(customers) < 2:
        return _against_cash(ledger, chance, internal_account("main", "cash", currency), currency)
    source, target = chance.sample(customers, 2)
    held = [(one.profile.id, one.holds[0]) for one in known if one.holds]
    choice = chance.random()
    if choice < 0.3:
        return _against_cash(ledger, chance, source, currency)
    if choice < 0.4 and held:
        account, (id, amount, _) = chance.choice(held)
        return CaptureHold(account, id, ledger.new_id(TRANSACTION), target, amount, currency, TODAY)
    if choice < 0.5:
        third = chance.choice(customers)
        entries = (
            Entry(source, "debit", MAX_AMOUNT, currency),
            Entry(target, "credit", MAX_AMOUNT - 10, currency),
            Entry(third, "credit", 10, currency),
        )
        return PostTransaction(ledger.new_id(TRANSACTION), "journal", entries, TODAY, "ref#1")
    if choice < 0.55:
        return _exchange(ledger, chance, source)
    description = "rent\tMay" if chance.random() < 0.3 else None
    amount = chance.randint(1, 9_999)
    return Transfer(ledger.new_id(TRANSACTION), source, target, amount, currency, _day(chance), description=description)


def _exchange(ledger: MemoryLedger, chance: Random, account: str) -> Any:
    """An account sells its currency to the ledger's banks for the other one, which goes to cash."""
    sold = ledger[account].profile.currency
    bought = next(currency for currency in CURRENCIES if currency != sold)
    x, y = chance.randint(1, 300), chance.randint(1, 300)
    entries = (
        Entry(account, "debit", x, sold),
        Entry(internal_account("main", "banks", sold), "credit", x, sold),
        Entry(internal_account("main", "banks", bought), "debit", y, bought),
        Entry(internal_account("main", "cash", bought), "credit", y, bought),
    )
    return PostTransaction(ledger.new_id(TRANSACTION), "journal", entries, _day(chance), "ref\\1")


def _day(chance: Random) -> date:
    return TODAY - timedelta(days=chance.randrange(4))


def _against_cash(ledger: MemoryLedger, chance: Random, account: str, currency: str) -> Any:
    kind = chance.choice((Deposit, Deposit, Withdraw, ChargeFee))
    schedules = [one.name for one in ledger.of(FeeSchedule) if one.active and one.currency == currency]
    if kind is ChargeFee and schedules and chance.random() < 0.5:
        base, schedule = chance.randint(1, 9_999), chance.choice(schedules)
        return ChargeFee(ledger.new_id(TRANSACTION), account, base, currency, _day(chance), schedule=schedule)
    return kind(ledger.new_id(TRANSACTION), account, chance.randint(1, 9_999), currency, _day(chance))


# Events as they were stored

EVENTS = (
    StoredEvent(
        "transaction.posted.v1",
        "txn_01m7xye322ewkrackt3th99f5h",
        1,
        '{"description":"yBD1sL0x5YLE0Y3MBjekltj_ajhRgRgIl-3xzA3cwwJUmlff0a6g3igBqQ==","entries":[{"account":"acct_01m7xye22needsfrayavc4db6g","amount":1230,"currency":"EUR","side":"debit"},{"account":"acct_01m7xye22teqjrevpr9vnc3e97","amount":1230,"currency":"EUR","side":"credit"}],"kind":"transfer","reference":"REF-1","subject":"owner-1","value_date":"2026-01-31"}',
        {
            "kind": "transfer",
            "value_date": "2026-01-31",
            "entries": [
                {"account": "acct_01m7xye22needsfrayavc4db6g", "side": "debit", "amount": 1230, "currency": "EUR"},
                {"account": "acct_01m7xye22teqjrevpr9vnc3e97", "side": "credit", "amount": 1230, "currency": "EUR"},
            ],
            "reference": "REF-1",
            "subject": "owner-1",
            "description": "Rent for Žofie",
        },
    ),
    StoredEvent(
        "transaction.posted.v1",
        "txn_01m7xye322ewkrackt3th99f5h",
        1,
        '{"description":"2.MC3WxL7NZ340fczp07r5Wa1gSgUBsbs6rKF9KVXORjoAlcw-otY57eZpbg==","entries":[{"account":"acct_01m7xye22needsfrayavc4db6g","amount":1230,"currency":"EUR","side":"debit"},{"account":"acct_01m7xye22teqjrevpr9vnc3e97","amount":1230,"currency":"EUR","side":"credit"}],"kind":"transfer","reference":"REF-1","subject":"owner-1","value_date":"2026-01-31"}',
        {
            "kind": "transfer",
            "value_date": "2026-01-31",
            "entries": [
                {"account": "acct_01m7xye22needsfrayavc4db6g", "side": "debit", "amount": 1230, "currency": "EUR"},
                {"account": "acct_01m7xye22teqjrevpr9vnc3e97", "side": "credit", "amount": 1230, "currency": "EUR"},
            ],
            "reference": "REF-1",
            "subject": "owner-1",
            "description": "Rent for Žofie",
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
