"""The process of a transfer order: it executes the order in time, tries again, and tells the owners afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest

from domain.accounts.account.lifecycle import FreezeAccount, UnfreezeAccount
from domain.accounts.posting import TransactionPosted
from domain.accounts.transfer_order import CancelTransferOrder, ExecuteTransferOrder, SubmitTransferOrder, Sum
from domain.accounts.transfer_order.events import (
    TransferOrderCancelled,
    TransferOrderDelayed,
    TransferOrderExecuted,
    TransferOrderExpired,
    TransferOrderFailed,
    TransferOrderSubmitted,
)
from domain.accounts.transfer_order.process import MANAGER
from domain.kernel import Accepted, Event
from domain.people.mail import MailQueued, QueueMail
from domain.process_manager import BACK_OFF, NOTHING, Answered, Due, Happened, Reaction, Retried
from tests.support.bank import ADA, FUNDED, A, B, bank, figures
from tests.support.memory_ledger import NOW, MemoryLedger
from tests.support.memory_processes import MemoryProcesses

ORDER, BOB = "tord_1", "prsn_bob"
HOUR, MOMENT = timedelta(hours=1), timedelta(microseconds=1)
EXECUTE = ExecuteTransferOrder(ORDER)
TOLD = (ADA, BOB)


def submitted(execute_at: datetime | None = None, expires_at: datetime | None = None) -> Happened:
    return happened(
        TransferOrderSubmitted(
            originator_id=ORDER,
            originator_version=1,
            source=A,
            target=B,
            currency="EUR",
            target_currency="EUR",
            sum=Sum(300, "EUR"),
            bound=None,
            quote=None,
            fee=None,
            held=300,
            execute_at=execute_at,
            expires_at=expires_at,
            notify=True,
            reference=None,
            metadata={},
            subject=None,
            description=None,
            initiator=None,
            by_customer=False,
        )
    )


def happened(event: Event) -> Happened:
    return Happened("proc_1", f"event:{event.originator_version}", event)


def delayed(at: datetime) -> Happened:
    return happened(TransferOrderDelayed(ORDER, 2, 1, "account_frozen", {}, at))


def executed(notify: tuple[str, ...] = ()) -> Happened:
    paid = Sum(300, "EUR")
    return happened(TransferOrderExecuted(ORDER, 2, "txn_1", None, None, paid, paid, None, notify))


def answered(intent: Any, rule: str | None = None, at: datetime = NOW) -> Answered:
    outcome: Any = "accepted" if rule is None else "refused"
    return Answered("proc_1", "answer:1:1", intent, outcome, rule, {}, at)


def due(at: datetime) -> Due:
    return Due("proc_1", "due:1", at)


def state_after(*triggers: Any) -> Any:
    state = None
    for trigger in triggers:
        state = MANAGER.evolve(state, trigger)
    return state


def reaction_after(*triggers: Any) -> Reaction:
    return MANAGER.react(state_after(*triggers), triggers[-1])


def mails(trigger: Any, template: Any = "transfer_executed", persons: tuple[str, ...] = TOLD) -> Reaction:
    return Reaction(
        tuple(QueueMail(trigger.id("mail", number), one, template, 2) for number, one in enumerate(persons, 1))
    )


# Folded from triggers alone


def test_it_executes_at_once_or_at_its_time() -> None:
    assert reaction_after(submitted()) == Reaction((EXECUTE,))
    later = submitted(NOW + HOUR)
    assert reaction_after(later) == NOTHING
    assert MANAGER.due(state_after(later)) == NOW + HOUR
    assert reaction_after(later, due(NOW + HOUR)) == Reaction((EXECUTE,))


@pytest.mark.parametrize(("expires_at", "next_at"), [(None, HOUR), (2 * HOUR, HOUR), (HOUR / 2, HOUR / 2)])
def test_it_tries_again_when_the_order_says_or_lets_it_expire(expires_at: timedelta | None, next_at: timedelta) -> None:
    begun = submitted(expires_at=None if expires_at is None else NOW + expires_at)
    triggers = (begun, delayed(NOW + HOUR), answered(EXECUTE, "account_frozen"))
    assert reaction_after(*triggers) == NOTHING
    assert MANAGER.due(state_after(*triggers)) == NOW + next_at
    assert reaction_after(*triggers, due(NOW + next_at)) == Reaction((EXECUTE,))


def test_a_clock_that_is_ahead_is_waited_for_and_something_else_needs_an_operator() -> None:
    triggers: list[Any] = [submitted()]
    for pause in BACK_OFF:
        triggers.append(answered(EXECUTE, "transfer_order_not_due"))
        assert MANAGER.due(state_after(*triggers)) == NOW + pause
        triggers.append(due(NOW + pause))
        assert reaction_after(*triggers) == Reaction((EXECUTE,))
    triggers.append(answered(EXECUTE, "transfer_order_not_due"))
    assert reaction_after(*triggers) == Reaction(attention="transfer_order_not_due")
    assert reaction_after(submitted(), answered(EXECUTE, "intent_impossible")) == Reaction(
        attention="intent_impossible"
    )
    retried = Retried("proc_1", "retry:3")
    assert reaction_after(submitted(), answered(EXECUTE, "intent_impossible"), retried) == Reaction((EXECUTE,))


def test_an_order_that_is_executed_without_notices_is_done() -> None:
    triggers = (submitted(), executed(), answered(EXECUTE))
    assert state_after(*triggers).step == "ended"
    assert reaction_after(submitted(), executed()) == reaction_after(*triggers) == NOTHING


@pytest.mark.parametrize(
    ("event", "template"),
    [
        (TransferOrderFailed(ORDER, 2, 4, "account_frozen", {}, 300, "EUR", TOLD), "transfer_not_executed"),
        (TransferOrderExpired(ORDER, 2, 300, "EUR", TOLD), "transfer_not_executed"),
        (
            TransferOrderExecuted(ORDER, 2, "t", None, None, Sum(1, "EUR"), Sum(1, "EUR"), None, TOLD),
            "transfer_executed",
        ),
    ],
)
def test_each_owner_is_told_once_at_the_end(event: Event, template: str) -> None:
    triggers: list[Any] = [submitted(), happened(event)]
    assert reaction_after(*triggers) == mails(triggers[-1], template)
    triggers.append(answered(EXECUTE))
    assert reaction_after(*triggers) == NOTHING
    first, second = mails(triggers[1], template).intents
    triggers.append(answered(second))
    assert (state_after(*triggers).step, reaction_after(*triggers)) == ("telling", NOTHING)
    triggers.append(answered(first))
    assert (state_after(*triggers).step, reaction_after(*triggers)) == ("ended", NOTHING)


def test_a_mail_that_cannot_be_queued_asks_for_attention_and_is_tried_again_alone() -> None:
    end = executed(TOLD)
    first, second = mails(end).intents
    triggers: list[Any] = [submitted(), end, answered(EXECUTE), answered(first, "mail_exists")]
    assert reaction_after(*triggers) == Reaction(attention="mail_exists")
    triggers.append(answered(second))
    assert (state_after(*triggers).step, reaction_after(*triggers)) == ("blocked", NOTHING)
    triggers.append(Retried("proc_1", "retry:5"))
    assert reaction_after(*triggers) == mails(triggers[-1], persons=(ADA,))
    triggers.append(answered(mails(triggers[-1], persons=(ADA,)).intents[0]))
    assert state_after(*triggers).step == "ended"


def test_a_cancelled_order_tells_nobody() -> None:
    cancelled = happened(TransferOrderCancelled(ORDER, 2, 300, "EUR"))
    assert (state_after(submitted(NOW + HOUR), cancelled).step, reaction_after(submitted(), cancelled)) == (
        "ended",
        NOTHING,
    )
    late = (submitted(NOW + HOUR), cancelled, due(NOW + HOUR))
    assert reaction_after(*late) == NOTHING
    assert reaction_after(*late, answered(EXECUTE, "transfer_order_ended")) == NOTHING


# On a ledger


def world(**more: Any) -> MemoryProcesses:
    ledger = bank()
    ledger.accepted(SubmitTransferOrder(ORDER, A, B, Sum(300, "EUR"), notify=True, **more))
    return MemoryProcesses(ledger, (MANAGER,), {})


def queued(ledger: MemoryLedger) -> list[tuple[str, str]]:
    return [(one.person, one.template) for one in ledger.log if isinstance(one, MailQueued)]


def paid(ledger: MemoryLedger) -> int:
    return sum(isinstance(one, TransactionPosted) for one in ledger.log) - 1


def test_an_order_is_executed_and_its_owner_told() -> None:
    processes = world(execute_at=NOW + HOUR)
    processes.at(NOW + HOUR - MOMENT)
    processes.settle()
    assert paid(processes.ledger) == 0
    processes.at(NOW + HOUR)
    processes.settle()
    assert (figures(processes.ledger), processes.ledger[B].balance) == ((FUNDED - 300, 0), 300)
    assert queued(processes.ledger) == [(ADA, "transfer_executed")]
    [tracked] = processes.tracked.values()
    assert (tracked.step, tracked.pending, tracked.open, tracked.due_at) == ("ended", (), (), None)


def test_an_order_that_keeps_being_refused_fails_in_time_and_its_owner_is_told() -> None:
    processes = world()
    processes.ledger.accepted(FreezeAccount(B, "why"))
    now = NOW
    for pause in BACK_OFF:
        processes.settle()
        assert figures(processes.ledger) == (FUNDED, 300)
        now += pause
        processes.at(now)
    processes.settle()
    assert (figures(processes.ledger), processes.ledger[ORDER].status) == ((FUNDED, 0), "failed")
    assert queued(processes.ledger) == [(ADA, "transfer_not_executed")]
    processes.at(now + 10 * HOUR)
    processes.settle()
    assert (paid(processes.ledger), len(queued(processes.ledger))) == (0, 1)


def test_an_order_expires_in_time() -> None:
    processes = world(expires_at=NOW + HOUR)
    processes.ledger.accepted(FreezeAccount(B, "why"))
    for at in (timedelta(), *BACK_OFF[:1], *BACK_OFF[1:2], HOUR):
        processes.at(NOW + at)
        processes.settle()
    assert processes.ledger[ORDER].status == "expired"
    assert queued(processes.ledger) == [(ADA, "transfer_not_executed")]


@pytest.mark.parametrize("seed", range(30))
def test_workers_that_sleep_and_restart_do_everything_once(seed: int) -> None:
    """Another worker wakes up at a random moment with rows of before. The owner cancels, accounts are frozen."""
    chance = Random(seed)
    processes = world(execute_at=NOW + HOUR, expires_at=NOW + 4 * HOUR)
    ledger, stale, now = processes.ledger, processes.rows(), NOW
    for _ in range(14):
        now += chance.choice((timedelta(), HOUR / 4, HOUR))
        processes.at(now)
        match chance.choice(("freeze", "unfreeze", "cancel", "rest", "rest", "rest")):
            case "freeze":
                ledger.execute(FreezeAccount(B, "why"))
            case "unfreeze":
                ledger.execute(UnfreezeAccount(B, "why"))
            case "cancel" if chance.random() < 0.3:
                ledger.execute(CancelTransferOrder(ORDER))
        rows = processes.rows()
        if chance.random() < 0.5:
            processes.carry_on(stale)
        else:
            processes.settle(late=stale)
        if chance.random() < 0.3:
            processes = processes.restarted()
        stale = rows
    processes.settle()
    status = ledger[ORDER].status
    assert paid(ledger) == (status == "executed")
    assert figures(ledger) == (FUNDED - 300 * (status == "executed"), 300 * (status == "waiting"))
    told = {
        "executed": ["transfer_executed"],
        "failed": ["transfer_not_executed"],
        "expired": ["transfer_not_executed"],
    }
    assert [template for _, template in queued(ledger)] == told.get(status, [])
    ledger.check()


def test_a_mail_that_waits_for_ever_leaves_the_money_where_it_is() -> None:
    processes = world()
    processes.settle()
    [mail] = [one for one in processes.ledger.log if isinstance(one, MailQueued)]
    assert processes.ledger[mail.originator_id].status == "waiting"
    assert isinstance(processes.ledger.execute(CancelTransferOrder(ORDER)), Accepted) is False
    assert processes.ledger[B].balance == 300
