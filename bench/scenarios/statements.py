"""Measures balances and statements of an account with a million entries.

The account takes part in every transfer of a year. Of twenty transfers one has a value date up to three days before its
day, and of ten thousand about one has an old value date. Every other account is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any

from psycopg import Connection

from bench.harness import history, oracle
from bench.harness.ledger import CASH, CURRENCY, EACH_HAS, LOG, submission
from bench.harness.load import percentiles
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.settings import Settings
from bench.harness.tables import begin_read_tables
from domain.accounts.account.lifecycle import OpenAccount
from domain.accounts.account.state import ACCOUNT
from domain.accounts.numbers import account_number
from domain.accounts.transaction import TRANSACTION, Deposit, Transfer
from domain.ids import TAIL, fresh_id, tails
from eventstore.executor.decided_commands import Submission
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from projections.accounts.statements.balances import balance
from projections.accounts.statements.balances import history as daily_balances
from projections.accounts.statements.statement import By, Key, lines, statement
from projections.engine.runner import Runner
from projections.registry import PROJECTIONS
from workers.composition import make_codec
from workers.tuning import tune_for_folding

DAYS, BLOCKS_A_DAY, OTHERS = 366, 4, 500
ENTRIES, QUICK_ENTRIES = 1_000_000, 4_000
ASKED, QUICK_ASKED = 200, 5
"""Reads of each kind in a repetition, each with days and positions of its own."""
MOST_MS = 10.0
"""What the issue asks of the median."""
LINES = 100

MONTH, MONTH_BY_VALUE = "opening, closing and the first 100 lines of a month", "the same by value date"
MIDDLE = "100 lines from the middle of a month"
AS_OF, VALUE_DATE, BOTH = "balance as of a position", "balance by value date", "balance by both"
YEAR, THIRTY_DAYS = "daily balances of a year", "daily balances of 30 days"
BOUNDED = (MONTH, AS_OF, VALUE_DATE)


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Fill a log, fold it, and read at random positions, days and months."""
    random = Random(settings.seed)
    entries, asked = (QUICK_ENTRIES, QUICK_ASKED) if settings.quick else (ENTRIES, ASKED)
    with server.database() as database:
        accounts: list[str] = []
        loaded = history.write(database, _blocks(entries, accounts, random))
        _fold(database)
        checked = oracle.check_tables(database.url)
        with connect(database.settings.query_url(), application_name="bench-reads") as connection:
            reads = _Reads(connection, accounts[0], loaded.position, random)
            for read in reads.kinds.values():
                read()  # the statements are prepared and the tables are read once
            measured = [_measure(name, read, asked, settings.repetitions) for name, read in reads.kinds.items()]
    result = ScenarioResult(
        "statements",
        "Statements of a large account",
        f"An account has {entries:,} entries of {DAYS} days, in a log of {loaded.position:,} events. Each read is for "
        "a random month, day or position, on one connection, without HTTP. Of twenty entries one has a value date up "
        "to three days before its day, and of ten thousand about one has an old value date.",
        measured,
        checked=checked,
    )
    for measurement in measured:
        bound = MOST_MS if measurement.subject in BOUNDED else None
        name = f"milliseconds, median: {measurement.subject}"
        result.comparisons.append(Comparison(name, measurement.median, at_most=bound))
    return result


def _blocks(entries: int, accounts: list[str], random: Random) -> Iterator[tuple[datetime, Sequence[Submission]]]:
    """The openings, and transfers between the first account and the others. The ids are added to `accounts`."""
    step = timedelta(days=1) / BLOCKS_A_DAY
    blocks = DAYS * BLOCKS_A_DAY
    at = datetime.now(UTC).replace(microsecond=0) - blocks * step
    opened = at.date() - timedelta(days=DAYS)

    def new_id(prefix: str) -> str:
        return fresh_id(prefix, int(at.timestamp() * 1000), tails(random.randbytes(TAIL))[0])

    def opening(account: str, type: Any, number: int, owner: str) -> OpenAccount:
        named = account_number(type, number)
        least = None if type == "cash" else 0
        return OpenAccount(account, named, type, CURRENCY, owner, f"Account {number}", least, None, opened)

    accounts += [new_id(ACCOUNT) for _ in range(OTHERS + 1)]
    openings: list[Any] = [opening(CASH, "cash", 1, LOG)]
    openings += [opening(account, "checking", n, f"owner-{n}") for n, account in enumerate(accounts, 2)]
    openings += [Deposit(new_id(TRANSACTION), account, EACH_HAS, CURRENCY, opened) for account in accounts]
    yield at, [submission(command, at) for command in openings]
    large, made = accounts[0], 1
    for block in range(1, blocks + 1):
        at += step
        until = 1 + (entries - 1) * block // blocks
        pairs = [(large, random.choice(accounts[1:])) for _ in range(until - made)]
        made = until
        yield (
            at,
            [
                submission(
                    Transfer(
                        new_id(TRANSACTION),
                        *(pair if random.random() < 0.5 else pair[::-1]),
                        random.randint(1, 10_000),
                        CURRENCY,
                        _value_date(at.date(), random),
                        reference="inv-1",
                    ),
                    at,
                )
                for pair in pairs
            ],
        )


