"""The statement of an account: opening balance, the entries of a period, closing balance.

A statement is of a position of the log: nothing that is booked after it changes it, however long it takes to read all
pages. By day of booking its entries have the order of the log, and the running balance is that of the account right
after each. By value date they are in the order of value dates, and within one in the order of the log; the running
balance is by value date. Each entry is a line, also one that was reversed and the one that reversed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any, Literal

from psycopg import Connection

from projections.accounts.account_persons import SEEN
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.accounts.queries import account as find_account
from projections.accounts.statements.balances import booked_between
from projections.accounts.statements.booked import booked_by, position_to_read
from projections.accounts.statements.sums import NOTHING, Sums, sums
from projections.engine.checkpoint import folded
from projections.engine.ddl import DIALECT
from projections.engine.listing import EVERYTHING, MOST_ROWS, Listed, Reader

By = Literal["booking", "value"]
STATEMENT_PROJECTIONS = ("entries", "movements", "transactions")
MOST_COUNTERPARTIES = 10
"""Most counterparties that a line names. It has the number of all of them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The head of a statement. Amounts in minor units of the currency of the account."""

    account: AccountRow
    since: date
    until: date  # included
    by: By
    position: int  # that it is of
    opening: int
    sums: Sums
    after: int  # numbers of entries, by booking: the last one before the period, and the last one of it
    upto: int

    @property
    def closing(self) -> int:
        """The balance at the end of the period."""
        return self.opening + self.sums.net


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of a statement."""

    number: int  # within the account
    transaction: str
    entry: int  # within the transaction
    kind: str
    reference: str | None
    description: str | None
    description_erased: bool
    parent: str | None  # the transaction that it belongs to, such as the reversed one
    relation: str | None
    counterparties: tuple[str, ...]  # accounts of the other entries that the reader sees, MOST_COUNTERPARTIES at most
    counterparties_in_all: int
    value_date: date
    recorded_at: datetime
    position: int
    amount: int  # signed, minor units
    balance: int  # after it


@dataclass(frozen=True, slots=True)
class Key:
    """The key of a line: its number, and by value date also the day."""

    number: int
    day: date = date.min


def statement(
    connection: Connection[Any],
    account: str,
    *,
    since: date,
    until: date,
    by: By = "booking",
    as_of: int | None = None,
    reader: Reader = EVERYTHING,
) -> Statement | None:
    """The head of a statement from the day `since` to the day `until`, both included; None without such an account.

    `as_of` is the position that it is of; without it, that up to which the tables are folded. Raises ValueError for a
    period that ends before it begins, and `NotFoldedError`.
    """
    if until < since:
        raise ValueError(f"the period ends on {until}, before it begins on {since}")
    found = find_account(connection, account, reader=reader)
    if found is None:
        return None
    entries_until = folded(connection, "entries")
    position = position_to_read(connection, as_of, *STATEMENT_PROJECTIONS)

    def summed(**between: Any) -> Sums:
        return sums(connection, account, **{"upto": position, **between}, entries_until=entries_until)

    if by == "value":
        before = NOTHING if since == date.min else summed(until=since - timedelta(days=1))
        return Statement(found, since, until, by, position, before.net, summed(since=since, until=until), 0, 0)
    first, last = booked_between(connection, account, since, until, position)
    booked = summed(after=first.position, upto=last.position)
    return Statement(found, since, until, by, position, first.balance, booked, first.number, last.number)


def lines(
    connection: Connection[Any],
    head: Statement,
    *,
    cursor: Key | None = None,
    limit: int = 100,
    reader: Reader = EVERYTHING,
) -> Listed[Line, Key]:
    """A page of the lines of a statement, which has at most `MOST_ROWS`; `cursor` is the key of the line before it."""
    if not 0 < limit <= MOST_ROWS:
        raise ValueError(f"a page has 1 to {MOST_ROWS} rows, not {limit}")
    return (_by_value if head.by == "value" else _by_booking)(connection, head, cursor, limit, reader)


def _by_booking(
    connection: Connection[Any], head: Statement, cursor: Key | None, limit: int, reader: Reader
) -> Listed[Line, Key]:
    after = head.after if cursor is None else max(cursor.number, head.after)
    last = min(after + limit, head.upto)
    page = tuple(_details(connection, head, range(after + 1, last + 1), reader))
    return Listed(page, Key(page[-1].number) if page and last < head.upto else None)


# A day has at least one entry by `upto`, or it would not be here.
DAYS = """
SELECT day, first_position, last_position, CASE WHEN last_position <= %(upto)s THEN entries ELSE 1 END
  FROM read.movements
 WHERE account = %(account)s AND day >= %(since)s AND day <= %(until)s AND first_position <= %(upto)s
 ORDER BY day LIMIT %(row_limit)s
"""
NUMBERS = """
SELECT e.number
  FROM unnest(%(days)s::date[], %(lows)s::bigint[], %(highs)s::bigint[]) AS d(day, low, high)
 CROSS JOIN LATERAL (
    SELECT number, value_date FROM read.entries
     WHERE account = %(account)s AND number > d.low AND number <= d.high AND value_date = d.day
     ORDER BY number LIMIT %(row_limit)s
  ) e
 ORDER BY e.value_date, e.number LIMIT %(row_limit)s
"""
OF_DAY_BEFORE = """
SELECT coalesce(sum(CASE side WHEN 'credit' THEN amount ELSE -amount END), 0) FROM read.entries
 WHERE account = %(account)s AND number > %(low)s AND number <= %(high)s AND value_date = %(day)s
"""


