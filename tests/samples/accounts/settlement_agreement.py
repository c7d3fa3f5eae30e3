"""Samples of agreements to settle merchant accounts."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS
from domain.accounts.settlement.agreement import (
    MOST_DAYS_AGO,
    MOST_DAYS_AHEAD,
    AgreeSettlement,
    ChangeSettlementTerms,
    EndSettlement,
    PauseSettlement,
    ResumeSettlement,
    SettlementAgreement,
    agreement_stream,
)
from domain.accounts.settlement.settlement import CalculateSettlement
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

YESTERDAY = TODAY - timedelta(days=1)

# Requests

MERCHANT = {"type": "merchant", "currency": "EUR", "owner": "merchant-1", "name": "Corner Shop"}
RATE = "0.025"


def accounts(world: World) -> tuple[str, str]:
    """A merchant account, and one that gets what it is settled for."""
    merchant: str = world.do("accounts", MERCHANT)["account"]
    payout: str = world.do("accounts", {**MERCHANT, "type": "checking"})["account"]
    return merchant, payout


def agreed(world: World, starts_on: date = TODAY) -> str:
    """A merchant account with an agreement."""
    merchant, payout = accounts(world)
    body = {"account": merchant, "payout": payout, "fee_rate": RATE, "starts_on": starts_on.isoformat()}
    world.do("settlement-agreements", body)
    return merchant


def one(world: World) -> str:
    """The stream of an agreement."""
    return agreement_stream(agreed(world))


def _agrees(world: World) -> Request:
    merchant, payout = accounts(world)
    return Request({}, {"account": merchant, "payout": payout, "fee_rate": RATE, "starts_on": YESTERDAY.isoformat()})


def _changes(world: World) -> Request:
    _, payout = accounts(world)
    return Request({"account": agreed(world)}, {"payout": payout, "fee_rate": "0.02"})


def _resumes(world: World) -> Request:
    merchant = agreed(world)
    world.do(f"settlement-agreements/{merchant}/pause", {})
    return Request({"account": merchant}, {})


ROUTES = {
    "/v1/settlement-agreements": _agrees,
    "/v1/settlement-agreements/{account}/terms": _changes,
    "/v1/settlement-agreements/{account}/pause": lambda world: Request({"account": agreed(world)}, {}),
    "/v1/settlement-agreements/{account}/resume": _resumes,
    "/v1/settlement-agreements/{account}/end": lambda world: Request(
        {"account": agreed(world)}, {"last_day": "2040-12-31"}
    ),
}

# Rules

SHOP, BANK, DOLLARS = "acct_shop", "acct_bank", "acct_dollars"
OPENED = (
    opening("merchant", account=SHOP, number="MER000000000140"),
    opening(account=BANK, number="CHK000000000246"),
    opening(account=DOLLARS, number="CHK000000000343", currency="USD"),
)


def agree(
    account: str = SHOP, payout: str = BANK, fee_rate: int = 25_000, starts_on: date = YESTERDAY
) -> AgreeSettlement:
    return AgreeSettlement(account, payout, fee_rate, starts_on)


def calculate(payments: int = 0, refunds: int = 0, day: date = YESTERDAY, after: int = 0) -> CalculateSettlement:
    """The settlement of a day of the shop."""
    return CalculateSettlement(SHOP, day, after, after + 10, bool(payments) + bool(refunds), payments, refunds)


AGREED = (*OPENED, agree())
PAUSE, RESUME = PauseSettlement(SHOP), ResumeSettlement(SHOP)
CHANGE = ChangeSettlementTerms(SHOP, BANK, 20_000)
OVER = EndSettlement(SHOP, YESTERDAY - timedelta(days=1))
"""Ends the settlement before its first day."""

RULES = {
    "settlement_account": RuleSample(
        given=OPENED,
        broken=agree(account=BANK, payout=SHOP),
        sentence="Account acct_bank is of the type checking; only a merchant account is settled.",
        kept=(agree(),),
    ),
    "settlement_payout": RuleSample(
        given=OPENED,
        broken=agree(payout=DOLLARS),
        sentence="Account acct_dollars cannot get what acct_shop is settled for: that is another account in EUR.",
        kept=(agree(payout=BANK),),
    ),
    "settlement_rate": RuleSample(
        given=OPENED,
        broken=agree(fee_rate=MILLIONTHS),
        sentence="A settlement fee is from 0 to 999999 millionths of the payments; this one is 1000000.",
        kept=(agree(fee_rate=MILLIONTHS - 1),),
    ),
    "settlement_start": RuleSample(
        given=OPENED,
        broken=agree(starts_on=TODAY - timedelta(days=MOST_DAYS_AGO + 1)),
        sentence="A settlement of acct_shop can begin from 2026-10-21 to 2027-11-22, not on 2026-10-20.",
        kept=(agree(starts_on=TODAY - timedelta(days=MOST_DAYS_AGO)),),
    ),
    "settlement_agreed": RuleSample(
        given=AGREED,
        broken=agree(starts_on=TODAY),
        sentence="Account acct_shop is settled already, next for 2026-11-20; change its terms, or end it.",
        kept=(OVER, agree(starts_on=TODAY + timedelta(days=MOST_DAYS_AHEAD))),
    ),
    "settlement_unchanged": RuleSample(
        given=AGREED,
        broken=replace(CHANGE, fee_rate=25_000),
        sentence="The terms of the settlement of acct_shop already are what they would be changed to.",
        kept=(CHANGE,),
    ),
    "settlement_status": RuleSample(
        given=(*AGREED, PAUSE),
        broken=PAUSE,
        sentence="The settlement of acct_shop is paused; only one that is active can be paused.",
        kept=(RESUME, PAUSE),
    ),
    "settlement_last_day": RuleSample(
        given=(*AGREED, calculate()),
        broken=OVER,
        sentence="Account acct_shop is settled up to 2026-11-20; its settlement cannot end on 2026-11-19.",
        kept=(EndSettlement(SHOP, YESTERDAY),),
    ),
}

# A life

RATES = (0, 25_000, 300_000)
MOST_SHOPS = 40
"""Most merchant accounts of a history. After some days there is nothing left to settle on one."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Merchants are opened and settled; some agreements change, pause, and end, and begin again."""
    shops = [one for one in ledger.of(Account) if one.profile.type == "merchant" and one.profile.currency == "EUR"]
    tills = [one for one in ledger.of(Account) if one.profile.type == "checking" and one.profile.currency == "EUR"]
    if not tills or not shops or (len(shops) < MOST_SHOPS and chance.random() < 0.1):
        return opening("merchant", account=ledger.new_id("acct"))
    shop, till = chance.choice(shops).profile.id, chance.choice(tills).profile.id
    agreement = ledger.states.get(agreement_stream(shop))
    if not isinstance(agreement, SettlementAgreement):
        return AgreeSettlement(shop, till, chance.choice(RATES), TODAY - timedelta(days=chance.randint(0, 9)))
    if agreement.ended:
        return AgreeSettlement(shop, till, chance.choice(RATES), agreement.next_day + timedelta(chance.randint(0, 2)))
    if agreement.paused:
        return ResumeSettlement(shop)
    choice = chance.random()
    if choice < 0.1:
        return PauseSettlement(shop)
    if choice < 0.2:
        return EndSettlement(shop, agreement.next_day + timedelta(days=chance.randint(-1, 1)))
    return ChangeSettlementTerms(shop, till, chance.choice(RATES))


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="settlement_agreement.agreed.v1",
        stream="settlement-agreement:acct_00000000000000000000000013",
        version=1,
        payload='{"account":"acct_00000000000000000000000013","currency":"EUR","fee_rate":0,"payout":"acct_0000000000000000000000002y","starts_on":"2026-11-18"}',
        means={
            "account": "acct_00000000000000000000000013",
            "currency": "EUR",
            "payout": "acct_0000000000000000000000002y",
            "fee_rate": 0,
            "starts_on": "2026-11-18",
        },
    ),
    StoredEvent(
        type="settlement_agreement.day_settled.v1",
        stream="settlement-agreement:acct_00000000000000000000000013",
        version=2,
        payload='{"basis":{"after":0,"fee":0,"fee_rate":0,"gross":0,"starts_on":"2026-11-18"},"day":"2026-11-18","fee":0,"gross":0,"settlement":"stl_42gx54wteqawerzg6st8f3pesm","until":7}',
        means={
            "day": "2026-11-18",
            "settlement": "stl_42gx54wteqawerzg6st8f3pesm",
            "basis": {"starts_on": "2026-11-18", "after": 0, "fee_rate": 0, "gross": 0, "fee": 0},
            "until": 7,
            "gross": 0,
            "fee": 0,
        },
    ),
    StoredEvent(
        type="settlement_agreement.terms_changed.v1",
        stream="settlement-agreement:acct_00000000000000000000000013",
        version=5,
        payload='{"fee_rate":300000,"payout":"acct_00000000000000000000000063"}',
        means={"payout": "acct_00000000000000000000000063", "fee_rate": 300000},
    ),
    StoredEvent(
        type="settlement_agreement.paused.v1",
        stream="settlement-agreement:acct_0000000000000000000000001z",
        version=6,
        payload="{}",
        means={},
    ),
    StoredEvent(
        type="settlement_agreement.ended.v1",
        stream="settlement-agreement:acct_0000000000000000000000006t",
        version=2,
        payload='{"last_day":"2026-11-22"}',
        means={"last_day": "2026-11-22"},
    ),
    StoredEvent(
        type="settlement_agreement.resumed.v1",
        stream="settlement-agreement:acct_0000000000000000000000001z",
        version=7,
        payload='{"account":"acct_0000000000000000000000001z","after":10,"last_day":null,"next_day":"2026-11-21","starts_on":"2026-11-19"}',
        means={
            "account": "acct_0000000000000000000000001z",
            "starts_on": "2026-11-19",
            "next_day": "2026-11-21",
            "last_day": None,
            "after": 10,
        },
    ),
    StoredEvent(
        type="settlement_agreement.renewed.v1",
        stream="settlement-agreement:acct_0000000000000000000000006t",
        version=7,
        payload='{"account":"acct_0000000000000000000000006t","after":0,"fee_rate":0,"payout":"acct_0000000000000000000000013n","starts_on":"2026-11-21"}',
        means={
            "account": "acct_0000000000000000000000006t",
            "payout": "acct_0000000000000000000000013n",
            "fee_rate": 0,
            "starts_on": "2026-11-21",
            "after": 0,
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
