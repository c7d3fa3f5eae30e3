"""Interest on a real log, by a clock that the test moves: each month once, with two workers, a restart, an outage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import psycopg
import pytest

from domain.accounts.interest.accrual import WHOLE, DayBalance
from domain.accounts.interest.terms import AgreeInterest, ChangeInterest
from domain.accounts.posting import TransactionPosted, internal_account
from domain.accounts.transaction import Deposit, Withdraw
from domain.registry import MANAGERS
from projections.accounts.interest import daily_balances
from tests.integration.processes.test_settlement import done, findings, log_of, together
from tests.support.ledger import assert_sound, balances, executor_on, new_id, opening
from tests.support.postgres import Database
from tests.support.processes import Processes, processes_on

DAY = timedelta(days=1)
FIRST = date(2028, 1, 20)
ENDS = (date(2028, 1, 31), date(2028, 2, 29), date(2028, 3, 31), date(2028, 4, 30))
INTEREST = internal_account("main", "interest", "EUR")


@pytest.fixture
def processes(database18: Database) -> Iterator[Processes]:
    """Processes of all managers. The log is verified at the end."""
    with processes_on(database18, MANAGERS) as made:
        made.ledger.accepted(opening("interest", account=INTEREST, minimum=None))
        yield made
        made.wait_until_folded()
        assert made.verify().ok
        assert findings(database18) == []
        assert_sound(database18)


def credits(processes: Processes, account: str) -> list[Any]:
    """First day, last day, amount and what is carried of each month, from the read table."""
    processes.wait_until_folded()
    with psycopg.connect(processes.ledger.database.url) as connection:
        return connection.execute(
            "SELECT first_day, until, amount::int, carried FROM read.interest_credits WHERE account = %s"
            " ORDER BY position",
            (account,),
        ).fetchall()


def test_each_month_is_credited_once_over_a_leap_day_and_an_outage_of_three_days(
    processes: Processes, database18: Database
) -> None:
    """Two workers, new ones each time, and none from the end of February on, for three days."""
    processes.clock.now = datetime.combine(FIRST, time(9), UTC)
    account = processes.ledger.account()
    done(processes, Deposit(new_id("txn"), account, 1_000_000, "EUR", FIRST))
    done(processes, AgreeInterest(account, account, 365_000, 365, FIRST))  # 10.00 a day
    with executor_on(database18) as other:
        for now in (ENDS[0], ENDS[0] + DAY, ENDS[1], ENDS[1] + 4 * DAY, ENDS[2], ENDS[2] + DAY):
            processes.clock.now = datetime.combine(now, time(0, 5), UTC)
            if now == ENDS[2]:
                done(processes, Withdraw(new_id("txn"), account, 500_000, "EUR", now))
                done(processes, ChangeInterest(account, account, 0, 360, ENDS[2] + DAY))
            together(processes, other)
        processes.clock.now = datetime.combine(ENDS[3] + DAY, time(), UTC)
        together(processes, other)
    made = credits(processes, account)
    assert [(first, last) for first, last, *_ in made] == [
        (FIRST, ENDS[0]), *((before + DAY, last) for before, last in pairwise(ENDS))
    ]  # fmt: skip
    january, february = 12 * 1_000, 29 * (1_000 + 12)
    balance = 1_000_000 + january + february
    march = 30 * balance // 1_000 + (balance - 500_000) // 1_000
    assert [amount for *_, amount, _ in made] == [january, february, march, 0]
    exact = (31 * balance - 500_000) * (WHOLE // 1_000)
    assert made[-1][-1] == made[2][-1] == exact - march * WHOLE
    assert balances(database18)[account] == balance - 500_000 + march


def test_the_balances_are_those_of_the_days(processes: Processes, database18: Database) -> None:
    """Random postings, and random questions about them, answered by SQL and from the events."""
    chance, now = Random(5), datetime.combine(ENDS[1], time(9), UTC)
    processes.clock.now = now
    account = processes.ledger.account()
    done(processes, Deposit(new_id("txn"), account, 50, "EUR", FIRST))
    for _ in range(25):
        day = FIRST + chance.randint(0, 40) * DAY
        kind: Any = chance.choice((Deposit, Withdraw))
        done(processes, kind(new_id("txn"), account, chance.randint(1, 2), "EUR", day))
    processes.wait_until_folded()
    log = log_of(database18)
    with psycopg.connect(database18.query_url) as reads:
        for _ in range(40):
            first = FIRST + chance.randint(-3, 40) * DAY
            last = first + chance.randint(0, 30) * DAY
            asked = {"account": account, "first": first.isoformat(), "last": last.isoformat()}
            found = daily_balances(reads, asked)
            listed = msgspec.json.decode(str(found["balances"]), type=list[DayBalance])
            assert found["position"] == len(log)
            assert listed[0].day == first
            assert all(one.balance != later.balance for one, later in pairwise(listed))
            for number in range((last - first).days + 1):
                day = first + number * DAY
                assert [one.balance for one in listed if one.day <= day][-1] == _balance_on(log, account, day)


def _balance_on(log: list[Any], account: str, day: date) -> int:
    return sum(
        entry.signed
        for event in log
        if isinstance(event, TransactionPosted) and event.value_date <= day
        for entry in event.entries
        if entry.account == account
    )


def test_verify_finds_interest_on_another_balance(processes: Processes, database18: Database) -> None:
    processes.clock.now = datetime.combine(FIRST, time(9), UTC)
    account = processes.ledger.account()
    done(processes, Deposit(new_id("txn"), account, 900_023, "EUR", FIRST))
    done(processes, AgreeInterest(account, account, 20_000, 365, FIRST))
    processes.wait_until_folded()
    processes.clock.now = datetime.combine(ENDS[0] + DAY, time(), UTC)
    with executor_on(database18) as other:
        together(processes, other)
    done(processes, Deposit(new_id("txn"), account, 1, "EUR", FIRST))  # booked late: the interest stays right
    processes.wait_until_folded()
    assert findings(database18) == []
    forged = (
        "UPDATE log.events SET payload = convert_to(replace(convert_from(payload, 'UTF8'), %s, %s), 'UTF8')"
        " WHERE type = 'interest.credited.v1'"
    )
    old, new = '"balance":900023', '"balance":900024'
    with psycopg.connect(database18.url) as owner:
        owner.execute(forged, (old, new))
    assert "2028-01-20 has 900024, its entries 900023" in " ".join(findings(database18))
    with psycopg.connect(database18.url) as owner:
        owner.execute(forged, (new, old))
