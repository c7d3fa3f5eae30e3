"""Samples of the parts of payroll runs."""

from __future__ import annotations

from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.lifecycle import CloseAccount, FreezeAccount, ReopenAccount, UnfreezeAccount
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.chart.nodes import AddNode, ChangeNode
from domain.accounts.payroll.part import GiveUpPayrollItem, PayPart, PayrollPart, RetryPayrollItem
from domain.accounts.payroll.paying import MOST_AT_ONCE, part_stream, parts_of
from domain.accounts.payroll.run import RunPayroll
from domain.accounts.payroll.state import Payroll
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION
from tests.samples.accounts import payroll
from tests.samples.accounts.payroll import BOB, COMPANY, FUNDED, LARGE, NOBODY, PAID, READY, STOP, item, large
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import OPENED, TODAY, MemoryLedger, opening

# Requests


def one(world: World) -> str:
    """A part of a run."""
    return part_stream(payroll.one(world), 1)


ROUTES = {
    "/v1/payrolls/{payroll}/items/retry": lambda world: Request({"payroll": payroll.stopped(world)}, {"item": 1}),
    "/v1/payrolls/{payroll}/items/give-up": lambda world: Request(
        {"payroll": payroll.stopped(world)}, {"item": 2, "reason": "Paid by cheque"}
    ),
}

# Rules

RETRY = RetryPayrollItem("payroll_1", 1, "txn_again", TODAY)
GIVE_UP = GiveUpPayrollItem("payroll_1", 1, "paid by\tcheque")
DAY_BEFORE = OPENED.replace(year=OPENED.year - 1)


ITEM = item("ada")


def parked(*given: Any, first: Any = ITEM) -> tuple[Any, ...]:
    """A run whose items are all parked. What comes before it is given."""
    return (COMPANY, BOB, FUNDED, *given, large(first), STOP)


ADA = opening(account="acct_ada")
OF_ADA = tuple(replace(one, payroll="payroll_2") for one in (large(ITEM), STOP, RETRY))
"""Another run, whose first item can be paid."""
CASH = internal_account("main", "cash", "EUR")

