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
from projections.accounts.statements.booked import (
    LATEST,
    NOTHING_BOOKED,
    Booked,
    booked,
    booked_at,
    booked_by,
    midnight,
    midnight_after,
    position_to_read,
)
from projections.accounts.statements.sums import NOTHING, Sums, sums
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
    after: Booked  # the last entry before the first line, by booking
    last: Booked  # by booking the last line; by value the last entry that may be one

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
    position = position_to_read(connection, as_of, *STATEMENT_PROJECTIONS)
    if by == "value":
        newest = booked_by(connection, account, position)
        earlier = NOTHING if since == date.min else sums(connection, account, newest, until=since - timedelta(days=1))
        whole = sums(connection, account, newest, since=since, until=until)
        return Statement(found, since, until, by, position, earlier.net, whole, NOTHING_BOOKED, newest)
    edges = [(position, midnight(since)), (position, midnight_after(until)), (position, LATEST)]
    first, last, newest = booked(connection, account, edges)
    of_period = NOTHING
    if last.number > first.number:
        of_period = sums(connection, account, newest, booked_since=since, booked_until=until)
    return Statement(found, since, until, by, position, first.balance, of_period, first, last)


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
    after = head.after.number if cursor is None else max(cursor.number, head.after.number)
    last = min(after + limit, head.last.number)
    page = tuple(_details(connection, head, range(after + 1, last + 1), reader))
    return Listed(page, Key(page[-1].number) if page and last < head.last.number else None)


# What a value date has: whether entries were booked on it, and the positions of those booked on other days.
DAYS = """
SELECT m.day, m.entries > coalesce(o.entries, 0), CASE WHEN m.last_position <= %(upto)s THEN m.entries ELSE 0 END,
       coalesce(o.firsts, '{}'), coalesce(o.lasts, '{}')
  FROM read.movements m
 CROSS JOIN LATERAL (
    SELECT sum(entries) AS entries, array_agg(first_position) FILTER (WHERE first_position <= %(upto)s) AS firsts,
           array_agg(last_position) FILTER (WHERE first_position <= %(upto)s) AS lasts
      FROM read.movements_booked_on_other_days WHERE account = %(account)s AND day = m.day
  ) o
 WHERE m.account = %(account)s AND m.day >= %(since)s AND m.day <= %(until)s ORDER BY m.day LIMIT %(row_limit)s
"""
NUMBERS = """
SELECT e.number, e.value_date
  FROM unnest(%(days)s::date[], %(lows)s::bigint[], %(highs)s::bigint[]) AS d(day, low, high)
 CROSS JOIN LATERAL (
    SELECT number, value_date FROM read.entries
     WHERE account = %(account)s AND number > d.low AND number <= d.high AND value_date = d.day
     ORDER BY number LIMIT %(row_limit)s
  ) e
 ORDER BY e.value_date, e.number LIMIT %(row_limit)s
"""


def _by_value(
    connection: Connection[Any], head: Statement, cursor: Key | None, limit: int, reader: Reader
) -> Listed[Line, Key]:
    since = head.since if cursor is None else max(head.since, cursor.day)
    resumed = cursor if cursor is not None and cursor.day == since else None
    numbers = _numbers_by_value(connection, head, since, resumed, limit + 1)
    balance = _value_balance_before(connection, head, since, resumed)
    page = tuple(_with_balances(_details(connection, head, numbers[:limit], reader), balance))
    return Listed(page, Key(page[-1].number, page[-1].value_date) if len(numbers) > limit else None)


def _numbers_by_value(
    connection: Connection[Any], head: Statement, since: date, resumed: Key | None, most: int
) -> list[int]:
    """The numbers of the next lines from the value date `since` on, `most` at most; after `resumed` on that day."""
    asked = {"account": head.account.account, "until": head.until, "upto": head.position, "row_limit": most}
    found, start = list[int](), since
    while rows := connection.execute(DAYS.encode(), {**asked, "since": start}).fetchall():
        days, enough = list[Sequence[Any]](), len(found)
        for row in rows:
            if enough < most:
                days.append(row)
                enough += 0 if resumed is not None and row[0] == resumed.day else row[2]
        found += _numbers_of_days(connection, head, days, resumed, most - len(found))
        reached: date = days[-1][0]
        if len(found) >= most or reached >= head.until:
            break
        start = reached + timedelta(days=1)
    return found


def _numbers_of_days(
    connection: Connection[Any], head: Statement, days: Sequence[Sequence[Any]], resumed: Key | None, most: int
) -> list[int]:
    """The numbers of the entries with these value dates, in order."""
    account, last = head.account.account, head.last.number
    on_day = [day for day, booked_on_it, *_ in days if booked_on_it]
    other = [(day, first - 1, until) for day, _, _, *pair in days for first, until in zip(*pair, strict=True)]
    bounds = [(head.position, time) for day in on_day for time in (midnight(day), midnight_after(day))]
    bounds += [(position, LATEST) for _, first, until in other for position in (first, until)]
    edges = booked(connection, account, bounds)
    numbers = [edge.number for edge in edges]
    ranges = list(zip([*on_day, *(day for day, _, _ in other)], numbers[::2], numbers[1::2], strict=True))
    parameters = {
        "account": account,
        "days": [day for day, _, _ in ranges],
        "lows": [max(low, resumed.number) if resumed and day == resumed.day else low for day, low, _ in ranges],
        "highs": [min(high, last) for _, _, high in ranges],
        "row_limit": most,
    }
    return [number for number, _ in connection.execute(NUMBERS.encode(), parameters).fetchall()]


def _value_balance_before(connection: Connection[Any], head: Statement, day: date, resumed: Key | None) -> int:
    """The balance by value date before the next line, which has the value date `day` or a later one.

    `resumed` is the line before it, if that has this value date.
    """
    account = head.account.account
    balance = head.opening
    if day > head.since:
        balance += sums(connection, account, head.last, since=head.since, until=day - timedelta(days=1)).net
    if resumed is None:
        return balance
    before = booked_at(connection, account, min(resumed.number, head.last.number))
    return balance + sums(connection, account, before, since=day, until=day).net


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
