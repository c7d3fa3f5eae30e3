"""The aggregate periods: which days are closed, sealed with which figures, and reopened by whom.

Closing is an event: from then on no posting has a value date up to the end of the period. Sealing is another one, with
the trial balance that can no longer change. A process asks for it (`domain.accounts.periods.sealing`). After that an
operator can close the year that ends with the period (`domain.accounts.periods.year_closing`).
"""

from __future__ import annotations

from domain.accounts.periods import check, closing, reopening, year
from domain.accounts.periods.state import (
    PERIODS,
    PeriodClosed,
    PeriodReopened,
    PeriodReopeningAsked,
    PeriodsCreated,
    PeriodSealed,
    YearClosed,
    YearClosingAsked,
    YearEndReversed,
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
        EventType("period.year_asked.v1", YearClosingAsked),
        EventType("period.year_closed.v1", YearClosed),
        EventType("period.year_end_reversed.v1", YearEndReversed),
    ),
    evolve=evolve,
    decisions={**closing.DECISIONS, **reopening.DECISIONS, **year.DECISIONS},
    rules={**closing.RULES, **reopening.RULES, **year.RULES, **approval.RULES, **CODE_RULES},
    may={**closing.MAY, **reopening.MAY, **year.MAY},
    amounts=frozenset({"debits", "credits"}),
    initial=PeriodsCreated(PERIODS, 1),
    check=check.check,
    unit_rules=check.UNIT_RULES,
)
