"""Every rule that guards money. Each makes a world at its edge, or past it, and returns the command to try there.

The rows are in `tests.support.money_commands`. `tests/unit/accounts/test_money_matrix.py` tries each cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from domain.accounts.account.attachment import AttachAccount
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.lifecycle import CloseAccount, CloseWhenFree, FreezeAccount
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.chart.nodes import AddNode
from domain.accounts.kinds import TransactionKind
from domain.accounts.periods.closing import ClosePeriod
from domain.accounts.periods.state import periods
from domain.accounts.posting_policy import MAY_COUNT, ChangePostingPolicy, ChangeRiskRules
from domain.accounts.risk.rules import DailyRule, RiskRules
from domain.accounts.thresholds import Threshold
from domain.accounts.transaction import Deposit, Withdraw
from domain.money import MAX_AMOUNT
from tests.support.bank import at
from tests.support.memory_ledger import NOW, OPENED, TODAY, MemoryLedger
from tests.support.money_commands import AMOUNT, BANKS, DAY, Posting


@dataclass(frozen=True)
class Rule:
    """A rule that guards money. `edge` is called with 0 for just inside, and with 1 for just outside."""

    code: str  # of the refusal
    edge: Callable[[MemoryLedger, Posting, int], Any]
    asks: str | None = None  # what a command that can wait waits for, instead of being refused


def limit(world: MemoryLedger, account: str, minimum: int = 0, maximum: int = MAX_AMOUNT, **more: Any) -> Any:
    """The command that gives the account these limits."""
    currency = world[account].profile.currency
    return ChangeLimits(account, currency, Limits(minimum, maximum, **more), "a contract")


def left(world: MemoryLedger, of: Posting) -> int:
    """What is available on the account that pays, after the command."""
    available: int = world[of.pays].balance - AMOUNT - of.kept
    return available


def balance(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Debits and credits are equal in each currency."""
    assert of.unbalanced is not None, f"{of.name}: can its entries be unbalanced?"
    return of.unbalanced(world, past)


