"""The aggregate recurring payment: a transfer that is due again and again, until it ends or stops.

Read its modules in this order: `schedule` (when it is due), `state` with the events and the fold, `commands`,
`running` (one run), `check`, and `process`, which runs it in time.
"""

from __future__ import annotations

from domain.accounts.recurring import check, commands, running, schedule, state
from domain.accounts.recurring.commands import (
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    ResumeRecurringPayment,
)
from domain.accounts.recurring.running import RunRecurringPayment
from domain.accounts.recurring.schedule import Schedule
from domain.accounts.recurring.state import RECURRING, RecurringPayment
from domain.aggregate import Aggregate, EventType

__all__ = [
    "RECURRING",
    "CancelRecurringPayment",
    "ChangeRecurringAmount",
    "CreateRecurringPayment",
    "PauseRecurringPayment",
    "RecurringPayment",
    "ResumeRecurringPayment",
    "RunRecurringPayment",
    "Schedule",
]

AGGREGATE = Aggregate(
    name="recurring_payment",
    prefix=f"{RECURRING}_",
    events=(
        EventType(
            name="recurring_payment.created.v1",
            event=state.RecurringPaymentCreated,
            subject="subject",
            personal=("description",),
            codes=("reference", "metadata"),
        ),
        EventType("recurring_payment.run.v1", state.RecurringPaymentRun),
        EventType("recurring_payment.struck.v1", state.RecurringPaymentStruck),
        EventType("recurring_payment.suspended.v1", state.RecurringPaymentSuspended),
        EventType("recurring_payment.paused.v1", state.RecurringPaymentPaused),
        EventType("recurring_payment.resumed.v1", state.RecurringPaymentResumed),
        EventType("recurring_payment.amount_changed.v1", state.RecurringAmountChanged),
        EventType("recurring_payment.cancelled.v1", state.RecurringPaymentCancelled),
    ),
    evolve=state.evolve,
    decisions={**commands.DECISIONS, **running.DECISIONS},
    rules={**commands.RULES, **schedule.RULES, **running.RULES},
    may={**commands.MAY, **running.MAY},
    amounts=frozenset({"amount"}),
    personal_state=True,
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
