"""Samples of payroll runs."""

from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from domain.accounts.account.state import ACCOUNT, Account
from domain.accounts.payroll.events import PayrollItem
from domain.accounts.payroll.part import PayPart, PayrollPart
from domain.accounts.payroll.paying import MOST_AT_ONCE, MOST_ITEMS, PAYROLL, part_stream, parts_of
from domain.accounts.payroll.run import FinishPayroll, RunPayroll, StopPayroll
from domain.accounts.payroll.state import Payroll
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION, Deposit
from domain.ids import typeid
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import REASON, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

NOBODY = tuple(typeid(ACCOUNT, UUID(int=number)) for number in range(MOST_ITEMS + 1))
"""Accounts that do not exist, so that a large run needs no thousand accounts. Their items are parked."""

# Requests


def body(account: str, *employees: str, count: int = 0) -> dict[str, Any]:
    """A run for these employees, and for so many others whose accounts do not exist."""
    accounts = (*employees, *NOBODY[: count - len(employees)]) if count else employees
    items = [{"employee": f"E-{number}", "account": one, "amount": "0.01"} for number, one in enumerate(accounts, 1)]
    return {"account": account, "period": "2026-11", "currency": "EUR", "items": items}


def runs(world: World) -> Request:
    return Request({}, body(with_balance(world, "100.00"), with_balance(world), with_balance(world)))


def one(world: World) -> str:
    """A run that paid two employees."""
    id: str = world.do("payrolls", runs(world).body)["payroll"]
    return id


def running(world: World) -> str:
    """A run in parts. The first employee can be paid."""
    company, employee = with_balance(world, "100.00"), with_balance(world)
    id: str = world.do("payrolls", body(company, employee, count=MOST_AT_ONCE + 1))["payroll"]
    return id


def stopped(world: World) -> str:
    """A run all of whose items are parked."""
    id = running(world)
    world.do(f"payrolls/{id}/stop", REASON)
    return id


ROUTES = {
    "/v1/payrolls": runs,
    "/v1/payrolls/{payroll}/stop": lambda world: Request({"payroll": running(world)}, REASON),
}

# Rules

COMPANY, ADA, BOB = (opening(account=f"acct_{name}") for name in ("company", "ada", "bob"))
FUNDED = Deposit("txn_0", "acct_company", 1_000_000, "EUR", TODAY)
READY = (COMPANY, ADA, BOB, FUNDED)


def item(employee: str, amount: int = 100, account: str | None = None) -> PayrollItem:
    return PayrollItem(employee, account or f"acct_{employee}", amount)


def run(*items: PayrollItem, payroll: str = "payroll_1", transaction: str = "txn_1", **more: Any) -> RunPayroll:
    run = RunPayroll(payroll, transaction, "acct_company", "2026-11", "EUR", items, TODAY)
    return replace(run, **more)


def large(*items: PayrollItem, count: int = MOST_AT_ONCE + 1, **more: Any) -> RunPayroll:
    """A run with these items and so many in all; the other accounts do not exist."""
    others = (PayrollItem(f"E-{number}", NOBODY[number], 1) for number in range(count - len(items)))
    return run(*items, *others, **more)


PARTS = parts_of(MOST_AT_ONCE + 1)
PAID = tuple(PayPart("payroll_1", part, f"txn_part_{part}") for part in PARTS)
LARGE = large(item("ada"), item("bob"))
STOP = StopPayroll("payroll_1", "the wrong month")


def refused(given: tuple[Any, ...], broken: RunPayroll, because: str, kept: tuple[Any, ...]) -> RuleSample:
    """A run that is refused because of its second item."""
    sentence = f"Nobody is paid, because item 2 of the payroll run, for employee bob, is refused: {because}"
    return RuleSample(given, broken, sentence, kept)


