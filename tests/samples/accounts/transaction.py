"""Samples of transactions."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Any, get_args

from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.holds import PlaceHold, of_transaction
from domain.accounts.account.lifecycle import CloseAccount
from domain.accounts.account.owners import AddOwner
from domain.accounts.account.state import Account
from domain.accounts.allocation import PER_CENT, Fee, Tier
from domain.accounts.chart.nodes import AddNode
from domain.accounts.fee_schedule import DefineFeeSchedule, FeeSchedule
from domain.accounts.numbers import InternalRole
from domain.accounts.periods.closing import ClosePeriod, SealPeriod
from domain.accounts.periods.year import CloseYear
from domain.accounts.posting import Entry, Side, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy, ChangeRiskRules
from domain.accounts.risk.rules import DailyRule, RiskRules
from domain.accounts.thresholds import Threshold
from domain.accounts.transaction import (
    TRANSACTION,
    AdjustBalance,
    ApprovePending,
    CancelPending,
    CaptureHold,
    ChargeBack,
    ChargeFee,
    Deposit,
    ExpirePending,
    PendTransaction,
    PendTransfer,
    PostPending,
    PostTransaction,
    RefundTransaction,
    RejectPending,
    ReverseTransaction,
    TransactionState,
    Transfer,
    Withdraw,
)
from domain.accounts.transaction.conditions import Comparison, Condition, Conditioned
from domain.accounts.transaction.events import Awaits
from domain.accounts.transaction.reversal import Part
from domain.accounts.transaction.year_end import MOST_YEAR_END_ACCOUNTS, PostYearEnd, YearEnd
from domain.codes import MOST_CODE, MOST_PAIRS
from domain.money import MAX_AMOUNT
from tests.samples.accounts.account import AMOUNT, CURRENCIES, hold, with_balance
from tests.samples.accounts.conversion import CONVERT, READY
from tests.samples.accounts.rate import SET
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import (
    APPROVER,
    APPROVER_TOKEN,
    MACHINE,
    NOW,
    TODAY,
    By,
    MemoryLedger,
    by_person,
    opening,
)

# Requests

TOLD = {**AMOUNT, "reference": "sample-1", "description": "Rent", "metadata": {"till": "4"}}


def one(world: World) -> str:
    """A deposit."""
    id: str = world.do(f"accounts/{with_balance(world)}/deposits", AMOUNT)["transaction"]
    return id


def on_account(world: World) -> Request:
    return Request({"account": with_balance(world, "100.00")}, TOLD)


def captures(world: World) -> Request:
    account, held = hold(world)
    return Request({"account": account, "hold": held}, {**TOLD, "target": with_balance(world), "keep_rest": True})


def transfers(world: World) -> Request:
    return Request({}, {**TOLD, "source": with_balance(world, "100.00"), "target": with_balance(world)})


def posts(world: World) -> Request:
    payer = with_balance(world, "100.00")
    debit = {"account": payer, "side": "debit", **AMOUNT}
    credit = {"account": with_balance(world), "side": "credit", **AMOUNT}
    positive = {"account": payer, "what": "available", "is": "gt", "currency": AMOUNT["currency"], "amount": "0"}
    body = {"entries": [debit, credit], "reference": "sample-1", "description": "Rent", "conditions": [positive]}
    return Request({}, body)


def pends(world: World, **more: Any) -> Request:
    source = with_balance(world, "100.00")
    return Request({}, {**TOLD, "source": source, "target": with_balance(world), **more})


def pends_entries(world: World) -> Request:
    return Request({}, {**posts(world).body, "expires_at": LATE})


def pending(world: World, **more: Any) -> str:
    """A transfer that waits."""
    id: str = world.do("transfers/pending", pends(world, **more).body)["transaction"]
    return id


def decided(world: World, body: dict[str, Any]) -> Request:
    """What an operator who is a person decides about a transaction of a program."""
    return Request({"transaction": pending(world, awaits="approval")}, body, token=APPROVER_TOKEN)


def undoes(world: World, body: dict[str, Any]) -> Request:
    return Request({"transaction": one(world)}, {"reason": "Booked twice", **body})


LATE = "2027-01-31T12:00:00Z"
ROUTES = {
    "/v1/transfers/pending": lambda world: pends(world, expires_at=LATE),
    "/v1/transactions/pending": pends_entries,
    "/v1/transactions/{transaction}/post": lambda world: Request({"transaction": pending(world)}, {}),
    "/v1/transactions/{transaction}/cancel": lambda world: Request(
        {"transaction": pending(world)}, {"reason": "The customer changed their mind"}
    ),
    "/v1/transactions/{transaction}/approve": lambda world: decided(world, {}),
    "/v1/transactions/{transaction}/reject": lambda world: decided(world, {"reason": "Not ours"}),
    "/v1/transactions/{transaction}/reverse": lambda world: undoes(world, {"value_date": "original"}),
    "/v1/transactions/{transaction}/refund": lambda world: undoes(world, {**AMOUNT, "fee_rate": "0.025"}),
    "/v1/transactions/{transaction}/chargeback": lambda world: undoes(world, {}),
    "/v1/accounts/{account}/adjustments": lambda world: Request(
        {"account": with_balance(world)},
        {**AMOUNT, "side": "credit", "against": "revenue", "reason": "Rounding of May"},
    ),
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


def condition(comparison: Comparison, amount: int) -> Condition:
    """About the balance of the account that the samples use."""
    return Condition("acct_a", "balance", comparison, amount, "EUR")


def journal(*entries: Entry) -> PostTransaction:
    return PostTransaction("txn_1", "journal", entries, TODAY)


def pend(amount: int = 100, id: str = "txn_1", **more: Any) -> PendTransfer:
    return PendTransfer(id, "acct_a", "acct_b", amount, "EUR", TODAY, **more)


def approved(id: str = "txn_1", at: datetime = NOW) -> By:
    return By(APPROVER, ApprovePending(id), at)


def reverse(amount: int | None = None, currency: str | None = None, **more: Any) -> ReverseTransaction:
    values: Any = {"transaction": "txn_2", "value_date": TODAY, "reason": "twice", **more}
    return ReverseTransaction(original="txn_1", amount=amount, currency=currency, **values)


def refund(amount: int, fee_rate: int) -> RefundTransaction:
    return RefundTransaction("txn_2", "txn_1", TODAY, "back", amount=amount, currency="EUR", fee_rate=fee_rate)


MOVED = (A, B, Transfer("txn_1", "acct_a", "acct_b", 100, "EUR", TODAY))
THREE = (
    *MOVED[:2],
    journal(
        Entry("acct_a", "debit", 102, "EUR"),
        Entry("acct_b", "credit", 100, "EUR"),
        Entry(internal_account("main", "fees", "EUR"), "credit", 2, "EUR"),
    ),
)
TWO_PAYERS = (
    *MOVED[:2],
    journal(
        Entry("acct_a", "debit", 1, "EUR"),
        Entry("acct_b", "debit", 1, "EUR"),
        Entry(internal_account("main", "fees", "EUR"), "credit", 2, "EUR"),
    ),
)


def gate(points: int) -> ChangeRiskRules:
    """Rules that give so many points to what takes an account above 1.00 EUR on a day."""
    return ChangeRiskRules(RiskRules(True, daily=DailyRule(points, (Threshold("EUR", 100),))))


FOUR_EYES = ChangePostingPolicy(None, None, {"EUR": 100})
SECOND = NOW + timedelta(seconds=1)
CLOSE = CloseAccount("acct_a", "moved away", "acct_b", "txn_3")
ADA = by_person("prsn_1", "customer")


def late(day: date) -> PostTransaction:
    entries = (Entry("acct_a", "debit", 1, "EUR"), Entry("acct_b", "credit", 1, "EUR"))
    return PostTransaction("txn_1", "journal", entries, TODAY, late_for=day)


FEES = internal_account("main", "fees", "EUR")
YEAR_IS_ASKED = (
    ClosePeriod("per_1", "2026-q3", date(2026, 7, 1), date(2026, 9, 30)),
    SealPeriod("per_1", "ab", ()),
    CloseYear("per_1"),
)


def year_end(*balances: tuple[str, int], period: str = "per_1") -> PostYearEnd:
    return PostYearEnd(period, (YearEnd("txn_y", "EUR", balances),) if balances else ())


RULES = {
    "approval_needed": RuleSample(
        given=(A, B, FOUR_EYES, PlaceHold("acct_a", "hold_2", 101, "EUR"), PlaceHold("acct_a", "hold_3", 100, "EUR")),
        broken=capture(101, "hold_2"),
        sentence=(
            "The transaction is for 1.01 EUR. By the limit of the posting policy, another person approves what is above "
            "1.00, and this command cannot wait for that."
        ),
        kept=(capture(100, "hold_3"),),
    ),
    "review_needed": RuleSample(
        given=(A, B, gate(40), PlaceHold("acct_a", "hold_2", 101, "EUR"), PlaceHold("acct_a", "hold_3", 100, "EUR")),
        broken=capture(101, "hold_2"),
        sentence=(
            "By the risk rules, another person reviews transaction txn_1 before it moves money: let it wait for review."
        ),
        kept=(capture(100, "hold_3"),),
    ),
    "risk_blocked": RuleSample(
        given=(A, B, gate(70)),
        broken=Transfer("txn_1", "acct_a", "acct_b", 101, "EUR", TODAY),
        sentence="The risk rules do not let this transaction take money from account acct_a.",
        kept=(Transfer("txn_1", "acct_a", "acct_b", 100, "EUR", TODAY),),
    ),
    "transaction_not_pending": RuleSample(
        given=MOVED,
        broken=PostPending("txn_1"),
        sentence="Transaction txn_1 is posted; only a pending one can be posted.",
        kept=(pend(id="txn_2"), PostPending("txn_2")),
    ),
    "transaction_waits": RuleSample(
        given=(A, B, pend(awaits="approval"), pend(id="txn_2")),
        broken=PostPending("txn_1"),
        sentence="Transaction txn_1 waits for approval; it is posted once that is given.",
        kept=(PostPending("txn_2"),),
    ),
    "pending_expired": RuleSample(
        given=(A, B, pend(expires_at=SECOND)),
        broken=By(MACHINE, PostPending("txn_1"), SECOND),
        sentence="Transaction txn_1 waited until 2026-11-21T12:00:01+00:00; it is 2026-11-21T12:00:01+00:00.",
        kept=(By(MACHINE, PostPending("txn_1"), SECOND - timedelta(microseconds=1)),),
    ),
    "pending_not_expired": RuleSample(
        given=(A, B, pend(expires_at=SECOND)),
        broken=By(MACHINE, ExpirePending("txn_1"), SECOND - timedelta(microseconds=1)),
        sentence="Transaction txn_1 waits until 2026-11-21T12:00:01+00:00; it is 2026-11-21T12:00:00.999999+00:00.",
        kept=(By(MACHINE, ExpirePending("txn_1"), SECOND),),
    ),
    "pending_expiry": RuleSample(
        given=(A, B),
        broken=pend(expires_at=NOW),
        sentence=(
            "Transaction txn_1 would wait until 2026-11-21T12:00:00+00:00; one waits until after now, "
            "2026-11-21T12:00:00+00:00, and for 366 days at most."
        ),
        kept=(pend(expires_at=NOW + timedelta(microseconds=1)),),
    ),
    "approval_not_needed": RuleSample(
        given=(A, B, pend(), pend(id="txn_2", awaits="approval")),
        broken=approved(),
        sentence="Transaction txn_1 waits for a request to post it, not for another person.",
        kept=(approved("txn_2"),),
    ),
    "approval_by_initiator": RuleSample(
        given=(A, B, By(APPROVER, pend(awaits="approval")), pend(id="txn_2", awaits="approval")),
        broken=approved(),
        sentence="prsn_approver asked for transaction txn_1; another person decides about it.",
        kept=(approved("txn_2"),),
    ),
    "transaction_not_posted": RuleSample(
        given=(A, B, pend()),
        broken=reverse(),
        sentence="Transaction txn_1 is pending; only a posted one can be reversed.",
        kept=(PostPending("txn_1"), reverse()),
    ),
    "reversal_of_reversal": RuleSample(
        given=(*MOVED, reverse(50, "EUR")),
        broken=replace(reverse(), transaction="txn_3", original="txn_2"),
        sentence="Transaction txn_2 is a reversal, which is not reversed; post the original again.",
        kept=(replace(reverse(), transaction="txn_3"),),
    ),
    "reversal_exceeded": RuleSample(
        given=(*MOVED, reverse(50, "EUR")),
        broken=replace(reverse(51, "EUR"), transaction="txn_3"),
        sentence="Entry 1 of transaction txn_1 has 0.50 EUR left to reverse; 0.51 is more.",
        kept=(replace(reverse(50, "EUR"), transaction="txn_3"),),
    ),
    "reversal_entry_unknown": RuleSample(
        given=MOVED,
        broken=reverse(parts=(Part(3, 1, "EUR"),)),
        sentence="Transaction txn_1 has 2 entries; there is no entry 3.",
        kept=(reverse(parts=(Part(2, 1, "EUR"), Part(1, 1, "EUR"))),),
    ),
    "reversal_currency": RuleSample(
        given=MOVED,
        broken=reverse(1, "USD"),
        sentence="Entry 1 of transaction txn_1 is in EUR; the amount is in USD.",
        kept=(reverse(1, "EUR"),),
    ),
    "reversal_of_conversion": RuleSample(
        given=(*READY, SET, CONVERT),
        broken=reverse(parts=(Part(1, 1, "EUR"), Part(2, 1, "EUR"))),
        sentence=(
            "Transaction txn_1 is a conversion, whose sides belong together; it is reversed as a whole, with or without "
            "its spread."
        ),
        kept=(reverse(),),
    ),
    "reversal_before_original": RuleSample(
        given=MOVED,
        broken=reverse(value_date=TODAY - timedelta(1)),
        sentence=(
            "The value date 2026-11-20 is before that of transaction txn_1, 2026-11-21; it is undone then or later."
        ),
        kept=(reverse(value_date=TODAY),),
    ),
    "reversal_of_many": RuleSample(
        given=THREE,
        broken=reverse(1, "EUR"),
        sentence=("Transaction txn_1 has 3 entries, so an amount does not say which; name the entries to reverse."),
        kept=(reverse(),),
    ),
    "reversal_of_fee": RuleSample(
        given=TWO_PAYERS,
        broken=reverse(with_fee=False),
        sentence=(
            "Transaction txn_1 has 2 debits in EUR, so it is not known which of them paid the fee; name the entries to "
            "reverse."
        ),
        kept=(reverse(),),
    ),
    "refund_fee": RuleSample(
        given=MOVED,
        broken=refund(1, 500_001),
        sentence="A fee of 500001 millionths of 0.01 EUR leaves 0.00; a refund leaves something.",
        kept=(refund(1, 500_000),),
    ),
    "not_a_code": no_code(
        "reference",
        replace(deposit(1), reference="r" * (MOST_CODE + 1)),
        replace(deposit(1), reference="r" * MOST_CODE),
        given=(A, B),
    ),
    "metadata_pairs": RuleSample(
        given=(A,),
        broken=replace(deposit(1), metadata={f"key{n}": "v" for n in range(MOST_PAIRS + 1)}),
        sentence="The metadata has 21 pairs; the most is 20.",
        kept=(replace(deposit(1), metadata={f"key{n}": "v" for n in range(MOST_PAIRS)}),),
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
    "kind_not_allowed": RuleSample(
        given=(
            A,
            AddNode("1000", "Customers", "liability", kinds=("deposit", "withdrawal")),
            AddNode("1100", "Savings", parent="1000"),
            AttachAccount("acct_a", "1100"),
        ),
        broken=ChargeFee("txn_1", "acct_a", 1, "EUR", TODAY),
        sentence=(
            "Account acct_a is attached to node 1100, which takes deposit, withdrawal; a transaction of kind fee cannot "
            "be posted to it."
        ),
        kept=(Withdraw("txn_1", "acct_a", 1, "EUR", TODAY),),
    ),
    "period_closed": RuleSample(
        given=(A, ClosePeriod("per_1", "2026-q3", date(2026, 7, 1), date(2026, 9, 30))),
        broken=deposit(1, value_date=date(2026, 9, 30)),
        sentence=(
            "The value date 2026-09-30 is closed: the period 2026-q3 closed the days up to 2026-09-30. The first open "
            "day is 2026-10-01."
        ),
        kept=(deposit(1, value_date=date(2026, 10, 1)),),
    ),
    "late_for_open_day": RuleSample(
        given=(A, B, ClosePeriod("per_1", "2026-q3", date(2026, 7, 1), date(2026, 9, 30))),
        broken=late(date(2026, 10, 1)),
        sentence="The day 2026-10-01 is not closed; post with that value date instead of naming it as late.",
        kept=(late(date(2026, 9, 30)),),
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
    "period_not_closed": RuleSample(
        given=YEAR_IS_ASKED[:2],
        broken=year_end(period="per_2"),
        sentence="The period per_2 is not closed; it was never, or it was reopened.",
        kept=(CloseYear("per_1"), year_end()),
    ),
    "year_not_newest": RuleSample(
        given=(*YEAR_IS_ASKED, ClosePeriod("per_2", "2026-q4", date(2026, 10, 1), date(2026, 10, 31))),
        broken=year_end(),
        sentence="The period per_1 is followed by per_2; a year is closed while its last period is newest.",
        kept=(SealPeriod("per_2", "ab", ()), CloseYear("per_2"), year_end(period="per_2")),
    ),
    "year_not_asked": RuleSample(
        given=(*YEAR_IS_ASKED, year_end()),
        broken=year_end(),
        sentence="Nobody asked to close the year that ends with per_1, or it is closed by now.",
        kept=(
            ClosePeriod("per_2", "2026-q4", date(2026, 10, 1), date(2026, 10, 31)),
            SealPeriod("per_2", "ab", ()),
            CloseYear("per_2"),
            year_end(period="per_2"),
        ),
    ),
    "year_end_accounts": RuleSample(
        given=YEAR_IS_ASKED,
        broken=year_end(*((FEES, 1) for _ in range(MOST_YEAR_END_ACCOUNTS + 1))),
        sentence="A year-end closing moves at most 800 accounts; these are 801.",
        kept=(year_end(*((FEES, 1) for _ in range(MOST_YEAR_END_ACCOUNTS))),),
    ),
    "year_end_account": RuleSample(
        given=(*YEAR_IS_ASKED, A),
        broken=year_end((FEES, 1), ("acct_a", 1)),
        sentence="Account acct_a is neither income nor expense, so a year-end closing does not move it.",
        kept=(AddNode("4000", "Costs", "expense"), AttachAccount("acct_a", "4000"), year_end(("acct_a", 1))),
    ),
    "balance_owed": RuleSample(
        given=(A, B, AddOwner("acct_a", "prsn_1"), Transfer("txn_2", "acct_a", "acct_b", 100, "EUR", TODAY)),
        broken=By(ADA, CLOSE),
        sentence="Account acct_a has a balance of -1.00 EUR, which its owner cannot sweep; pay in 1.00 first.",
        kept=(deposit(101), By(ADA, CLOSE)),
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
    "condition_failed": RuleSample(
        given=(A, deposit(100)),
        broken=Conditioned(replace(deposit(1), transaction="txn_2"), (condition("gte", 101),)),
        sentence=("The balance of account acct_a is 1.00 EUR, and the command has the condition that it is gte 1.01."),
        kept=(Conditioned(replace(deposit(1), transaction="txn_2"), (condition("gte", 100),)),),
    ),
    "reference_missing": RuleSample(
        given=(A,),
        broken=Conditioned(deposit(1), unique_reference="account"),
        sentence="A unique reference needs a reference, and the command posts no transaction that has one.",
        kept=(Conditioned(replace(deposit(1), reference="r"), unique_reference="account"),),
    ),
    "reference_taken": RuleSample(
        given=(A, Conditioned(replace(deposit(1), reference="r"), unique_reference="account")),
        broken=Conditioned(replace(deposit(1), transaction="txn_2", reference="r"), unique_reference="account"),
        sentence=(
            "Transaction txn_1 has the reference r already, and a unique reference is used once in each account."
        ),
        kept=(Conditioned(replace(deposit(1), transaction="txn_2", reference="R"), unique_reference="account"),),
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
    held = [(one.profile.id, hold) for one in known for hold in one.holds if not of_transaction(hold[0])]
    if chance.random() < 0.4:
        return _later(ledger, chance, source, target, currency)
    choice = chance.random()
    if choice < 0.3:
        return _against_cash(ledger, chance, source, currency)
    if choice < 0.4 and held:
        account, (id, left, _) = chance.choice(held)
        amount, keep_rest = chance.randint(1, left), chance.random() < 0.5
        return CaptureHold(
            account, id, ledger.new_id(TRANSACTION), target, amount, currency, TODAY, keep_rest=keep_rest
        )
    if choice < 0.5:
        third, most = chance.choice(customers), chance.choice((20, MAX_AMOUNT))
        entries = (
            Entry(source, "debit", most, currency),
            Entry(target, "credit", most - 10, currency),
            Entry(third, "credit", 10, currency),
        )
        return PostTransaction(ledger.new_id(TRANSACTION), "journal", entries, TODAY, "ref#1")
    if choice < 0.55:
        return _exchange(ledger, chance, source)
    description = "rent\tMay" if chance.random() < 0.3 else None
    amount = chance.randint(1, 9_999)
    metadata = {"channel": "app"} if chance.random() < 0.2 else {}
    moved = Transfer(
        ledger.new_id(TRANSACTION), source, target, amount, currency, _day(chance), None, description, metadata
    )
    return moved if choice < 0.95 else _conditioned(chance, moved)


def _conditioned(chance: Random, moved: Transfer) -> Conditioned:
    """The transfer, if the target is not rich, and under a reference that can be taken."""
    moved = replace(moved, reference=f"unique-{chance.randrange(1_000)}")
    poor = Condition(moved.target, "available", "lt", 1_000_000, moved.currency)
    return Conditioned(moved, (poor,), chance.choice(("account", "log")))


def _later(ledger: MemoryLedger, chance: Random, source: str, target: str, currency: str) -> Any:
    """Transactions that wait, what becomes of them, and what undoes the posted ones."""
    pending = [one for one in ledger.of(TransactionState) if one.status == "pending"]
    posted = [one for one in ledger.of(TransactionState) if one.status in ("posted", "partly_reversed")]
    choice = chance.random()
    if pending and choice < 0.4:
        return _ends(ledger, chance, chance.choice(pending))
    if posted and choice < 0.5:
        return _undoes(ledger, chance, chance.choice(posted))
    if choice < 0.55:
        against, side = chance.choice(get_args(InternalRole)), chance.choice(get_args(Side))
        id, amount = ledger.new_id(TRANSACTION), chance.randint(1, 500)
        return AdjustBalance(id, source, side, amount, currency, against, _day(chance), "rounding\tMay")
    amount, id = chance.randint(1, 500), ledger.new_id(TRANSACTION)
    expires_at = ledger.context.decided_at + timedelta(seconds=1) if amount % 2 else None
    awaits: Awaits = "approval" if chance.random() < 0.5 else "request"
    described = "rent\tMay" if chance.random() < 0.5 else None
    more: Any = {"reference": "ref-1", "description": described, "expires_at": expires_at, "awaits": awaits}
    if chance.random() < 0.5:
        return PendTransfer(id, source, target, amount, currency, _day(chance), **more)
    entries = Entry(source, "debit", amount, currency), Entry(target, "credit", amount, currency)
    return PendTransaction(id, "journal", entries, _day(chance), **more)


def _ends(ledger: MemoryLedger, chance: Random, pending: TransactionState) -> Any:
    choice, id = chance.random(), pending.id
    if pending.expires_at is not None and choice < 0.3:
        ledger.context = replace(ledger.context, decided_at=max(ledger.context.decided_at, pending.expires_at))
        return ExpirePending(id)
    if choice < 0.45:
        return CancelPending(id, "a reason")
    if pending.awaits == "approval":
        decision = ApprovePending(id) if choice < 0.65 else RejectPending(id, "a reason")
        return By(APPROVER, decision)
    return PostPending(id, None if choice < 0.8 else _day(chance))


def _undoes(ledger: MemoryLedger, chance: Random, posted: TransactionState) -> Any:
    id, first, choice = ledger.new_id(TRANSACTION), posted.entries[0], chance.random()
    what: Any = {"transaction": id, "original": posted.id, "value_date": None, "reason": "booked\ttwice"}
    some: Any = {"amount": chance.randint(1, first.amount), "currency": first.currency}
    if choice < 0.3:
        return RefundTransaction(**what, **some, fee_rate=25_000)
    if choice < 0.55:
        return ChargeBack(**what, **some)
    if choice < 0.7:
        parts = tuple(Part(number, 1, entry.currency) for number, entry in enumerate(posted.entries, 1))
        return ReverseTransaction(**what, parts=parts)
    return ReverseTransaction(**what, **some) if choice < 0.85 else ReverseTransaction(**what)


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
    StoredEvent(
        "transaction.detailed.v1",
        "txn_0000000000000000000000006n",
        2,
        '{"late_for":null,"metadata":{"channel":"app"},"parent":null,"relation":null,"template":null,"template_version":null}',
        {
            "parent": None,
            "relation": None,
            "template": None,
            "template_version": None,
            "late_for": None,
            "metadata": {"channel": "app"},
        },
    ),
    StoredEvent(
        "transaction.reversed.v1",
        "txn_0000000000000000000000002h",
        2,
        '{"by":"txn_0000000000000000000000003h","reversed":[3293,3293],"whole":false}',
        {"by": "txn_0000000000000000000000003h", "reversed": [3293, 3293], "whole": False},
    ),
    StoredEvent(
        "transaction.approved.v1",
        "txn_000000000000000000000001ay",
        2,
        '{"by":"prsn_approver"}',
        {"by": "prsn_approver"},
    ),
    StoredEvent(
        "transaction.pended.v1",
        "txn_000000000000000000000002d2",
        1,
        '{"awaits":"request","description":"2.t5k06t6Xqiq4y_Ky4IBf9HIKdatyXbPO25CwYDSvhSLLF4RZ","entries":[{"account":"acct_000000000000000000000001df","amount":279,"currency":"EUR","side":"debit"},{"account":"acct_000000000000000000000001jv","amount":279,"currency":"EUR","side":"credit"}],"expires_at":"2026-11-21T12:00:01Z","initiator":null,"kind":"transfer","reference":"ref-1","subject":"owner-1","value_date":"2026-11-21"}',
        {
            "kind": "transfer",
            "value_date": "2026-11-21",
            "entries": [
                {"account": "acct_000000000000000000000001df", "side": "debit", "amount": 279, "currency": "EUR"},
                {"account": "acct_000000000000000000000001jv", "side": "credit", "amount": 279, "currency": "EUR"},
            ],
            "reference": "ref-1",
            "subject": "owner-1",
            "description": "rent\tMay",
            "awaits": "request",
            "initiator": None,
            "expires_at": "2026-11-21T12:00:01Z",
        },
    ),
    StoredEvent("transaction.expired.v1", "txn_000000000000000000000002d2", 2, "{}", {}),
    StoredEvent(
        "transaction.cancelled.v1",
        "txn_0000000000000000000000063p",
        2,
        '{"reason":"2.A5yomXHy5g2fXJUzKMHDxXaYbHt-FyeKi7YlvG-O5OVrxMGl","subject":"owner-1"}',
        {"subject": "owner-1", "reason": "a reason"},
    ),
    StoredEvent(
        "transaction.rejected.v1",
        "txn_00000000000000000000000504",
        2,
        '{"by":"prsn_approver","reason":"2.RrnYsuhmKBrkbsA5UzOI0flsqXBFJPcPV9vuIIIeGMS2ECFJ","subject":"owner-1"}',
        {"by": "prsn_approver", "subject": "owner-1", "reason": "a reason"},
    ),
    StoredEvent(
        "transaction.counted.v1",
        "txn_0000000000000000000000009d",
        2,
        '{"accounts":["acct_0000000000000000000000004x"],"at":"2026-11-21T12:00:01Z"}',
        {"at": "2026-11-21T12:00:01Z", "accounts": ["acct_0000000000000000000000004x"]},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life, weight=4)
