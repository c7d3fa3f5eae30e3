"""The aggregate periods: which days are closed, sealed with which figures, and reopened by whom.

Closing is an event: from then on no posting has a value date up to the end of the period. Sealing is another one, with
the trial balance that can no longer change. A process asks for it (`domain.accounts.period_sealing`).
"""

from __future__ import annotations

from domain.accounts.periods import check, closing, reopening
from domain.accounts.periods.state import (
    PERIODS,
    PeriodClosed,
    PeriodReopened,
    PeriodReopeningAsked,
    PeriodsCreated,
    PeriodSealed,
    evolve,
)
from domain.aggregate import Aggregate, EventType
from domain.codes import RULES as CODE_RULES
from domain.people import approval

AGGREGATE = Aggregate(
    name="periods",
    prefix=PERIODS,
    events=(
        EventType("periods.created.v1", PeriodsCreated),
        EventType("period.closed.v1", PeriodClosed, codes=("name",)),
        EventType("period.sealed.v1", PeriodSealed),
        EventType("period.reopening_asked.v1", PeriodReopeningAsked, "by", ("reason",)),
        EventType("period.reopened.v1", PeriodReopened),
    ),
    evolve=evolve,
    decisions={**closing.DECISIONS, **reopening.DECISIONS},
    rules={**closing.RULES, **reopening.RULES, **approval.RULES, **CODE_RULES},
    may={**closing.MAY, **reopening.MAY},
    amounts=frozenset({"debits", "credits"}),
    initial=PeriodsCreated(PERIODS, 1),
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