def _value_date(day: date, random: Random) -> date:
    drawn = random.random()
    if drawn < 0.0001:
        return day - timedelta(days=random.randint(4, DAYS))
    return day - timedelta(days=random.randint(1, 3)) if drawn < 0.05 else day


def _fold(database: Database) -> None:
    """Fold the whole log, and let the server take statistics, as autovacuum does."""
    tune_for_folding()
    begin_read_tables(database)
    with (
        connect(database.projector_url, application_name="bench-projector") as connection,
        connect(database.projector_url, application_name="bench-ahead") as ahead,
    ):
        codec = make_codec(database.settings, ahead, read_head(connection, LOG).log_number)
        runner = Runner(connection, LOG, codec, PROJECTIONS, ahead=ahead)
        runner.run_to_head()
        if runner.stopped:
            raise oracle.WrongError(f"projections stopped: {runner.stopped}")
    with connect(database.url, application_name="bench-owner") as owner:
        owner.execute("VACUUM (ANALYZE) read.entries, read.movements, read.transactions, log.events")


class _Reads:
    """The reads, each for another random month, day or position."""

    def __init__(self, connection: Connection[Any], account: str, head: int, random: Random) -> None:
        self._connection = connection
        self._account = account
        self._head = head
        self._random = random
        self._today = datetime.now(UTC).date()
        self.kinds: dict[str, Callable[[], object]] = {
            MONTH: lambda: self._month("booking"),
            MONTH_BY_VALUE: lambda: self._month("value"),
            MIDDLE: self._middle,
            AS_OF: lambda: balance(connection, account, as_of=self._position()),
            VALUE_DATE: lambda: balance(connection, account, value_date=self._day()),
            BOTH: lambda: balance(connection, account, as_of=self._position(), value_date=self._day()),
            THIRTY_DAYS: lambda: self._days(30),
            YEAR: lambda: self._days(DAYS),
        }

    def _position(self) -> int:
        return self._random.randint(1, self._head)

    def _day(self) -> date:
        return self._today - timedelta(days=self._random.randint(0, DAYS))

    def _month(self, by: By) -> None:
        day = self._day()
        head = statement(self._connection, self._account, since=day, until=day + timedelta(days=30), by=by)
        assert head is not None
        page = lines(self._connection, head, limit=LINES).items
        if page and page[0].balance - page[0].amount != head.opening:
            raise oracle.WrongError(f"a statement begins with {page[0].balance - page[0].amount}, not {head.opening}")

    def _middle(self) -> None:
        day = self._day()
        head = statement(self._connection, self._account, since=day, until=day + timedelta(days=30))
        assert head is not None
        lines(self._connection, head, cursor=Key((head.after.number + head.last.number) // 2), limit=LINES)

    def _days(self, number: int) -> None:
        since = self._today - timedelta(days=DAYS if number == DAYS else self._random.randint(number, DAYS))
        until = since + timedelta(days=number - 1)
        found = daily_balances(self._connection, self._account, since=since, until=until, now=datetime.now(UTC))
        if len(found.steps) != number:
            raise oracle.WrongError(f"{number} days have {len(found.steps)} balances")


def _measure(name: str, read: Callable[[], object], asked: int, repetitions: int) -> Measurement:
    medians, latencies = list[float](), list[list[int]]()
    for _ in range(repetitions):
        taken = list[int]()
        for _ in range(asked):
            began = perf_counter()
            read()
            taken.append(round((perf_counter() - began) * 1e6))
        latencies.append(taken)
        medians.append(round(sorted(taken)[len(taken) // 2] / 1000, 3))
    return Measurement(name, {"reads": asked}, "ms", medians, percentiles(latencies))
