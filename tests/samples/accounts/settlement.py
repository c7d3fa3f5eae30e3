"""Samples of settlements."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.settlement.agreement import SettlementAgreement
from domain.accounts.settlement.settlement import CalculateSettlement, PaySettlement, Settlement, settlement_id
from domain.accounts.transaction import TRANSACTION, Deposit
from tests.samples.accounts import settlement_agreement
from tests.samples.accounts.settlement_agreement import (
    AGREED,
    OPENED,
    PAUSE,
    RESUME,
    SHOP,
    YESTERDAY,
    agree,
    agreed,
    calculate,
)
from tests.samples.sample import RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import PRINCIPAL, TODAY, By, MemoryLedger


def one(world: World) -> str:
    """The settlement of a day without payments."""
    merchant = agreed(world, YESTERDAY)
    world.record(CalculateSettlement(merchant, YESTERDAY, 0, 0, 0, 0, 0))
    return settlement_id(merchant, YESTERDAY)


# Rules

BEFORE = YESTERDAY - timedelta(days=1)
PAY = PaySettlement(settlement_id(SHOP, BEFORE), SHOP, "txn_p")
DUE = (
    *OPENED,
    agree(starts_on=BEFORE),
    Deposit("txn_d", SHOP, 20_000, "EUR", TODAY),
    calculate(10_000, day=BEFORE),
)
"""The day before yesterday is due, and there is money for another one."""
TONIGHT = datetime.combine(TODAY + timedelta(days=1), time(), UTC)

RULES = {
    "settlement_status": RuleSample(
        given=(*AGREED, PAUSE),
        broken=calculate(),
        sentence="The settlement of acct_shop is paused; only one that is active can be settled.",
        kept=(RESUME, calculate()),
    ),
    "settlement_not_next": RuleSample(
        given=AGREED,
        broken=calculate(day=BEFORE),
        sentence="The next day to settle of account acct_shop is 2026-11-20; this is 2026-11-19.",
        kept=(calculate(),),
    ),
    "settlement_day_not_over": RuleSample(
        given=(*AGREED, calculate()),
        broken=By(PRINCIPAL, calculate(day=TODAY, after=10), TONIGHT - timedelta(microseconds=1)),
        sentence="The day 2026-11-21 is not before today, 2026-11-21 (UTC); it is settled after it.",
        kept=(By(PRINCIPAL, calculate(day=TODAY, after=10), TONIGHT),),
    ),
    "settlement_behind": RuleSample(
        given=DUE,
        broken=calculate(after=9),
        sentence="Account acct_shop is settled up to position 10; these figures are of the positions after 9 up to 19.",
        kept=(calculate(after=10),),
    ),
    "settlement_not_due": RuleSample(
        given=(*DUE, PAY),
        broken=replace(PAY, transaction="txn_q"),
        sentence=f"Settlement {PAY.settlement} is paid; only one that is due or failed is paid out.",
        kept=(calculate(10_000, after=10), PaySettlement(settlement_id(SHOP, YESTERDAY), SHOP, "txn_q")),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Days are calculated, and what is due is paid out if the account has so much."""
    due = [one for one in ledger.of(Settlement) if one.status in ("due", "failed")]
    if due and chance.random() < 0.5:
        settlement = chance.choice(due)
        if chance.random() < 0.4:
            return Deposit(ledger.new_id(TRANSACTION), settlement.account, settlement.gross, settlement.currency, TODAY)
        return PaySettlement(settlement.id, settlement.account, ledger.new_id(TRANSACTION))
    agreements = [one for one in ledger.of(SettlementAgreement) if one.status == "active" and one.next_day < TODAY]
    if not agreements:
        return settlement_agreement.life(ledger, chance)
    agreement = chance.choice(agreements)
    payments, refunds = chance.choice((0, 0, chance.randint(1, 500))), chance.choice((0, chance.randint(1, 200)))
    until = agreement.until + chance.randint(0, 9)
    return CalculateSettlement(
        agreement.account, agreement.next_day, agreement.until, until, chance.randint(0, 3), payments, refunds
    )


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="settlement.calculated.v1",
        stream="stl_42gx54wteqawerzg6st8f3pesm",
        version=1,
        payload='{"account":"acct_00000000000000000000000013","basis":{"after":0,"fee":0,"fee_rate":0,"gross":0,"starts_on":"2026-11-18"},"currency":"EUR","day":"2026-11-18","entries":3,"fee":0,"payments":0,"refunds":0,"until":7}',
        means={
            "account": "acct_00000000000000000000000013",
            "currency": "EUR",
            "day": "2026-11-18",
            "basis": {"starts_on": "2026-11-18", "after": 0, "fee_rate": 0, "gross": 0, "fee": 0},
            "until": 7,
            "entries": 3,
            "payments": 0,
            "refunds": 0,
            "fee": 0,
        },
    ),
    StoredEvent(
        type="settlement.paid.v1",
        stream="stl_34m97s36efa03s0d9debrjaq6w",
        version=2,
        payload='{"account":"acct_00000000000000000000000013","currency":"EUR","fee":0,"gross":273,"payout":"acct_00000000000000000000000063","transaction":"txn_00000000000000000000000083"}',
        means={
            "transaction": "txn_00000000000000000000000083",
            "account": "acct_00000000000000000000000013",
            "payout": "acct_00000000000000000000000063",
            "currency": "EUR",
            "gross": 273,
            "fee": 0,
        },
    ),
    StoredEvent(
        type="settlement.failed.v1",
        stream="stl_60czc9hva7a9xsdmv5kfsae40n",
        version=2,
        payload='{"rule":"below_minimum"}',
        means={"rule": "below_minimum"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes={}, life=life)