def no_amount(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The smallest amount is one cent."""
    return of.command(amount=1 - past)


def negative_amount(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nobody takes money by giving a negative amount."""
    return of.command(amount=1 - 2 * past)


def minimum(world: MemoryLedger, of: Posting, past: int) -> Any:
    """What is left is at least the minimum."""
    world.accepted(limit(world, of.pays, left(world, of) + past))
    return of.command()


def hold(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Open holds reserve: what counts is what is available."""
    reserved = left(world, of) + past
    if reserved:
        world.accepted(PlaceHold(of.pays, "hold_other", reserved, "EUR"))
    return of.command()


def overdraft(world: MemoryLedger, of: Posting, past: int) -> Any:
    """An overdraft line goes as far below the minimum as it says."""
    world.accepted(limit(world, of.pays, left(world, of) + AMOUNT, overdraft=AMOUNT - past))
    return of.command()


def overdraft_day(world: MemoryLedger, of: Posting, past: int) -> Any:
    """An overdraft line holds up to its last day."""
    last = TODAY - past * DAY
    line = limit(world, of.pays, left(world, of) + AMOUNT, overdraft=AMOUNT, overdraft_until=last)
    world.accepted(at(NOW - past * DAY, line))
    return of.command()


def maximum(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The account that gets the money has at most its maximum."""
    least = min(0, world[of.gets].balance)
    world.accepted(limit(world, of.gets, least, world[of.gets].balance + of.gain - past))
    return of.command()


SPENT = 1
"""What went out before, and counts."""


def spending(world: MemoryLedger, of: Posting, **limits: int) -> Any:
    """The command, after something was spent of these limits."""
    world.accepted(ChangePostingPolicy(None, tuple({of.kind, "withdrawal"} & MAY_COUNT)))
    world.accepted(Deposit("txn_in", of.pays, SPENT, "EUR", TODAY))
    world.accepted(limit(world, of.pays, **limits))
    world.accepted(Withdraw("txn_out", of.pays, SPENT, "EUR", TODAY))
    return of.command()


def day(world: MemoryLedger, of: Posting, past: int) -> Any:
    """A limit of a day."""
    return spending(world, of, daily=SPENT + AMOUNT - past)


def month(world: MemoryLedger, of: Posting, past: int) -> Any:
    """A limit of a month."""
    return spending(world, of, monthly=SPENT + AMOUNT - past)


def hour(world: MemoryLedger, of: Posting, past: int) -> Any:
    """A limit of an hour."""
    return spending(world, of, hourly=SPENT + AMOUNT - past)


def number(world: MemoryLedger, of: Posting, past: int) -> Any:
    """A limit of the number of transactions in an hour."""
    return spending(world, of, hourly_count=2 - past)


def risk(world: MemoryLedger, of: Posting, past: int, points: int) -> Any:
    """The command, where more than an amount a day has these points."""
    world.accepted(ChangePostingPolicy(None, tuple({of.kind, "interest"} & MAY_COUNT)))
    daily = DailyRule(points, (Threshold("EUR", AMOUNT - past),))
    world.accepted(ChangeRiskRules(RiskRules(on=True, verify=40, block=70, daily=daily)))
    return of.command()


def risk_block(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The risk rules block."""
    return risk(world, of, past, 70)


def risk_review(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The risk rules ask for a review."""
    return risk(world, of, past, 69)


def policy_four_eyes(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Above an amount of the policy another person decides."""
    world.accepted(ChangePostingPolicy(None, None, {"EUR": AMOUNT - past}))
    return of.command()


def account_four_eyes(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Above an amount of the account another person decides."""
    world.accepted(limit(world, of.pays, approve_above=AMOUNT - past))
    return of.command()


def frozen(world: MemoryLedger, of: Posting, account: str, past: int) -> Any:
    if past:
        world.accepted(FreezeAccount(account, "a question"))
    return of.command()


def frozen_payer(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing leaves a frozen account."""
    return frozen(world, of, of.pays, past)


def frozen_payee(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing comes to a frozen account."""
    return frozen(world, of, of.gets, past)


def closed(world: MemoryLedger, of: Posting, account: str, past: int) -> Any:
    if past:
        world.accepted(CloseAccount(account, "moved away", BANKS, "txn_closed"))
    return of.command()


def closed_payer(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing leaves a closed account."""
    return closed(world, of, of.pays, past)


def closed_payee(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing comes to a closed account."""
    return closed(world, of, of.gets, past)


def closing_payer(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing new leaves an account that is to be closed once no hold is open."""
    if past:
        world.accepted(CloseWhenFree(of.pays, "moves away", BANKS))
    return of.command()


def node(world: MemoryLedger, of: Posting, account: str, past: int) -> Any:
    """The command, where the account is attached to a node with a rule, and the other one to a node without."""
    others = tuple(kind for kind in get_args(TransactionKind) if kind != of.kind)
    world.accepted(AddNode("4001", "A rule", "income", kinds=others if past else (of.kind,)))
    world.accepted(AddNode("4002", "No rule", "income"))
    for one in (of.pays, of.gets):
        world.accepted(AttachAccount(one, "4001" if one == account else "4002"))
    return of.command()


def node_of_payer(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The node of the account that pays takes the kind."""
    return node(world, of, of.pays, past)


def node_of_payee(world: MemoryLedger, of: Posting, past: int) -> Any:
    """The node of the account that gets the money takes the kind."""
    return node(world, of, of.gets, past)


def closed_period(world: MemoryLedger, of: Posting, past: int) -> Any:
    """Nothing has a value date in a closed period.

    The clock of who closes the period is ahead, as that of another process can be at midnight.
    """
    begins_on = max(periods(world.states).open_from, OPENED)
    world.accepted(at(NOW + past * DAY, ClosePeriod("per_9", "up-to-now", begins_on, TODAY - DAY + past * DAY)))
    return of.command(TODAY)


def in_future(world: MemoryLedger, of: Posting, past: int) -> Any:
    """No value date is in the future."""
    return of.command(TODAY + past * DAY)


def too_old(world: MemoryLedger, of: Posting, past: int) -> Any:
    """A value date is as far back as the policy allows."""
    world.accepted(ChangePostingPolicy((TODAY - of.day).days - past))
    return of.command(of.day)


def before_opening(world: MemoryLedger, of: Posting, past: int) -> Any:
    """No value date is before the opening of an account."""
    return of.command(OPENED - past * DAY)


RULES: Final[Mapping[str, Rule]] = {
    "balance": Rule("entries_unbalanced", balance),
    "no_amount": Rule("entry_amount", no_amount),
    "negative_amount": Rule("entry_amount", negative_amount),
    "minimum": Rule("below_minimum", minimum),
    "hold": Rule("below_minimum", hold),
    "overdraft": Rule("below_minimum", overdraft),
    "overdraft_day": Rule("below_minimum", overdraft_day),
    "maximum": Rule("above_maximum", maximum),
    "day": Rule("outgoing_limit", day),
    "month": Rule("outgoing_limit", month),
    "hour": Rule("outgoing_limit", hour),
    "number": Rule("outgoing_count", number),
    "risk_block": Rule("risk_blocked", risk_block),
    "risk_review": Rule("review_needed", risk_review, asks="review"),
    "policy_four_eyes": Rule("approval_needed", policy_four_eyes, asks="approval"),
    "account_four_eyes": Rule("approval_needed", account_four_eyes, asks="approval"),
    "frozen_payer": Rule("account_frozen", frozen_payer),
    "frozen_payee": Rule("account_frozen", frozen_payee),
    "closed_payer": Rule("account_closed", closed_payer),
    "closed_payee": Rule("account_closed", closed_payee),
    "closing_payer": Rule("account_closing", closing_payer),
    "node_of_payer": Rule("kind_not_allowed", node_of_payer),
    "node_of_payee": Rule("kind_not_allowed", node_of_payee),
    "closed_period": Rule("period_closed", closed_period),
    "in_future": Rule("value_date_in_future", in_future),
    "too_old": Rule("value_date_too_old", too_old),
    "before_opening": Rule("value_date_before_opening", before_opening),
}