RULES = {
    "payroll_account_missing": RuleSample(
        given=parked(), broken=RETRY, sentence="There is no account acct_ada.", kept=(ADA, RETRY)
    ),
    "account_internal": RuleSample(
        given=parked(ADA, first=item("cash", account=CASH)),
        broken=RETRY,
        sentence=f"Account {CASH} is an internal account (cash); this command is for customer accounts.",
        kept=OF_ADA,
    ),
    "account_closed": RuleSample(
        given=parked(ADA, CloseAccount("acct_ada", "moved")),
        broken=RETRY,
        sentence="Account acct_ada is closed; nothing can be posted to it or changed on it.",
        kept=(ReopenAccount("acct_ada", "came back"), RETRY),
    ),
    "account_frozen": RuleSample(
        given=parked(ADA, FreezeAccount("acct_ada", "court order")),
        broken=RETRY,
        sentence="Account acct_ada is frozen; unfreeze it first.",
        kept=(UnfreezeAccount("acct_ada", "lifted"), RETRY),
    ),
    "currency_mismatch": RuleSample(
        given=parked(ADA, opening(account="acct_usd", currency="USD"), first=item("usd")),
        broken=RETRY,
        sentence="Account acct_usd is kept in USD; the amount is in EUR.",
        kept=OF_ADA,
    ),
    "value_date_before_opening": RuleSample(
        given=parked(ADA),
        broken=replace(RETRY, value_date=DAY_BEFORE),
        sentence=f"The value date {DAY_BEFORE} is before account acct_ada was opened, {OPENED}.",
        kept=(replace(RETRY, value_date=OPENED),),
    ),
    "above_maximum": RuleSample(
        given=parked(opening(account="acct_ada", maximum=99)),
        broken=RETRY,
        sentence=(
            "Account acct_ada has a balance of 0.00 EUR; crediting 1.00 would make 1.00, above its maximum of 0.99."
        ),
        kept=(ChangeLimits("acct_ada", "EUR", Limits(minimum=0, maximum=100), "a raise"), RETRY),
    ),
    "kind_not_allowed": RuleSample(
        given=parked(ADA, AddNode("1000", "Wages", "liability", kinds=("payment",)), AttachAccount("acct_ada", "1000")),
        broken=RETRY,
        sentence=(
            "Account acct_ada is attached to node 1000, which takes payment; a transaction of kind transfer cannot be "
            "posted to it."
        ),
        kept=(ChangeNode("1000", "Wages", ("transfer",)), RETRY),
    ),
    "payroll_part_tried": RuleSample(
        given=(*READY, LARGE, *PAID[:1]),
        broken=replace(PAID[0], transaction="txn_again"),
        sentence="Part 1 of payroll run payroll_1 was tried: each of its items is paid or parked.",
        kept=PAID[1:],
    ),
    "payroll_stopped": RuleSample(
        given=(*READY, LARGE, STOP),
        broken=PAID[0],
        sentence="Payroll run payroll_1 was stopped, and what it had not paid is parked.",
        kept=(RETRY,),
    ),
    "payroll_running": RuleSample(
        given=(*READY, LARGE, *PAID),
        broken=replace(RETRY, item=3),
        sentence="Payroll run payroll_1 has not ended; wait until it has, or stop it.",
        kept=(STOP, replace(GIVE_UP, item=3)),
    ),
    "payroll_item_not_parked": RuleSample(
        given=(*READY, LARGE, STOP, RETRY),
        broken=GIVE_UP,
        sentence="Item 1 of payroll run payroll_1 is not parked; it was paid or given up.",
        kept=(replace(GIVE_UP, item=2),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Operators retry parked items and give some up. A run in parts is paid on."""
    running = [one for one in ledger.of(Payroll) if one.status == "running"]
    if running:
        run = running[0]
        return PayPart(run.id, chance.choice(parts_of(run.items)), ledger.new_id(TRANSACTION))
    parked = [part for part in ledger.of(PayrollPart) if part.parked]
    if not parked:
        command = payroll.life(ledger, chance)
        if not isinstance(command, RunPayroll):
            return command
        return replace(command, items=(*command.items, *large(count=MOST_AT_ONCE + 1 - len(command.items)).items))
    part = chance.choice(parked)
    existing = [one for one in part.parked if one.item.account not in NOBODY]
    number = chance.choice(existing or part.parked).number
    if existing and chance.random() < 0.7:
        return RetryPayrollItem(part.payroll, number, ledger.new_id(TRANSACTION), TODAY)
    return GiveUpPayrollItem(part.payroll, number, "paid by\tcheque")


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="payroll.part_listed.v1",
        stream="paypart_3xzg8yz3gga3earw911jg9ke4j",
        version=1,
        payload='{"account":"acct_01m7xye322ewkrackt3th99f5h","currency":"EUR","first":1,"items":[{"account":"acct_01m7xye322ewkrackt3th99f5j","amount":245000,"employee":"E-1001"},{"account":"acct_01m7xye322ewkrackt3th99f5k","amount":1,"employee":"E-1002"}],"payroll":"payroll_01m7xye322ewkrackt3th99f5h"}',
        means={
            "payroll": "payroll_01m7xye322ewkrackt3th99f5h",
            "account": "acct_01m7xye322ewkrackt3th99f5h",
            "currency": "EUR",
            "first": 1,
            "items": [
                {"employee": "E-1001", "account": "acct_01m7xye322ewkrackt3th99f5j", "amount": 245000},
                {"employee": "E-1002", "account": "acct_01m7xye322ewkrackt3th99f5k", "amount": 1},
            ],
        },
    ),
    StoredEvent(
        type="payroll.items_paid.v1",
        stream="paypart_3xzg8yz3gga3earw911jg9ke4j",
        version=2,
        payload='{"amount":245000,"currency":"EUR","numbers":[1],"payroll":"payroll_01m7xye322ewkrackt3th99f5h","retried":false,"transaction":"txn_01m7xye322ewkrackt3th99f5h"}',
        means={
            "payroll": "payroll_01m7xye322ewkrackt3th99f5h",
            "transaction": "txn_01m7xye322ewkrackt3th99f5h",
            "numbers": [1],
            "amount": 245000,
            "currency": "EUR",
            "retried": False,
        },
    ),
    StoredEvent(
        type="payroll.items_parked.v1",
        stream="paypart_3xzg8yz3gga3earw911jg9ke4j",
        version=3,
        payload='{"amount":1,"currency":"EUR","items":[{"figures":{"account":"acct_01m7xye322ewkrackt3th99f5k"},"number":2,"rule":"account_closed"}],"payroll":"payroll_01m7xye322ewkrackt3th99f5h"}',
        means={
            "payroll": "payroll_01m7xye322ewkrackt3th99f5h",
            "items": [
                {"number": 2, "rule": "account_closed", "figures": {"account": "acct_01m7xye322ewkrackt3th99f5k"}}
            ],
            "amount": 1,
            "currency": "EUR",
        },
    ),
    StoredEvent(
        type="payroll.item_given_up.v1",
        stream="paypart_3xzg8yz3gga3earw911jg9ke4j",
        version=4,
        payload='{"amount":1,"currency":"EUR","number":2,"operator":"tester","payroll":"payroll_01m7xye322ewkrackt3th99f5h","reason":"2.58f5NcwV-8VN9WCrOa0NQYQuzgYfQuGo66imd3y9OasmJXLzvdqrUwzN"}',
        means={
            "payroll": "payroll_01m7xye322ewkrackt3th99f5h",
            "number": 2,
            "amount": 1,
            "currency": "EUR",
            "operator": "tester",
            "reason": "paid by\tcheque",
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
