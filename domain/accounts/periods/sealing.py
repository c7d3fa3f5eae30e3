"""The process manager period_sealing: it seals a closed period with its figures.

A process is about one closing. It asks for the trial balance up to the end of the period. The worker answers from read
tables that have passed the position of the question, which is after the closing. So they have every posting with such a
value date, and no other one can follow. Then it sends `SealPeriod`. A period that was reopened meanwhile refuses it.
"""

from __future__ import annotations

import msgspec

from domain.accounts.periods.closing import MOST_FIGURES, SealPeriod
from domain.accounts.periods.process import OnPeriod, evolving, its_period, reacting
from domain.accounts.periods.state import PeriodClosed, PeriodFigures, PeriodReopened
from domain.process_manager import Answered, ProcessManager

TRIAL_BALANCE_UNTIL = "trial_balance_until"
"""The query that it asks, with the day `until`: figures by value date up to that day, as a JSON array of
`PeriodFigures`, their count, and the digest of all balances."""
OVER = frozenset({"period_not_closed", "period_sealed"})
"""Rules whose refusal means that there is nothing to seal any more."""


def _seal(state: OnPeriod, answer: Answered) -> SealPeriod:
    figures = msgspec.json.decode(str(answer.figures["figures"]), type=tuple[PeriodFigures, ...])
    return SealPeriod(state.period, str(answer.figures["digest"]), figures)


MANAGER = ProcessManager(
    name="period_sealing",
    state=OnPeriod,
    begins={PeriodClosed: its_period},
    concerns={PeriodReopened: its_period},
    evolve=evolving(PeriodClosed, most=MOST_FIGURES, over=OVER),
    react=reacting(TRIAL_BALANCE_UNTIL, _seal, too_many="period_figures"),
    due=lambda state: None,
    ends=frozenset({"ended"}),
    sends=(SealPeriod,),
    asks=(TRIAL_BALANCE_UNTIL,),
)