def _by_value(
    connection: Connection[Any], head: Statement, cursor: Key | None, limit: int, reader: Reader
) -> Listed[Line, Key]:
    account, upto = head.account.account, head.position
    since = head.since if cursor is None else max(head.since, cursor.day)
    resumed = cursor if cursor is not None and cursor.day == since else None
    asked = {"account": account, "since": since, "until": head.until, "upto": upto, "row_limit": limit + 2}
    days, enough = list[tuple[date, int, int]](), 0
    for day, first, last, least in connection.execute(DAYS.encode(), asked).fetchall():
        if enough > limit:
            break
        days.append((day, first, last))
        enough += 0 if resumed is not None and day == resumed.day else least
    edges = sorted({upto, *(first - 1 for _, first, _ in days), *(min(last, upto) for _, _, last in days)})
    number = {edge: booked.number for edge, booked in zip(edges, booked_by(connection, account, edges), strict=True)}
    begins = [number[first - 1] for _, first, _ in days]
    lows = [
        max(low, resumed.number) if resumed is not None and day == resumed.day else low
        for low, (day, _, _) in zip(begins, days, strict=True)
    ]
    found = connection.execute(
        NUMBERS.encode(),
        {
            "account": account,
            "days": [day for day, _, _ in days],
            "lows": lows,
            "highs": [number[min(last, upto)] for _, _, last in days],
            "row_limit": limit + 1,
        },
    ).fetchall()
    numbers = [one for (one,) in found]
    balance = _value_balance_before(connection, head, since, resumed, begins[0] if begins else 0)
    page = tuple(_with_balances(_details(connection, head, numbers[:limit], reader), balance))
    return Listed(page, Key(page[-1].number, page[-1].value_date) if len(numbers) > limit else None)


def _value_balance_before(
    connection: Connection[Any], head: Statement, day: date, resumed: Key | None, low: int
) -> int:
    """The balance by value date before the next line, which has the value date `day` or a later one.

    `resumed` is the line before it, if that has this value date. `low` is the last number before the entries of `day`.
    """
    account = head.account.account
    balance = head.opening
    if day > head.since:
        entries_until = folded(connection, "entries")
        yesterday = day - timedelta(days=1)
        balance += sums(
            connection, account, upto=head.position, since=head.since, until=yesterday, entries_until=entries_until
        ).net
    if resumed is None:
        return balance
    between = {"account": account, "low": low, "high": resumed.number, "day": day}
    row = connection.execute(OF_DAY_BEFORE.encode(), between).fetchone()
    return balance + (0 if row is None else int(row[0]))


def _with_balances(page: list[Line], balance: int) -> list[Line]:
    """The lines with the running balance by value date."""
    running = list(accumulate((line.amount for line in page), initial=balance))[1:]
    return [replace(line, balance=after) for line, after in zip(page, running, strict=True)]


_DETAILS = """
SELECT e.number, e.transaction, e.entry, t.kind, t.reference, t.description, t.description_erased, t.parent, t.relation,
       coalesce(o.few, '{{}}'), o.number, e.value_date, e.recorded_at, e.position,
       CASE e.side WHEN 'credit' THEN e.amount ELSE -e.amount END, e.balance_after
  FROM read.entries e JOIN read.transactions t ON t.transaction = e.transaction
 CROSS JOIN LATERAL (
    SELECT (array_agg(account ORDER BY first))[1:{most}] AS few, count(*) AS number
      FROM (
        SELECT l.line ->> 'account' AS account, min(l.number) AS first
          FROM json_array_elements(t.entries) WITH ORDINALITY AS l(line, number)
         WHERE l.line ->> 'account' <> e.account{visible}
         GROUP BY 1
      ) AS others
  ) o
 WHERE e.account = %(account)s AND e.number = ANY (%(numbers)s)
"""
# The other side of a payment is shown by its id. Of a transaction with more entries, the reader sees their own.
_SHOWN = f"(json_array_length(t.entries) = 2 OR l.line ->> 'account' IN ({SEEN.compile(dialect=DIALECT)}))"
DETAILS = _DETAILS.format(most=MOST_COUNTERPARTIES, visible="")
VISIBLE_DETAILS = _DETAILS.format(most=MOST_COUNTERPARTIES, visible=f"\n           AND {_SHOWN}")
"""The same for a customer."""


def _details(connection: Connection[Any], head: Statement, numbers: Iterable[int], reader: Reader) -> list[Line]:
    """The lines of the entries with these numbers, in the order of the numbers given."""
    wanted = list(numbers)
    if not wanted:
        return []
    statement = DETAILS if reader.everything else VISIBLE_DETAILS
    parameters = {"account": head.account.account, "numbers": wanted, **reader.parameters}
    found = {row[0]: _line(row) for row in connection.execute(statement.encode(), parameters).fetchall()}
    return [found[number] for number in wanted]  # a missing line is an error: nothing is left out


def _line(row: Sequence[Any]) -> Line:
    values = [*row[:9], tuple(row[9]), *row[10:15], int(row[15])]
    return Line(*values)
