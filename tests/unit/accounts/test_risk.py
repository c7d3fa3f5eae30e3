"""The risk gate: each rule at its bound, what follows from the points, and what it leaves on the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from domain import registry
from domain.accounts.account.events import AccountAssessed, HoldPlaced, LimitReturned, LimitUsed
from domain.accounts.account.holds import PlaceHold
from domain.accounts.account.owners import AddOwner
from domain.accounts.posting import Entry, internal_account
from domain.accounts.posting_policy import ChangePostingPolicy, ChangeRiskRules, PostingPolicy
from domain.accounts.risk.rules import (
    Action,
    AverageRule,
    DailyRule,
    Factor,
    HourlyRule,
    RiskRules,
    RiskRulesChanged,
    YoungRule,
)
from domain.accounts.thresholds import Threshold
from domain.accounts.transaction import (
    ApprovePending,
    CaptureHold,
    Deposit,
    PendTransfer,
    PostPending,
    PostTransaction,
    RejectPending,
    ReverseTransaction,
    Withdraw,
)
from domain.accounts.transaction.events import TransactionPended
from domain.kernel import Accepted, Decision, Principal, Refused
from domain.together import Together
from tests.support.memory_ledger import OPENED, TODAY, By, MemoryLedger, by_person, new_id, transfer

LEDGER_CASH = internal_account("main", "cash", "EUR")
ANNA, BEN = by_person("prsn_anna", "operator"), by_person("prsn_ben", "operator")


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.open_internal()
    return ledger


@pytest.fixture
def payee(ledger: MemoryLedger) -> str:
    return ledger.account()


def rules(ledger: MemoryLedger, **more: object) -> RiskRules:
    """Set these rules, switched on."""
    made = RiskRules(**{"on": True, **more})  # type: ignore[arg-type]
    ledger.accepted(ChangeRiskRules(made))
    return made


def daily(points: int, amount: int = 0, currency: str = "EUR") -> DailyRule:
    return DailyRule(points, (Threshold(currency, amount),))


def assessments(events: tuple[object, ...]) -> list[AccountAssessed]:
    return [event for event in events if isinstance(event, AccountAssessed)]


def factors(decision: Decision) -> list[Factor]:
    """The factors of the one assessment of a decision, or none if there was no assessment."""
    assert isinstance(decision, Accepted | Refused)
    return [factor for event in assessments(decision.events) for factor in event.factors]


def later(ledger: MemoryLedger, **by: float) -> None:
    """Move the clock of the ledger."""
    ledger.context = replace(ledger.context, decided_at=ledger.context.decided_at + timedelta(**by))


# Each rule at its bound


@pytest.mark.parametrize(("amount", "points"), [(500, []), (501, [30])])
def test_an_amount_above_five_times_the_average(
    ledger: MemoryLedger, payee: str, amount: int, points: list[int]
) -> None:
    account = ledger.account(10_000)
    rules(ledger, average=AverageRule(30, 5, 3))
    for paid in (50, 100, 150):
        assert factors(ledger.accepted(transfer(account, payee, paid))) == []
    found = factors(ledger.accepted(transfer(account, payee, amount)))
    assert [one.points for one in found] == points
    assert all((one.rule, one.found, one.allowed) == ("average", amount, 500) for one in found)


@pytest.mark.parametrize(("before", "points"), [(2, []), (3, [30])])
def test_an_account_with_too_few_transactions_has_no_average(
    ledger: MemoryLedger, payee: str, before: int, points: list[int]
) -> None:
    account = ledger.account(100_000)
    rules(ledger, average=AverageRule(30, 5, 3))
    for _ in range(before):
        ledger.accepted(transfer(account, payee, 1))
    assert [one.points for one in factors(ledger.accepted(transfer(account, payee, 90_000)))] == points


@pytest.mark.parametrize(("days", "points"), [(29, [30]), (30, [])])
def test_the_average_is_of_thirty_days(ledger: MemoryLedger, payee: str, days: int, points: list[int]) -> None:
    account = ledger.account(10_000)
    rules(ledger, average=AverageRule(30, 5, 1))
    ledger.accepted(transfer(account, payee, 100))
    later(ledger, days=days)
    assert [one.points for one in factors(ledger.accepted(transfer(account, payee, 501)))] == points


def test_an_average_of_nothing_makes_no_amount_suspicious(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, average=AverageRule(30, 5, 1))
    paid = transfer(account, payee, 100)
    ledger.accepted(paid)
    undone = ledger.accepted(ReverseTransaction(new_id("txn"), paid.transaction, TODAY, "twice"))
    assert [event.amount for event in undone.events if isinstance(event, LimitReturned)] == [100]
    assert factors(ledger.accepted(transfer(account, payee, 10_000))) == []


@pytest.mark.parametrize(("before", "points"), [(9, []), (10, [25])])
def test_more_than_ten_transactions_in_an_hour(
    ledger: MemoryLedger, payee: str, before: int, points: list[int]
) -> None:
    account = ledger.account(10_000)
    rules(ledger, hourly=HourlyRule(25, 10))
    for _ in range(before):
        assert factors(ledger.accepted(transfer(account, payee, 1))) == []
    found = factors(ledger.accepted(transfer(account, payee, 1)))
    assert [one.points for one in found] == points
    assert all((one.rule, one.found, one.allowed) == ("hourly", 11, 10) for one in found)


@pytest.mark.parametrize(("minutes", "points"), [(60, [25]), (61, [])])
def test_the_hour_rolls_by_minutes(ledger: MemoryLedger, payee: str, minutes: int, points: list[int]) -> None:
    account = ledger.account(10_000)
    rules(ledger, hourly=HourlyRule(25, 1))
    ledger.accepted(transfer(account, payee, 1))
    later(ledger, minutes=minutes)
    assert [one.points for one in factors(ledger.accepted(transfer(account, payee, 1)))] == points


@pytest.mark.parametrize(("amount", "points"), [(400, []), (401, [20])])
def test_the_outgoing_money_of_a_day_with_this_amount(
    ledger: MemoryLedger, payee: str, amount: int, points: list[int]
) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(20, 1_000))
    ledger.accepted(transfer(account, payee, 600))
    found = factors(ledger.accepted(transfer(account, payee, amount)))
    assert [one.points for one in found] == points
    assert all((one.rule, one.found, one.allowed) == ("daily", 1_001, 1_000) for one in found)
    later(ledger, days=1)
    assert factors(ledger.accepted(transfer(account, payee, 1_000))) == []


def test_an_amount_of_another_currency_has_no_daily_amount(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(20, 0, "USD"), young=YoungRule(20, 36_500, (Threshold("USD", 0),)))
    assert factors(ledger.accepted(transfer(account, payee, 10_000))) == []


@pytest.mark.parametrize(
    ("more_days", "amount", "points"), [(0, 101, []), (1, 100, []), (1, 101, [35])], ids=["old", "small", "both"]
)
def test_a_large_amount_from_a_young_account(
    ledger: MemoryLedger, payee: str, more_days: int, amount: int, points: list[int]
) -> None:
    account = ledger.account(10_000)
    age = (ledger.context.today - OPENED).days
    rules(ledger, young=YoungRule(35, age + more_days, (Threshold("EUR", 100),)))
    found = factors(ledger.accepted(transfer(account, payee, amount)))
    assert [one.points for one in found] == points
    assert all((one.rule, one.found, one.allowed) == ("young", 101, 100) for one in found)


def test_the_points_are_added(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(30), hourly=HourlyRule(9, 0), young=YoungRule(0, 36_500, (Threshold("EUR", 0),)))
    (event,) = assessments(ledger.accepted(transfer(account, payee, 7)).events)
    assert (event.score, event.action) == (39, "monitor")
    assert [one.rule for one in event.factors] == ["hourly", "daily"], "a rule of 0 points is no factor"


# What is done about the points


@pytest.mark.parametrize(
    ("points", "action"),
    [(19, None), (20, "monitor"), (39, "monitor"), (40, "verify"), (69, "verify"), (70, "block"), (1_000, "block")],
)
def test_the_action_at_each_threshold(ledger: MemoryLedger, payee: str, points: int, action: Action | None) -> None:
    account = ledger.account(10_000)
    before = ledger[account].version
    rules(ledger, daily=daily(points))
    paid = transfer(account, payee, 100)
    decision = ledger.execute(paid)
    assert isinstance(decision, Accepted | Refused)
    found = assessments(decision.events)
    assert [(one.action, one.score, one.transaction) for one in found] == (
        [] if action is None else [(action, points, paid.transaction)]
    )
    match action:
        case "block":
            assert isinstance(decision, Refused)
            assert (decision.rule, ledger[account].balance) == ("risk_blocked", 10_000)
            assert ledger[account].version == before + 1, "only the assessment"
        case "verify":
            assert ledger[account].available == 9_900
            assert (ledger[account].balance, ledger[payee].balance) == (10_000, 0)
        case _:
            assert (ledger[account].balance, ledger[payee].balance) == (9_900, 100)
    ledger.check()


def test_the_assessment_stands_before_what_it_is_about(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    version = ledger[account].version
    rules(ledger, daily=daily(20))
    of_account = [one for one in ledger.accepted(transfer(account, payee, 5)).events if one.originator_id == account]
    assert [one.originator_version - version for one in of_account] == [1, 2, 3]
    assert isinstance(of_account[0], AccountAssessed)
    assert isinstance(of_account[2], LimitUsed)
    policy = ledger["policy:posting"]
    assert of_account[0] == AccountAssessed(
        originator_id=account,
        originator_version=version + 1,
        transaction=of_account[2].transaction,
        kind="transfer",
        amount=5,
        currency="EUR",
        score=20,
        action="monitor",
        factors=(Factor("daily", 20, 5, 0),),
        policy_version=policy.version,
        at=ledger.context.decided_at,
    )


def test_a_review_by_another_person_posts_it_without_another_assessment(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(40))
    paid = transfer(account, payee, 100)
    asked = ledger.execute_by(By(ANNA, paid))
    assert isinstance(asked, Accepted)
    assert (asked.result["status"], asked.result["awaits"]) == ("pending", "review")
    (pended,) = [event for event in asked.events if isinstance(event, TransactionPended)]
    assert (pended.awaits, pended.initiator) == ("review", "prsn_anna")
    assert [type(event) for event in asked.events if event.originator_id == account] == [AccountAssessed, HoldPlaced]

    own = ledger.execute_by(By(ANNA, ApprovePending(paid.transaction)))
    assert isinstance(own, Refused)
    assert own.rule == "approval_by_initiator"
    early = ledger.execute_by(By(ANNA, PostPending(paid.transaction)))
    assert isinstance(early, Refused)
    assert early.rule == "transaction_waits"
    done = ledger.execute_by(By(BEN, ApprovePending(paid.transaction)))
    assert isinstance(done, Accepted)
    assert assessments(done.events) == []
    assert [event.amount for event in done.events if isinstance(event, LimitUsed)] == [100], "it counts"
    assert (ledger[account].balance, ledger[account].reserved, ledger[payee].balance) == (9_900, 0, 100)
    ledger.check()


def test_a_rejected_review_moves_nothing(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(40))
    paid = transfer(account, payee, 100)
    ledger.execute_by(By(ANNA, paid))
    assert isinstance(ledger.execute_by(By(BEN, RejectPending(paid.transaction, "no"))), Accepted)
    assert (ledger[account].available, ledger[payee].balance) == (10_000, 0)
    assert ledger[account].usage.in_hour(ledger.context.decided_at) == (0, 0)


def test_a_request_to_wait_is_reviewed_too(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(40))
    pend = PendTransfer(new_id("txn"), account, payee, 100, "EUR", TODAY)
    assert ledger.accepted(pend).result["awaits"] == "review"
    asked = replace(pend, transaction=new_id("txn"), awaits="approval")
    decision = ledger.accepted(asked)
    assert decision.result["awaits"] == "approval", "another person decides already"
    assert [one.action for one in assessments(decision.events)] == ["verify"]


def test_what_is_blocked_cannot_ask_for_a_review_instead(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(70))
    pend = PendTransfer(new_id("txn"), account, payee, 100, "EUR", TODAY, awaits="review")
    assert ledger.refused(pend).rule == "risk_blocked"
    assert ledger[account].available == 10_000


def test_pending_transactions_are_assessed_again_when_they_are_posted(ledger: MemoryLedger, payee: str) -> None:
    """Otherwise many could be made first, when none counts yet, and be posted together."""
    account = ledger.account(10_000)
    rules(ledger, hourly=HourlyRule(40, 1))
    one, two = (PendTransfer(new_id("txn"), account, payee, 100, "EUR", TODAY) for _ in range(2))
    ledger.accepted(one)
    ledger.accepted(two)
    ledger.accepted(PostPending(one.transaction))
    version = ledger[account].version
    no = ledger.refused(PostPending(two.transaction))
    assert no.rule == "review_needed"
    assert [(e.originator_version, e.score) for e in assessments(no.events)] == [(version + 1, 40)]
    assert (ledger[account].balance, ledger[account].reserved) == (9_900, 100), "it keeps its hold"
    later(ledger, minutes=61)
    ledger.accepted(PostPending(two.transaction))
    ledger.check()


def test_a_capture_is_assessed(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(40, 100))
    ledger.accepted(PlaceHold(account, "hold_1", 200, "EUR"))
    version = ledger[account].version
    no = ledger.refused(CaptureHold(account, "hold_1", new_id("txn"), payee, 101, "EUR", TODAY))
    assert no.rule == "review_needed"
    assert [event.originator_version for event in assessments(no.events)] == [version + 1]
    assert ledger[account].hold("hold_1") == 200
    ledger.accepted(CaptureHold(account, "hold_1", new_id("txn"), payee, 100, "EUR", TODAY))


def test_each_account_that_pays_is_assessed(ledger: MemoryLedger, payee: str) -> None:
    one, two = ledger.account(10_000), ledger.account(10_000)
    rules(ledger, daily=daily(70, 100), hourly=HourlyRule(20, 0))
    ledger.accepted(ChangePostingPolicy(None, ("journal",)))
    entries = (Entry(one, "debit", 100, "EUR"), Entry(two, "debit", 101, "EUR"), Entry(payee, "credit", 201, "EUR"))
    no = ledger.refused(PostTransaction(new_id("txn"), "journal", entries, TODAY))
    found = {event.originator_id: (event.action, event.score) for event in assessments(no.events)}
    assert found == {one: ("monitor", 20), two: ("block", 90)}
    assert no.figures["account"] == two


def test_a_blocked_item_of_a_batch_leaves_its_assessment(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, hourly=HourlyRule(70, 1), daily=daily(70, 1_000))
    small, large = transfer(account, payee, 100), transfer(account, payee, 1_001)
    no = ledger.refused(Together((small, large)))
    (event,) = assessments(no.events)
    assert (event.transaction, event.factors) == (large.transaction, (Factor("daily", 70, 1_001, 1_000),))
    assert ledger[account].balance == 10_000


# Who learns what


def test_a_customer_learns_only_the_sentence(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    ledger.accepted(AddOwner(account, "prsn_ada"))
    rules(ledger, daily=daily(70))
    customer = ledger.execute_by(By(by_person("prsn_ada", "customer"), transfer(account, payee, 100)))
    assert isinstance(customer, Refused)
    assert (customer.rule, dict(customer.figures)) == ("risk_blocked", {"account": account})
    assert len(customer.events) == 1
    staff = ledger.refused(transfer(account, payee, 100))
    assert dict(staff.figures) == {"account": account, "score": 70, "action": "block"}


# What it does not concern


def test_only_counted_kinds_are_assessed(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    rules(ledger, daily=daily(70))
    ledger.accepted(ChangePostingPolicy(None, ("withdrawal",)))
    assert factors(ledger.accepted(transfer(account, payee, 100))) == []
    ledger.accepted(Deposit(new_id("txn"), account, 100, "EUR", TODAY))
    assert ledger.refused(Withdraw(new_id("txn"), account, 100, "EUR", TODAY)).rule == "risk_blocked"


def test_accounts_of_the_ledger_are_not_assessed_or_counted(ledger: MemoryLedger, payee: str) -> None:
    rules(ledger, daily=daily(70))
    done = ledger.accepted(transfer(LEDGER_CASH, payee, 100))
    assert not any(isinstance(event, AccountAssessed | LimitUsed) for event in done.events)
    assert done.commuting == {LEDGER_CASH}


def test_rules_that_are_off_leave_nothing(ledger: MemoryLedger, payee: str) -> None:
    account = ledger.account(10_000)
    made = rules(ledger, daily=daily(70))
    ledger.accepted(ChangeRiskRules(replace(made, on=False)))
    done = ledger.accepted(transfer(account, payee, 100))
    kinds = [type(event).__name__ for event in done.events]
    assert kinds == ["TransactionPosted", "AccountDebited", "AccountCredited"]


class Noted(dict[str, object]):
    """States that note which streams a decision asks for."""

    def __init__(self, states: dict[str, object]) -> None:
        super().__init__(states)
        self.asked: set[str] = set()

    def __getitem__(self, stream: str) -> object:
        self.asked.add(stream)
        return super().__getitem__(stream)

    def get(self, stream: str, default: object = None) -> object:
        self.asked.add(stream)
        return super().get(stream, default)


@pytest.mark.parametrize("on", [False, True])
def test_the_rules_cost_no_other_stream(ledger: MemoryLedger, payee: str, on: bool) -> None:
    """A transfer reads what it read before there were risk rules, whether they are on or off."""
    account = ledger.account(10_000)
    rules(ledger, on=on, daily=daily(20))
    paid = transfer(account, payee, 100)
    states = Noted({stream: ledger.states.get(stream) for stream in paid.streams})
    assert isinstance(registry.decide(paid, states, ledger.context), Accepted)  # type: ignore[arg-type]
    assert paid.streams[:2] == (account, payee)
    assert states.asked <= set(paid.streams)


# The policy


def test_the_versions_of_the_policy(ledger: MemoryLedger) -> None:
    first = rules(ledger, daily=daily(20))
    version = ledger["policy:posting"].version
    (event,) = ledger.accepted(ChangeRiskRules(replace(first, block=90))).events
    assert isinstance(event, RiskRulesChanged)
    assert event.originator_version == version + 1
    ledger.accepted(ChangePostingPolicy(7))
    policy: PostingPolicy = ledger["policy:posting"]
    assert (policy.risk.block, policy.most_days_back) == (90, 7), "each change leaves the other"
    assert ledger.refused(ChangeRiskRules(policy.risk)).rule == "risk_unchanged"


def _out_of_bounds() -> Iterator[tuple[str, RiskRules]]:
    on = RiskRules(True)
    for figure in ("monitor", "verify", "block"):
        yield figure, replace(on, **{figure: 0})
        yield figure, replace(on, **{figure: 1_001})
    for rule in (AverageRule(-1, 5, 1), AverageRule(1_001, 5, 1)):
        yield "average.points", replace(on, average=rule)
    for times in (0, 1_001):
        yield "average.times", replace(on, average=AverageRule(1, times, 1))
    for history in (0, 10_001):
        yield "average.history", replace(on, average=AverageRule(1, 1, history))
    for points in (-1, 1_001):
        yield "hourly.points", replace(on, hourly=HourlyRule(points, 1))
        yield "daily.points", replace(on, daily=daily(points))
        yield "young.points", replace(on, young=YoungRule(points, 1, ()))
    for count in (-1, 1_000_001):
        yield "hourly.count", replace(on, hourly=HourlyRule(1, count))
    for days in (0, 36_501):
        yield "young.days", replace(on, young=YoungRule(1, days, ()))
    yield "daily.above", replace(on, daily=daily(1, -1))
    yield "young.above", replace(on, young=YoungRule(1, 1, (Threshold("EUR", 10**15),)))


@pytest.mark.parametrize(("figure", "wrong"), list(_out_of_bounds()))
def test_a_figure_out_of_bounds_is_refused(ledger: MemoryLedger, figure: str, wrong: RiskRules) -> None:
    refusal = ledger.refused(ChangeRiskRules(wrong))
    assert (refusal.rule, refusal.figures["figure"]) == ("risk_bounds", figure)


def test_only_an_operator_changes_the_rules(ledger: MemoryLedger) -> None:
    for role, allowed in (("operator", True), ("command", False), ("customer", False), ("audit", False)):
        principal = Principal("one", (role,))  # type: ignore[arg-type]
        no = registry.forbid(principal, ChangeRiskRules(RiskRules(True)), ledger.context.decided_at)
        assert (no is None) is allowed, role
