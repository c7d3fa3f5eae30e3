"""A statement that somebody else made of an account, as it is brought: its lines, bounds, and the rules of its form.

A statement says the same thing twice, by its balances and by its lines. Where the two differ it is not whole, and is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from hashlib import sha256

from domain.accounts.reconciliation.events import Line
from domain.codes import RULES as CODE_RULES
from domain.codes import refuse_other_than_code
from domain.ids import named_id
from domain.kernel import Personal, Refused, Value
from domain.money import MAX_AMOUNT, show

RECONCILIATION, STATEMENT_PART, MATCH = "recon", "reconprt", "reconmch"
"""Prefixes of the ids of sessions, parts of statements, and matches."""
MOST_LINES = 5_000
"""Most lines of a statement."""
PART_LINES = 250
"""Lines in a part."""
MOST_DAYS_BETWEEN = 31
"""Most days by which the value dates of a line and an entry may differ for a rule."""
MOST_REFERENCES = 4
"""Most references of a line."""
MOST_PERIOD_DAYS = 400
"""Longest period of a statement, in days."""


class StatementLine(Value, frozen=True):
    """A line of a statement, as it is brought."""

    booked_on: date
    value_date: date
    amount: int  # positive for a credit
    references: tuple[str, ...] = ()
    bank_reference: str | None = None
    counterparty: Personal = ""
    text: Personal = ""

    @property
    def listed(self) -> Line:
        """The line without its texts."""
        return Line(self.booked_on, self.value_date, self.amount, self.references, self.bank_reference)


class Statement(Value, frozen=True):
    """What is brought: a statement with all of its lines."""

    statement: str  # its id, by whoever made it
    currency: str
    since: date
    until: date
    opening: int
    closing: int
    lines: tuple[StatementLine, ...]
    skipped: int = 0


FORM_RULES: dict[str, str] = {
    **CODE_RULES,
    "statement_lines": "A statement has at most {most} lines; this one has {count}.",
    "statement_period": (
        "The statement is from {since} to {until}; a period ends when it begins or later, and has at most {most} days."
    ),
    "statement_amount": "Line {line} of the statement is for {amount} {currency}; a line is not for 0 or above {most}.",
    "statement_day": "Line {line} of the statement was booked on {day}, not in its period from {since} to {until}.",
    "statement_references": "Line {line} of the statement has {count} references; the most is {most}.",
    "statement_balances": (
        "The statement opens with {opening} {currency}, its lines sum to {lines}, and it closes with {closing} and not "
        "with {sum}: it is not whole."
    ),
}
"""The rules of a statement that need no account."""


def refuse_statement(statement: Statement) -> Refused | None:
    """Return the refusal of a statement by a rule of its form, or None."""
    lines, currency = statement.lines, statement.currency
    refusal = refuse_other_than_code("id of the statement", statement.statement)
    if refusal is not None:
        return refusal
    if len(lines) > MOST_LINES:
        return Refused("statement_lines", {"most": MOST_LINES, "count": len(lines)})
    if not 0 <= (statement.until - statement.since).days < MOST_PERIOD_DAYS:
        days = {"since": statement.since.isoformat(), "until": statement.until.isoformat()}
        return Refused("statement_period", {**days, "most": MOST_PERIOD_DAYS})
    for number, line in enumerate(lines, 1):
        refusal = _refuse_line(number, line, statement)
        if refusal is not None:
            return refusal
    total = sum(line.amount for line in lines)
    if statement.opening + total != statement.closing:
        figures = {"opening": statement.opening, "lines": total, "closing": statement.closing}
        figures["sum"] = statement.opening + total
        return Refused("statement_balances", {**_shown(figures, currency), "currency": currency})
    return None


def _refuse_line(number: int, line: StatementLine, statement: Statement) -> Refused | None:
    currency = statement.currency
    if not 0 < abs(line.amount) <= MAX_AMOUNT:
        amounts = _shown({"amount": line.amount, "most": MAX_AMOUNT}, currency)
        return Refused("statement_amount", {"line": number, **amounts, "currency": currency})
    if not statement.since <= line.booked_on <= statement.until:
        days = {"day": line.booked_on, "since": statement.since, "until": statement.until}
        return Refused("statement_day", {"line": number, **{name: day.isoformat() for name, day in days.items()}})
    if len(line.references) > MOST_REFERENCES:
        figures = {"line": number, "count": len(line.references), "most": MOST_REFERENCES}
        return Refused("statement_references", {**figures})
    for reference in (*line.references, line.bank_reference):
        refusal = refuse_other_than_code(f"reference of line {number}", reference)
        if refusal is not None:
            return refusal
    return None


def _shown(amounts: dict[str, int], currency: str) -> dict[str, str]:
    return {name: show(amount, currency) for name, amount in amounts.items()}


def digest_of(statement: Statement) -> str:
    """Return a digest of the figures: period, balances, and days and amounts of the lines.

    References and texts do not count, so the same statement has the same digest in any format.
    """
    lines = [[str(line.booked_on), str(line.value_date), line.amount] for line in statement.lines]
    days = [str(statement.since), str(statement.until)]
    figures = [statement.currency, *days, statement.opening, statement.closing, lines]
    return sha256(json.dumps(figures, separators=(",", ":")).encode()).hexdigest()


def part_stream(reconciliation: str, part: int) -> str:
    """Return the id of a part of a session. Parts count from 1."""
    return named_id(STATEMENT_PART, reconciliation, str(part))


def part_of(number: int) -> int:
    """Return the part that has the line with this number."""
    return (number - 1) // PART_LINES + 1


def parts_of(lines: int) -> range:
    """Return the numbers of the parts of a statement with so many lines."""
    return range(1, part_of(lines) + 1) if lines else range(0)


def part_streams(reconciliation: str, numbers: Sequence[int]) -> tuple[str, ...]:
    """Return the parts that have the lines with these numbers."""
    return tuple(part_stream(reconciliation, part) for part in sorted({part_of(number) for number in numbers}))
