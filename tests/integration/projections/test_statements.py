"""Statements, balances and histories equal what the entries say, for random histories, periods and positions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import Connection

from domain.accounts.posting import Entry
from domain.kernel import Event
from projections.accounts.accounts.fold import ACCOUNTS
from projections.accounts.entries import queries as entries
from projections.accounts.entries.fold import ENTRIES
from projections.accounts.entries.queries import EntryRow
from projections.accounts.movements.fold import MOVEMENTS
from projections.accounts.statements.balances import MOST_STEPS, balance, history, step_starts
from projections.accounts.statements.booked import (
    HIGHEST,
    LATEST,
    NOTHING_BOOKED,
    PositionAheadError,
    booked,
    booked_at,
    booked_by,
)
from projections.accounts.statements.statement import MOST_COUNTERPARTIES, By, Key, Line, Statement, lines, statement
from projections.accounts.statements.sums import sums
from projections.accounts.transactions.fold import TRANSACTIONS
from projections.engine.checkpoint import folded
from projections.engine.projection import Projection
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from tests.integration.projections.filling import LOG, Filler, posting, projector
from tests.support.postgres import Server

ACCOUNTS_OF_TEST = ("acct_a", "acct_b", "acct_c", "acct_d")
FIRST = datetime(2024, 1, 1, 9, tzinfo=UTC)
DAYS = 75
UNITS = 500
BOTH: tuple[By, ...] = ("booking", "value")
TABLES: tuple[Projection, ...] = (ENTRIES, MOVEMENTS, TRANSACTIONS)


@dataclass
class Book:
    """A folded history. `entries` are those of each account, as the list of entries has them."""

    connection: Connection[Any]
    filler: Filler
    chance: Random
    at: datetime

    def write(self, units: int) -> None:
        """Write random transactions. Most have the day as value date, and some one before or after it."""
        for _ in range(units):
            self.at += timedelta(minutes=self.chance.randint(0, DAYS * 24 * 60 * 2 // UNITS))
            self.filler.write(self._unit(), at=self.at)

    def _unit(self) -> list[Event]:
        chance = self.chance
        kind = chance.random()
        far = chance.choice([-40, -20, 3, 50]) if kind < 0.1 else chance.choice([-1, -1, 1]) if kind < 0.3 else 0
        day = self.at.date() + timedelta(days=far)
        number = chance.choice([1, 1, 1, 2, 7])
        pairs = [chance.sample(ACCOUNTS_OF_TEST, 2) for _ in range(number)]
        both = [
            (Entry(source, "debit", amount, "EUR"), Entry(target, "credit", amount, "EUR"))
            for (source, target), amount in ((pair, chance.randint(1, 9_999)) for pair in pairs)
        ]
        return posting(self.filler.id("txn"), *(entry for pair in both for entry in pair), value_date=day)

    def fold(self, *projections: Projection) -> None:
        runner = Runner(self.connection, LOG, self.filler.codec, projections, page=40)
        runner.run_to_head()
        assert not runner.stopped

    def entries(self, account: str) -> list[EntryRow]:
        found = list[EntryRow]()
        while len(page := entries.entries(self.connection, account, cursor=len(found) or None, limit=1_000).items):
            found += page
        return found


@pytest.fixture(scope="module")
def book(postgres18: Server) -> Iterator[Book]:
    """A book in which `entries` and `transactions` are folded further than `movements`."""
    with postgres18.database() as database, projector(database) as connection:
        filler = Filler(database)
        filler.begin()
        filler.write(*([filler.opening(account)] for account in ACCOUNTS_OF_TEST), at=FIRST)
        made = Book(connection, filler, Random(61), FIRST)
        made.write(UNITS)
        made.fold(*PROJECTIONS)
        yield made
        filler.close()


@pytest.fixture(params=["all at the head", "movements behind", "movements ahead"])
def state(request: pytest.FixtureRequest, book: Book) -> Book:
    """The book with the tables folded to different positions."""
    book.fold(*PROJECTIONS)
    if request.param != "all at the head":
        book.write(30)
        ahead, behind = (ENTRIES, MOVEMENTS) if request.param == "movements behind" else (MOVEMENTS, ENTRIES)
        book.fold(ahead, ACCOUNTS, *([TRANSACTIONS] if ahead is ENTRIES else []))
        assert folded(book.connection, ahead.name) > folded(book.connection, behind.name)
    return book


def signed(row: EntryRow) -> int:
    return row.amount if row.side == "credit" else -row.amount


def day_of(row: EntryRow, by: By) -> date:
    return row.value_date if by == "value" else row.recorded_at.date()


def some_day(chance: Random, far: int = 20) -> date:
    return FIRST.date() + timedelta(days=chance.randint(-far, DAYS + far))


def period(chance: Random) -> tuple[date, date]:
    first, last = sorted((some_day(chance), some_day(chance)))
    return chance.choice([(first, last), (first, first), (date.min, last), (first, date.max), (date.min, date.max)])


def positions(book: Book, upto: int, number: int) -> list[int | None]:
    return [None, 0, upto, *(book.chance.randint(1, upto) for _ in range(number))]


def all_lines(book: Book, head: Statement, limit: int) -> list[Line]:
    found, cursor = list[Line](), None
    while True:
        page = lines(book.connection, head, cursor=cursor, limit=limit)
        found += page.items
        assert len(page.items) == limit or page.next is None
        if page.next is None:
            return found
        cursor = page.next


@pytest.mark.parametrize("by", BOTH)
def test_a_statement_is_what_the_entries_say(state: Book, by: By) -> None:
    connection, chance = state.connection, state.chance
    upto = folded(connection, *(projection.name for projection in TABLES))
    for account in ACCOUNTS_OF_TEST[:2]:
        rows = state.entries(account)
        for as_of in positions(state, upto, 6):
            since, until = period(chance)
            head = statement(connection, account, since=since, until=until, by=by, as_of=as_of)
            assert head is not None
            assert head.position == (upto if as_of is None else as_of)
            booked = [row for row in rows if row.position <= head.position]
            wanted = [row for row in booked if since <= day_of(row, by) <= until]
            if by == "value":
                wanted.sort(key=lambda row: (row.value_date, row.number))
            assert head.opening == sum(signed(row) for row in booked if day_of(row, by) < since)
            assert head.closing == sum(signed(row) for row in booked if day_of(row, by) <= until)
            assert head.sums.debits == sum(row.amount for row in wanted if row.side == "debit")
            assert head.sums.credits == sum(row.amount for row in wanted if row.side == "credit")
            assert head.sums.entries == len(wanted)
            found = all_lines(state, head, chance.choice([1, 7, 100, 1_000]) if len(wanted) < 100 else 90)
            assert [(line.number, line.transaction, line.entry, line.value_date, line.amount) for line in found] == [
                (row.number, row.transaction, row.entry, row.value_date, signed(row)) for row in wanted
            ]
            running = head.opening
            for line in found:
                running += line.amount
                assert line.balance == running
            if by == "booking":
                assert [line.balance for line in found] == [row.balance_after for row in wanted]


def test_a_balance_is_of_a_position_and_a_value_date(state: Book) -> None:
    connection, chance = state.connection, state.chance
    both = folded(connection, "entries", "movements")
    for account in ACCOUNTS_OF_TEST[:2]:
        rows = state.entries(account)
        for as_of in positions(state, both, 20):
            for day in (None, some_day(chance), some_day(chance), date.min, date.max):
                found = balance(connection, account, as_of=as_of, value_date=day)
                reached = folded(connection, "entries") if day is None else both
                assert found.position == (reached if as_of is None else as_of)
                assert found.balance == sum(
                    signed(row)
                    for row in rows
                    if row.position <= found.position and (day is None or row.value_date <= day)
                )


def test_sums_are_of_any_days_of_booking_and_value_dates(state: Book) -> None:
    connection, chance = state.connection, state.chance
    both = folded(connection, "entries", "movements")
    rows = state.entries("acct_a")
    for _ in range(60):
        last = booked_by(connection, "acct_a", chance.randint(0, both))
        since, until = period(chance)
        first, end = period(chance)
        found = sums(connection, "acct_a", last, booked_since=first, booked_until=end, since=since, until=until)
        wanted = [
            row
            for row in rows[: last.number]
            if since <= row.value_date <= until and first <= row.recorded_at.date() <= end
        ]
        assert found.debits == sum(row.amount for row in wanted if row.side == "debit")
        assert found.credits == sum(row.amount for row in wanted if row.side == "credit")
        assert found.entries == len(wanted)


def test_the_last_entry_by_a_position_or_a_time_is_found(book: Book) -> None:
    rows = book.entries("acct_a")
    times = [FIRST - timedelta(1), LATEST, *(book.chance.choice(rows).recorded_at for _ in range(50))]
    positions = [0, 1, HIGHEST, *(book.chance.randint(1, rows[-1].position) for _ in range(49))]
    bounds = list(zip(book.chance.sample(positions, len(positions)), times, strict=True))
    for (position, time), found in zip(bounds, booked(book.connection, "acct_a", bounds), strict=True):
        within = [row for row in rows if row.position <= position and row.recorded_at < time]
        last = within[-1] if within else None
        wanted = (last.number, last.position, last.balance_after, last.recorded_at.date()) if last else (0, 0, 0, None)
        assert (found.number, found.position, found.balance, found.day) == wanted
        assert booked_at(book.connection, "acct_a", found.number) == found
    assert booked_by(book.connection, "acct_none", 7) == NOTHING_BOOKED


@pytest.mark.parametrize("every", ["day", "week", "month"])
def test_a_history_has_every_day_and_what_the_balance_was_in_it(state: Book, every: Any) -> None:
    connection, chance = state.connection, state.chance
    upto, now = folded(connection, "entries"), state.at
    rows = state.entries("acct_a")
    for as_of in positions(state, upto, 5):
        since, until = sorted((some_day(chance), some_day(chance)))
        found = history(connection, "acct_a", since=since, until=until, every=every, as_of=as_of, now=now)
        booked = [row for row in rows if row.position <= found.position]
        last = min(until, now.date())
        begins = list(step_starts(since, last, every)) if since <= last else []
        assert [step.day for step in found.steps] == begins
        assert all(every == "day" or (day.day == 1 if every == "month" else day.weekday() == 0) for day in begins[1:])
        ends = [*begins[1:], until + timedelta(1)] if begins else []  # there is no step after today
        for step, following in zip(found.steps, ends, strict=True):
            within = [row for row in booked if step.day <= row.recorded_at.date() < following]
            before = sum(signed(row) for row in booked if row.recorded_at.date() < step.day)
            assert (step.opening, step.closing) == (before, before + sum(map(signed, within)))
            assert step.debits == sum(row.amount for row in within if row.side == "debit")
            assert step.credits == sum(row.amount for row in within if row.side == "credit")
            assert step.entries == len(within)
            held = [before, *(row.balance_after for row in within)]
            assert (step.lowest, step.highest) == (min(held), max(held))


def test_a_history_is_bounded(book: Book) -> None:
    day = date(2024, 1, 1)
    assert len(list(step_starts(day, day + timedelta(days=MOST_STEPS - 1), "day"))) == MOST_STEPS
    with pytest.raises(ValueError, match=f"more than {MOST_STEPS} days"):
        history(
            book.connection,
            "acct_a",
            since=day,
            until=day + timedelta(days=MOST_STEPS),
            now=LATEST,
        )
    assert list(step_starts(date(9999, 12, 30), date.max, "day")) == [date(9999, 12, 30), date.max]
    assert list(step_starts(date(9999, 11, 30), date.max, "month"))[1:] == [date(9999, 12, 1)]


def test_what_is_booked_later_does_not_change_a_statement(book: Book) -> None:
    """Pages that are read while the ledger goes on are of one statement."""
    for by in BOTH:
        book.fold(*PROJECTIONS)
        head = statement(book.connection, "acct_a", since=date.min, until=date.max, by=by)
        assert head is not None
        first = lines(book.connection, head, limit=50)
        wanted = all_lines(book, head, 50)
        book.write(20)
        book.fold(*PROJECTIONS)
        assert lines(book.connection, head, limit=50) == first
        assert all_lines(book, head, 50) == wanted
        again = statement(book.connection, "acct_a", since=date.min, until=date.max, by=by, as_of=head.position)
        assert again is not None
        assert (again.opening, again.closing, again.sums) == (head.opening, head.closing, head.sums)


def test_a_position_that_is_not_folded_is_not_answered(book: Book) -> None:
    beyond = book.filler.position + 1
    with pytest.raises(PositionAheadError, match=f"not yet up to {beyond}"):
        balance(book.connection, "acct_a", as_of=beyond)
    with pytest.raises(PositionAheadError):
        statement(book.connection, "acct_a", since=FIRST.date(), until=FIRST.date(), as_of=beyond)
    assert statement(book.connection, "acct_none", since=FIRST.date(), until=FIRST.date()) is None
    with pytest.raises(ValueError, match="before it begins"):
        statement(book.connection, "acct_a", since=FIRST.date(), until=FIRST.date() - timedelta(1))


def test_a_line_names_its_counterparties_and_counts_them(book: Book) -> None:
    payees = [f"acct_payee_{number:02}" for number in range(MOST_COUNTERPARTIES + 2)]
    paid = [Entry(payee, "credit", 1, "EUR") for payee in payees]
    debits = [Entry("acct_a", "debit", len(payees) - 1, "EUR"), Entry("acct_a", "debit", 1, "EUR")]
    book.filler.write(*([book.filler.opening(payee)] for payee in payees), at=book.at)
    book.filler.write(posting("txn_payroll", debits[0], *paid, debits[1], value_date=book.at.date()), at=book.at)
    book.fold(*PROJECTIONS)
    head = statement(book.connection, "acct_a", since=book.at.date(), until=book.at.date())
    assert head is not None
    *_, first, second = all_lines(book, head, 1_000)
    assert {first.transaction, second.transaction} == {"txn_payroll"}
    assert (first.entry, second.entry) == (1, len(payees) + 2)
    for line in (first, second):
        assert list(line.counterparties) == payees[:MOST_COUNTERPARTIES]
        assert line.counterparties_in_all == len(payees)


def test_a_page_begins_after_its_cursor(book: Book) -> None:
    head = statement(book.connection, "acct_a", since=FIRST.date(), until=date.max)
    assert head is not None
    second = lines(book.connection, head, cursor=Key(head.after.number + 1), limit=1).items
    assert [line.number for line in second] == [head.after.number + 2]
    assert lines(book.connection, head, cursor=Key(2**62), limit=1).items == ()
    for limit in (0, 1_001):
        with pytest.raises(ValueError, match="1 to 1000 rows"):
            lines(book.connection, head, limit=limit)
