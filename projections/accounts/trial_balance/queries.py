"""Reading the trial balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection


@dataclass(frozen=True, slots=True)
class TrialBalanceLine:
    """One currency and type of account, minor units."""

    currency: str
    type: str
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        """Credits less debits."""
        return self.credits - self.debits


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """One currency over all accounts, minor units."""

    currency: str
    debits: int
    credits: int

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits. They differ only if the log was tampered with."""
        return self.debits == self.credits


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All lines, and the position of the log up to which they hold."""

    position: int
    lines: tuple[TrialBalanceLine, ...]

    @property
    def totals(self) -> tuple[CurrencyTotal, ...]:
        """The sums per currency, in order of currency."""
        sums: dict[str, tuple[int, int]] = {}
        for line in self.lines:
            debits, credits = sums.get(line.currency, (0, 0))
            sums[line.currency] = (debits + line.debits, credits + line.credits)
        return tuple(CurrencyTotal(currency, *pair) for currency, pair in sorted(sums.items()))

    @property
    def balanced(self) -> bool:
        """Whether debits and credits are equal in every currency."""
        return all(total.balanced for total in self.totals)


# One statement has one snapshot: the position is the one up to which these rows were folded.
TRIAL_BALANCE = """
SELECT c.position, t.currency, t.type, t.debits, t.credits
  FROM read.checkpoints c LEFT JOIN read.trial_balance t ON %(currency)s::text IS NULL OR t.currency = %(currency)s
 WHERE c.projection = 'trial_balance' AND c.log = (SELECT log FROM log.logs WHERE name = %(log)s)
 ORDER BY t.currency, t.type
"""


def trial_balance(connection: Connection[Any], log: str, *, currency: str | None = None) -> TrialBalance:
    """The trial balance of a log, of one currency if given."""
    rows = connection.execute(TRIAL_BALANCE, {"log": log, "currency": currency}).fetchall()
    lines = tuple(
        TrialBalanceLine(currency, type, int(debits), int(credits))
        for _, currency, type, debits, credits in rows
        if currency is not None
    )
    return TrialBalance(rows[0][0] if rows else 0, lines)
