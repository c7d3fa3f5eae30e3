"""What is matched of a session and what is not, and how the difference of the two balances comes about.

The entries of ours of a period are those with a value date in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from psycopg import Connection

from projections.accounts.reconciliations.sessions import ReconciliationRow
from projections.accounts.statements.booked import booked_by, position_to_read
from projections.accounts.statements.statement import STATEMENT_PROJECTIONS, Key, Line, lines, statement
from projections.accounts.statements.sums import NOTHING, sums
from projections.engine.listing import MOST_ROWS, Listed

SUMMARY_PROJECTIONS = (
    "reconciliations",
    "statement_lines",
    "reconciliation_matches",
    "accounts",
    *STATEMENT_PROJECTIONS,
)
"""What a summary is read from."""
MOST_PAGES = 20
"""Pages of entries that are looked through for one page of those that are not matched."""

SUMS_OF_LINES = """
SELECT count(*) FILTER (WHERE m.found IS NULL), coalesce(sum(l.amount) FILTER (WHERE m.found IS NULL), 0),
       count(m.found), coalesce(sum(l.amount) FILTER (WHERE m.found), 0),
       count(*) FILTER (WHERE m.found IS NULL AND l.number = ANY (%(ambiguous)s))
  FROM read.statement_lines l
  LEFT JOIN LATERAL (
    SELECT true AS found FROM read.reconciliation_match_lines x JOIN read.reconciliation_matches o USING ("match")
     WHERE x.reconciliation = l.reconciliation AND x.number = l.number AND o.status = 'matched' LIMIT 1
  ) m ON true
 WHERE l.reconciliation = %(reconciliation)s
"""
# Entries that this session has, and entries of the period that others have.
SUMS_OF_ENTRIES = """
SELECT count(*) FILTER (WHERE own), coalesce(sum(amount) FILTER (WHERE own), 0),
       coalesce(sum(amount) FILTER (WHERE own AND NOT inside), 0),
       count(*) FILTER (WHERE inside), coalesce(sum(amount) FILTER (WHERE inside), 0),
       coalesce(sum(amount) FILTER (WHERE inside AND NOT own), 0)
  FROM (
    SELECT e.amount, e.reconciliation = %(reconciliation)s AS own,
           e.value_date BETWEEN %(since)s AND %(until)s AS inside
      FROM read.reconciliation_match_entries e JOIN read.reconciliation_matches o USING ("match")
     WHERE o.status = 'matched' AND (
        e.reconciliation = %(reconciliation)s
        OR (e.account = %(account)s AND e.value_date BETWEEN %(since)s AND %(until)s))
  ) AS matched
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many, and their sum in minor units in our direction."""

    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A session at a position. Amounts in minor units, in our direction.

    `difference` is what the statement's closing balance is above ours. It is the sum of `explained`.
    """

    position: int  # that our entries are of
    matched_lines: Counted
    unmatched_lines: Counted
    ambiguous_lines: int
    matched_entries: Counted
    unmatched_entries: Counted  # of the period
    opening: int  # the statement's
    closing: int
    our_opening: int
    our_closing: int
    in_matches: int  # differences that people stated
    of_other_days: int  # entries of matches with value dates outside of the period
    by_others: int  # entries of the period that other sessions matched

    @property
    def difference(self) -> int:
        """What the statement's closing balance is above ours."""
        return self.closing - self.our_closing

    @property
    def explained(self) -> dict[str, int]:
        """The parts of the difference."""
        return {
            "opening": self.opening - self.our_opening,
            "unmatched_lines": self.unmatched_lines.amount,
            "unmatched_entries": -self.unmatched_entries.amount,
            "differences_of_matches": self.in_matches,
            "matched_of_other_days": self.of_other_days,
            "matched_by_others": -self.by_others,
        }


def summary(connection: Connection[Any], session: ReconciliationRow) -> Summary:
    """What is matched of a session, and what is not."""
    position = position_to_read(connection, None, *STATEMENT_PROJECTIONS)
    newest = booked_by(connection, session.account, position)
    before = NOTHING
    if session.since > date.min:
        before = sums(connection, session.account, newest, until=session.since - timedelta(days=1))
    inside = sums(connection, session.account, newest, since=session.since, until=session.until)
    of = {"reconciliation": session.reconciliation, "account": session.account}
    of_lines = connection.execute(SUMS_OF_LINES.encode(), {**of, "ambiguous": session.ambiguous}).fetchone()
    period = {"since": session.since, "until": session.until}
    of_entries = connection.execute(SUMS_OF_ENTRIES.encode(), {**of, **period}).fetchone()
    assert of_lines is not None and of_entries is not None, "an aggregate has a row"  # noqa: PT018
    left, left_amount, matched, matched_amount, ambiguous = map(int, of_lines)
    own, own_amount, own_outside, taken, taken_amount, by_others = map(int, of_entries)
    matched_ours = session.ours(matched_amount)
    return Summary(
        position=position,
        matched_lines=Counted(matched, matched_ours),
        unmatched_lines=Counted(left, session.ours(left_amount)),
        ambiguous_lines=ambiguous,
        matched_entries=Counted(own, own_amount),
        unmatched_entries=Counted(inside.entries - taken, inside.net - taken_amount),
        opening=session.ours(session.opening),
        closing=session.ours(session.closing),
        our_opening=before.net,
        our_closing=before.net + inside.net,
        in_matches=matched_ours - own_amount,
        of_other_days=own_outside,
        by_others=by_others,
    )


# Entries that no match has

MATCHED = """
SELECT e.transaction, e.entry
  FROM read.reconciliation_match_entries e JOIN read.reconciliation_matches o USING ("match")
 WHERE e.transaction = ANY (%s) AND o.status = 'matched'
"""


def free_among(connection: Connection[Any], found: tuple[Line, ...]) -> list[Line]:
    """Those of these entries that no match has."""
    rows = connection.execute(MATCHED, ([line.transaction for line in found],)).fetchall()
    matched = {(transaction, entry) for transaction, entry in rows}
    return [line for line in found if (line.transaction, line.entry) not in matched]


def pages_of_entries(
    connection: Connection[Any], account: str, since: date, until: date, cursor: Key | None = None
) -> Iterator[tuple[list[Line], Key | None]]:
    """The entries of an account with value dates in a period that no match has, in the order of value dates.

    A page has those among `MOST_ROWS` entries, and the key after which the next one begins, or None.
    """
    head = statement(connection, account, since=since, until=until, by="value")
    if head is None:
        return
    while True:
        page = lines(connection, head, cursor=cursor, limit=MOST_ROWS)
        yield free_among(connection, page.items), page.next
        if page.next is None:
            return
        cursor = page.next


def unmatched_entries(
    connection: Connection[Any], session: ReconciliationRow, *, cursor: Key | None = None, limit: int = 100
) -> Listed[Line, Key]:
    """The entries of the session's period that no match has. A page may be short, and still have a next one."""
    found: list[Line] = []
    pages = pages_of_entries(connection, session.account, session.since, session.until, cursor)
    for count, (page, following) in enumerate(pages, 1):
        found += page
        if len(found) > limit:
            last = found[limit - 1]
            return Listed(tuple(found[:limit]), Key(last.number, last.value_date))
        if following is None or count == MOST_PAGES:
            return Listed(tuple(found), following)
    return Listed((), None)
