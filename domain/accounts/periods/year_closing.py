"""The process manager year_closing: it moves the balances of income and expense to equity once a year is to be closed.

It begins when an operator asks. The period is closed, so no posting changes a balance by value date up to its end any
more. The worker answers the question from read tables that have passed its position, and the answer is exact. Then it
sends `PostYearEnd`, which is refused if the period was reopened meanwhile.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import msgspec

from domain.accounts.periods.process import OnPeriod, evolving, its_period, reacting
from domain.accounts.periods.state import PeriodReopened, YearClosingAsked
from domain.accounts.transaction.state import TRANSACTION
from domain.accounts.transaction.year_end import MOST_YEAR_END_ACCOUNTS, PostYearEnd, YearEnd
from domain.process_manager import Answered, ProcessManager

YEAR_END_BALANCES = "year_end_balances"
"""The query that it asks, with the day `until`: the number of income and expense accounts that have a balance by value
date up to that day, and a JSON array of (currency, account, balance), in that order. It has none if these are more than
can be moved."""
OVER = frozenset({"period_not_closed", "year_not_asked"})
"""Rules whose refusal means that there is nothing to close any more."""


def _close(state: OnPeriod, answer: Answered) -> PostYearEnd:
    """Return the command with one transaction a currency. The same answer makes the same ids."""
    balances = msgspec.json.decode(str(answer.figures["balances"]), type=tuple[tuple[str, str, int], ...])
    transactions = tuple(
        YearEnd(answer.id(TRANSACTION, number), currency, tuple((account, balance) for _, account, balance in rows))
        for number, (currency, rows) in enumerate(groupby(balances, itemgetter(0)), 1)
    )
    return PostYearEnd(state.period, transactions)


MANAGER = ProcessManager(
    name="year_closing",
    state=OnPeriod,
    begins={YearClosingAsked: its_period},
    concerns={PeriodReopened: its_period},
    evolve=evolving(YearClosingAsked, most=MOST_YEAR_END_ACCOUNTS, over=OVER),
    react=reacting(YEAR_END_BALANCES, _close, too_many="year_end_accounts"),
    due=lambda state: None,
    ends=frozenset({"ended"}),
    sends=(PostYearEnd,),
    asks=(YEAR_END_BALANCES,),
)
