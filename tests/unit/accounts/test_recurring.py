"""Recurring payments: who may do what, runs, strikes, and what a pause skips."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.accounts.account.events import AccountClosed, AccountFrozen
from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.account.owners import AddOwner, GiveMandate, RemoveOwner, WithdrawMandate
from domain.accounts.business_calendar import ChangeCalendar
from domain.accounts.details import TransactionDetailed
from domain.accounts.posting import TransactionPosted, entries_between
from domain.accounts.posting_policy import ChangePostingPolicy
from domain.accounts.recurring import (
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    RecurringPayment,
    ResumeRecurringPayment,
    RunRecurringPayment,
    Schedule,
)
from domain.accounts.recurring.state import (
    RecurringPaymentRun,
    RecurringPaymentStruck,
    RecurringPaymentSuspended,
    transaction_of_run,
)
from domain.accounts.transaction import Deposit
from domain.accounts.transaction.events import TransactionPended
from domain.kernel import ERASED, Accepted, Decision, Principal, Refused, Unknown
from tests.samples.accounts.recurring_payment import RUNNER
from tests.support.bank import (
    ADA,
    CASH,
    EVE,
    FOREIGN,
    FUNDED,
    A,
    B,
    bank,
    customer,
    figures,
    operator,
    set_clock,
    unknown,
)
from tests.support.memory_ledger import NOW, TODAY, By, MemoryLedger

RENT = "recur_rent"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BOB = "prsn_bob"


def create(amount: int = 100, schedule: Schedule | None = None, **more: Any) -> CreateRecurringPayment:
    values = {"payer": A, "payee": B, "description": "Rent", **more}
    return CreateRecurringPayment(
        payment=RENT, amount=amount, currency="EUR", schedule=schedule or Schedule("days", 1, TODAY), **values
    )


def begun(
    amount: int = 100, schedule: Schedule | None = None, by: Principal | None = None, **more: Any
) -> MemoryLedger:
    """A bank with a payment."""
    ledger = bank()
    ledger.accepted(By(by or operator(), create(amount, schedule, **more)))
    return ledger


def run(ledger: MemoryLedger, at: datetime | None = None, number: int | None = None) -> Decision:
    """The next run, at the time when it is due, or later."""
    payment: RecurringPayment = ledger[RENT]
    now = at or max(ledger.context.decided_at, payment.due_at or NOW)
    set_clock(ledger, now)
    return ledger.execute_by(By(RUNNER, RunRecurringPayment(RENT, payment.number if number is None else number)))


def refusals(ledger: MemoryLedger) -> list[tuple[int, str, datetime | None]]:
    return [(one.strikes, one.rule, one.retry_at) for one in ledger.log if isinstance(one, RecurringPaymentStruck)]


def test_a_run_makes_a_transfer_that_names_the_payment() -> None:
    ledger = begun(reference="rent-7", metadata={"k_symbol": "SIPO"})
    decision = run(ledger)
    assert isinstance(decision, Accepted)
    made, posted, detailed, *_ = decision.events
    transaction = transaction_of_run(RENT, 1)
    assert made == RecurringPaymentRun(RENT, 2, 1, TODAY, transaction, TODAY + DAY)
    assert isinstance(posted, TransactionPosted)
    assert (posted.originator_id, posted.kind, posted.value_date) == (transaction, "transfer", TODAY)
    assert posted.entries == entries_between(A, B, 100, "EUR")
    assert (posted.reference, posted.description, posted.subject) == ("rent-7", "Rent", ADA)
    assert isinstance(detailed, TransactionDetailed)
    assert (detailed.parent, detailed.relation, detailed.metadata) == (RENT, "recurring", {"k_symbol": "SIPO"})
    assert figures(ledger, A)[0] == FUNDED - 100


def test_a_run_happens_once_and_in_order() -> None:
    ledger = begun()
    assert isinstance(run(ledger), Accepted)
    again = run(ledger, at=NOW, number=1)
    assert isinstance(again, Refused)
    assert again.rule == "recurring_not_next"
    assert not again.events
    later = run(ledger, at=NOW + 5 * DAY, number=3)
    assert isinstance(later, Refused)
    assert later.rule == "recurring_not_next"
    early = run(ledger, at=NOW, number=2)
    assert isinstance(early, Refused)
    assert (early.rule, early.events) == ("recurring_not_due", ())
    assert figures(ledger, B)[0] == 100


def test_missed_runs_are_made_up_for_with_the_value_date_of_their_making() -> None:
    ledger = begun()
    after = NOW + 3 * DAY
    for number in range(1, 5):
        assert isinstance(run(ledger, at=after), Accepted), number
    assert ledger[RENT].due_on == TODAY + 4 * DAY
    ran = [one.due_on for one in ledger.log if isinstance(one, RecurringPaymentRun)]
    assert ran == [TODAY + number * DAY for number in range(4)]
    assert {one.value_date for one in ledger.log if isinstance(one, TransactionPosted)} == {TODAY, after.date()}


def test_three_strikes_suspend_it_with_two_and_four_hours_between() -> None:
    ledger = begun(FUNDED + 1)
    for _ in range(3):
        assert isinstance(run(ledger), Refused)
    first = NOW + 2 * HOUR
    assert refusals(ledger) == [
        (1, "below_minimum", first),
        (2, "below_minimum", first + 4 * HOUR),
        (3, "below_minimum", None),
    ]
    assert ledger.log[-2] == RecurringPaymentSuspended(RENT, 5, 1, "below_minimum")
    payment = ledger[RENT]
    assert (payment.status, payment.due_at, payment.number) == ("suspended", None, 2)
    refused = run(ledger, at=NOW + DAY, number=2)
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.events) == ("recurring_status", ())


def test_a_strike_is_tried_again_not_before_its_time() -> None:
    ledger = begun(FUNDED + 1)
    run(ledger)
    early = run(ledger, at=NOW + 2 * HOUR - timedelta(microseconds=1))
    assert isinstance(early, Refused)
    assert early.rule == "recurring_not_due"
    assert ledger[RENT].strikes == 1


def test_a_success_ends_the_strikes() -> None:
    ledger = begun(FUNDED + 1)
    run(ledger)
    run(ledger)
    ledger.accepted(Deposit("txn_more", A, FUNDED + 3, "EUR", TODAY))
    assert isinstance(run(ledger), Accepted)
    assert (ledger[RENT].strikes, ledger[RENT].retry_at) == (0, None)
    assert isinstance(run(ledger), Accepted)
    run(ledger)
    assert [strikes for strikes, *_ in refusals(ledger)] == [1, 2, 1]


def test_it_completes_after_its_last_run() -> None:
    ledger = begun(schedule=Schedule("days", 1, TODAY, runs=2))
    run(ledger)
    run(ledger)
    assert (ledger[RENT].status, ledger[RENT].due_at) == ("completed", None)
    for command in (PauseRecurringPayment(RENT), ResumeRecurringPayment(RENT), CancelRecurringPayment(RENT)):
        assert ledger.refused(command).rule == "recurring_status"


def test_a_pause_skips_what_is_due_meanwhile() -> None:
    ledger = begun(schedule=Schedule("days", 2, TODAY))
    run(ledger)
    ledger.accepted(PauseRecurringPayment(RENT))
    assert ledger[RENT].due_at is None
    refused = run(ledger, at=NOW + 2 * DAY, number=2)
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.events) == ("recurring_status", ())
    set_clock(ledger, NOW + 5 * DAY)
    ledger.accepted(ResumeRecurringPayment(RENT))
    resumed: Any = ledger.log[-1]
    assert (resumed.number, resumed.due_on, resumed.skipped) == (4, TODAY + 6 * DAY, 2)
    assert isinstance(run(ledger), Accepted)
    assert ledger.context.today == TODAY + 6 * DAY


def test_what_is_due_on_the_day_of_the_resumption_runs() -> None:
    ledger = begun()
    ledger.accepted(PauseRecurringPayment(RENT))
    ledger.accepted(ResumeRecurringPayment(RENT))
    assert ledger[RENT].number == 1
    assert isinstance(run(ledger), Accepted)


def test_a_suspended_payment_goes_on_after_the_run_that_was_given_up() -> None:
    ledger = begun(FUNDED + 1)
    for _ in range(3):
        run(ledger)
    assert ledger.context.today == TODAY
    ledger.accepted(ChangeRecurringAmount(RENT, 1, "EUR"))
    ledger.accepted(ResumeRecurringPayment(RENT))
    assert (ledger[RENT].number, ledger[RENT].due_on) == (2, TODAY + DAY)
    assert isinstance(run(ledger), Accepted)


def test_a_changed_amount_counts_from_the_next_run() -> None:
    ledger = begun(100)
    run(ledger)
    ledger.accepted(ChangeRecurringAmount(RENT, 7, "EUR"))
    run(ledger)
    assert figures(ledger, B)[0] == 107
    assert ledger.refused(ChangeRecurringAmount(RENT, 7, "USD")).rule == "currency_mismatch"


def test_the_calendar_in_force_decides_when_the_next_run_is_due() -> None:
    """Today is Saturday. The date of a run is computed when it becomes the next one."""
    ledger = begun(schedule=Schedule("days", 2, TODAY, day_rule="following"))
    assert ledger[RENT].due_on == TODAY + 2 * DAY
    ledger.accepted(ChangeCalendar((), (TODAY + 2 * DAY, TODAY + 4 * DAY)))
    assert isinstance(run(ledger), Accepted)
    assert ledger[RENT].due_on == TODAY + 3 * DAY


# Who may


def test_accounts_have_to_be_open_and_of_its_currency() -> None:
    closed = bank(AccountClosed(B, 2, ADA, "moved")).execute(create())
    assert isinstance(closed, Refused)
    assert closed.rule == "account_closed"
    assert isinstance(bank().execute(create(payee="acct_none")), Unknown)
    assert isinstance(bank().execute(create(payer="acct_none")), Unknown)
    foreign = bank().execute(replace(create(), currency="USD"))
    assert isinstance(foreign, Refused)
    assert foreign.rule == "currency_mismatch"
    ledger = bank(AccountFrozen(B, 2, ADA, "court"))
    assert isinstance(ledger.execute(create()), Accepted)


def test_a_customer_pays_from_their_own_account_only() -> None:
    assert unknown(bank().execute_by(By(customer(EVE), create()))) == ("account", A)
    assert isinstance(bank().execute_by(By(customer(ADA), create(payee=FOREIGN))), Accepted)
    assert unknown(bank().execute_by(By(customer(ADA), create(payee=CASH)))) == ("account", CASH)


@pytest.mark.parametrize(
    "command",
    [
        ChangeRecurringAmount(RENT, 5, "EUR"),
        PauseRecurringPayment(RENT),
        ResumeRecurringPayment(RENT),
        CancelRecurringPayment(RENT),
    ],
)
def test_a_foreign_payment_does_not_exist_for_a_customer(command: Any) -> None:
    ledger = begun(by=customer(ADA))
    assert ledger.execute_by(By(customer(EVE), command)) == Unknown("recurring_payment", RENT)
    missing = bank().execute_by(By(customer(EVE), command))
    assert missing == Unknown("recurring_payment", RENT)


def test_a_mandate_counts_for_the_amount() -> None:
    ledger = bank()
    ledger.accepted(GiveMandate(A, EVE, True, 100, "EUR"))
    over = ledger.execute_by(By(customer(EVE), create(101)))
    assert isinstance(over, Refused)
    assert over.rule == "mandate_exceeded"
    ledger.accepted(By(customer(EVE), create(100)))
    raised = ledger.execute_by(By(customer(EVE), ChangeRecurringAmount(RENT, 101, "EUR")))
    assert isinstance(raised, Refused)
    assert raised.rule == "mandate_exceeded"
    assert isinstance(run(ledger), Accepted)


def test_each_run_looks_at_the_permission_again() -> None:
    ledger = bank()
    ledger.accepted(GiveMandate(A, EVE, True, 100, "EUR"))
    ledger.accepted(By(customer(EVE), create(100)))
    ledger.accepted(WithdrawMandate(A, EVE))
    decision = run(ledger)
    assert isinstance(decision, Refused)
    assert decision.rule == "recurring_not_permitted"
    assert refusals(ledger) == [(1, "recurring_not_permitted", NOW + 2 * HOUR)]
    ledger.accepted(PauseRecurringPayment(RENT))
    ledger.accepted(By(customer(ADA), ResumeRecurringPayment(RENT)))
    assert isinstance(run(ledger), Accepted), "the owner has set it going"


def test_the_payment_of_an_operator_needs_no_owner() -> None:
    ledger = bank()
    ledger.accepted(create())
    ledger.accepted(AddOwner(A, BOB))
    ledger.accepted(RemoveOwner(A, ADA))
    assert isinstance(run(ledger), Accepted)


def test_a_refusal_tells_a_customer_nothing_about_a_foreign_account() -> None:
    ledger = begun(payee=FOREIGN, by=customer(ADA))
    ledger.accepted(FreezeAccount(FOREIGN, "court"))
    decision = run(ledger)
    assert isinstance(decision, Refused)
    assert [rule for _, rule, _ in refusals(ledger)] == ["account_unseen"]
    ledger.accepted(UnfreezeAccount(FOREIGN, "over"))
    assert isinstance(run(ledger), Accepted)


@pytest.mark.parametrize("by", [customer(ADA), operator(ADA)], ids=["a customer", "an operator"])
def test_a_run_above_the_limit_of_one_person_waits_for_another(by: Principal) -> None:
    """The run is done: its transaction waits, with the person who set it going as its initiator."""
    ledger = bank()
    ledger.accepted(ChangePostingPolicy(None, None, {"EUR": 99}))
    ledger.accepted(By(by, create(100)))
    decision = run(ledger)
    assert isinstance(decision, Accepted)
    [pended] = [one for one in decision.events if isinstance(one, TransactionPended)]
    assert (pended.initiator, pended.awaits) == (ADA, "approval")
    assert ledger[RENT].number == 2


def test_the_description_is_left_out_once_it_was_erased() -> None:
    ledger = begun()
    ledger.states[RENT] = replace(ledger[RENT], description=ERASED)
    decision = run(ledger)
    assert isinstance(decision, Accepted)
    [posted] = [one for one in decision.events if isinstance(one, TransactionPosted)]
    assert (posted.description, posted.subject) == (None, None)
