"""Matches of reconciliations, with their lines and entries: tables, fold, reporting views and queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

from psycopg import Connection

from domain.accounts.reconciliation.events import MatchMade, MatchUndone
from projections.engine.columns import amount, code, day, index, moment, number, read_table, total
from projections.engine.declared import RowFold, declared
from projections.engine.listing import Listed, Listing, readable
from projections.engine.reporting import Shown, View, last_position
from projections.engine.writing import Row

MatchStatus = Literal["matched", "undone"]

TABLE = read_table(
    "reconciliation_matches",
    "One row a match of a reconciliation, as it is now. Amounts in minor units, in our direction.",
    code("match", "Public id; also the name of its stream in the log.", key=True),
    code("reconciliation", "The session."),
    code("account", "Our account."),
    code("currency", "ISO 4217 code."),
    code("status", "matched or undone."),
    code("rule", "The rule that made it, or by_hand."),
    total("lines_amount", "The sum of its lines."),
    total("difference", "What the lines have more than the entries."),
    code("operator", "Who made it."),
    number("version", "Version of its stream: the number of its events."),
    number("position", "Position in the log of its first event."),
    moment("made_at", "When it was made, UTC."),
    number("last_position", "Position in the log of its last event."),
    moment("last_at", "When that was recorded, UTC."),
    index("reconciliation_matches_in_order", "position"),
    index("reconciliation_matches_of_session", "reconciliation", "position"),
)
LINES = read_table(
    "reconciliation_match_lines",
    "One row a line of a match. Rows are never changed.",
    code("match", "The match.", key=True),
    number("number", "The number of the line in its statement.", key=True),
    code("reconciliation", "The session."),
    index("reconciliation_match_lines_of_session", "reconciliation", "number"),
)
ENTRIES = read_table(
    "reconciliation_match_entries",
    "One row an entry of a match. Rows are never changed. Amounts in minor units.",
    code("match", "The match.", key=True),
    code("transaction", "The transaction.", key=True),
    number("entry", "The number of the entry in it.", key=True, bits=16),
    code("reconciliation", "The session."),
    code("account", "Our account."),
    amount("amount", "Positive for a credit."),
    day("value_date", "From which day on it counts."),
    index("reconciliation_match_entries_of_entry", "transaction", "entry"),
    index("reconciliation_match_entries_of_account", "account", "value_date"),
    index("reconciliation_match_entries_of_session", "reconciliation"),
)


def made(row: Row, event: MatchMade) -> Row:
    """A new match."""
    return {
        **row,
        "reconciliation": event.reconciliation,
        "account": event.account,
        "currency": event.currency,
        "status": "matched",
        "rule": event.rule,
        "lines_amount": event.lines_amount,
        "difference": event.difference,
        "operator": event.operator,
        "position": row["last_position"],
        "made_at": row["last_at"],
    }


def undone(row: Row, event: MatchUndone) -> Row:
    """It is undone."""
    return {**row, "status": "undone"}


def lines_of(row: Row, event: MatchMade) -> Iterator[tuple[Any, ...]]:
    """Its lines."""
    return ((event.originator_id, line, event.reconciliation) for line in event.lines)


def entries_of(row: Row, event: MatchMade) -> Iterator[tuple[Any, ...]]:
    """Its entries."""
    of = event.reconciliation, event.account
    return ((event.originator_id, one.transaction, one.entry, *of, one.amount, one.value_date) for one in event.entries)


_STATUS = Shown("status", "matched or undone, as the match is.", "o.status")
VIEWS = (
    View(
        TABLE,
        "One row a match of a reconciliation, as it is now. Amounts in major units, in our direction.",
        tuple(column.name for column in TABLE.columns),
    ),
    View(
        LINES,
        "One row a line of a match.",
        (*(column.name for column in LINES.columns), _STATUS, last_position("o.last_position")),
        joined=TABLE,
    ),
    View(
        ENTRIES,
        "One row an entry of a match. Amounts in major units.",
        (
            "match",
            "transaction",
            "entry",
            "reconciliation",
            "account",
            Shown("currency", "ISO 4217 code.", "o.currency"),
            "amount",
            "value_date",
            _STATUS,
            last_position("o.last_position"),
        ),
        joined=TABLE,
    ),
)
FOLD = RowFold(TABLE, starts={MatchMade: made}, changes={MatchUndone: undone})
RECONCILIATION_MATCHES = declared(
    "reconciliation_matches",
    FOLD,
    area="accounts",
    reports=VIEWS,
    details={LINES: {MatchMade: lines_of}, ENTRIES: {MatchMade: entries_of}},
)

# Queries.


@dataclass(frozen=True, slots=True)
class MatchedEntryRow:
    """An entry of a match; the amount in minor units, positive for a credit."""

    transaction: str
    entry: int
    amount: int
    value_date: date


@dataclass(frozen=True, slots=True)
class MatchRow:
    """A match as it is now; amounts in minor units, in our direction."""

    match: str
    reconciliation: str
    currency: str
    status: str
    rule: str
    lines_amount: int
    difference: int
    operator: str
    version: int
    position: int
    made_at: datetime
    lines: tuple[int, ...] = ()
    entries: tuple[MatchedEntryRow, ...] = ()


LIST = Listing(readable(TABLE), MatchRow, filters=("match", "reconciliation"))
LINES_OF = 'SELECT "match", number FROM read.reconciliation_match_lines WHERE "match" = ANY (%s) ORDER BY 1, 2'
ENTRIES_OF = """
SELECT "match", transaction, entry, amount, value_date FROM read.reconciliation_match_entries
 WHERE "match" = ANY (%s) ORDER BY 1, 2, 3
"""


def matches(
    connection: Connection[Any],
    reconciliation: str,
    *,
    after: int | None = None,
    cursor: int | None = None,
    limit: int = 100,
) -> Listed[MatchRow, int]:
    """The matches of a session, undone ones included, in the order in which they were made."""
    listed = LIST.read(connection, {"reconciliation": reconciliation, "after": after}, limit, cursor=cursor)
    return replace(listed, items=_whole(connection, listed.items))


def _whole(connection: Connection[Any], rows: Sequence[MatchRow]) -> tuple[MatchRow, ...]:
    ids = [row.match for row in rows]
    lines: dict[str, list[int]] = {id: [] for id in ids}
    entries: dict[str, list[MatchedEntryRow]] = {id: [] for id in ids}
    for id, line in connection.execute(LINES_OF, (ids,)):
        lines[id].append(line)
    for id, *entry in connection.execute(ENTRIES_OF, (ids,)):
        entries[id].append(MatchedEntryRow(*entry))
    return tuple(replace(row, lines=tuple(lines[row.match]), entries=tuple(entries[row.match])) for row in rows)