RULES = {
    "not_a_code": no_code("employee", run(item("ada"), item("Bob B")), run(item("ada"), item("bob")), given=READY),
    "account_internal": RuleSample(
        given=READY,
        broken=run(item("ada"), account=internal_account("main", "cash", "EUR")),
        sentence=(
            f"Account {internal_account('main', 'cash', 'EUR')} is an internal account (cash); this command is for "
            "customer accounts."
        ),
        kept=(run(item("ada")),),
    ),
    "payroll_period": RuleSample(
        given=READY,
        broken=run(item("ada"), period="2026-13"),
        sentence="The period of a payroll run is a month such as 2026-11.",
        kept=(run(item("ada"), period="2026-12"),),
    ),
    "payroll_items": RuleSample(
        given=READY,
        broken=large(count=MOST_ITEMS + 1),
        sentence="A payroll run has 1 to 5000 items; this one has 5001.",
        kept=(large(count=MOST_ITEMS),),
    ),
    "payroll_amount": RuleSample(
        given=READY,
        broken=run(item("ada"), item("bob", 0)),
        sentence="Item 2 of the payroll run is for 0.00 EUR; an item must be for 0.01 to 9999999999999.99.",
        kept=(run(item("ada"), item("bob", 1)),),
    ),
    "payroll_employee_twice": RuleSample(
        given=READY,
        broken=run(item("ada"), item("ada", account="acct_bob")),
        sentence="Employee ada is in items 1 and 2 of the payroll run.",
        kept=(run(item("ada"), item("bob")),),
    ),
    "payroll_account_twice": RuleSample(
        given=READY,
        broken=run(item("ada"), item("bob", account="acct_ada")),
        sentence="Account acct_ada is in items 1 and 2 of the payroll run.",
        kept=(run(item("ada"), item("bob")),),
    ),
    "payroll_own_account": RuleSample(
        given=READY,
        broken=run(item("ada"), item("company")),
        sentence="Item 2 of the payroll run would pay acct_company, the account that the run pays from.",
        kept=(run(item("ada"), item("bob")),),
    ),
    "payroll_item_refused": refused(
        given=(COMPANY, ADA, opening(account="acct_bob", maximum=99), FUNDED),
        broken=run(item("ada"), item("bob", 100)),
        because=(
            "Account acct_bob has a balance of 0.00 EUR; crediting 1.00 would make 1.00, above its maximum of 0.99."
        ),
        kept=(run(item("ada"), item("bob", 99)),),
    ),
    "payroll_waiting": RuleSample(
        given=(*READY, LARGE, *PAID[:-1]),
        broken=FinishPayroll("payroll_1"),
        sentence="Payroll run payroll_1 has 250 items that were not tried; it ends after them.",
        kept=(PAID[-1], FinishPayroll("payroll_1")),
    ),
    "payroll_ended": RuleSample(
        given=(*READY, LARGE, STOP),
        broken=STOP,
        sentence="Payroll run payroll_1 has ended; it is stopped.",
        kept=(replace(LARGE, payroll="payroll_2"), replace(STOP, payroll="payroll_2")),
    ),
}

# A life

SELDOM = 0.03
"""How often a run is one in parts: it has a thousand items."""


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Companies pay a few employees at once, and now and then many in parts."""
    running = next((one for one in ledger.of(Payroll) if one.status == "running"), None)
    if running is not None:
        waits = next((part for part in parts_of(running.items) if _waiting(ledger, running.id, part)), None)
        if waits is None:
            return FinishPayroll(running.id)
        if chance.random() < 0.1:
            return StopPayroll(running.id, "the wrong\tmonth")
        return PayPart(running.id, waits, ledger.new_id(TRANSACTION))
    accounts = [
        one
        for one in ledger.of(Account)
        if not one.profile.internal and one.status == "open" and one.profile.currency == "EUR"
    ]
    company = max(accounts, key=lambda one: one.available, default=None)
    if company is None or company.available < 2 * MOST_AT_ONCE:
        return Deposit(
            ledger.new_id(TRANSACTION),
            company.profile.id if company else internal_account("main", "cash", "EUR"),
            min(MAX_AMOUNT, 100 * MOST_AT_ONCE),
            "EUR",
            TODAY,
        )
    paid = [one.profile.id for one in accounts if one is not company]
    chosen = chance.sample(paid, min(len(paid), chance.randint(1, 4)))
    items = tuple(PayrollItem(f"E-{id[-4:]}", id, chance.randint(1, 5)) for id in chosen)
    command = RunPayroll(
        ledger.new_id(PAYROLL), ledger.new_id(TRANSACTION), company.profile.id, "2026-11", "EUR", items, TODAY
    )
    if chance.random() < SELDOM:
        return replace(command, items=(*items, *large(count=MOST_AT_ONCE + 1 - len(items)).items))
    return command


def _waiting(ledger: MemoryLedger, payroll: str, part: int) -> bool:
    state = ledger.states[part_stream(payroll, part)]
    return isinstance(state, PayrollPart) and bool(state.waiting)


def check(ledger: MemoryLedger) -> None:
    """A run that goes on holds what it has not paid, and one that has ended holds nothing."""
    for run in ledger.of(Payroll):
        parts = [ledger[part_stream(run.id, part)] for part in parts_of(run.items)]
        held = ledger[run.account].hold(run.id)
        left = run.total - sum(part.paid for part in parts)
        assert held == (left if run.status == "running" else None), run


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="payroll.submitted.v1",
        stream="payroll_01m7xye322ewkrackt3th99f5h",
        version=1,
        payload='{"account":"acct_01m7xye322ewkrackt3th99f5h","currency":"EUR","items":1200,"mode":"in_parts","period":"2026-11","total":345678,"value_date":"2026-11-21"}',
        means={
            "account": "acct_01m7xye322ewkrackt3th99f5h",
            "currency": "EUR",
            "period": "2026-11",
            "value_date": "2026-11-21",
            "items": 1200,
            "total": 345678,
            "mode": "in_parts",
        },
    ),
    StoredEvent(
        type="payroll.stopped.v1",
        stream="payroll_01m7xye322ewkrackt3th99f5h",
        version=2,
        payload='{"operator":"tester","reason":"2.vHCF3nZmg-2o_je1v9nb8NcJVffNUpJCctARURt6vDPt87SuCJSMmkH3cw=="}',
        means={"operator": "tester", "reason": "the wrong\tmonth"},
    ),
    StoredEvent(
        type="payroll.finished.v1",
        stream="payroll_01m7xye322ewkrackt3th99f5h",
        version=3,
        payload='{"currency":"EUR","paid":245000,"paid_items":1,"parked":100678,"parked_items":1199}',
        means={"paid_items": 1, "paid": 245000, "parked_items": 1199, "parked": 100678, "currency": "EUR"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life, check=check)
