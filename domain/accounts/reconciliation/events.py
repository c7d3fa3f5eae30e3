"""The events of reconciliations. Amounts are integers of minor units.

A session has a stream of its own, and so has each of its parts, which has some lines of the statement, and each match.
A line has its amount as the statement says it. In matches, amounts are ours: positive for what raises our account.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from domain.kernel import Event, Personal, PersonalTexts, Value

MatchRule = Literal["reference", "reference_date", "reference_sum", "amount_date", "by_hand"]
"""How a match was made: by which rule (`domain.accounts.reconciliation.matching`), or by a person."""


class Line(Value, frozen=True):
    """What is not personal of a line of a statement."""

    booked_on: date
    value_date: date
    amount: int  # as the statement says: positive for a credit
    references: tuple[str, ...]  # of the business of payer and payee
    bank_reference: str | None  # of whoever made the statement


class EntryName(Value, frozen=True):
    """One of our entries: a transaction, and the number of the entry within it, from 1."""

    transaction: str
    entry: int


class MatchedEntry(Value, frozen=True):
    """An entry of ours in a match."""

    transaction: str
    entry: int
    amount: int
    value_date: date


class MatchedLine(Value, frozen=True):
    """A line of a part, and the match that has it."""

    number: int
    match: str


# The session


class ReconciliationOpened(Event, frozen=True):
    """A statement was brought, and is to be reconciled with our account."""

    account: str
    currency: str
    statement: str  # its id, by whoever made it
    mirrored: bool  # whether their credit is our debit, as on our account for an account that we have at a bank
    since: date
    until: date  # included
    opening: int  # as the statement says
    closing: int
    lines: int
    skipped: int  # entries of the file that are not booked, and so are no lines
    days_apart: int  # by which the value dates of a line and an entry may differ
    digest: str  # of the figures of the statement
    operator: str
    subject: str  # whose key seals the texts of the statement
    outside_account: Personal | None


class ReconciliationRunAsked(Event, frozen=True):
    """What is not matched yet is to be matched by the rules, once more."""

    operator: str


class ReconciliationRunFinished(Event, frozen=True):
    """The rules match nothing more."""

    ambiguous: tuple[int, ...]  # lines that more than one entry fits, or whose entry fits more than one line


class ReconciliationClosed(Event, frozen=True):
    """The session is over. The lines that are left have a reason."""

    lines_left: int
    left: int  # their sum, as the statement says
    currency: str
    operator: str
    reason: Personal | None


class ReconciliationReopened(Event, frozen=True):
    """A closed session goes on."""

    operator: str
    reason: Personal


class ReconciliationAbandoned(Event, frozen=True):
    """The session has ended without a result. The statement can be brought again."""

    operator: str
    reason: Personal


# A part


class StatementPartListed(Event, frozen=True):
    """Some lines of the statement. It begins the stream."""

    reconciliation: str
    currency: str
    mirrored: bool
    first: int  # the number of its first line in the statement, from 1
    lines: tuple[Line, ...]
    subject: str
    counterparties: PersonalTexts  # one a line; empty where the statement names none
    texts: PersonalTexts  # one a line: what the payer wrote


class LinesMatched(Event, frozen=True):
    """Lines of the part were matched."""

    reconciliation: str
    lines: tuple[MatchedLine, ...]


class LinesUnmatched(Event, frozen=True):
    """A match of lines of the part was undone. From now on they are left to people."""

    reconciliation: str
    match: str
    numbers: tuple[int, ...]


# A match


class MatchMade(Event, frozen=True):
    """One line was matched with entries, or several lines with one entry. It begins the stream."""

    reconciliation: str
    account: str
    currency: str
    rule: MatchRule
    lines: tuple[int, ...]
    entries: tuple[MatchedEntry, ...]
    lines_amount: int  # ours: negative where the statement has a credit and is mirrored
    difference: int  # what the lines have more than the entries; only by hand, and with a reason
    operator: str
    reason: Personal | None


class MatchUndone(Event, frozen=True):
    """The match is undone. Its lines and entries can be matched again."""

    reconciliation: str
    operator: str
    reason: Personal


SessionEvent = (
    ReconciliationOpened
    | ReconciliationRunAsked
    | ReconciliationRunFinished
    | ReconciliationClosed
    | ReconciliationReopened
    | ReconciliationAbandoned
)
PartEvent = StatementPartListed | LinesMatched | LinesUnmatched
MatchEvent = MatchMade | MatchUndone
