"""Every way to move money: a row for each, with a builder of the command and what rules have to know about it.

The columns are in `tests.support.money_rules`. `tests/unit/accounts/test_money_matrix.py` tries each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.lifecycle import CloseAccount, CloseWhenFree
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.allocation import WHOLE, Fee, Tier
from domain.accounts.chart.nodes import AddNode
from domain.accounts.currencies.conversions import ConvertMoney
from domain.accounts.currencies.rates import SetRate
from domain.accounts.fee_schedule import DefineFeeSchedule
from domain.accounts.interest.accrual import DayBalance
from domain.accounts.interest.crediting import CreditInterest
from domain.accounts.interest.terms import AgreeInterest
from domain.accounts.kinds import TransactionKind
from domain.accounts.payroll.events import PayrollItem
from domain.accounts.payroll.part import PayPart, RetryPayrollItem
from domain.accounts.payroll.run import RunPayroll, StopPayroll
from domain.accounts.posting import Entry, Side, internal_account, pair_account
from domain.accounts.recurring.commands import CreateRecurringPayment
from domain.accounts.recurring.schedule import Schedule
from domain.accounts.recurring.state import transaction_of_run
from domain.accounts.settlement.settlement import PaySettlement, settlement_id
from domain.accounts.template import DefineTemplate, PostByTemplate
from domain.accounts.template.definition import Amount, Definition, Parameter, TemplateEntry
from domain.accounts.template.state import TemplateDefined, template_stream
from domain.accounts.transaction import (
    TRANSACTION,
    AdjustBalance,
    ApprovePending,
    CaptureHold,
    ChargeBack,
    ChargeFee,
    Deposit,
    PendTransaction,
    PendTransfer,
    PostPending,
    PostTransaction,
    RefundTransaction,
    ReverseTransaction,
    Transfer,
    Withdraw,
)
from domain.accounts.transaction.closing import CloseFreeAccount
from domain.accounts.transaction.reversal import Part
from domain.accounts.transaction.year_end import PostYearEnd, YearEnd
from domain.accounts.transfer_order import SubmitTransferOrder, Sum
from domain.ids import named_id
from domain.money import show
from domain.orders.order import ConfirmOrder, OrderLine, PayOrder, PlaceOrder
from tests.samples.accounts.payroll import item, large
from tests.samples.accounts.periods import CLOSE_YEAR, close, seal
from tests.samples.accounts.recurring_payment import run
from tests.samples.accounts.settlement_agreement import SHOP, YESTERDAY, agree, calculate
from tests.samples.accounts.transfer_order import EXECUTE
from tests.support.bank import BOB, by, operator
from tests.support.memory_ledger import OPENED, TODAY, MemoryLedger, opening

DAY = timedelta(1)
AMOUNT: Final = 1_000
"""What each command moves: 10.00 EUR."""
FUNDED: Final = 5_000
"""What both accounts have at first."""
SOURCE, TARGET, DOLLARS = "acct_source", "acct_target", "acct_dollars"
PAIR = "EUR:USD"
CASH, BANKS, FEES, INTEREST, REVENUE, EQUITY = (
    internal_account("main", role, "EUR") for role in ("cash", "banks", "fees", "interest", "revenue", "equity")
)
OCTOBER = date(2026, 10, 31)
"""The last day of the last month."""
ID = "txn_1"
"""The transaction of each command."""


@dataclass(frozen=True, eq=False)
class Posting:
    """A command that moves `AMOUNT` from account `pays` to account `gets`."""

    name: str
    kind: TransactionKind
    make: Callable[[date, int], Any]  # of a value date and an amount
    pays: str = SOURCE
    gets: str = TARGET
    gain: int = AMOUNT  # of `gets`, in its minor units
    kept: int = 0  # stays reserved on `pays`
    given: tuple[Any, ...] = ()  # commands that come before
    transaction: str = ID
    outcome: str = "posted"
    waits: bool = False  # what another person has to decide about waits, and is not refused
    day: date = TODAY - 10 * DAY  # a value date that it can have
    unbalanced: Callable[[MemoryLedger, int], Any] | None = None  # a command whose debits are so much more
    refused_by: Mapping[str, str] = field(default_factory=dict)  # another rule that refuses in its column
    free: Mapping[str, str] = field(default_factory=dict)  # columns whose rule does not hold for it, and why
    never: Mapping[str, str] = field(default_factory=dict)  # columns whose rule nothing can break, and why

    def command(self, day: date = TODAY, amount: int = AMOUNT) -> Any:
        return self.make(day, amount)


def why(reason: str, *columns: str) -> dict[str, str]:
    """The same reason for several columns."""
    return dict.fromkeys(columns, reason)


LIMITS = ("minimum", "hold", "overdraft", "overdraft_day")
OUTGOING = ("day", "month", "hour", "number")
RISK = ("risk_block", "risk_review")
FOUR_EYES = ("policy_four_eyes", "account_four_eyes")
AMOUNTS = ("no_amount", "negative_amount")
DATES = ("in_future", "too_old", "before_opening")

ONE_AMOUNT = why("both entries have the one amount", "balance")
COMPUTED = why("the entries are computed from figures that sum to zero", "balance")
LEDGER_PAYS = {
    **why("an account of the ledger has no limits", *LIMITS, *OUTGOING, "account_four_eyes"),
    **why("an account of the ledger has no holds to wait for", "closing_payer"),
    **why("what the ledger pays is no customer's risk", *RISK),
}
LEDGER_GETS = why("an account of the ledger has no limits", "maximum")
NOT_COUNTED = why("a policy cannot let it count, and ADR 53 assesses what counts", *OUTGOING, *RISK)
UNDOES = {
    **NOT_COUNTED,
    **why("what undoes or moves what was approved needs no second person (ADR 45)", *FOUR_EYES),
}
HELD = {
    **why("the amount is reserved, so no other hold takes it", "hold"),
    **why("an account with an open hold is not closed", "closed_payer"),
}
PROMISED = why("it was reserved before the account was to be closed (ADR 62)", "closing_payer")
OWN_DAY = why("it has always the day of its decision", *DATES)


def entries(amount: int, more: int = 0) -> tuple[Entry, ...]:
    return (Entry(SOURCE, "debit", amount, "EUR"), Entry(TARGET, "credit", amount - more, "EUR"))


def journal(day: date, amount: int, more: int = 0) -> PostTransaction:
    return PostTransaction(ID, "journal", entries(amount, more), day)


def pend_journal(day: date, amount: int, more: int = 0) -> PendTransaction:
    return PendTransaction(ID, "journal", entries(amount, more), day)


def pend(**more: Any) -> PendTransfer:
    return PendTransfer(ID, SOURCE, TARGET, AMOUNT, "EUR", TODAY, **more)


def adjust(side: Side) -> Callable[[date, int], Any]:
    return lambda day, amount: AdjustBalance(ID, SOURCE, side, amount, "EUR", "revenue", day, "why")


def undo(kind: type, **more: Any) -> Callable[[date, int], Any]:
    return lambda day, amount: kind(
        transaction=ID, original="txn_0", value_date=day, reason="why", amount=amount, currency="EUR", **more
    )


ORIGINAL = (Transfer("txn_0", TARGET, SOURCE, AMOUNT, "EUR", OPENED),)
"""What is undone: the account that got the money pays it back."""


def undoing(no_amount: str) -> dict[str, Any]:
    """What all that undoes has in common, and the rule that refuses an amount of zero."""
    refused_by = {"before_opening": "reversal_before_original", "negative_amount": "reversal_exceeded"}
    return {"given": ORIGINAL, "free": UNDOES, "refused_by": {**refused_by, "no_amount": no_amount}}


SALE = Definition(
    "payment",
    (Parameter("buyer", "account"), Parameter("seller", "account"), Parameter("gross", "amount", "EUR")),
    (),
    (TemplateEntry("debit", "gross", "buyer"), TemplateEntry("credit", "gross", "seller")),
)


def by_template(day: date, amount: int) -> PostByTemplate:
    parameters = {"buyer": SOURCE, "seller": TARGET, "gross": show(amount, "EUR")}
    return PostByTemplate(ID, "sale", parameters, day, reference="of-a-sale")


def by_unbalanced_template(world: MemoryLedger, more: int) -> PostByTemplate:
    """A template that no decision accepts and the log has all the same: it takes more from the buyer."""
    extra = Amount("extra", "fixed", fixed=more, currency="EUR")
    definition = Definition(
        SALE.kind,
        SALE.parameters,
        (extra, Amount("more", "sum", plus=("gross", "extra"))),
        (TemplateEntry("debit", "more", "buyer"), TemplateEntry("credit", "gross", "seller")),
    )
    world.record((TemplateDefined(template_stream("forged"), 1, "forged", 1, definition),))
    parameters = {"buyer": SOURCE, "seller": TARGET, "gross": show(AMOUNT, "EUR")}
    return PostByTemplate(ID, "forged", parameters, TODAY)


def sweep(day: date, amount: int) -> CloseAccount:
    return CloseAccount(SOURCE, "why", TARGET, ID)


def sweep_owed(day: date, amount: int) -> CloseAccount:
    return CloseAccount(TARGET, "why", SOURCE, ID)


def payroll(day: date, amount: int) -> RunPayroll:
    return RunPayroll("payroll_1", ID, SOURCE, "2026-11", "EUR", (PayrollItem("E-1", TARGET, amount),), day)


LARGE = large(item("1", AMOUNT, TARGET), account=SOURCE)
"""A run in parts. The accounts of all but one employee do not exist, so their items are parked."""
PARKED_ITEMS = len(LARGE.items) - 1
BY_RUN = {
    **why("who cannot be paid is parked, and the others are paid", "maximum", "frozen_payee", "closed_payee"),
    **why("who cannot be paid is parked, and the others are paid", "node_of_payee", "before_opening"),
    **why("its day was tried when the run began", "in_future", "too_old"),
}
ITEM_REFUSED = why("payroll_item_refused", "maximum", "frozen_payee", "closed_payee", "node_of_payee", "before_opening")
AMOUNT_OF_RUN = why("its amount was tried when the run began", *AMOUNTS)

BY_ORDER = {**OWN_DAY, **ONE_AMOUNT, **HELD, **why("its amount was tried when it was ordered", *AMOUNTS)}

SWEPT = {**COMPUTED, **OWN_DAY, **why("it moves what is left", *AMOUNTS)}

COMMANDS: Final = (
    Posting(
        name="deposit",
        kind="deposit",
        make=lambda day, amount: Deposit(ID, TARGET, amount, "EUR", day),
        pays=CASH,
        waits=True,
        never={**LEDGER_PAYS, **ONE_AMOUNT},
    ),
    Posting(
        name="withdrawal",
        kind="withdrawal",
        make=lambda day, amount: Withdraw(ID, SOURCE, amount, "EUR", day),
        gets=CASH,
        waits=True,
        never={**LEDGER_GETS, **ONE_AMOUNT},
    ),
    Posting(
        name="transfer",
        kind="transfer",
        make=lambda day, amount: Transfer(ID, SOURCE, TARGET, amount, "EUR", day),
        waits=True,
        never=ONE_AMOUNT,
    ),
    Posting(
        name="journal",
        kind="journal",
        make=journal,
        waits=True,
        unbalanced=lambda world, more: journal(TODAY, AMOUNT, more),
    ),
    Posting(
        name="fee",
        kind="fee",
        make=lambda day, amount: ChargeFee(ID, SOURCE, amount, "EUR", day),
        gets=FEES,
        waits=True,
        never={**LEDGER_GETS, **ONE_AMOUNT},
    ),
    Posting(
        name="fee by schedule",
        kind="fee",
        make=lambda day, amount: ChargeFee(ID, SOURCE, amount, "EUR", day, schedule="all"),
        given=(DefineFeeSchedule("all", "EUR", Fee(tiers=(Tier(None, WHOLE),)), TARGET, None),),
        waits=True,
        refused_by=why("fee_zero", *AMOUNTS),
        never=ONE_AMOUNT,
    ),
    Posting(
        name="adjustment by a debit",
        kind="adjustment",
        make=adjust("debit"),
        gets=REVENUE,
        waits=True,
        free=NOT_COUNTED,
        never={**LEDGER_GETS, **ONE_AMOUNT},
    ),
    Posting(
        name="adjustment by a credit",
        kind="adjustment",
        make=adjust("credit"),
        pays=REVENUE,
        gets=SOURCE,
        waits=True,
        never={**LEDGER_PAYS, **ONE_AMOUNT},
    ),
    Posting(
        name="capture of a hold",
        kind="capture",
        make=lambda day, amount: CaptureHold(SOURCE, "hold_1", ID, TARGET, amount, "EUR", day),
        given=(PlaceHold(SOURCE, "hold_1", AMOUNT, "EUR"),),
        free=PROMISED,
        never={**ONE_AMOUNT, **HELD},
    ),
    Posting(
        name="capture of a part",
        kind="capture",
        make=lambda day, amount: CaptureHold(SOURCE, "hold_1", ID, TARGET, amount, "EUR", day, keep_rest=True),
        given=(PlaceHold(SOURCE, "hold_1", AMOUNT + 1, "EUR"),),
        free=PROMISED,
        kept=1,
        never={**ONE_AMOUNT, **HELD},
    ),
    Posting(
        name="request of a pending transfer",
        kind="transfer",
        make=lambda day, amount: PendTransfer(ID, SOURCE, TARGET, amount, "EUR", day),
        outcome="waits for request",
        waits=True,
        never=ONE_AMOUNT,
    ),
    Posting(
        name="request of a pending journal",
        kind="journal",
        make=pend_journal,
        outcome="waits for request",
        waits=True,
        unbalanced=lambda world, more: pend_journal(TODAY, AMOUNT, more),
    ),
    Posting(
        name="posting of a pending one",
        kind="transfer",
        make=lambda day, amount: PostPending(ID, day),
        given=(pend(),),
        free=PROMISED,
        never={**COMPUTED, **HELD, **why("its amount was tried when it was reserved", *AMOUNTS)},
    ),
    Posting(
        name="approval of a pending one",
        kind="transfer",
        make=lambda day, amount: by(operator(BOB), ApprovePending(ID, day)),
        given=(pend(awaits="approval"),),
        free={**PROMISED, **why("another person looks at it: that is what it is", *FOUR_EYES, *RISK)},
        never={**COMPUTED, **HELD, **why("its amount was tried when it was reserved", *AMOUNTS)},
    ),
    Posting(
        name="reversal",
        kind="reversal",
        make=undo(ReverseTransaction),
        unbalanced=lambda world, more: ReverseTransaction(
            transaction=ID,
            original="txn_0",
            value_date=TODAY,
            reason="why",
            parts=(Part(1, AMOUNT - more, "EUR"), Part(2, AMOUNT, "EUR")),
        ),
        **undoing(no_amount="entry_count"),
    ),
    Posting(
        name="refund",
        kind="refund",
        make=undo(RefundTransaction, fee_rate=100_000),
        gain=AMOUNT * 9 // 10,
        never=COMPUTED,
        **undoing(no_amount="refund_fee"),
    ),
    Posting(
        name="chargeback",
        kind="chargeback",
        make=undo(ChargeBack),
        never=ONE_AMOUNT,
        **undoing(no_amount="entry_count"),
    ),
    Posting(
        name="closing with a sweep",
        kind="sweep",
        make=sweep,
        given=(Withdraw("txn_0", SOURCE, FUNDED - AMOUNT, "EUR", TODAY),),
        refused_by={"hold": "holds_open"},
        free=why("it ends the account (ADR 46)", "minimum", "overdraft", "overdraft_day", "closing_payer"),
        never=SWEPT,
    ),
    Posting(
        name="closing with a sweep of what is owed",
        kind="sweep",
        make=sweep_owed,
        given=(
            ChangeLimits(TARGET, "EUR", Limits(minimum=-AMOUNT, maximum=None), "a contract"),
            Withdraw("txn_0", TARGET, FUNDED + AMOUNT, "EUR", TODAY),
        ),
        never=SWEPT,
    ),
    Posting(
        name="closing when free",
        kind="sweep",
        make=lambda day, amount: CloseFreeAccount(SOURCE, ID),
        given=(
            Withdraw("txn_0", SOURCE, FUNDED - AMOUNT, "EUR", TODAY),
            CloseWhenFree(SOURCE, "why", TARGET),
        ),
        refused_by={"closed_payer": "closing_not_asked"},
        free=why("it ends the account (ADR 46)", "minimum", "overdraft", "overdraft_day"),
        never={
            **SWEPT,
            **why("nothing new is held on an account that is to be closed", "hold"),
            **why("nothing leaves an account that is to be closed, so nothing is spent of its limits", *OUTGOING),
            **why("the account is to be closed already", "closing_payer"),
        },
    ),
    Posting(
        name="year end",
        kind="year_end",
        make=lambda day, amount: PostYearEnd("per_1", (YearEnd(ID, "EUR", ((SOURCE, amount),)),)),
        gets=EQUITY,
        given=(AddNode("4000", "Income", "income"), AttachAccount(SOURCE, "4000"), close(), seal(), CLOSE_YEAR),
        day=date(2026, 2, 1),
        free=UNDOES,
        never={
            **LEDGER_GETS,
            **COMPUTED,
            **why("its value date is the first open day", "closed_period", "in_future", "before_opening"),
            **why("a balance can be of any sign, and one of zero is none", *AMOUNTS),
        },
    ),
    Posting(
        name="template",
        kind="payment",
        make=by_template,
        given=(DefineTemplate("sale", SALE),),
        waits=True,
        unbalanced=by_unbalanced_template,
        refused_by={"no_amount": "entry_count", "negative_amount": "parameter_bounds"},
    ),
    Posting(
        name="conversion",
        kind="conversion",
        make=lambda day, amount: ConvertMoney("cnv_1", ID, SOURCE, DOLLARS, day, amount=amount, currency="EUR"),
        gets=DOLLARS,
        gain=AMOUNT * 11 // 10,
        given=(SetRate("EUR", "USD", "1.100000", 0, "ECB"),),
        refused_by=why("conversion_too_small", *AMOUNTS),
        never=COMPUTED,
    ),
    Posting(
        name="run of a recurring payment",
        kind="transfer",
        make=lambda day, amount: run(),
        given=(CreateRecurringPayment("recur_1", SOURCE, TARGET, AMOUNT, "EUR", Schedule("days", 1, TODAY)),),
        transaction=transaction_of_run("recur_1", 1),
        waits=True,
        never={**OWN_DAY, **ONE_AMOUNT, **why("it pays the amount of the payment", *AMOUNTS)},
    ),
    Posting(
        name="transfer order",
        kind="capture",
        make=lambda day, amount: EXECUTE,
        given=(SubmitTransferOrder("tord_1", SOURCE, TARGET, Sum(AMOUNT, "EUR")),),
        transaction=named_id(TRANSACTION, "tord_1", "transfer"),
        free=PROMISED,
        never=BY_ORDER,
    ),
    Posting(
        name="transfer order with a conversion",
        kind="conversion",
        make=lambda day, amount: EXECUTE,
        gets=DOLLARS,
        gain=AMOUNT * 11 // 10,
        given=(
            SetRate("EUR", "USD", "1.100000", 0, "ECB"),
            SubmitTransferOrder("tord_1", SOURCE, DOLLARS, Sum(AMOUNT, "EUR")),
        ),
        transaction=named_id(TRANSACTION, "tord_1", "transfer"),
        free=PROMISED,
        never=BY_ORDER,
    ),
    Posting(
        name="payout of a settlement",
        kind="settlement",
        make=lambda day, amount: PaySettlement(settlement_id(SHOP, YESTERDAY), SHOP, ID),
        pays=SHOP,
        given=(
            opening("merchant", account=SHOP),
            Deposit("txn_shop", SHOP, FUNDED, "EUR", OPENED),
            agree(payout=TARGET, fee_rate=0),
            calculate(AMOUNT),
        ),
        free=why("the terms decided about it, not one person (ADR 59)", *FOUR_EYES),
        never={**OWN_DAY, **ONE_AMOUNT, **NOT_COUNTED, **why("it pays what the settlement has due", *AMOUNTS)},
    ),
    Posting(
        name="interest of a month",
        kind="interest",
        make=lambda day, amount: CreditInterest(TARGET, ID, OCTOBER, OCTOBER, (DayBalance(OCTOBER, 1_000_000),), 1),
        pays=INTEREST,
        given=(AgreeInterest(TARGET, TARGET, 365_000, 365, OCTOBER),),
        never={
            **LEDGER_PAYS,
            **ONE_AMOUNT,
            **why("where the day after the month cannot be its value date, it is the day of the decision", *DATES),
            **why("it is what the balances earn", *AMOUNTS),
        },
    ),
    Posting(
        name="payment of an order",
        kind="payment",
        make=lambda day, amount: PayOrder("ord_1", SOURCE, ID, day),
        gets=REVENUE,
        given=(
            PlaceOrder("ord_1", "customer-1", "EUR", (OrderLine("tea", "Tea", 1, AMOUNT),)),
            ConfirmOrder("ord_1"),
        ),
        never={**LEDGER_GETS, **ONE_AMOUNT, **why("it pays the total of the order", *AMOUNTS)},
    ),
    Posting(
        name="payroll at once",
        kind="transfer",
        make=payroll,
        refused_by={**ITEM_REFUSED, **why("payroll_amount", *AMOUNTS)},
        never=ONE_AMOUNT,
    ),
    Posting(
        name="part of a payroll",
        kind="capture",
        make=lambda day, amount: PayPart("payroll_1", 1, ID),
        given=(LARGE,),
        free=PROMISED,
        kept=PARKED_ITEMS,
        never={**ONE_AMOUNT, **HELD, **BY_RUN, **AMOUNT_OF_RUN},
    ),
    Posting(
        name="parked item of a payroll",
        kind="transfer",
        make=lambda day, amount: RetryPayrollItem("payroll_1", 1, ID, day),
        given=(LARGE, StopPayroll("payroll_1", "why")),
        never={**ONE_AMOUNT, **AMOUNT_OF_RUN},
    ),
)


@cache
def before(of: Posting) -> MemoryLedger:
    """The ledger in which the command is accepted."""
    world = MemoryLedger()
    for currency in ("EUR", "USD"):
        world.open_internal(currency)
        liquidity = pair_account("main", "liquidity", PAIR, currency)
        world.accepted(opening("liquidity", account=liquidity, currency=currency, minimum=None))
    for account in (SOURCE, TARGET):
        world.accepted(opening(account=account))
        world.accepted(Deposit(f"txn_{account}", account, FUNDED, "EUR", OPENED))
    world.accepted(opening(account=DOLLARS, currency="USD"))
    for command in of.given:
        world.accepted(command)
    return world


def world_of(of: Posting) -> MemoryLedger:
    """A copy of the ledger in which the command is accepted."""
    world = MemoryLedger()
    world.record(before(of).log)
    return world
