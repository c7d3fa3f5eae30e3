"""The lines of statements that are reconciled: tables, fold, reporting views and queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import orjson
from psycopg import Connection

from domain.accounts.reconciliation.events import StatementPartListed
from domain.accounts.reconciliation.matching import OutsideLine
from projections.engine.columns import (
    amount,
    code,
    day,
    erasure,
    free_text,
    index,
    json_value,
    number,
    read_table,
)
from projections.engine.declared import RowFold, declared
from projections.engine.erasure import PersonalText
from projections.engine.listing import MOST_ROWS, Listed
from projections.engine.reporting import Shown, View, last_position
from projections.engine.rows import erasable_texts
from projections.engine.writing import Row

LineState = Literal["matched", "unmatched", "ambiguous"]

TABLE = read_table(
    "statement_parts",
    "One row a part of a statement that is reconciled. Parts have some lines each.",
    code("part", "Public id; also the name of its stream in the log.", key=True),
    code("reconciliation", "The session."),
    code("subject", "The person, or the session, whose key seals the texts."),
    code("currency", "ISO 4217 code."),
    number("first", "The number of its first line in the statement, from 1."),
    number("count", "How many lines it has."),
    number("position", "Position in the log of the event that listed it."),
    index("statement_parts_of_subject", "subject"),
    index("statement_parts_of_session", "reconciliation", "first"),
)
LINES = read_table(
    "statement_lines",
    "One row a line of a statement that is reconciled. Amounts in minor units, as the statement says them.",
    code("part", "The part of the statement that has it.", key=True),
    number("number", "Its number in the statement, from 1.", key=True),
    code("reconciliation", "The session."),
    day("booked_on", "When it was booked there."),
    day("value_date", "From which day on it counts there."),
    amount("amount", "Positive for a credit there."),
    json_value("references", "References of the business of payer and payee: a JSON array of codes."),
    code("bank_reference", "The reference of whoever made the statement.", optional=True),
    free_text("counterparty", "Who paid or was paid. NULL where none is named, and once it was erased.", optional=True),
    free_text("text", "What it was for. NULL where there is none, and once it was erased.", optional=True),
    erasure(),
    index("statement_lines_of_session", "reconciliation", "number"),
    personal=PersonalText("subject", {"counterparty": None, "text": None}, of=TABLE),
)


def listed(row: Row, event: StatementPartListed) -> Row:
    """A part of a statement. Nothing changes it."""
    return {
        **row,
        "reconciliation": event.reconciliation,
        "subject": event.subject,
        "currency": event.currency,
        "first": event.first,
        "count": len(event.lines),
        "position": row["last_position"],
    }


def lines_of(row: Row, event: StatementPartListed) -> Iterator[tuple[Any, ...]]:
    """Its lines. An empty text is none."""
    counterparties, _ = erasable_texts(event.counterparties, len(event.lines))
    texts, _ = erasable_texts(event.texts, len(event.lines))
    for place, line in enumerate(event.lines):
        yield (
            event.originator_id,
            event.first + place,
            event.reconciliation,
            line.booked_on,
            line.value_date,
            line.amount,
            orjson.dumps(line.references).decode(),
            line.bank_reference,
            counterparties[place] or None,
            texts[place] or None,
            None,
        )


VIEWS = (
    View(
        TABLE,
        "One row a part of a statement that is reconciled.",
        ("part", "reconciliation", "currency", "first", "count", "position", last_position("t.position")),
    ),
    View(
        LINES,
        "One row a line of a statement that is reconciled. Amounts in major units, as the statement says them.",
        (
            "reconciliation",
            "number",
            "booked_on",
            "value_date",
            "amount",
            Shown("currency", "ISO 4217 code.", "o.currency"),
            "references",
            "bank_reference",
            "counterparty",
            "text",
            "part",
            last_position("coalesce(t.erasure, o.position)"),
        ),
        joined=TABLE,
    ),
)
FOLD = RowFold(TABLE, starts={StatementPartListed: listed})
STATEMENT_LINES = declared(
    "statement_lines", FOLD, area="accounts", reports=VIEWS, details={LINES: {StatementPartListed: lines_of}}
)

# Queries. A line is matched by the match that has it and is not undone; there is one at most.


@dataclass(frozen=True, slots=True)
class StatementLineRow:
    """A line as it is now; the amount in minor units, as the statement says it."""

    number: int
    booked_on: date
    value_date: date
    amount: int
    references: list[str]
    bank_reference: str | None
    counterparty: str | None
    text: str | None
    erased: bool
    state: str
    match: str | None
    rule: str | None


LINES_OF_SESSION = """
SELECT * FROM (
    SELECT l.number, l.booked_on, l.value_date, l.amount, l."references", l.bank_reference, l.counterparty, l.text,
           l.erasure IS NOT NULL, CASE WHEN m."match" IS NOT NULL THEN 'matched'
                                       WHEN l.number = ANY (%(ambiguous)s) THEN 'ambiguous'
                                       ELSE 'unmatched' END AS state,
           m."match", m.rule
      FROM read.statement_lines l
      LEFT JOIN LATERAL (
        SELECT o."match", o.rule FROM read.reconciliation_match_lines x
          JOIN read.reconciliation_matches o USING ("match")
         WHERE x.reconciliation = l.reconciliation AND x.number = l.number AND o.status = 'matched' LIMIT 1
      ) m ON true
     WHERE l.reconciliation = %(reconciliation)s AND l.number > %(cursor)s
) AS lines
 WHERE %(state)s::text IS NULL OR state = %(state)s
 ORDER BY number LIMIT %(row_limit)s
"""
FREE_LINES = """
SELECT l.number, l.amount, l.value_date, l."references", l.bank_reference FROM read.statement_lines l
 WHERE l.reconciliation = %s AND NOT EXISTS (
        SELECT FROM read.reconciliation_match_lines x WHERE x.reconciliation = l.reconciliation AND x.number = l.number
 ) ORDER BY l.number
"""


def statement_lines(
    connection: Connection[Any],
    reconciliation: str,
    ambiguous: list[int],
    *,
    state: str | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[StatementLineRow, int]:
    """The lines of a session in their order; `cursor` is the number of a line, `ambiguous` those of its row.

    Raises ValueError for a limit out of bounds.
    """
    if not 0 < limit <= MOST_ROWS:
        raise ValueError(f"a page has 1 to {MOST_ROWS} rows, not {limit}")
    parameters = {"reconciliation": reconciliation, "ambiguous": ambiguous, "state": state, "cursor": cursor or 0}
    rows = connection.execute(LINES_OF_SESSION.encode(), {**parameters, "row_limit": limit + 1}).fetchall()
    items = tuple(StatementLineRow(*row) for row in rows[:limit])
    return Listed(items, items[-1].number if len(rows) > limit else None)


def free_lines(connection: Connection[Any], reconciliation: str, *, mirrored: bool) -> list[OutsideLine]:
    """The lines that no match has or had: what the rules look at. Their amounts are in our direction."""
    return [
        OutsideLine(number, -amount if mirrored else amount, value_date, tuple(references), bank_reference)
        for number, amount, value_date, references, bank_reference in connection.execute(FREE_LINES, (reconciliation,))
    ]
